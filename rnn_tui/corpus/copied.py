"""How much of a generated text is copied from the training text: the memorisation meter.

Two figures, both about characters, so that models over characters, words and bytes compare: how many of the text's
sequences of n characters are not in the training text, and which passages of it are, word for word. As in McCoy et
al. 2023 ("How much do language models copy from their training data?", TACL 11) the yardstick is text of the same
kind that nobody copied: the validation split, measured in the same way.

How long a copy must be to mean anything depends on the text. The longest match of new text within N characters is
about log2(N) / h long, h being the bits that a character carries (Wyner and Ziv 1989). Here h is taken as half the
entropy of single characters, about right for letters and low for ideographs, which makes

    n    = 2 log2(N) / H(characters)        half of the sequences in held-out prose are new
    mark = 3 n                              rarely reached by text that was not copied

Measured on 20,000 characters of held-out text: the share of new sequences of 6, 8, 10, 12 and 16 characters and of
n; the 99th percentile of the longest match from a place on; the share of the text in passages of `mark` characters:

    training text                      N     6    8   10   12   16     n  new at n   99 %   mark  marked
    tiny Shakespeare           1,003,854   .18  .46  .72  .87  .98     8       .46     17     24     0 %
      its beginning               10,000   .80  .94  .98  .99    1     6       .80     11     18     0 %
    The Time Machine             161,081   .31  .59  .79  .90  .97     8       .59     19     24     1 %
    WikiText-2                 2,137,689   .10  .29  .50  .68  .88     9       .40     28     27     5 %
    Python's library           2,700,000   .21  .40  .57  .69  .82     9       .49     44     27    16 %
    Tang poems                   499,211     1    1    1    1    1     4       .91      5     12     0 %
"""

import hashlib
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Annotated, Any

import msgspec
import numpy as np

from rnn_tui.corpus.cache import discard, publish, staging
from rnn_tui.corpus.prepare import PreparedCorpus
from rnn_tui.corpus.suffixes import Codes, Order, codes_of, match_lengths, suffix_order
from rnn_tui.errors import InputError
from rnn_tui.files import write_durable
from rnn_tui.paths import cache_dir
from rnn_tui.safetext import safe_text

COMPARED = 4_000_000
"""Characters of the training text that are compared: its suffix order then takes 2 s (12 s if the text repeats
itself whole), 260 MB while it is made and 16 MB for good."""
MEASURED = 20_000
"""Characters of a generated text that are measured, from its beginning; 200 take 4 ms."""
HELD_OUT = 5_000
"""Characters of the validation split that give the yardstick."""
COPIED = 0.5
"""A text of which so much stands in long copies counts as recited; above the figures of all held-out text."""
MEMORISED_BITS = 0.5
"""Bits per character below which a model does not predict its training text but knows it: the entropy of English is
0.6 to 1.3 (Shannon 1951), and a character of other scripts carries more."""

_FORMAT = 1  # of the cache's files; another number makes all of them again


@dataclass(frozen=True, kw_only=True)
class Copied:
    """How much of one text is copied.

    Attributes:
        novel: the share of its sequences of `n` characters that are not in the training text.
        n: how long these are.
        held_out: `novel` of the validation split; None where there is none.
        longest, at: the length of its longest passage that is in the training text, and where that begins.
        mark: how long a copied passage must be to be marked.
        spans: begin and end of the copied passages of at least `mark` characters; those that overlap are one. A
            passage that begins in the prompt counts with the part that is there, and its span is the rest.
        chars: how many characters were measured.
        compared: the share of the training text that was looked at.
    """

    novel: float
    n: int
    held_out: float | None
    longest: int
    at: int
    mark: int
    spans: tuple[tuple[int, int], ...]
    chars: Annotated[int, msgspec.Meta(gt=0)]
    compared: float

    @property
    def share(self) -> float:
        """How much of the text stands in its spans."""
        return sum(end - begin for begin, end in self.spans) / self.chars

    @property
    def memorised(self) -> bool:
        """Whether the text is recited: at least half of it stands in long copies."""
        return self.share >= COPIED

    def fields(self) -> dict[str, Any]:
        """Return all of it as JSON has it, `memorised` included."""
        spans = [list(span) for span in self.spans]
        return asdict(self) | {"spans": spans, "memorised": self.memorised}


def read_copied(fields: Mapping[str, Any] | None) -> Copied | None:
    """Return what `Copied.fields` wrote, perhaps among other fields; None where that is not there."""
    try:
        return msgspec.convert(fields, Copied) if fields else None
    except msgspec.ValidationError:
        return None


