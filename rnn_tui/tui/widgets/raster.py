"""Curves to dots: a grid of 2 × 4 dots per character cell, as braille shows them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnn_tui.tui.widgets.scales import Axis, Floats

Dots = npt.NDArray[np.bool_]

BRAILLE = 0x2800
# The bit of each dot in a braille cell, (row, column): Unicode, "Braille Patterns".
_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint8)


@dataclass(frozen=True)
class Curve:
    """What one series leaves on the grid."""

    dots: Dots
    """(4·rows, 2·columns)"""
    bad: npt.NDArray[np.int64]
    """Columns of dots where a value was NaN or infinite."""


def curve(x: Floats, y: Floats, x_axis: Axis, y_axis: Axis, columns: int, rows: int) -> Curve:
    """Draw a line through the points.

    Each column of dots is filled from the smallest to the largest value that falls in it, so that a million points cost
    one pass and no spike is lost; neighbours are joined, columns between two points are interpolated, and a NaN
    breaks the line.

    Args:
        x: (n,) ascending.
        y: (n,).
        columns: Character cells across.
        rows: Character cells down.
    """
    width, height = 2 * columns, 4 * rows
    dots = np.zeros((height, width), dtype=np.bool_)
    nothing = np.empty(0, dtype=np.int64)
    # One point beyond either edge is kept, so that a line enters and leaves the picture.
    start = max(0, int(np.searchsorted(x, x_axis.low)) - 1)
    stop = min(len(x), int(np.searchsorted(x, x_axis.high, side="right")) + 1)
    x, y = x[start:stop], y[start:stop]
    places = x_axis.place(x) * (width - 1)
    known = np.isfinite(places)
    column = np.zeros(len(x), dtype=np.int64)
    # Far away is far enough: 10^7 columns fit any integer and any slope.
    column[known] = np.rint(np.clip(places[known], -1e7, 1e7)).astype(np.int64)
    finite = np.isfinite(y)
    shown_bad = column[known & ~finite]
    bad = np.unique(shown_bad[(shown_bad >= 0) & (shown_bad < width)]) if len(shown_bad) else nothing

    height_of = (1 - y_axis.place(y)) * (height - 1)
    usable = known & finite & np.isfinite(height_of)
    if not usable.any():
        return Curve(dots, bad)
    part = np.cumsum(~usable)[usable]  # points with the same number have no gap between them
    at, down = column[usable], np.clip(height_of[usable], -1e7, 1e7)
    starts = np.flatnonzero(np.r_[True, at[1:] != at[:-1]])
    ends = np.r_[starts[1:], len(at)] - 1
    at = at[starts]
    low, high = np.minimum.reduceat(down, starts), np.maximum.reduceat(down, starts)
    first, last = down[starts], down[ends]
    joined = part[ends[:-1]] == part[starts[1:]]

    top, bottom = _spans(at, first, last, low, high, joined, width)
    # Halves go inwards, so that a diagonal is one dot wide; a span within one dot keeps that dot.
    first_row = np.floor(top + 0.5)
    last_row = np.maximum(np.ceil(bottom - 0.5), first_row)
    row = np.arange(height)[:, None]
    dots[:] = (row >= first_row) & (row <= last_row)  # NaN compares false
    return Curve(dots, bad)


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


def marks(x: Floats, y: Floats, x_axis: Axis, y_axis: Axis, columns: int, rows: int) -> Dots:
    """Return a blot of 2 × 2 dots at each point, for few points that should be seen as such."""
    width, height = 2 * columns, 4 * rows
    dots = np.zeros((height, width), dtype=np.bool_)
    places = x_axis.place(x) * (width - 1)
    downs = (1 - y_axis.place(y)) * (height - 1)
    with np.errstate(invalid="ignore"):
        inside = (places >= 0) & (places <= width - 1) & (downs >= 0) & (downs <= height - 1)
    across = np.rint(places[inside]).astype(np.int64)
    down = np.rint(downs[inside]).astype(np.int64)
    for dy in (0, 1):
        for dx in (0, 1):
            dots[np.minimum(down + dy, height - 1), np.minimum(across + dx, width - 1)] = True
    return dots


def horizontal(y: float, y_axis: Axis, columns: int, rows: int, *, every: int = 1) -> Dots:
    """Return a horizontal line of dots, one in `every`, or nothing where `y` is outside."""
    dots = np.zeros((4 * rows, 2 * columns), dtype=np.bool_)
    place = float(y_axis.place(y))
    if 0 <= place <= 1:
        dots[round((1 - place) * (4 * rows - 1)), ::every] = True
    return dots


def cells(dots: Dots) -> npt.NDArray[np.uint8]:
    """Return the braille pattern of each cell, (rows, columns); 0 where no dot is set."""
    rows, columns = dots.shape[0] // 4, dots.shape[1] // 2
    blocks = dots.reshape(rows, 4, columns, 2).transpose(0, 2, 1, 3)  # -> (rows, columns, 4, 2)
    patterns: npt.NDArray[np.uint8] = (blocks * _BITS).sum(axis=(2, 3), dtype=np.uint8)
    return patterns
