"""How well a model predicts a corpus: the one figure, in the units in which models can be compared.

The loss is a token-weighted mean, and a token is a character for one model and a word for another; bits per
character and per byte are not, since they divide by what the text is and not by how it is cut:

    bpc = nats per token * tokens of the split / characters of the split / ln 2

(The first token has nothing before it and is not counted in the mean; it is charged the mean here.)

Torch is imported where it is needed: a model in NumPy does without.
"""

import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from rnn_tui.corpus.baselines import baselines, xz
from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.copied import MEASURED, MEMORISED_BITS, SampleMeter, describe
from rnn_tui.corpus.pairs import prepare_pairs_with
from rnn_tui.corpus.prepare import PreparedCorpus, Split, prepare_with
from rnn_tui.corpus.series import prepare_series_with
from rnn_tui.corpus.snapshot import Progress
from rnn_tui.errors import InputError, RnnTuiError, UsageError
from rnn_tui.inference.reports import (
    AlignedReport,
    ColdFigures,
    DynamicFigures,
    EvaluationReport,
    Figures,
    Report,
    SeriesReport,
)
from rnn_tui.model.container import BadModelFile
from rnn_tui.model.file import load_model, load_series
from rnn_tui.model.header import ModelFile, read_header
from rnn_tui.tasks.config import DataConfig, TaskConfig
from rnn_tui.tasks.metrics import Evaluation, default_lanes, perplexity

if TYPE_CHECKING:
    from rnn_tui.inference.config import Backend
    from rnn_tui.inference.dynamic import DynamicConfig
    from rnn_tui.model.recurrent_model import RecurrentModel

WHOLE = "all"
"""The name of the split that is the whole text."""

_COMPILED_FROM = 500_000
"""Positions from which a compiler, that takes one to three seconds, is worth it for a small model."""
_TIMED = 16  # positions: their products are as large as those in a long window
_ROWS = 64  # lines, or rows of a series, that are read side by side, roughly

Section = TypeVar("Section", DataConfig, TaskConfig)


def corpus_settings(header: ModelFile, path: Path) -> CorpusConfig:
    """Return the settings of the corpus that a model was trained on, as they stand in its file.

    Raises:
        BadModelFile: when the file states none.
    """
    try:
        return msgspec.convert(header.config["corpus"], CorpusConfig)
    except (KeyError, msgspec.ValidationError) as error:
        raise BadModelFile(f"{path}: its corpus settings cannot be read: {error}") from None


def corpus_of_model(header: ModelFile, path: Path) -> CorpusConfig:
    """Return `corpus_settings` with a source that can be read.

    Standard input, which cannot be read again, is found as the copy in the run's folder. A folder is taken from a model
    in its run only: a stranger's file may name the root of the disk.

    Raises:
        InputError: when that copy is not there, or the model is not in its run.
        BadModelFile: as `corpus_settings`.
    """
    config = corpus_settings(header, path)
    # the file lies in the run's folder or in a checkpoint two folders below it
    folders = list(path.absolute().parents)[:3]
    if not config.source:
        raise InputError(f"{path}: is made of weights that name no corpus; name one")
    if config.source != "-":
        if os.path.isdir(config.source) and not any((folder / "config.toml").is_file() for folder in folders):
            raise InputError(
                f"{path}: names the folder {config.source} as its corpus, which is read only for a model that lies in "
                "its run; name the corpus"
            )
        return config
    for folder in folders:
        if (copy := folder / "corpus.txt").is_file():
            return replace(config, source=str(copy))
    raise InputError(
        f"{path}: was trained on standard input and its copy is not beside the file; name a corpus"
    )


@dataclass(frozen=True)
class _Asked:
    """What is to be measured: a model file on a split of a corpus.

    Attributes:
        split: of the corpus as it is cut here; `about` has the name that was asked for.
        about: what every report says of the model.
    """

    path: Path
    corpus: CorpusConfig
    split: str
    device: str
    progress: Progress | None
    about: dict[str, Any]


