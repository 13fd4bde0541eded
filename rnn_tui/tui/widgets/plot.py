"""A whole chart as a grid of characters and style numbers: layers of curves, axes, labels, legend, read-out.

Pure: the same arguments give the same grid, so that tests compare cells and the widget repaints only what changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from rnn_tui.tui.widgets import axes, marks, raster
from rnn_tui.tui.widgets.headline import draw_head
from rnn_tui.tui.widgets.marks import Mark
from rnn_tui.tui.widgets.picture import (
    BAD,
    BASELINE,
    CHOSEN,
    COLOURS,
    CURSOR,
    FAINT,
    GRID,
    LABEL,
    SERIES,
    SERIES_ASCII,
    SERIES_GLYPHS,
    Picture,
)
from rnn_tui.tui.widgets.pyramid import Extremes, Points
from rnn_tui.tui.widgets.scales import tick_labels, ticks

Codes = npt.NDArray[np.uint8]
_APART = 14
"""Columns between the glyphs along a curve where there are no colours."""


@dataclass(frozen=True)
class Layer:
    """One curve; later layers lie on top."""

    name: str
    """What the legend calls it; empty: not in the legend."""
    points: Points
    values: Extremes
    """Those of `points`, raw or smoothed."""
    colour: int = 0
    faint: bool = False
    marked: bool = False
    """Blots at the points."""


@dataclass(frozen=True)
class Baseline:
    """A horizontal line with a label."""

    name: str
    value: float


@dataclass(frozen=True)
class Frame:
    """Everything about a picture but its curves."""

    title: str = ""
    log_x: bool = False
    log_y: bool = False
    total: float | None = None
    """Where x will end, if known."""
    window: tuple[float, float] | None = None
    """The part of x that is shown; None: all of it."""
    y_window: tuple[float, float] | None = None
    before: Picture | None = None
    """The picture before, if its y axis may stay."""
    cursor: float | None = None
    chosen: tuple[int, int, int, int] | None = None
    """First and last column and row of the range that is being chosen, as cells of the picture."""
    state: str = ""
    """Whether only a part is shown, and whether it moves; told in the narrowest picture."""
    settings: str = ""
    note: str = ""
    x_name: str = ""
    x_format: Literal["number", "duration"] = "number"
    tight: bool = False
    """End the x axis at the last point instead of letting it grow in jumps; for curves that do not grow."""
    ascii: bool = False
    plain: bool = False
    """There are no colours: glyphs along the curves tell them apart."""
    baselines: tuple[Baseline, ...] = field(default=())
    marks: tuple[Mark, ...] = field(default=())


def compose(layers: Sequence[Layer], frame: Frame, width: int, height: int) -> Picture:
    """Draw the chart into `width` × `height` cells."""
    chars = np.full((max(height, 0), max(width, 0)), " ", dtype="<U1")
    styles = np.zeros(chars.shape, dtype=np.uint8)
    roomy = height >= 14
    rows = height - 2 - roomy
    x_axis = axes.x_axis_of(layers, frame)
    parts = max(3, min(rows // 2, 8))
    y_axis = axes.y_axis_of(layers, frame, x_axis, parts)
    y_ticks = ticks(y_axis, parts)
    labels = tick_labels(y_ticks, log=frame.log_y)
    left = max((len(label) for label in labels), default=1) + 2
    columns = width - left
    picture = Picture(chars, styles, x_axis, y_axis, left, max(columns, 0), 1, max(rows, 0))
    if rows < 2 or columns < 8:
        return picture

    plot = (slice(1, 1 + rows), slice(left, left + columns))
    chars[plot], styles[plot], bad = _curves(layers, frame, picture, y_ticks)
    axes.draw_baseline_labels(picture, frame, styles[plot])
    for column in bad:
        picture.write(rows, left + column, "!" if frame.ascii else "×", BAD)
    line_row = 1 + rows if roomy else None
    axes.draw_y(picture, y_ticks, labels, ascii=frame.ascii)
    axes.draw_x(picture, frame, line_row=line_row)
    placed = marks.place(frame.marks, picture)
    marks.draw(placed, picture, line_row, ascii=frame.ascii)
    cursor = None if frame.cursor is None else picture.column_of(frame.cursor)
    if cursor is not None:
        _draw_cursor(picture, cursor, ascii=frame.ascii)
    draw_head(picture, layers, frame, None if cursor is None else marks.near(placed, cursor))
    if frame.chosen is not None:
        first, last, top, bottom = frame.chosen
        styles[top : bottom + 1, first : last + 1] |= CHOSEN
    return picture


def _curves(
    layers: Sequence[Layer], frame: Frame, picture: Picture, y_ticks: list[float]
) -> tuple[npt.NDArray[np.str_], Codes, list[int]]:
    """Return the cells of the plot, their styles, and the columns in which a value was no number."""
    x_axis, y_axis, columns, rows = picture.x_axis, picture.y_axis, picture.columns, picture.rows
    code = np.zeros((rows, columns), dtype=np.uint8)
    owner = np.zeros((rows, columns), dtype=np.uint8)

    def lay(dots: raster.Dots, style: int) -> None:
        # A later curve replaces the cell: merging dots would draw both in one colour and thicken the line.
        pattern = raster.cells(dots)
        drawn = pattern > 0
        code[drawn], owner[drawn] = pattern[drawn], style

    if not frame.ascii:
        lay(raster.horizontals(y_ticks, y_axis, columns, rows, every=8), GRID)
    levels = [baseline.value for baseline in frame.baselines]
    lay(raster.horizontals(levels, y_axis, columns, rows, every=2), BASELINE)
    bad: set[int] = set()
    for layer in layers:
        style = (FAINT if layer.faint else SERIES) + layer.colour % COLOURS
        drawn = raster.curve(layer.points, layer.values, x_axis, y_axis, columns, rows)
        bad |= set((drawn.bad // 2).tolist())
        lay(drawn.dots, style)
        if layer.marked:
            lay(raster.blots(layer.points, layer.values, x_axis, y_axis, columns, rows), style)
    chars = _characters(code, owner, ascii=frame.ascii)
    colours = [layer.colour % COLOURS for layer in layers if not layer.faint]
    if frame.plain and not frame.ascii:
        chars[(owner >= FAINT) & (code > 0)] = "·"
        for number, colour in enumerate(colours) if len(colours) > 1 else ():
            _along(chars, owner == SERIES + colour, SERIES_GLYPHS[colour], number * _APART // len(colours))
    return chars, owner, sorted(bad)


def _along(chars: npt.NDArray[np.str_], curve: npt.NDArray[np.bool_], glyph: str, first: int) -> None:
    """Write a glyph here and there on the cells of a curve."""
    columns = np.flatnonzero(curve.any(axis=0))
    free = first
    for column in columns.tolist():
        if column >= free:
            chars[int(curve[:, column].argmax()), column] = glyph
            free = column + _APART


def _characters(code: Codes, owner: Codes, *, ascii: bool) -> npt.NDArray[np.str_]:
    if not ascii:
        points = np.where(code > 0, code.astype(np.uint32) + raster.BRAILLE, 32)
        return points.astype(np.uint32).view("<U1")
    table = np.full(256, " ", dtype="<U1")
    table[BASELINE] = "-"
    for i in range(COLOURS):
        table[SERIES + i], table[FAINT + i] = SERIES_ASCII[i], "."
    return np.where(code > 0, table[owner], " ")


def _draw_cursor(picture: Picture, column: int, *, ascii: bool) -> None:
    for row in range(picture.top, picture.top + picture.rows):
        if picture.styles[row, column] < SERIES and picture.styles[row, column] not in (BAD, LABEL):
            picture.write(row, column, "|" if ascii else "│", CURSOR)
