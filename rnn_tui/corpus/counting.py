"""One pass over a text that counts characters, words and lines; vectorised, in bounded memory."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_tui.corpus.decoding import CHUNK

_CODES = 0x110000
_WORD_BARS = 30
_LINE_BARS = 64
_SAMPLED_LINES = 2_000_000


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram: how many have a length from `low` to `high`, both included."""

    low: int
    high: int
    count: int


class TextCounter:
    """Takes the pieces of a text in order; `finish` once at the end, then read the results."""

    def __init__(self) -> None:
        self.seen_in_training = np.zeros(_CODES, dtype=bool)
        self.seen_held_out = np.zeros(_CODES, dtype=bool)
        self.words = _Words()
        self.lines = _Lines()

    def add(self, text: str, *, training: bool) -> None:
        """Count one piece."""
        codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
        (self.seen_in_training if training else self.seen_held_out)[codes] = True
        self.words.add(codes)
        self.lines.add(text)

    def finish(self) -> None:
        """Count the last word and line."""
        self.words.finish()
        self.lines.finish()


class _Words:
    """Lengths of the runs between white space."""

    def __init__(self) -> None:
        self._space = np.zeros(_CODES, dtype=bool)
        self._space[[code for code in range(0x3001) if chr(code).isspace()]] = True
        self._counts = np.zeros(_WORD_BARS + 1, dtype=np.int64)
        self._open = 0
        self.longest = 0

    @property
    def total(self) -> int:
        return int(self._counts.sum())

    def add(self, codes: npt.NDArray[np.uint32]) -> None:
        spaces = np.flatnonzero(self._space[codes])
        if not len(spaces):
            self._open += len(codes)
            return
        lengths = np.diff(spaces, prepend=-1 - self._open) - 1
        self._count(lengths[lengths > 0])
        self._open = len(codes) - 1 - int(spaces[-1])

    def finish(self) -> None:
        if self._open:
            self._count(np.array([self._open]))

    def bars(self) -> tuple[Bar, ...]:
        """Return one bar a length; the last holds all the longer ones."""
        last = max(self.longest, _WORD_BARS)
        return tuple(
            Bar(length, last if length == _WORD_BARS else length, int(count))
            for length, count in enumerate(self._counts)
            if 1 <= length <= self.longest
        )

    def _count(self, lengths: npt.NDArray[np.int64]) -> None:
        if len(lengths):
            self.longest = max(self.longest, int(lengths.max()))
            self._counts += np.bincount(np.minimum(lengths, _WORD_BARS), minlength=_WORD_BARS + 1)


class _Lines:
    """Lengths of lines without their newline, and how many of them occurred before."""

    def __init__(self) -> None:
        self._open = ""
        self._dropped = 0  # characters of the open line that are no longer held
        self._counts = np.zeros(_LINE_BARS, dtype=np.int64)
        self._hashes: list[npt.NDArray[np.int64]] = []
        self._held = 0
        self._every = 1
        self.total = 0
        self.characters = 0
        self.longest = 0

    def add(self, text: str) -> None:
        lines = text.split("\n")
        lines[0] = self._open + lines[0]
        self._open = lines.pop()
        if lines:
            self._count(lines)
        if len(self._open) > CHUNK:  # a line of 200 MB must not be held
            self._dropped += len(self._open)
            self._open = ""

    def finish(self) -> None:
        if self._open or self._dropped:
            self._count([self._open])

    def bars(self) -> tuple[Bar, ...]:
        """Return bars of doubling width: 0, 1, 2 to 3, 4 to 7 and so on."""
        top = self.longest.bit_length()
        return tuple(
            Bar(1 << (bits - 1) if bits else 0, (1 << bits) - 1, int(self._counts[bits]))
            for bits in range(top + 1)
        )

    def repeated(self) -> float:
        """Return the share of the lines that are not blank and occurred before.

        Above two million lines it is estimated from those whose hash falls in a sample: all copies of a line do
        or none. Lines of over a million characters are not compared.
        """
        if not self._held:
            return 0.0
        return 1 - len(np.unique(np.concatenate(self._hashes))) / self._held

    def _count(self, lines: list[str]) -> None:
        lengths = np.fromiter(map(len, lines), np.int64, len(lines))
        lengths[0] += self._dropped
        self.total += len(lines)
        self.characters += int(lengths.sum())
        self.longest = max(self.longest, int(lengths.max()))
        self._counts += np.bincount(
            np.frexp(lengths)[1], minlength=_LINE_BARS
        )  # the exponent is the bit length
        whole = lines[1:] if self._dropped else lines
        self._dropped = 0
        self._sample(np.array([hash(line) for line in whole if line and not line.isspace()], dtype=np.int64))

    def _sample(self, hashes: npt.NDArray[np.int64]) -> None:
        self._hashes.append(hashes[hashes % self._every == 0])
        self._held += len(self._hashes[-1])
        while self._held > _SAMPLED_LINES:
            self._every *= 2
            held = np.concatenate(self._hashes)
            self._hashes = [held[held % self._every == 0]]
            self._held = len(self._hashes[0])


def histogram(lengths: npt.NDArray[np.int64], most: int) -> tuple[Bar, ...]:
    """Return how many have each length, from the shortest to the longest, in at most `most` bars of equal width."""
    low, high = int(lengths.min()), int(lengths.max())
    width = -(-(high - low + 1) // most)
    counts = np.bincount((lengths - low) // width)
    return tuple(
        Bar(begin, min(begin + width - 1, high), int(count))
        for begin, count in zip(range(low, high + 1, width), counts, strict=True)
    )


def count_tokens(pieces: Iterable[npt.NDArray[np.integer[Any]]], vocab_size: int) -> npt.NDArray[np.int64]:
    """Return how often each id occurs in all pieces, shape (vocab_size,)."""
    counts = np.zeros(vocab_size, dtype=np.int64)
    for ids in pieces:  # of each, bincount makes a copy in int64
        counts += np.bincount(ids, minlength=vocab_size)
    return counts
