"""The curves that a chart is given, and what it keeps of them between two drawings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    from rnn_tui.tui.widgets.pyramid import Points
    from rnn_tui.tui.widgets.scales import Floats


_CHUNK = 1 << 16
"""Points that are read at a time, so that they stay in a processor's cache: a million in 20 ms, all at once in 96."""


@dataclass(frozen=True)
class Series:
    """A named curve. `x` ascends; NaN and infinity in `y` are marked in red at the bottom.

    Arrays that grow at their end between two drawings are read from where they ended, whatever their length.

    Args:
        colour: Index into the palette (0 to 7); keep it the same for the same thing.
        smoothed: The smoothing control acts on it: the raw curve lies faint behind.
        marked: Blots at the points, for few of them.
    """

    name: str
    x: Sequence[float] | npt.NDArray[Any]
    y: Sequence[float] | npt.NDArray[Any]
    colour: int = 0
    smoothed: bool = False
    marked: bool = False


class Feed:
    """Follows the arrays of one series."""

    def __init__(self) -> None:
        from rnn_tui.tui.widgets.pyramid import Points

        self.points: Points = Points()
        self._read = 0
        self._probes = b""

    def follow(self, series: Series) -> bool:
        """Take in what is new; return whether it began again because the arrays are shorter or hold something else.

        Whether they do is seen at their last values, and at places further and further back.
        """
        from rnn_tui.tui.widgets.pyramid import Points

        length = min(len(series.x), len(series.y))
        begun = self._read > 0
        again = begun and (length < self._read or self._probe(series) != self._probes)
        if again:
            self.points, self._read = Points(), 0
        while self._read < length:
            start, self._read = self._read, min(self._read + _CHUNK, length)
            self.points.extend(_floats(series.x, start, self._read), _floats(series.y, start, self._read))
        self._probes = self._probe(series)
        return again

    def near(self, x: float) -> list[float]:
        """Return where the points before and behind `x` are."""
        import numpy as np

        known = self.points.x
        at = int(np.searchsorted(known, x))
        return [float(value) for value in known[max(at - 1, 0) : at + 1]]

    def _probe(self, series: Series) -> bytes:
        import numpy as np

        last = self._read
        places = [*(last - (1 << k) for k in range(last.bit_length()))]
        return np.array([values[i] for values in (series.x, series.y) for i in places], dtype=float).tobytes()


def _floats(values: Sequence[float] | npt.NDArray[Any], start: int, stop: int) -> Floats:
    """Return a copy of a part: an array that numpy looks into cannot grow."""
    import numpy as np

    return np.array(values[start:stop], dtype=np.float64)
