"""A vocabulary as a table: each token with its rank, count and share, what the most frequent cover, and a search."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rnn_tui.corpus.counting import count_tokens
from rnn_tui.corpus.decoding import CHUNK
from rnn_tui.corpus.prepare import Ids, PreparedCorpus, Split, Tokenizer

Ranks = npt.NDArray[np.int64]

_POINTS = 200
_LOOK = 10_000  # tokens between two looks at whether anybody still waits
_CODE_POINT = re.compile(r"[Uu]\+([0-9A-Fa-f]{1,6})")
_SHOWN = str.maketrans({"␣": " ", "␊": "\n", "␉": "\t", "␍": "\r"})


@dataclass(frozen=True)
class Entry:
    """One token as the table shows it."""

    rank: int
    """From 1, by frequency in training; those that never occur there follow by id."""
    token: int
    text: str
    count: int
    share: float
    covered: float
    """Share of the training tokens that are this one or a more frequent one."""


class Vocabulary:
    """The tokens of a prepared text by their frequency in the training split. Ranks are counted from 0 here."""

    def __init__(self, tokenizer: Tokenizer, counts: npt.NDArray[np.int64]) -> None:
        """Take the counts of each id, shape (vocab_size,)."""
        self._tokenizer = tokenizer
        self._counts = counts
        self._order = np.argsort(-counts, kind="stable")
        self._summed = np.cumsum(counts[self._order])
        self.tokens = int(self._summed[-1]) if len(counts) else 0
        self.used = int(np.count_nonzero(counts))

    def __len__(self) -> int:
        return len(self._order)

    def entry(self, rank: int) -> Entry:
        """Return one row of the table."""
        token = int(self._order[rank])
        count, total = int(self._counts[token]), max(1, self.tokens)
        return Entry(
            rank + 1,
            token,
            self._tokenizer.token_text(token),
            count,
            count / total,
            int(self._summed[rank]) / total,
        )

    def needed(self, share: float) -> int:
        """Return how many of the most frequent tokens make up `share` of the training split."""
        return int(np.searchsorted(self._summed, math.ceil(share * self.tokens - 1e-9))) + 1

    def coverage(self) -> tuple[list[int], list[float]]:
        """Return vocabulary sizes, evenly spaced on a log axis, and what share of the training split each covers."""
        sizes = np.unique(np.geomspace(1, max(1, self.used), _POINTS).round().astype(np.int64))
        return sizes.tolist(), (self._summed[sizes - 1] / max(1, self.tokens)).tolist()

    def search(self, query: str, cancelled: Callable[[], bool] = lambda: False) -> Ranks:
        """Return the ranks of what `query` asks for, rising.

        A code point such as U+201C: the tokens that hold that character, or that encode it. `#12`: the token of that
        id; 12: that one and those that hold the digits. Anything else: tokens that hold it, whatever the case unless
        it has a capital; the visible forms of blanks (`␣ ␊ ␉ ␍`) stand for the blanks.
        """
        if not query:
            return np.arange(len(self), dtype=np.int64)
        point = _CODE_POINT.fullmatch(query)
        if point and int(point[1], 16) < 0x110000:
            char = chr(int(point[1], 16))
            return self._ranks({*self._holding(char, True, cancelled), *self._encoded(char)})
        digits = query.removeprefix("#")
        number = int(digits) if digits.isdecimal() and len(digits) < 20 else -1
        ids = {number} if 0 <= number < len(self) else set()
        if not (query.startswith("#") and number >= 0):
            plain = query.translate(_SHOWN)
            ids.update(self._holding(plain, plain != plain.lower(), cancelled))
        return self._ranks(ids)

    def _holding(self, text: str, exact: bool, cancelled: Callable[[], bool]) -> Iterator[int]:
        texts = self._texts if exact else self._lower
        for start in range(0, len(texts), _LOOK):
            if cancelled():
                return
            for token, one in enumerate(texts[start : start + _LOOK], start):
                if text in one:
                    yield token

    def _encoded(self, char: str) -> set[int]:
        unknown = self._tokenizer.unknown_id
        return {
            int(token) for ids in self._tokenizer.encode_stream([char]) for token in ids if token != unknown
        }

    def _ranks(self, ids: set[int]) -> Ranks:
        found = np.fromiter(ids, np.int64, len(ids))
        return np.sort(self._rank_of[found])

    @cached_property
    def _rank_of(self) -> Ranks:
        ranks = np.empty(len(self), np.int64)
        ranks[self._order] = np.arange(len(self))
        return ranks

    @cached_property
    def _texts(self) -> Sequence[str]:
        return [self._tokenizer.token_text(token) for token in range(len(self))]

    @cached_property
    def _lower(self) -> Sequence[str]:
        return [text.lower() for text in self._texts]


def vocabulary(prepared: PreparedCorpus) -> Vocabulary:
    """Count the tokens of the training split; 100 MB of ids take a tenth of a second."""
    counts = count_tokens(_pieces(prepared.split("train")), prepared.tokenizer.vocab_size)
    return Vocabulary(prepared.tokenizer, counts)


def zipf_slope(ranks: Sequence[int], counts: Sequence[int]) -> float | None:
    """Return the slope of counts over ranks on log axes by least squares; None for under 3 points. Zipf's law: -1."""
    if len(ranks) < 3:
        return None
    x, y = np.log(ranks), np.log(counts)
    return float(np.polyfit(x, y, 1)[0])


def first_place(
    prepared: PreparedCorpus, token: int, cancelled: Callable[[], bool] = lambda: False
) -> int | None:
    """Return where in the text, in tokens from its start, a token first occurs; None where it does not."""
    before = 0
    for split in prepared.splits.values():
        for start, ids in zip(range(0, split.tokens, CHUNK), _pieces(split), strict=True):
            if cancelled():
                return None
            places = np.flatnonzero(ids == token)
            if len(places):
                return before + start + int(places[0])
        before += split.tokens
    return None


def _pieces(split: Split) -> Iterator[Ids]:
    """Yield the ids of a split, mapped anew for each piece: pages of one that stays mapped count as the process's."""
    for start in range(0, split.tokens, CHUNK):
        yield split.ids()[start : start + CHUNK]