def evaluate_corpus(
    path: Path,
    corpus: CorpusConfig | None = None,
    *,
    split: str = "validation",
    device: str = "cpu",
    backend: "Backend" = "torch",
    lanes: int | None = None,
    cold: bool = True,
    dynamic: "Callable[[float], DynamicConfig] | None" = None,
    progress: Progress | None = None,
) -> Report:
    """Measure a model file on a split of a corpus.

    Args:
        path: the model file; which report comes back follows from the task that it was trained for.
        corpus: None takes the one that the model was trained on; its validation split then gives the figure that
            training reported for that step, unless `watch.validation_tokens` had it read the beginning only.
        split: `train`, `validation`, `test`, or `all` for the whole corpus.
        backend: of a text: `numpy` gives the warm figures alone, computed without torch.
        lanes: of a text: None takes as many as validation in training; 1 is the strict stream.
        cold: of a text: measure it in fresh windows, too.
        dynamic: of a text: the settings of dynamic evaluation, given the characters per token; None leaves it out.
        progress: as in `rnn_tui.corpus.snapshot`, and then "evaluating" and so on with tokens done and in all.

    Raises:
        UsageError: also for dynamic evaluation of a model that is not of a text, and what NumPy cannot do.
        RnnTuiError: for a bad model file, corpus or split.
    """
    header = read_header(path)
    if backend == "numpy" and (dynamic or device != "cpu" or header.task in ("aligned", "series")):
        raise UsageError(
            "the backend numpy is for models of a text, on the CPU, without dynamic evaluation; use the backend torch"
        )
    chosen, name = corpus or corpus_of_model(header, path), split
    if split == WHOLE:
        chosen, name = replace(chosen, validation=0.0, test=0.0), "train"
    about: dict[str, Any] = {
        "model": str(path),
        "run": str(header.training.get("run", "")),
        "step": int(header.training.get("step", 0)),
        "validation_loss": header.training.get("validation_loss"),
        "split": split,
    }
    asked = _Asked(path, chosen, name, device, progress, about)
    if header.task in ("aligned", "series"):
        if dynamic or lanes:
            raise UsageError(
                f"{path}: dynamic evaluation and lanes are for models of a text, and this one is of the task "
                f"{header.task!r}; leave them out"
            )
        return _series(asked) if header.task == "series" else _aligned(asked)
    return _text(
        asked,
        backend=backend,
        own=corpus is None,
        lanes=lanes,
        cold=cold,
        dynamic=dynamic,
    )


def _text(
    asked: _Asked,
    *,
    backend: "Backend",
    own: bool,
    lanes: int | None,
    cold: bool,
    dynamic: "Callable[[float], DynamicConfig] | None",
) -> EvaluationReport:
    measure: Callable[..., Evaluation]
    model = None
    if backend == "numpy":
        from rnn_tui.inference.numpy_evaluation import evaluate_numpy
        from rnn_tui.inference.numpy_model import load_numpy

        plain, tokenizer, header = load_numpy(asked.path)
        measure = partial(evaluate_numpy, plain)
    else:
        from rnn_tui.tasks.evaluation import evaluate, evaluate_cold

        model, tokenizer, header = load_model(asked.path, device=asked.device)
        measure = partial(evaluate, model)
    prepared = prepare_with(asked.corpus, tokenizer, progress=asked.progress)
    part = prepared.split(asked.split)
    ids = part.ids()
    if model is not None:
        _make_ready(model, lanes or default_lanes(part.tokens), part.tokens)

    begin = time.perf_counter()
    result = measure(ids, lanes=lanes, progress=_told("evaluating", asked.progress))
    seconds = time.perf_counter() - begin
    notes = list(prepared.snapshot.notes)
    if part.unknown:
        notes.append(
            f"{part.unknown:,} of {part.tokens:,} tokens are unknown to the model and count as one symbol, which makes "
            "its figures look better than they are"
        )
    limit = _validation_limit(header)
    if own and asked.about["split"] == "validation" and 0 < limit < result.tokens:
        notes.append(
            f"training validates on the first {limit:,} tokens of this split (watch.validation_tokens); this is the "
            "figure of all of it"
        )
    fresh = None
    if cold and model is not None:
        window = _section(header, "data", DataConfig).seq_len
        found = evaluate_cold(
            model, ids, window, progress=_told("evaluating in fresh windows", asked.progress)
        )
        fresh = ColdFigures(
            **asdict(_figures(found.mean, part)),
            window=found.window,
            by_position=tuple(found.by_position.tolist()),
        )
    simple: dict[str, Figures] = {}
    adapted = None
    try:
        trained = corpus_of_model(header, asked.path)
        training = prepared if trained == asked.corpus else prepare_with(trained, tokenizer)
    except RnnTuiError as error:
        if dynamic:
            raise
        notes.append(f"no baselines: the corpus the model was trained on cannot be read: {error}")
    else:
        if dynamic and model is not None:
            from rnn_tui.inference.dynamic import evaluate_dynamic

            settings = dynamic(part.chars / part.tokens)
            adapting = evaluate_dynamic(
                model,
                ids,
                training.split("train").ids(),
                settings,
                progress=_told("adapting", asked.progress),
            )
            adapted = DynamicFigures(**asdict(_figures(adapting.mean, part)), settings=settings)
        simple = _baselines(training, prepared, part, notes, asked.progress)
    return EvaluationReport(
        **asked.about,
        **asdict(_figures(result.mean, part)),
        corpus=prepared.name,
        cold=fresh,
        dynamic=adapted,
        baselines=simple,
        tokens=result.tokens,
        chars=part.chars,
        bytes=part.bytes,
        unknown=part.unknown,
        lanes=result.lanes,
        seconds=seconds,
        tokens_per_second=result.tokens / max(seconds, 1e-9),
        notes=tuple(notes),
    )


