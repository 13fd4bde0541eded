"""A model file, ready to be read with: in torch, or in NumPy without it."""

from pathlib import Path

from rnn_tui.errors import UsageError
from rnn_tui.inference.config import Backend
from rnn_tui.inference.generate import Reader
from rnn_tui.model.file import ModelFile
from rnn_tui.plugin.tokenizer import Tokenizer


def load_reader(
    path: Path, *, backend: Backend = "torch", device: str = "cpu"
) -> tuple[Reader, Tokenizer, ModelFile]:
    """Build the model of tokens that a file describes, for sampling at batch 1.

    Raises:
        UsageError: when NumPy is to compute on another device than the CPU; else as `load_numpy` and `load_model`.
    """
    if backend == "numpy":
        if device != "cpu":
            raise UsageError(f"--backend numpy computes on the CPU, not on {device}; leave out --device")
        from rnn_tui.inference.numpy_model import load_numpy

        return load_numpy(path)
    from rnn_tui.inference.torch_reader import TorchReader
    from rnn_tui.model.device import sample_on_one_thread
    from rnn_tui.model.file import load_model

    sample_on_one_thread()
    model, tokenizer, header = load_model(path, device=device)
    return TorchReader(model), tokenizer, header
