"""Where models of a program come from: runs and model files, and weights of other programs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rnn_tui.errors import UsageError
from rnn_tui.inference.config import Backend
from rnn_tui.inference.target import resolve_target
from rnn_tui.library import arguments
from rnn_tui.library.boundary import safe_errors
from rnn_tui.library.model import Model
from rnn_tui.library.places import StrPath, name_or_path, path_text, runs_folder


@safe_errors()
def load(
    target: StrPath, *, device: str = "cpu", backend: Backend = "torch", runs_dir: StrPath | None = None
) -> Model:
    """Load a trained model.

        >>> model = rnn_tui.load("fox")
        >>> model.generate("the ", length=40, seed=1) == model.generate("the ", length=40, seed=1)
        True

    It warns (UserWarning) where a plugin of somebody else's is no longer the one that the model was trained with: its
    source, or its version, is another.

    Args:
        target: the name of a run, of which the best model so far is taken, also while it trains; or the path of a run
            folder, a checkpoint folder or a model file. A name that is both a run and a file means the run; a
            `pathlib.Path` is always a path.
        device: `cpu`, `cuda`, `mps`, or `auto` for the best that is there.
        backend: `torch`, or `numpy`, which computes without loading torch where the architecture has a step in NumPy.
        runs_dir: where runs are looked for; None: `RNN_TUI_RUNS`, else `./runs`.

    Raises:
        InputError: when there is no such model (names the nearest), or its file is damaged.
        PluginError: when its architecture or tokenizer is not installed, or fails.
        UsageError: when the device is not here, or the backend cannot compute this model.
        OutOfMemoryError: when it does not fit.
    """
    path = resolve_target(name_or_path("target", target), runs_folder(runs_dir))
    return Model(path, device=device, backend=backend)


@safe_errors()
def import_weights(
    path: StrPath,
    *,
    like: StrPath | None = None,
    vocabulary: StrPath | None = None,
    tokenizer: str | None = None,
    corpus: StrPath | None = None,
    arch: str | None = None,
    options: Mapping[str, Any] | None = None,
    runs_dir: StrPath | None = None,
) -> Model:
    """Make a model of weights that somebody trained with torch.nn, as `rnn-tui import` does; docs/exchange.md.

        >>> written = model.export("plain.safetensors")
        >>> again = rnn_tui.import_weights("plain.safetensors")
        >>> again.generate(seed=1) == model.generate(seed=1)
        True

    The model is in memory, on the CPU: `save` writes its file, which `load`, `train(warm_start=…)` and every command
    take. Its outputs are compared with those of torch.nn.

    Args:
        path: a safetensors file with the tensors of an nn.LSTM, nn.GRU or nn.RNN, an embedding unless tokens enter as
            one-hot vectors, and a linear head, whatever its modules are called.
        like: a run or model file that reads as this one does: its tokenizer, task and corpus are taken. A file that
            `export` wrote needs neither this nor a vocabulary.
        vocabulary: a JSON file with the texts of the tokens: a list by number, a table of texts and numbers, or one
            text of characters.
        tokenizer: what cuts text into the tokens of `vocabulary`; None: `char`.
        corpus: what the weights of a `vocabulary` were trained on; `evaluate` measures on it.
        arch: the architecture that takes the weights; None: the exported one, that of `like`, or torch's own.
        options: of the architecture.
        runs_dir: where the run `like` is looked for; None: `RNN_TUI_RUNS`, else `./runs`.

    Raises:
        InputError: when a file is damaged, or is no such one; a pickle is never opened.
        UsageError: when nothing says how text becomes its numbers, or the architecture cannot have these weights.
        PluginError: when the architecture or tokenizer is not installed, fails, or computes something else with them.
    """
    from rnn_tui.library.loaded import held
    from rnn_tui.model.exchange.back import Like, Vocabulary, import_torch

    weights = Path(path_text("path", path))
    for name, value in (("tokenizer", tokenizer), ("corpus", corpus)):
        if vocabulary is None and value is not None:
            raise UsageError(f"{name} goes with a vocabulary; give that, too")
    if vocabulary is not None and like is not None:
        raise UsageError("give like or a vocabulary, not both")
    if options is not None and not isinstance(options, Mapping):
        raise UsageError(f"options must be a dict, not {arguments.shown(options)}")
    reads: Like | Vocabulary | None = None
    if like is not None:
        from rnn_tui.model.header import read_header

        found = resolve_target(name_or_path("like", like), runs_folder(runs_dir))
        reads = Like(found, read_header(found))
    elif vocabulary is not None:
        name = "char" if tokenizer is None else arguments.text("tokenizer", tokenizer)
        source = "" if corpus is None else path_text("corpus", corpus)
        reads = Vocabulary(Path(path_text("vocabulary", vocabulary)), name, source)
    chosen = "" if arch is None else arguments.text("arch", arch)
    done = import_torch(weights, reads, arch=chosen, options=options)
    return Model._of(held(weights, done.model, done.header))
