"""A trained model in a program of one's own."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack, get_args, overload

import numpy as np
import numpy.typing as npt

from rnn_tui.errors import InputError, UsageError
from rnn_tui.inference.config import Backend
from rnn_tui.library import arguments
from rnn_tui.library.boundary import safe_errors
from rnn_tui.library.loaded import Loaded, ModelInfo, load_in_numpy, load_in_torch
from rnn_tui.library.places import StrPath, file_to_write, path_text
from rnn_tui.library.reading import Reading, Sampling, Stream, read, sampling_of
from rnn_tui.library.scoring import Scores, score
from rnn_tui.model.provenance import changed_plugins
from rnn_tui.safetext import safe_text

if TYPE_CHECKING:
    from rnn_tui.inference.drawing import Reader
    from rnn_tui.inference.reports import AlignedReport, EvaluationReport, SeriesReport
    from rnn_tui.inference.transcribe import Transcription
    from rnn_tui.model.exchange.onnx_file import ExportedOnnx
    from rnn_tui.model.exchange.torch_file import Exported
    from rnn_tui.model.recurrent_model import RecurrentModel
    from rnn_tui.plugin.tokenizer import Tokenizer
    from rnn_tui.training.config import RunConfig

_METHODS = {
    "next-token": "generate, stream, read, score and evaluate",
    "aligned": "label and evaluate_labels",
    "series": "forecast and evaluate_series",
}
"""What a model of each task is asked with."""


class Model:
    """A trained model, loaded by `load` or `Run.model`.

    A model of text (task `next-token`) is asked with `generate`, `stream`, `read` and `score`, and measured with
    `evaluate`; one that labels tokens (`aligned`) has `label` and `evaluate_labels`, one of numbers (`series`)
    `forecast` and `evaluate_series`. Another task's method raises UsageError.

    **Threads.** Several threads may use one model: in torch they take turns, a few tokens each; in NumPy they need
    not. A torch model computes text on one thread, which is fastest at batch 1, and leaves the number of
    torch's threads as it was. Loading sets torch's switches for TF32 to the precision that the model was trained in.

    **Processes.** Where a parent has computed on several threads, torch in its forked child can hang, as these
    threads do not survive a fork: load the model in the child. A model cannot be pickled; send its path.
    """

    @safe_errors()
    def __init__(self, path: StrPath, *, device: str = "cpu", backend: Backend = "torch") -> None:
        """Load the model file `path`; `load` finds the file of a run."""
        file = Path(path_text("path", path))
        arguments.choice("backend", backend, get_args(Backend))
        self._device = arguments.text("device", device)
        self._loaded = (load_in_numpy if backend == "numpy" else load_in_torch)(file, device)
        for note in changed_plugins(self._loaded.header):
            text = safe_text(f"{path}: {note}", limit=None)
            warnings.warn(text, stacklevel=5)  # where load or Run.model is called

    @classmethod
    def _of(cls, loaded: Loaded) -> "Model":
        """Return a model that was made in memory, on the CPU."""
        model = cls.__new__(cls)
        model._device, model._loaded = "cpu", loaded
        return model

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
        **unknown: object,
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
        sampling_of(sampling, unknown)
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
        sampling_of(sampling)
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
        return score(reader, tokenizer, arguments.text("text", text), None)

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
        if "\n" in arguments.text("text", text):
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
    ) -> "EvaluationReport":
        """Measure a model of text on a corpus, as `rnn-tui eval` does, beside simple models.

            >>> report = model.evaluate()
            >>> report.split, report.bpc < report.baselines["uniform"].bpc
            ('validation', True)

        Args:
            corpus: a file, a folder or a named corpus, cleaned as the one that the model was trained on; None: that.
            split: `train`, `validation`, `test`, or `all`; None: the validation split, or `train` where nothing was
                held out, and all of a corpus that is named.
            lanes: stretches read side by side, 1 to 4,096; None: as many as in training; 1: the strict stream.
            cold: measure it in fresh windows, too.
            dynamic: measure with weights that adapt to the text, too; slow.

        Raises:
            InputError: when the corpus cannot be read, or not be found any more.
            UsageError: for a split that is not there, a setting that the backend does not have, or a model of another
                task.
        """
        from rnn_tui.inference.reports import EvaluationReport
        from rnn_tui.library.evaluating import measure

        self._check_task("next-token", "evaluate")
        report = measure(
            self._loaded, corpus, split=split, lanes=lanes, cold=cold, dynamic=dynamic, device=self._device
        )
        assert isinstance(report, EvaluationReport)
        return report

    @safe_errors()
    def evaluate_labels(self, corpus: StrPath | None = None, *, split: str | None = None) -> "AlignedReport":
        """Measure a model of `aligned`: how many labels are right. Arguments and errors as of `evaluate`."""
        from rnn_tui.inference.reports import AlignedReport
        from rnn_tui.library.evaluating import measure

        self._check_task("aligned", "evaluate_labels")
        report = measure(self._loaded, corpus, split=split, device=self._device)
        assert isinstance(report, AlignedReport)
        return report

    @safe_errors()
    def evaluate_series(self, corpus: StrPath | None = None, *, split: str | None = None) -> "SeriesReport":
        """Measure a model of `series`: its errors at each horizon. Arguments and errors as of `evaluate`."""
        from rnn_tui.inference.reports import SeriesReport
        from rnn_tui.library.evaluating import measure

        self._check_task("series", "evaluate_series")
        report = measure(self._loaded, corpus, split=split, device=self._device)
        assert isinstance(report, SeriesReport)
        return report

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
    @safe_errors()
    def info(self) -> ModelInfo:
        """What its file says of it."""
        return self._loaded.info()

    @safe_errors()
    def save(self, path: StrPath) -> Path:
        """Write the model to a file that `load` and every command read, durably and in one step; return its path.

        A file that is there is replaced. What the file tells of the training is what was loaded, also where weights
        of `module` were changed since.

        Raises:
            UsageError: when the path is that of a folder.
            DiskError: when it cannot be written; a file that was there is untouched.
        """
        from rnn_tui.files import replace_file

        replace_file(target := file_to_write(path), self._loaded.file())
        return target

    @overload
    def export(
        self, path: StrPath, format: Literal["torch"] = "torch", *, identity_embedding: bool = False
    ) -> "Exported": ...
    @overload
    def export(
        self, path: StrPath, format: Literal["onnx"], *, graph: Literal["sequence", "step"] | None = None
    ) -> "ExportedOnnx": ...
    @safe_errors()
    def export(
        self,
        path: StrPath,
        format: Literal["torch", "onnx"] = "torch",  # noqa: A002  what the command calls it
        *,
        graph: Literal["sequence", "step"] | None = None,
        identity_embedding: bool = False,
    ) -> "Exported | ExportedOnnx":
        """Write the weights as they are now for use without rnn-tui, as `rnn-tui export` does; docs/exchange.md.

            >>> model.export("fox.torch.safetensors").kind
            'LSTM'

        A file that is there is replaced. Before that, what the new one computes is compared with the model.

        Args:
            path: the file to write.
            format: `torch`: a state dict that nn.Embedding, nn.LSTM, nn.GRU or nn.RNN and nn.Linear load strictly;
                `onnx`: a graph for onnxruntime, of any architecture; it needs the extra rnn-tui[onnx].
            graph: of onnx: `sequence`, rows of any length, which None means; or `step`, one position at a time.
            identity_embedding: of torch: where tokens enter as one-hot vectors, write these as the weight of an
                nn.Embedding.

        Returns:
            What was written, and in `script` the code that uses it.

        Raises:
            UsageError: when the model cannot be written so, packages are missing, or it is not on the CPU.
            PluginError: when what would be written computes something else.
            DiskError: when it cannot be written; a file that was there is untouched.
        """
        from rnn_tui.library.exchange import write

        return write(self._loaded, path, format, graph=graph, identity_embedding=identity_embedding)

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
        return read(reader, tokenizer, arguments.text("prompt" if method != "read" else "text", text), None)

    def __repr__(self) -> str:
        info = self.info
        what = f"{info.architecture} of the task {info.task}, {info.parameters:,} parameters"
        return safe_text(f"<Model {info.path}: {what}, step {info.step:,}>")
