"""What to change where the doctor found something: each finding that has a remedy, as a change of one setting.

A finding is known by words of its text; `tests/corpus/test_remedies.py` makes each of them, so that the words cannot
drift apart.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from rnn_tui.corpus.config import Step
from rnn_tui.corpus.findings import Finding
from rnn_tui.corpus.pair_statistics import PairStatistics
from rnn_tui.corpus.series_statistics import SeriesStatistics
from rnn_tui.corpus.statistics import CorpusStatistics

Statistics = CorpusStatistics | PairStatistics | SeriesStatistics

_MOST_HELD_OUT = 0.3
_CONVERT = re.compile(r"iconv -f (\S+) -t UTF-8")


@dataclass(frozen=True)
class Remedy:
    """A change of settings."""

    label: str
    """What it does."""
    path: str
    """`section.key` of the setting; `encoding` for a copy of the source converted from that encoding; `tokenizers`
    where one has to be chosen."""
    value: Any = None


@dataclass(frozen=True)
class Present:
    """The settings as they are."""

    normalise: tuple[Step, ...] = ()
    validation: float = 0.1
    batch_size: int = 32
    seq_len: int = 64
    options: dict[str, Any] = field(default_factory=dict)
    """Of the tokenizer, as far as they are not its defaults."""
    known_options: tuple[str, ...] = ()
    """That the tokenizer has."""


def remedy(finding: Finding, found: Statistics, present: Present) -> Remedy | None:
    """Return what answers a finding; None where no setting does."""
    for words, make in _TABLE:
        if words in finding.text:
            return make(finding, found, present)
    return None


def encoding_in(words: str) -> str:
    """Return the encoding that a refusal or a finding says a text is in, or the empty string."""
    match = _CONVERT.search(words)
    return match[1] if match else ""


def answered(findings: Iterable[Finding], steps: Sequence[Step]) -> tuple[Finding, ...]:
    """Return findings about a source with those that a step has already seen to as such.

    They are made of the bytes of the source, before any step.
    """
    return tuple(_answered(finding, steps) for finding in findings)


def _answered(finding: Finding, steps: Sequence[Step]) -> Finding:
    for words, step in _STEPS.items():
        if words in finding.text and step in steps and finding.level != "ok":
            return Finding(
                "ok", f"{re.split('[;,] | and kept', finding.text)[0]}: seen to by the step {step}"
            )
    return finding


_STEPS: dict[str, Step] = {
    "lines end in CRLF": "unix-newlines",
    "NUL characters": "drop-controls",
    "control characters": "drop-controls",
}
"""Words of findings that stay when the step that answers them is taken."""


def _step(step: Step, label: str) -> "Callable[[Finding, Statistics, Present], Remedy | None]":
    def make(_: Finding, __: Statistics, present: Present) -> Remedy | None:
        if step in present.normalise:
            return None
        return Remedy(f"{label}: clean up with {step}", "corpus.normalise", (*present.normalise, step))

    return make


def _convert(finding: Finding, *_: Any) -> Remedy | None:
    encoding = encoding_in(finding.fix)
    return Remedy(f"read a copy converted from {encoding}", "encoding", encoding) if encoding else None


def _smaller(factor: int) -> "Callable[[Finding, Statistics, Present], Remedy | None]":
    """Smaller batches, or shorter windows, so that an epoch has `factor` steps."""

    def make(_: Finding, found: Statistics, present: Present) -> Remedy | None:
        length = _training_length(found) - 1
        batch = length // (factor * present.seq_len)
        if 1 <= batch < present.batch_size:
            return Remedy(f"take batches of {batch}", "data.batch_size", batch)
        window = length // (factor * present.batch_size)
        if 1 <= window < present.seq_len:
            return Remedy(f"take windows of {window}", "data.seq_len", window)
        return None

    return make


def _training_length(found: Statistics) -> int:
    if isinstance(found, SeriesStatistics):
        return next(split.rows for split in found.splits if split.name == "train")
    return next(split.tokens for split in found.splits if split.name == "train")


def _held_out(_: Finding, __: Statistics, present: Present) -> Remedy | None:
    share = min(_MOST_HELD_OUT, 2 * present.validation) if present.validation else 0.1
    if share <= present.validation:
        return None
    return Remedy(f"hold {share:.0%} out for validation", "corpus.validation", share)


def _larger_vocabulary(_: Finding, __: Statistics, present: Present) -> Remedy:
    if present.options:
        return Remedy("take the tokenizer without its limits", "tokenizer.options", {})
    return Remedy("compare the tokenizers and choose one", "tokenizers")


def _rare(_: Finding, __: Statistics, present: Present) -> Remedy:
    if "min_frequency" in present.known_options and "min_frequency" not in present.options:
        options = {**present.options, "min_frequency": 2}
        return Remedy("leave out tokens that occur only once", "tokenizer.options", options)
    return Remedy("compare the tokenizers and choose one", "tokenizers")


def _strange(finding: Finding, found: Statistics, present: Present) -> Remedy | None:
    symbols = found.held_out_only if isinstance(found, CorpusStatistics) else ()
    if all(symbol.isupper() for symbol in symbols):
        return _step("lowercase", "write capitals small")(finding, found, present)
    if all(map(_has_ascii_form, symbols)) and find_spec("anyascii"):
        return _step("transliterate", "write all of it in ASCII")(finding, found, present)
    return Remedy("compare the tokenizers and choose one", "tokenizers")


def _has_ascii_form(symbol: str) -> bool:
    """Whether a reader would take an ASCII form for the same: accents and typographers' marks, not other scripts."""
    if symbol.isascii():
        return False
    return unicodedata.name(symbol, "").startswith("LATIN") or unicodedata.category(symbol)[0] in "PSZ"


def _lines_twice(finding: Finding, found: Statistics, present: Present) -> Remedy | None:
    if isinstance(found, CorpusStatistics) and found.duplicate_lines < 0.02:
        return None  # what is repeated are no whole lines
    return _step("drop-repeated-lines", "keep the first of each line")(finding, found, present)


def _other_columns(finding: Finding, found: Statistics, _: Present) -> Remedy | None:
    if not isinstance(found, SeriesStatistics):
        return None
    kept = tuple(column.name for column in found.columns if column.min != column.max)
    return Remedy("leave out what never changes", "task.columns", kept) if kept else None


_TABLE: "tuple[tuple[str, Callable[[Finding, Statistics, Present], Remedy | None]], ...]" = (
    ("bytes are not UTF-8", _convert),
    ("lines end in CRLF", _step("unix-newlines", "end lines as Unix does")),
    ("NUL characters", _step("drop-controls", "remove them")),
    ("control characters", _step("drop-controls", "remove them")),
    ("accents are characters of their own", _step("compose", "join them to their letters")),
    ("but one step with batch size", _smaller(1)),
    ("an epoch has only", _smaller(10)),
    ("there is no validation split", _held_out),
    ("validation has only", _held_out),
    ("are unknown", _larger_vocabulary),
    ("occur only once in training", _rare),
    ("only in held-out text: ", _strange),
    ("of the lines occurred before", _lines_twice),
    ("lies in passages of", _lines_twice),
    ("have the source of a training line", _lines_twice),
    ("has the same number in every training row", _other_columns),
)
