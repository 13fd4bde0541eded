"""A model file, ready to be read with: in torch, or in NumPy without it."""

from pathlib import Path

from rnn_tui.errors import UsageError
from rnn_tui.inference.config import Backend, BackendChoice
from rnn_tui.inference.drawing import Reader
from rnn_tui.model.header import ModelFile
from rnn_tui.plugin.registry import list_plugins, recorded_name
from rnn_tui.plugin.tokenizer import Tokenizer

NUMPY_TOKENS = 50_000
"""Tokens up to which NumPy is the quicker. A prompt of 200 tokens was answered after 0.4 s (1x128) and 0.6 s (3x512),
by torch after 2.1 and 2.2, and tracing and compiling take 2 s more; then a compiled step saves 50 µs a token at 1x128,
65 at 1x512 and 240 at 1x1024, on one thread. The step not compiled is slower than NumPy's from 1x128 to 1x2048."""


def choose_backend(header: ModelFile, choice: BackendChoice, *, device: str, tokens: int) -> Backend:
    """Return what is to compute: for `auto` NumPy, where it can and is quicker.

    Args:
        tokens: how many are to be read and drawn.
    """
    if choice != "auto":
        return choice
    steps = {info.full_name for info in list_plugins("numpy-step")}
    able = recorded_name(header.architecture) in steps and device == "cpu"
    return "numpy" if able and tokens <= NUMPY_TOKENS else "torch"


def load_reader(
    path: Path, *, backend: Backend = "torch", device: str = "cpu"
) -> tuple[Reader, Tokenizer, ModelFile]:
    """Build the model of tokens that a file describes, for sampling at batch 1.

    Raises:
        UsageError: when NumPy is to compute on another device than the CPU; else as `load_numpy` and `load_model`.
    """
    if backend == "numpy":
        if device != "cpu":
            raise UsageError(f"the backend numpy computes on the CPU, not on {device}; leave out the device")
        from rnn_tui.inference.numpy_model import load_numpy

        return load_numpy(path)
    from rnn_tui.inference.torch_reader import TorchReader
    from rnn_tui.model.device import sample_on_one_thread
    from rnn_tui.model.file import load_model

    sample_on_one_thread()
    model, tokenizer, header = load_model(path, device=device)
    return TorchReader(model), tokenizer, header
