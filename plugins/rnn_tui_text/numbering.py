"""The numbers of tokens, looked up for a whole block of text at once."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from rnn_tui.plugin import Ids

Words = npt.NDArray[np.uint64]

_SHORT = 15  # bytes; a longer token is looked up by itself
_ALL = (1 << 64) - 1
# What fills a token of each length up to 8 and 16 bytes: 0xff, no byte of UTF-8, so that it equals no other.
_FILL_FIRST = np.array([_ALL << 8 * min(length, 8) & _ALL for length in range(_SHORT + 2)], np.uint64)
_FILL_SECOND = np.array([_ALL << 8 * max(length - 8, 0) & _ALL for length in range(_SHORT + 2)], np.uint64)
_MIX_FIRST = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio (Knuth, volume 3, 6.4)
_MIX_SECOND = np.uint64(0xC2B2AE3D27D4EB4F)  # any other odd number that fills the 64 bits


class Numbers:
    """Different tokens, numbered 1, 2, ... in order; 0 stands for any other.

    A token of up to 15 bytes in UTF-8 is held as two words of 64 bits, and found by open addressing with linear
    steps: one array operation a step for all tokens that still look. A number is found only where both words are
    equal, so that tokens that meet in a slot cost a step and never give a wrong number.
    """

    def __init__(self, tokens: Sequence[str] = ()) -> None:
        self._numbers = {token: number for number, token in enumerate(tokens, 1)}
        # By number. Both words are 0 for number 0 and for a long token, and so equal to none: a fill is never 0.
        self._first = self._second = np.zeros(1, np.uint64)
        self._slots = np.zeros(1 << 10, np.int32)  # of a power of two; 0 ends the search
        first, second, long = _words("".join(tokens), np.cumsum([0, *map(len, tokens)])[:-1])
        self._place(np.flatnonzero(~long) + 1, first[~long], second[~long])

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def find(self, text: str, starts: Ids) -> Ids:
        """Return the numbers of the tokens that begin at `starts` and fill `text`, shape (tokens,)."""
        first, second, long = _words(text, starts)
        found = self._look_up(first, second)
        index = np.flatnonzero(long)
        found[index] = [self._numbers.get(token, 0) for token in slices(text, starts, index)]
        return found

    def number(self, text: str, starts: Ids) -> Ids:
        """As `find`, but a token that is not there yet gets the next number."""
        first, second, long = _words(text, starts)
        found = self._look_up(first, second)
        index = np.flatnonzero(long | (found == 0))
        if not len(index):
            return found
        before, numbers = len(self._numbers), self._numbers
        found[index] = [numbers.setdefault(token, len(numbers) + 1) for token in slices(text, starts, index)]
        index = index[~long[index] & (found[index] > before)]
        new, once = np.unique(found[index], return_index=True)
        self._place(new, first[index[once]], second[index[once]])
        return found

    def _look_up(self, first: Words, second: Words) -> Ids:
        slot = self._slot(first, second)
        found = np.take(self._slots, slot)
        looking = np.flatnonzero(
            (found != 0) & ((np.take(self._first, found) != first) | (np.take(self._second, found) != second))
        )
        while len(looking):
            slot[looking] = (slot[looking] + 1) % len(self._slots)
            found[looking] = met = self._slots[slot[looking]]
            other = (self._first[met] != first[looking]) | (self._second[met] != second[looking])
            looking = looking[(met != 0) & other]
        return found

    def _place(self, numbers: Ids, first: Words, second: Words) -> None:
        """Make the tokens `numbers`, which are new, findable by their words."""
        room = len(self._numbers) + 1
        if room > len(self._first):
            more = np.zeros(max(room, 2 * len(self._first)) - len(self._first), np.uint64)
            self._first, self._second = np.append(self._first, more), np.append(self._second, more)
        self._first[numbers], self._second[numbers] = first, second
        if 2 * room > len(self._slots):
            self._slots = np.zeros(1 << (4 * room).bit_length(), np.int32)
            numbers = np.flatnonzero(self._second)
            first, second = self._first[numbers], self._second[numbers]
        slot = self._slot(first, second)
        while len(numbers):
            free = self._slots[slot] == 0
            self._slots[slot[free]] = numbers[free]
            lost = self._slots[slot] != numbers  # another one is there, perhaps of the same call
            numbers, slot = numbers[lost], (slot[lost] + 1) % len(self._slots)

    def _slot(self, first: Words, second: Words) -> Ids:
        mixed = (first ^ second * _MIX_SECOND) * _MIX_FIRST
        return (mixed >> np.uint64(65 - len(self._slots).bit_length())).astype(np.intp)


def slices(text: str, starts: Ids, index: Ids) -> list[str]:
    """Return those tokens of `text`, which begin at `starts`, that `index` picks."""
    ends = np.append(starts[1:], len(text))[index].tolist()
    return [text[start:end] for start, end in zip(starts[index].tolist(), ends, strict=True)]


def _words(text: str, starts: Ids) -> tuple[Words, Words, npt.NDArray[np.bool_]]:
    """Return the two words of each token, and which tokens are too long for them."""
    data = text.encode()
    if len(data) > len(text):
        codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
        sizes = (codes > 0x7F).astype(np.uint8) + (codes > 0x7FF) + (codes > 0xFFFF)
        starts = starts + (np.cumsum(sizes, dtype=np.int64) - sizes)[starts]
    lengths = np.minimum(np.diff(starts, append=len(data)), _SHORT + 1)
    # the eight bytes from each byte on; what lies behind a token is covered by its fill
    words: Words = np.ndarray((len(data) + 8,), "<u8", data + bytes(_SHORT), strides=(1,))
    first = np.take(words, starts) | np.take(_FILL_FIRST, lengths)
    second = np.take(words, starts + 8) | np.take(_FILL_SECOND, lengths)
    return first, second, lengths > _SHORT
