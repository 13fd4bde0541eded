"""The values of units as they are shown: one unit along the text, and all units of a part as a map. Free of torch."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnn_tui.errors import UsageError
from rnn_tui.inference.inspect_requests import MAP_LIMIT
from rnn_tui.inference.parts import Floats, Part, scale_of


@dataclass(frozen=True, eq=False)
class UnitValues:
    """One unit along the text.

    Attributes:
        values: (T,), divided by `scale` and clipped to -1 to 1.
        scale: 1 for a part whose values lie in -1 to 1 by themselves, else `trace.scale_of` the unit.
        low, high, mean: of the values as they are.
    """

    values: Floats
    scale: float
    low: float
    high: float
    mean: float


@dataclass(frozen=True, eq=False)
class Map:
    """Units over time in few cells.

    Attributes:
        cells: (rows, columns), -1 to 1.
        units: the units of each row.
        starts: the first token of each column.
        begin, end: the tokens shown.
        scale: what the values were divided by.
    """

    cells: Floats
    units: list[list[int]]
    starts: list[int]
    begin: int
    end: int
    scale: float


def unit_values(part: Part, unit: int) -> UnitValues:
    """Return one unit's values after each token; raises UsageError when there is no such unit."""
    if not 0 <= unit < part.units:
        raise UsageError(f"{part.name} has the units 0 to {part.units - 1}, not {unit}")
    values = part.values[:, unit]
    scale = 1.0 if part.bounded else scale_of(values)
    return UnitValues(
        values=np.clip(values / scale, -1, 1),
        scale=scale,
        low=float(values.min()),
        high=float(values.max()),
        mean=float(values.mean(dtype=np.float64)),
    )


def heat_map(
    part: Part,
    height: int,
    width: int,
    *,
    begin: int = 0,
    end: int | None = None,
    order: npt.NDArray[np.intp] | None = None,
) -> Map:
    """Return a part's units over the tokens `begin` to `end` in at most `height` rows and `width` columns.

    A cell that stands for several values shows the one farthest from 0, so that a single spike is seen.

    Args:
        order: the units from top to bottom; None: by number.

    Raises:
        UsageError: when no cell is asked for, too many are, or no token lies between `begin` and `end`.
    """
    if not (1 <= height <= MAP_LIMIT[0] and 1 <= width <= MAP_LIMIT[1]):
        raise UsageError(f"a map has 1 to {MAP_LIMIT[0]} rows and 1 to {MAP_LIMIT[1]} columns")
    count = len(part.values)
    begin, end = max(0, begin), count if end is None else min(end, count)
    if begin >= end:
        raise UsageError(f"there are no tokens from {begin} to {end} in a text of {count}")
    chosen = np.arange(part.units) if order is None else order
    rows, starts = _starts(part.units, height), _starts(end - begin, width)
    seen = part.values[begin:end]
    cells = _farthest(_farthest(seen, starts, 0)[:, chosen], rows, 1).T  # (rows, columns)
    return Map(
        cells=np.clip(cells / part.scale, -1, 1),
        units=[group.tolist() for group in np.split(chosen, rows[1:])],
        starts=(starts + begin).tolist(),
        begin=begin,
        end=end,
        scale=part.scale,
    )


def _starts(count: int, most: int) -> npt.NDArray[np.intp]:
    """Where each of at most `most` groups of nearly equal size begins."""
    groups = min(count, most)
    return np.arange(groups) * count // groups


def _farthest(values: Floats, starts: npt.NDArray[np.intp], axis: int) -> Floats:
    """The value farthest from 0 of each group along an axis."""
    high, low = np.maximum.reduceat(values, starts, axis), np.minimum.reduceat(values, starts, axis)
    return np.where(high >= -low, high, low)