class TrainingText:
    """A text to compare with.

    Attributes:
        n, mark: as in `Copied`.
        compared: the share of the training text that `text` is.
    """

    def __init__(self, text: str, *, order: Order | None = None, compared: float = 1.0) -> None:
        """Take a text of at least one character, and the order of its suffixes if that is known."""
        codes = codes_of(text)
        self._text = text
        self._order = suffix_order(codes) if order is None else order
        self.n = sequence_length(codes)
        self.mark = 3 * self.n
        self.compared = compared

    def compare(self, text: str, *, prompt: str = "", held_out: float | None = None) -> Copied | None:
        """Measure the first `MEASURED` characters of a text; None where it has fewer than `n`.

        Args:
            text: what was generated.
            prompt: what stood before it: copied passages may begin there.
            held_out: handed on.
        """
        n, mark = self.n, self.mark
        text = text[:MEASURED]
        if len(text) < n:
            return None
        before = prompt[-mark:]
        lengths = match_lengths(before + text, self._text, self._order)
        novel = sum(length < n for length in lengths[len(before) : len(lengths) - n + 1]) / (
            len(text) - n + 1
        )
        longest = at = end = 0
        spans: list[tuple[int, int]] = []
        for start, length in enumerate(lengths, -len(before)):
            if start + length <= end:
                continue  # within the passage before it
            begin, end = max(start, 0), start + length
            if end - begin > longest:
                longest, at = end - begin, begin
            if length >= mark and end - begin >= n:
                overlaps = bool(spans) and begin < spans[-1][1]
                spans.append((spans.pop()[0] if overlaps else begin, end))
        return Copied(
            novel=novel,
            n=n,
            held_out=held_out,
            longest=longest,
            at=at,
            mark=mark,
            spans=tuple(spans),
            chars=len(text),
            compared=self.compared,
        )


def sequence_length(codes: Codes) -> int:
    """Return n, between 2 and 64, for a training text of these code points."""
    counts = np.bincount(codes)
    shares = counts[counts > 0] / len(codes)
    bits = -float(shares @ np.log2(shares))
    return max(2, min(64, round(2 * math.log2(len(codes)) / max(bits, 1e-9))))


class SampleMeter:
    """Compares what a model writes with what it was trained on. The first measurement prepares for it."""

    def __init__(self, prepared: PreparedCorpus) -> None:
        self._prepared = prepared

    def prepare(self) -> None:
        """Do now what the first measurement would do.

        Raises:
            InputError: when the cache with the training text was deleted.
        """
        _ = self._training, self._held_out

    def measure(self, prompt: str, text: str) -> dict[str, Any]:
        """Return `Copied.fields` of a continuation.

        Empty where it is too short, or where the training text cannot be read any more: no run ends for that.
        """
        copied = None
        with suppress(InputError):
            copied = self.copied(prompt, text)
        return copied.fields() if copied else {}

    def copied(self, prompt: str, text: str) -> Copied | None:
        """Return what a continuation has copied; None where it is too short.

        Raises: as `prepare`.
        """
        return self._training.compare(text, prompt=prompt, held_out=self._held_out)

    @cached_property
    def _training(self) -> TrainingText:
        text = self._prepared.text("train", 0, COMPARED)
        compared = len(text) / self._prepared.split("train").chars
        order = _cached_order(self._prepared.snapshot.sha256, text)
        return TrainingText(text, order=order, compared=compared)

    @cached_property
    def _held_out(self) -> float | None:
        if "validation" not in self._prepared.splits:
            return None
        copied = self._training.compare(self._prepared.text("validation", 0, HELD_OUT))
        return copied.novel if copied else None


def _cached_order(sha256: str, text: str) -> Order:
    """Return the suffix order of the beginning of a snapshot, from the cache if it is there."""
    key = hashlib.sha256(json.dumps([_FORMAT, sha256, len(text)]).encode()).hexdigest()[:32]
    final = cache_dir() / "suffixes" / key
    path = final / "order.bin"
    with suppress(OSError, ValueError):
        if path.stat().st_size == 4 * len(text):
            return np.asarray(np.memmap(path, dtype=np.int32, mode="r", shape=(len(text),)))
    order = suffix_order(codes_of(text))
    with suppress(OSError), staging(final.parent) as staged:  # a full disk costs the time next time
        write_durable(staged / path.name, [order.tobytes()])
        if final.exists():
            discard(final)
        publish(staged, final)
    return order


def knows_by_heart(training_bits: float, validation_bits: float | None = None) -> bool:
    """Whether a model has memorised its training text, by its losses in bits per character.

    One that predicts the validation split as well has found a text that is easy, and memorised nothing.
    """
    if validation_bits is not None and validation_bits < MEMORISED_BITS:
        return False
    return training_bits < MEMORISED_BITS


def describe(copied: Copied, text: str) -> str:
    """Return the figures as one line; `text` is what was measured, and may come from anywhere."""
    quote = text[copied.at : copied.at + copied.longest]
    if len(quote) > 60:
        quote = f"{quote[:40]} … {quote[-15:]}"
    longest = f"{copied.longest:,} characters: “{safe_text(quote, limit=None)}”"
    part = "" if copied.compared >= 1 else f"the first {copied.compared:.0%} of "
    if copied.memorised:
        return (
            f"copied from {part}the training text: {copied.share:.0%} in passages of {copied.mark} characters or "
            f"more; the longest {longest}"
        )
    held_out = "" if copied.held_out is None else f" (in held-out text {copied.held_out:.0%})"
    return (
        f"new: {copied.novel:.0%} of its sequences of {copied.n} characters are not in {part}the training text"
        f"{held_out}; longest copy {longest}"
    )
