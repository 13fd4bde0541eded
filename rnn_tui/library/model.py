"""A trained model in a program of one's own: `load` and what it returns."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack, get_args, overload

import numpy as np
import numpy.typing as npt

from rnn_tui.errors import InputError, UsageError, nearest
from rnn_tui.inference.config import Backend
from rnn_tui.inference.target import resolve_target
from rnn_tui.library.boundary import safe_errors
from rnn_tui.library.loaded import ModelInfo, load_in_numpy, load_in_torch
from rnn_tui.library.places import StrPath, name_or_path, runs_folder
from rnn_tui.library.reading import Reading, Sampling, Stream, read
from rnn_tui.library.scoring import Scores, score
from rnn_tui.safetext import safe_text

if TYPE_CHECKING:
    from rnn_tui.inference.drawing import Reader
    from rnn_tui.inference.reports import Report
    from rnn_tui.inference.transcribe import Transcription
    from rnn_tui.model.recurrent_model import RecurrentModel
    from rnn_tui.plugin.tokenizer import Tokenizer
    from rnn_tui.training.config import RunConfig

_METHODS = {
    "next-token": "generate, stream, read and score",
    "aligned": "label",
    "series": "forecast",
}
"""What a model of each task is asked with."""


@safe_errors()
def load(
    target: StrPath, *, device: str = "cpu", backend: Backend = "torch", runs_dir: StrPath | None = None
) -> "Model":
    """Load a trained model.

        >>> model = rnn_tui.load("fox")
        >>> model.generate("the ", length=40, seed=1) == model.generate("the ", length=40, seed=1)
        True

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
    path = resolve_target(name_or_path(target), runs_folder(runs_dir))
    return Model(path, device=device, backend=backend)


