"""How well a model predicts a text: the one figure, in the units in which models can be compared.

The loss is a token-weighted mean, and a token is a character for one model and a word for another; bits per
character and per byte are not, since they divide by what the text is and not by how it is cut:

    bpc = nats per token * tokens of the split / characters of the split / ln 2

(The first token has nothing before it and is not counted in the mean; it is charged the mean here.)
"""

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from rnn_tui.corpus.baselines import Baselines, baselines
from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.prepare import PreparedCorpus, prepare_with
from rnn_tui.corpus.snapshot import Progress
from rnn_tui.errors import InputError, RnnTuiError
from rnn_tui.model.file import BadModelFile, ModelFile, load_model
from rnn_tui.plugin.tokenizer import Tokenizer
from rnn_tui.tasks.metrics import perplexity
from rnn_tui.tasks.next_token import evaluate

WHOLE = "all"
"""The name of the split that is the whole text."""


@dataclass(frozen=True, kw_only=True)
class EvaluationReport:
    """What `evaluate_corpus` found.

    Attributes:
        loss: nats per token.
        bpc, bpb: bits per character and per UTF-8 byte.
        tokens: those predicted, one fewer than the split has.
        unknown: how many of them the vocabulary lacks; each is predicted as the unknown token, which is easy.
        lanes: stretches read side by side, see `tasks.next_token.evaluate`.
        baselines: nats per token of simple models of the model's training split, on the same tokens; None where
            that split could not be had.
        step, run, validation_loss: as the model file states them.
        notes: whole sentences that a reader should be told.
    """

    model: str
    run: str
    step: int
    validation_loss: float | None
    corpus: str
    split: str
    loss: float
    perplexity: float
    bpc: float
    bpb: float
    tokens: int
    chars: int
    bytes: int
    unknown: int
    lanes: int
    baselines: Baselines | None
    seconds: float
    tokens_per_second: float
    notes: tuple[str, ...]


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

    Standard input, which cannot be read again, is found as the copy in the run's folder.

    Raises:
        InputError: when that copy is not there.
        BadModelFile: as `corpus_settings`.
    """
    config = corpus_settings(header, path)
    if config.source != "-":
        return config
    # the file lies in the run's folder or in a checkpoint two folders below it
    for folder in list(path.absolute().parents)[:3]:
        if (copy := folder / "corpus.txt").is_file():
            return replace(config, source=str(copy))
    raise InputError(
        f"{path}: was trained on standard input and its copy is not beside the file; name a corpus"
    )


def evaluate_corpus(
    path: Path,
    corpus: CorpusConfig | None = None,
    *,
    split: str = "validation",
    device: str = "cpu",
    lanes: int | None = None,
    progress: Progress | None = None,
) -> EvaluationReport:
    """Measure a model file on a split of a text.

    Args:
        path: the model file.
        corpus: None takes the one that the model was trained on; its validation split then gives the figure that
            training reported for that step, unless `watch.validation_tokens` had it read the beginning only.
        split: `train`, `validation`, `test`, or `all` for the whole text.
        lanes: None takes as many as validation in training; 1 is the strict stream.
        progress: as in `rnn_tui.corpus.snapshot`, and then "evaluating" with tokens done and in all.

    Raises:
        RnnTuiError: for a bad model file, corpus or split.
    """
    model, tokenizer, header = load_model(path, device=device)
    model.select_engine("auto")
    chosen = corpus or corpus_of_model(header, path)
    name = split
    if split == WHOLE:
        chosen, name = replace(chosen, validation=0.0, test=0.0), "train"
    prepared = prepare_with(chosen, tokenizer, progress=progress)
    part = prepared.split(name)
    ids = part.ids()

    begin = time.perf_counter()
    result = evaluate(
        model,
        ids,
        lanes=lanes,
        progress=progress and (lambda done, total: progress("evaluating", done, total)),
    )
    seconds = time.perf_counter() - begin

    notes = list(prepared.snapshot.notes)
    if part.unknown:
        notes.append(
            f"{part.unknown:,} of {part.tokens:,} tokens are unknown to the model and count as one symbol, which makes "
            "its figures look better than they are"
        )
    limit = _validation_limit(header)
    if corpus is None and split == "validation" and 0 < limit < result.tokens:
        notes.append(
            f"training validates on the first {limit:,} tokens of this split (watch.validation_tokens); this is the "
            "figure of all of it"
        )
    simple = None
    try:
        train = _training_ids(header, path, tokenizer, prepared, chosen)
        simple = baselines(train, ids, tokenizer.vocab_size)
    except RnnTuiError as error:
        notes.append(f"no baselines: the corpus the model was trained on cannot be read: {error}")
    bits = result.mean * part.tokens / math.log(2)
    return EvaluationReport(
        model=str(path),
        run=str(header.training.get("run", "")),
        step=int(header.training.get("step", 0)),
        validation_loss=header.training.get("validation_loss"),
        corpus=prepared.name,
        split=split,
        loss=result.mean,
        perplexity=perplexity(result.mean),
        bpc=bits / part.chars,
        bpb=bits / part.bytes,
        tokens=result.tokens,
        chars=part.chars,
        bytes=part.bytes,
        unknown=part.unknown,
        lanes=result.lanes,
        baselines=simple,
        seconds=seconds,
        tokens_per_second=result.tokens / max(seconds, 1e-9),
        notes=tuple(notes),
    )


def _validation_limit(header: ModelFile) -> int:
    """Return `watch.validation_tokens` of the model's run; 0 where there is none."""
    watch = header.config.get("watch")
    limit = watch.get("validation_tokens") if isinstance(watch, dict) else None
    return limit if isinstance(limit, int) else 0


def _training_ids(
    header: ModelFile, path: Path, tokenizer: Tokenizer, prepared: PreparedCorpus, corpus: CorpusConfig
) -> Any:
    """Return the ids of the split that the model was trained on."""
    own = corpus_of_model(header, path)
    if own != corpus:
        prepared = prepare_with(own, tokenizer)
    return prepared.split("train").ids()
