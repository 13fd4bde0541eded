"""Points that grow at their end, and their extremes block by block, so that a picture of a million costs thousands.

A column of a picture needs of its points the first, the last, the smallest and the largest. The last two come from
blocks of 64 and the few points beside whole blocks, so the picture is the one that all points would give. One level
of blocks is enough for ten million points: it is read in 0.2 ms.
"""

from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from rnn_tui.tui.widgets.scales import Floats
from rnn_tui.tui.widgets.smoothing import Smoother

Places = npt.NDArray[np.intp]
BLOCK = 64
DIRECT = 20_000
"""Points that are read one by one as fast as by blocks."""
_CHUNK = 1 << 16
"""Points that are smoothed at a time: what stays in a processor's cache."""

_Kind = TypeVar("_Kind", bound=np.generic)


class Growing(Generic[_Kind]):
    """An array that grows at its end, in place."""

    def __init__(self, dtype: type[_Kind]) -> None:
        self._room: npt.NDArray[_Kind] = np.empty(64, dtype=dtype)
        self._length = 0

    @property
    def values(self) -> npt.NDArray[_Kind]:
        """What is in it; a view that stays as it is while the array grows."""
        return self._room[: self._length]

    def __len__(self) -> int:
        return self._length

    def extend(self, values: npt.NDArray[Any]) -> None:
        """Add values at the end."""
        length = self._length + len(values)
        if length > len(self._room):
            larger = np.empty(max(length, 2 * len(self._room)), dtype=self._room.dtype)
            larger[: self._length] = self.values
            self._room = larger
        self._room[self._length : length] = values
        self._length = length


class Extremes:
    """Finite values with the smallest and largest of each block of them."""

    def __init__(self) -> None:
        self._values = Growing(np.float64)
        self._lows, self._highs = Growing(np.float64), Growing(np.float64)

    @property
    def values(self) -> Floats:
        """(n,)"""
        return self._values.values

    def extend(self, values: Floats) -> None:
        """Add finite values at the end."""
        self._values.extend(values)
        done = len(self._lows) * BLOCK
        fresh = self.values[done : len(self._values) // BLOCK * BLOCK].reshape(-1, BLOCK)
        if len(fresh):
            self._lows.extend(fresh.min(axis=1))
            self._highs.extend(fresh.max(axis=1))

    def over(self, starts: Places, stops: Places) -> tuple[Floats, Floats]:
        """Return the smallest and the largest value of each stretch.

        Args:
            starts: (k,) first index of each; ascending.
            stops: (k,) one after the last; each stretch ends where the next begins, and none is empty.
        """
        values = self.values
        if not len(starts):
            return np.empty(0), np.empty(0)
        if stops[-1] - starts[0] <= DIRECT:
            part, offsets = values[starts[0] : stops[-1]], starts - starts[0]
            return np.minimum.reduceat(part, offsets), np.maximum.reduceat(part, offsets)
        first, last = -(-starts // BLOCK), stops // BLOCK
        whole = last > first
        low, high = np.full(len(starts), np.inf), np.full(len(starts), -np.inf)
        # Before the whole blocks (or all of a stretch without any), the blocks, and behind them.
        for lows, highs, begin, end in (
            (values, values, starts, np.where(whole, first * BLOCK, stops)),
            (self._lows.values, self._highs.values, first, np.where(whole, last, first)),
            (values, values, np.where(whole, last * BLOCK, stops), stops),
        ):
            some = np.flatnonzero(end > begin)
            if len(some):
                index, offsets = _stretches(begin[some], end[some])
                low[some] = np.minimum(low[some], np.minimum.reduceat(lows[index], offsets))
                high[some] = np.maximum(high[some], np.maximum.reduceat(highs[index], offsets))
        return low, high


def _stretches(starts: Places, stops: Places) -> tuple[Places, Places]:
    """Return the indices of all stretches one after the other, and where each begins among them."""
    lengths = stops - starts
    offsets = np.cumsum(lengths) - lengths
    return np.repeat(starts - offsets, lengths) + np.arange(lengths.sum()), offsets


class Points:
    """The finite points of one series, where others broke it, and its smoothed values."""

    def __init__(self) -> None:
        self._x = Growing(np.float64)
        self.first, self.last = np.inf, -np.inf
        """Where the points begin and end, those without a value included; beyond each other while there are none."""
        self._gaps = Growing(np.intp)
        self._bad = Growing(np.float64)
        self.raw = Extremes()
        self._smooth = Extremes()
        self._smoother: Smoother | None = None
        self._asked: tuple[int, Floats, Places] = (0, np.empty(0), np.empty(0, np.intp))

    @property
    def x(self) -> Floats:
        """(n,) ascending"""
        return self._x.values

    @property
    def gaps(self) -> Places:
        """Ascending; i is in it where the line is broken before point i."""
        return self._gaps.values

    @property
    def bad(self) -> Floats:
        """Where a value was NaN or infinite; ascending."""
        return self._bad.values

    def __len__(self) -> int:
        return len(self._x)

    def extend(self, x: Floats, y: Floats) -> None:
        """Add points at the end.

        Args:
            x: (n,) Should ascend: what goes back is put where the curve already is. A point whose x is not finite is
                left out, and breaks the line.
            y: (n,) What is not finite breaks the line.
        """
        if not len(x):
            return
        known = np.isfinite(x)
        x = np.maximum.accumulate(np.where(known, x, -np.inf))
        if x[0] < self.last:
            x = np.maximum(x, self.last)
        if self.first > x[-1]:  # no place was known before
            self.first = float(x[int(known.argmax())]) if known.any() else np.inf
        self.last = float(x[-1])
        good = known & np.isfinite(y)
        if not good.all():
            before = len(self._x) + np.cumsum(good)[~good]
            self._gaps.extend(before[np.r_[True, before[1:] != before[:-1]]])
            self._bad.extend(x[known & ~good])
            x, y = x[good], y[good]
        self._x.extend(x)
        self.raw.extend(y)

    def smoothed(self, weight: float) -> Extremes:
        """Return the smoothed values, (n,); goes on from those of the call before if the weight is the same."""
        if self._smoother is None or self._smoother.weight != weight:
            self._smoother, self._smooth = Smoother(weight), Extremes()
        for done in range(len(self._smooth.values), len(self), _CHUNK):
            self._smooth.extend(self._smoother.extend(self.raw.values[done : done + _CHUNK]))
        return self._smooth

    def before(self, places: Floats) -> Places:
        """Return how many points lie before each of ascending places; kept, for a curve and the raw one behind it."""
        length, asked, found = self._asked
        if length != len(self) or not np.array_equal(asked, places):
            found = np.searchsorted(self.x, places)
            self._asked = len(self), places, found
        return found

    def broken_before(self, index: Places) -> npt.NDArray[np.bool_]:
        """Return whether the line has a gap right before each of these points."""
        gaps = self.gaps
        if not len(gaps):
            return np.zeros(len(index), dtype=np.bool_)
        return np.asarray(gaps[np.minimum(np.searchsorted(gaps, index), len(gaps) - 1)] == index)