class Model:
    """A trained model, loaded by `load` or `Run.model`.

    A model of text (task `next-token`) is asked with `generate`, `stream`, `read` and `score`, one that labels tokens
    (`aligned`) with `label`, one of numbers (`series`) with `forecast`; any with `evaluate`. Another task's method
    raises UsageError.

    **Threads.** Several threads may use one model: in torch they take turns, a few tokens each; in NumPy they need
    not. A torch model computes text on one thread, which is fastest at batch 1, and leaves the number of
    torch's threads as it was. Loading sets torch's switches for TF32 to the precision that the model was trained in.

    **Processes.** Where a parent has computed on several threads, torch in its forked child can hang, as these
    threads do not survive a fork: load the model in the child. A model cannot be pickled; send its path.
    """

    def __init__(self, path: StrPath, *, device: str = "cpu", backend: Backend = "torch") -> None:
        """Load the model file `path`; `load` finds the file of a run."""
        if backend not in (known := get_args(Backend)):
            raise UsageError(
                f"there is no backend {backend!r}{nearest(str(backend), known)}; take torch or numpy"
            )
        self._device = device
        self._loaded = (load_in_numpy if backend == "numpy" else load_in_torch)(Path(path), device)

    # -- a model of text --------------------------------------------------------------------------------------------

    @overload
    def generate(self, prompt: str = "", *, n: None = None, **sampling: Unpack[Sampling]) -> str: ...
    @overload
    def generate(self, prompt: str = "", *, n: int, **sampling: Unpack[Sampling]) -> list[str]: ...
    @safe_errors()
    def generate(
        self,
        prompt: str = "",
        *,
        n: int | None = None,
        length: int = 200,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        greedy: bool = False,
        seed: int | None = None,
        stop: str | Sequence[str] = (),
    ) -> str | list[str]:
        """Return a continuation of `prompt`, without it: the text that `rnn-tui prompt` writes for the same seed.

            >>> text = model.generate("the quick ", length=60, temperature=0.5, seed=7, stop="\\n")
            >>> [text] == model.generate("the quick ", n=1, length=60, temperature=0.5, seed=7, stop="\\n")
            True
            >>> len(model.generate("the ", n=3, length=20))
            3

        The rules act in the order temperature, top_k, top_p, min_p, each on the distribution that the one before left.

        Args:
            prompt: what is to be continued; symbols that the vocabulary lacks are read as the unknown token.
            n: how many continuations; then a list comes back, also for one. The j-th, from 0, is the text that
                `seed + j` gives alone, up to rounding. None: one, as a text.
            length: tokens to draw, at most.
            temperature: divides the logits: below 1 safer, above 1 wilder; 0: greedy.
            top_k: only the k most probable tokens; 0: all.
            top_p: only the fewest most probable tokens that reach this probability; 1: all.
            min_p: only tokens at least this share as probable as the best one; 0: all.
            greedy: always the most probable token.
            seed: fixes the draws; None: different each time.
            stop: a text that ends the continuation, or several; it is not part of it.

        Raises:
            UsageError: for a setting out of bounds, or a model that is not of text.
            DivergedError: when the model's output is not a number.
        """
        sampling: Sampling = {
            "length": length,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "min_p": min_p,
            "greedy": greedy,
            "seed": seed,
            "stop": stop,
        }
        start = self._read(prompt, "generate")
        return start.generate(**sampling) if n is None else start.generate(n=n, **sampling)

    @safe_errors()
    def stream(self, prompt: str = "", **sampling: Unpack[Sampling]) -> Stream:
        """Return a continuation of `prompt` as an iterator of pieces of text, each given as soon as it is certain.

            >>> text = ""
            >>> for piece in model.stream("the quick ", length=20, seed=1):
            ...     text += piece
            >>> text == model.generate("the quick ", length=20, seed=1)
            True

        Takes the settings of `generate` but `n`, and raises what that raises, while it is iterated.
        """
        return self._read(prompt, "stream").stream(**sampling)

    @safe_errors()
    def read(self, text: str = "") -> Reading:
        """Return what the model knows after `text`: to be continued, read on from, branched, or asked what comes next.

            >>> best = model.read("the quick ").next(top=3)[0]
            >>> 0 < best.probability <= 1
            True

        Raises:
            UsageError: for a model that is not of text.
            DivergedError: when the model's output is not a number.
        """
        return self._read(text, "read")

    @safe_errors()
    def score(self, text: str) -> Scores:
        """Return how surprising each token of `text` is, read from a fresh state.

            >>> scores = model.score("the quick brown fox")
            >>> scores.surprise.shape == (len(scores.tokens),)
            True
            >>> abs(scores.total - scores.mean * scores.predicted) < 1e-9
            True

        `model.read(before).score(text)` has the surprise after something else.

        Raises:
            UsageError: for a model that is not of text.
            DivergedError: when the model's output is not a number.
        """
        reader, tokenizer = self._asked("next-token", "score")
        return score(reader, tokenizer, text, None)

    # -- the other tasks --------------------------------------------------------------------------------------------

    @safe_errors()
    def label(self, text: str) -> "Transcription":
        """Return the most probable label of each token of a line, as `rnn-tui prompt` does with a model of `aligned`.

        Args:
            text: one line, without its newline.

        Raises:
            UsageError: for several lines, or a model of another task.
            DivergedError: when the model's output is not a number.
        """
        from rnn_tui.inference.transcribe import transcribe

        reader, tokenizer = self._asked("aligned", "label")
        if "\n" in text:
            raise UsageError("label takes one line; for several, call it with each of text.splitlines()")
        return transcribe(reader, tokenizer, text)

    @safe_errors()
    def forecast(self, values: npt.ArrayLike, steps: int = 1) -> npt.NDArray[np.float64]:
        """Return the next `steps` rows after `values`, in the units of the data.

        The model reads all rows and goes on from there on its own outputs. More rows than it was trained to look back
        on do no harm; very few leave it without a past to go on from.

        Args:
            values: (N, C) with N >= 1, in the units of the data, the columns in the order of `info.columns`; or (N,)
                where there is one column.
            steps: how many rows, at least 1.

        Returns:
            float64 (steps, C), or (steps,) for values of shape (N,).

        Raises:
            UsageError: for values of another shape or that are not finite, or a model of another task.
        """
        from rnn_tui.library.series import go_on

        self._check_task("series", "forecast")
        loaded = self._loaded
        assert loaded.module is not None
        assert loaded.scaling is not None
        with loaded.turns.take():
            return go_on(loaded.module, loaded.scaling, values, steps)

    @safe_errors()
    def evaluate(
        self,
        corpus: StrPath | None = None,
        *,
        split: str | None = None,
        lanes: int | None = None,
        cold: bool = True,
        dynamic: bool = False,
    ) -> "Report":
        """Measure the model on a corpus, as `rnn-tui eval` does, beside simple models.

            >>> report = model.evaluate()
            >>> report.split, report.bpc < report.baselines["uniform"].bpc
            ('validation', True)

        Args:
            corpus: a file, a folder or a named corpus, cleaned as the one that the model was trained on; None: that.
            split: `train`, `validation`, `test`, or `all`; None: the validation split, or `train` where nothing was
                held out, and all of a corpus that is named.
            lanes: of a text: stretches read side by side; None: as many as in training; 1: the strict stream.
            cold: of a text: measure it in fresh windows, too.
            dynamic: of a text: measure with weights that adapt to it, too; slow.

        Returns:
            An `EvaluationReport`, `AlignedReport` or `SeriesReport`, by the task of the model.

        Raises:
            InputError: when the corpus cannot be read, or not be found any more.
            UsageError: for a split that is not there, or a setting that the task or the backend does not have.
        """
        from rnn_tui.library.evaluating import measure

        return measure(
            self._loaded,
            corpus,
            split=split,
            lanes=lanes,
            cold=cold,
            dynamic=dynamic,
            device=self._device,
        )

    # -- what it is made of -----------------------------------------------------------------------------------------

    @property
    @safe_errors()
    def tokenizer(self) -> "Tokenizer":
        """The tokenizer: `encode`, `decode`, `vocab_size`. UsageError for a model of numbers, which has none."""
        if self._loaded.tokenizer is None:
            raise UsageError(f"{self._loaded.path}: this model is of numbers and has no tokenizer")
        return self._loaded.tokenizer

    @property
    @safe_errors()
    def module(self) -> "RecurrentModel":
        """The `torch.nn.Module` in evaluation mode: `module(ids, state)` gives features (B, T, O) and the next state,
        `module.outputs` makes logits of features, `module.initial_state(B)` begins.

        Weights that are changed in place count in all methods of this model. UsageError with the backend `numpy`.
        """
        loaded = self._loaded
        if loaded.module is None:
            raise UsageError(
                f"{loaded.path} was loaded with backend='numpy', which has no module; take 'torch'"
            )
        return loaded.module

    @property
    @safe_errors()
    def config(self) -> "RunConfig":
        """All settings of the run that trained it, for `train` to take again; InputError where the file lacks them."""
        from rnn_tui.training.config import from_dict

        try:
            return from_dict(self._loaded.header.config, f"{self._loaded.path}: its settings")
        except UsageError as error:
            raise InputError(str(error)) from None

    @property
    def parameters(self) -> int:
        """How many trained values it has; the tensors themselves are `module.parameters()`."""
        return self._loaded.parameters

    @property
    def info(self) -> ModelInfo:
        """What its file says of it."""
        return self._loaded.info()

    @safe_errors()
    def save(self, path: StrPath) -> Path:
        """Write the model to a file that `load` and every command read, durably and in one step; return its path.

        A file that is there is replaced. What the file tells of the training is what was loaded, also where weights
        of `module` were changed since.

        Raises:
            DiskError: when it cannot be written; a file that was there is untouched.
        """
        from rnn_tui.files import replace_file

        replace_file(target := Path(path), self._loaded.file())
        return target

    def _check_task(self, task: str, method: str) -> None:
        own = self._loaded.task
        if own != task:
            raise UsageError(
                f"{method} is for models of the task {task}, and {self._loaded.path} is of {own}; "
                f"it has {_METHODS.get(own, 'evaluate')}"
            )

    def _asked(self, task: str, method: str) -> "tuple[Reader, Tokenizer]":
        self._check_task(task, method)
        assert self._loaded.reader is not None
        return self._loaded.reader, self.tokenizer

    def _read(self, text: str, method: str) -> Reading:
        reader, tokenizer = self._asked("next-token", method)
        return read(reader, tokenizer, text, None)

    def __repr__(self) -> str:
        info = self.info
        what = f"{info.architecture} of the task {info.task}, {info.parameters:,} parameters"
        return safe_text(f"<Model {info.path}: {what}, step {info.step:,}>")
