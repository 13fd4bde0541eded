"""An index of some of a text's grams, the strings of `GRAM` bytes: where did this one begin before?

Its size does not grow with the text: the longer the text, the fewer places are in the index.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

GRAM = 40
"""Bytes in a gram."""

PIECE = 1 << 17
"""Places looked up at a time: what is worked out for them fits into the processor's cache."""

_NUMBER_BITS = 22
_NUMBER = np.uint64((1 << _NUMBER_BITS) - 1)
_MOST = int(_NUMBER)  # places in the index: 34 MB, and a bit map of 16 MB in front of it
_FACTOR = 0x9E6C63D0676A9A99  # odd numbers with no pattern
_TURN = np.uint64(0xD1B54A32D192ED03)
_BITS = np.array([1, 2, 4, 8, 16, 32, 64, 128], np.uint8)


class GramIndex:
    """The grams at multiples of `stride`, by their hashes."""

    def __init__(self, data: Bytes, smallest_stride: int, read: Callable[[int, int], None]) -> None:
        """Read the text once.

        Args:
            smallest_stride: Where the text is too long for it, the stride is larger.
            read: Told from where to where the text was read.
        """
        places = max(0, len(data) - GRAM + 1)
        self.stride = max(smallest_stride, -(-places // _MOST))
        self._powers = _powers(_FACTOR)
        self._inverses = _powers(pow(_FACTOR, -1, 1 << 64))
        # The hash in the upper bits and the number of the place in the lower: sorted once, one bisection finds the
        # nearest place before another.
        self._keys = np.empty(-(-places // self.stride), np.uint64)
        step = max(1, PIECE // self.stride)
        for first in range(0, len(self._keys), step):
            last = min(first + step, len(self._keys))
            covered = data[first * self.stride : (last - 1) * self.stride + GRAM]
            grams = np.lib.stride_tricks.sliding_window_view(covered, GRAM)[
                :: self.stride
            ]  # (last - first, GRAM)
            hashes = (grams * self._powers[:GRAM]).sum(axis=1, dtype=np.uint64)
            self._keys[first:last] = hashes & ~_NUMBER | np.arange(first, last, dtype=np.uint64)
            read(first * self.stride, last * self.stride)
        self._keys.sort()
        self._again = np.zeros(len(self._keys) + 1, bool)  # whether a place has the gram of an earlier one
        # A Bloom filter with two of 32 to 64 bits for each gram: one in a few hundred of the others passes.
        bits = max(10, (32 * len(self._keys) - 1).bit_length())
        self._shift = np.uint64(64 - bits)
        self._map = np.zeros(1 << (bits - 3), np.uint8)
        for first in range(0, len(self._keys), PIECE):
            keys = self._keys[max(0, first - 1) : first + PIECE]
            again = keys[1:][keys[1:] ^ keys[:-1] <= _NUMBER]
            self._again[(again & _NUMBER).view(np.int64)] = True
            hashes = keys & ~_NUMBER
            for turned in (hashes, hashes * _TURN):
                np.bitwise_or.at(self._map, *self._cells(turned))

    def hits(self, data: Bytes, begin: int, end: int) -> tuple[Places, Words]:
        """Return where in [begin, end) grams begin that may be in the index, and their hashes.

        At most `PIECE` places are looked at in one call. A gram of the index that is nowhere before is left out.
        """
        hashes = self._rolled(data[begin : end + GRAM - 1])
        maybe = np.flatnonzero(self._marked(hashes))
        hashes = hashes[maybe] & ~_NUMBER
        places = maybe + begin
        alone = (places % self.stride == 0) & ~self._again[places // self.stride]  # it would find itself
        still = self._marked(hashes * _TURN) & ~alone
        return places[still], hashes[still]

    def look_up(self, hashes: Words, ends: Places) -> tuple[Places, Places]:
        """Return for each gram the number in the index of the nearest place before the one in `ends`.

        The first result says for which of the grams there is one.
        """
        numbers = -(-ends // self.stride)  # how many places of the index come into question
        wanted = hashes | numbers.astype(np.uint64)
        order = np.argsort(wanted)  # bisections in order find what they need in the processor's cache
        nearest = np.empty(len(wanted), np.int64)
        nearest[order] = np.searchsorted(self._keys, wanted[order]) - 1
        there = np.flatnonzero(self.same(nearest, hashes))
        return there, nearest[there]

    def same(self, entries: Places, hashes: Words) -> npt.NDArray[np.bool_]:
        """Return which of the entries have these hashes; -1 has none."""
        same: npt.NDArray[np.bool_] = (entries >= 0) & (self._keys[entries] & ~_NUMBER == hashes)
        return same

    def places(self, entries: Places) -> Places:
        """Return where the grams with these numbers in the index begin."""
        return (self._keys[entries] & _NUMBER).astype(np.int64) * self.stride

    def _rolled(self, data: Bytes) -> Words:
        """Return the hash of every gram of `data`: the sum of byte i times FACTOR to the power i, modulo 2^64."""
        sums = np.zeros(len(data) + 1, np.uint64)
        np.cumsum(data * self._powers[: len(data)], out=sums[1:])
        return (sums[GRAM:] - sums[:-GRAM]) * self._inverses[: len(data) - GRAM + 1]

    def _marked(self, hashes: Words) -> npt.NDArray[np.bool_]:
        cells, bits = self._cells(hashes)
        marked: npt.NDArray[np.bool_] = (self._map[cells] & bits).astype(bool)
        return marked

    def _cells(self, hashes: Words) -> tuple[Places, Bytes]:
        """Return for each hash its byte in the map, and its bit there."""
        slots = hashes >> self._shift
        return (slots >> np.uint64(3)).view(np.int64), _BITS[(slots & np.uint64(7)).view(np.int64)]


def _powers(factor: int) -> Words:
    """Return the powers of a factor from 0 on, modulo 2^64."""
    powers = np.full(PIECE + GRAM, factor, np.uint64)
    powers[0] = 1
    return np.cumprod(powers, dtype=np.uint64)
