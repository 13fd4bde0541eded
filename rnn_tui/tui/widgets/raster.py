"""Curves to dots: a grid of 2 × 4 dots per character cell, as braille shows them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnn_tui.tui.widgets.pyramid import Extremes, Points
from rnn_tui.tui.widgets.scales import Axis, Floats

Dots = npt.NDArray[np.bool_]

BRAILLE = 0x2800
# The bit of each dot in a braille cell, (row, column): Unicode, "Braille Patterns".
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_FAR = 1e7
"""Far away is far enough: so many dots fit any integer and any slope."""


@dataclass(frozen=True)
class Curve:
    """What one series leaves on the grid."""

    dots: Dots
    """(4·rows, 2·columns)"""
    bad: npt.NDArray[np.int64]
    """Columns of dots where a value was NaN or infinite."""


def curve(points: Points, values: Extremes, x_axis: Axis, y_axis: Axis, columns: int, rows: int) -> Curve:
    """Draw a line through the points.

    Each column of dots is filled from the smallest to the largest value that falls in it, so that no spike is lost;
    neighbours are joined, columns between two points are interpolated, and a NaN breaks the line. On a logarithmic axis
    zero and less lie far below the picture.

    Args:
        values: Those of `points`, raw or smoothed.
        columns: Character cells across.
        rows: Character cells down.
    """
    width, height = 2 * columns, 4 * rows
    edges = x_axis.edges(width)
    bad_column = np.searchsorted(edges, points.bad, side="right") - 1
    bad = np.unique(bad_column[(bad_column >= 0) & (bad_column < width)])

    cuts = points.before(edges)
    at = np.flatnonzero(cuts[1:] > cuts[:-1])
    starts, stops = cuts[at], cuts[at + 1]
    # One point beyond either edge, so that a line enters and leaves the picture.
    places = x_axis.place(points.x[[i for i in (cuts[0] - 1, cuts[-1]) if 0 <= i < len(points)]]) * (
        width - 1
    )
    if cuts[0] > 0 and np.isfinite(places[0]):
        at = np.r_[int(np.clip(np.rint(places[0]), -_FAR, -1)), at]
        starts, stops = np.r_[cuts[0] - 1, starts], np.r_[cuts[0], stops]
    if cuts[-1] < len(points) and np.isfinite(places[-1]):
        at = np.r_[at, int(np.clip(np.rint(places[-1]), width, _FAR))]
        starts, stops = np.r_[starts, cuts[-1]], np.r_[stops, cuts[-1] + 1]
    if not len(at):
        return Curve(np.zeros((height, width), dtype=np.bool_), bad)

    def down(y: Floats) -> Floats:
        with np.errstate(over="ignore", invalid="ignore"):
            dots = (1 - y_axis.place(y)) * (height - 1)
        return np.clip(np.where(np.isnan(dots), np.inf, dots), -_FAR, _FAR)

    smallest, largest = values.over(starts, stops)
    y = values.values
    first, last, low, high = down(y[starts]), down(y[stops - 1]), down(largest), down(smallest)
    top, bottom = _spans(at, first, last, low, high, ~points.broken_before(starts[1:]), width)
    # Halves go inwards, so that a diagonal is one dot wide; a span within one dot keeps that dot.
    first_row = np.floor(top + 0.5)
    last_row = np.maximum(np.ceil(bottom - 0.5), first_row)
    row = np.arange(height)[:, None]
    return Curve((row >= first_row) & (row <= last_row), bad)  # NaN compares false


def _spans(
    at: npt.NDArray[np.int64],
    first: Floats,
    last: Floats,
    low: Floats,
    high: Floats,
    joined: Dots,
    width: int,
) -> tuple[Floats, Floats]:
    """Return for each of `width` columns the topmost and lowest dot, NaN where there is none."""
    columns = np.arange(width)
    index = np.searchsorted(at, columns, side="right") - 1
    here = (index >= 0) & (at[np.maximum(index, 0)] == columns)
    between = (index >= 0) & (index < len(at) - 1) & ~here
    between[between] = joined[index[between]]
    enter, leave = np.full(width, np.nan), np.full(width, np.nan)
    top, bottom = np.full(width, np.nan), np.full(width, np.nan)
    own = index[here]
    enter[here], leave[here], top[here], bottom[here] = first[own], last[own], low[own], high[own]
    left = index[between]
    share = (columns[between] - at[left]) / (at[left + 1] - at[left])
    inner = last[left] + share * (first[left + 1] - last[left])
    enter[between] = leave[between] = top[between] = bottom[between] = inner
    # Meet each neighbour half-way, so that a steep line has no holes.
    linked = ~np.isnan(leave[:-1]) & ~np.isnan(enter[1:])
    both = here[:-1] & here[1:]
    linked[both] &= joined[index[:-1][both]]
    # From a column between two points to its neighbour the line always goes on; only after a gap it does not.
    linked[~both] &= between[:-1][~both] | between[1:][~both]
    middle = np.where(linked, (leave[:-1] + enter[1:]) / 2, np.nan)
    top[:-1], bottom[:-1] = np.fmin(top[:-1], middle), np.fmax(bottom[:-1], middle)
    top[1:], bottom[1:] = np.fmin(top[1:], middle), np.fmax(bottom[1:], middle)
    return top, bottom


def blots(points: Points, values: Extremes, x_axis: Axis, y_axis: Axis, columns: int, rows: int) -> Dots:
    """Return a blot of 2 × 2 dots at each point, where they are few enough to be seen as such."""
    width, height = 2 * columns, 4 * rows
    dots = np.zeros((height, width), dtype=np.bool_)
    start, stop = np.searchsorted(points.x, x_axis.edges(width)[[0, -1]])
    if stop - start > columns:
        return dots
    places = x_axis.place(points.x[start:stop]) * (width - 1)
    downs = (1 - y_axis.place(values.values[start:stop])) * (height - 1)
    with np.errstate(invalid="ignore"):
        inside = (downs >= 0) & (downs <= height - 1)
    across = np.clip(np.rint(places[inside]), 0, width - 1).astype(np.int64)
    down = np.rint(downs[inside]).astype(np.int64)
    for dy in (0, 1):
        for dx in (0, 1):
            dots[np.minimum(down + dy, height - 1), np.minimum(across + dx, width - 1)] = True
    return dots


def horizontals(values: list[float], y_axis: Axis, columns: int, rows: int, *, every: int = 1) -> Dots:
    """Return horizontal lines of dots, one dot in `every`; values outside the axis have none."""
    dots = np.zeros((4 * rows, 2 * columns), dtype=np.bool_)
    for place in y_axis.place(values).tolist():
        if 0 <= place <= 1:
            dots[round((1 - place) * (4 * rows - 1)), ::every] = True
    return dots


def cells(dots: Dots) -> npt.NDArray[np.uint8]:
    """Return the braille pattern of each cell, (rows, columns); 0 where no dot is set."""
    bits = dots.view(np.uint8)
    patterns = np.zeros((dots.shape[0] // 4, dots.shape[1] // 2), dtype=np.uint8)
    for row, pair in enumerate(_BITS):
        for column, bit in enumerate(pair):
            patterns |= bits[row::4, column::2] * np.uint8(bit)
    return patterns