def _baselines(
    training: PreparedCorpus,
    prepared: PreparedCorpus,
    part: Split,
    notes: list[str],
    progress: Progress | None,
) -> dict[str, Figures]:
    """Measure what the model must beat; adds to `notes` what is to be said about it."""
    if progress:
        progress("baselines", 0, None)
    tokenizer = training.tokenizer
    losses = asdict(baselines(training.split("train").ids(), part.ids(), tokenizer.vocab_size))
    # after the very same text, xz would just point back at it
    if part.name != "train" or training.snapshot.sha256 != prepared.snapshot.sha256:
        packed = xz(training, prepared, part.name)
        losses["xz"] = packed.nats_per_token
        if packed.chars < part.chars or packed.train_chars < training.split("train").chars:
            notes.append(
                f"xz is of the first {packed.chars:,} characters of this text, after the last {packed.train_chars:,} "
                "of the training split"
            )
        if packed.bits < MEMORISED_BITS * packed.chars:
            text = prepared.text(part.name, 0, MEASURED)
            copied = SampleMeter(training).copied("", text)
            if copied and copied.memorised:
                notes.append(f"xz has little to tell: this text is {describe(copied, text)}")
    return {name: _figures(loss, part) for name, loss in losses.items()}


def _figures(loss: float, part: Split) -> Figures:
    """Return a loss in nats per token of a split in all units."""
    bits = loss * part.tokens / math.log(2)
    return Figures(loss=loss, perplexity=perplexity(loss), bpc=bits / part.chars, bpb=bits / part.bytes)


def _aligned(asked: _Asked) -> AlignedReport:
    from rnn_tui.tasks.aligned import evaluate_aligned, label_baselines

    model, tokenizer, header = load_model(asked.path, device=asked.device)
    prepared = prepare_pairs_with(asked.corpus, tokenizer, progress=asked.progress)
    pairs = prepared.split(asked.split)
    _make_ready(model, min(_ROWS, len(pairs)), pairs.tokens)
    begin = time.perf_counter()
    found = evaluate_aligned(model, pairs, progress=_told("evaluating", asked.progress))
    seconds = time.perf_counter() - begin
    notes, simple = list(prepared.snapshot.notes), {}
    try:
        trained = corpus_of_model(header, asked.path)
        training = prepared if trained == asked.corpus else prepare_pairs_with(trained, tokenizer)
        simple = label_baselines(training.split("train"), pairs, tokenizer.vocab_size)
    except RnnTuiError as error:
        notes.append(f"no baselines: the corpus the model was trained on cannot be read: {error}")
    return AlignedReport(
        **asked.about,
        corpus=prepared.name,
        loss=found.loss,
        accuracy=found.figures["accuracy"],
        exact=found.figures["exact"],
        labels=found.count,
        lines=len(pairs),
        baselines=simple,
        seconds=seconds,
        notes=tuple(notes),
    )


def _series(asked: _Asked) -> SeriesReport:
    from rnn_tui.inference.forecast import evaluate_series

    model, scaling, header = load_series(asked.path, device=asked.device)
    prepared = prepare_series_with(asked.corpus, scaling, progress=asked.progress)
    part = prepared.split(asked.split)
    horizons = _section(header, "task", TaskConfig).horizons
    rows = part.end - part.begin
    _make_ready(model, min(_ROWS, rows), rows * max(horizons), columns=len(scaling.columns))
    begin = time.perf_counter()
    found = evaluate_series(model, prepared, split=asked.split, horizons=horizons)
    return SeriesReport(
        **asked.about,
        corpus=prepared.name,
        columns=scaling.columns,
        rows=rows,
        horizons=tuple(found),
        seconds=time.perf_counter() - begin,
        notes=prepared.snapshot.notes,
    )


def _make_ready(model: "RecurrentModel", rows: int, positions: int, *, columns: int = 0) -> None:
    """Choose the way over time and the number of threads for reading so many positions, `rows` side by side.

    Threads are chosen by timing a few positions.
    """
    import torch

    from rnn_tui.model.device import evaluation_threads

    model.select_engine("compiled" if positions >= _COMPILED_FROM else "auto")
    if model.device.type != "cpu":
        return
    shape = (rows, _TIMED)
    inputs = torch.zeros(*shape, columns) if columns else torch.zeros(shape, dtype=torch.int64)

    @torch.inference_mode()
    def step() -> None:
        features, _ = model(inputs, model.initial_state(rows))
        model.outputs(features)

    evaluation_threads(step, positions / (rows * _TIMED))


def _told(what: str, progress: Progress | None) -> Callable[[int, int], None] | None:
    return progress and (lambda done, total: progress(what, done, total))


def _validation_limit(header: ModelFile) -> int:
    """Return `watch.validation_tokens` of the model's run; 0 where there is none."""
    watch = header.config.get("watch")
    limit = watch.get("validation_tokens") if isinstance(watch, dict) else None
    return limit if isinstance(limit, int) else 0


def _section(header: ModelFile, name: str, kind: type[Section]) -> Section:
    """Return a section of the settings of the model's run; the defaults where the file states none that can be read."""
    try:
        return msgspec.convert(header.config.get(name), kind)
    except msgspec.ValidationError:
        return kind()
