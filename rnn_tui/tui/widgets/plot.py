"""A whole chart as a grid of characters and style numbers: layers of curves, axes, labels, legend, read-out.

Pure: the same arguments give the same grid, so that tests compare cells and the widget repaints only what changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from rich.cells import cell_len

from rnn_tui.safetext import safe_text
from rnn_tui.tui.widgets import raster
from rnn_tui.tui.widgets.scales import Axis, Floats, finite_range, jump_limit, tick_labels, ticks, value_axis

# Style numbers of a grid. Series i has SERIES + i for its line and FAINT + i for what lies behind it.
BLANK, AXIS, LABEL, GRID, BAD, BASELINE, CURSOR, TITLE = range(8)
SERIES, FAINT, COLOURS = 16, 32, 8

_ASCII_GLYPHS = "*+ox#@%&"


@dataclass(frozen=True)
class Layer:
    """One curve; later layers lie on top."""

    name: str
    """What the legend calls it; empty: not in the legend."""
    x: Floats
    y: Floats
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
    cursor: float | None = None
    note: str = ""
    x_name: str = ""
    tight: bool = False
    """End the x axis at the last point instead of letting it grow in jumps; for curves that do not grow."""
    ascii: bool = False
    baselines: tuple[Baseline, ...] = field(default=())


@dataclass(frozen=True)
class Picture:
    """The grid and what is needed to find a value under the pointer."""

    chars: npt.NDArray[np.str_]
    """(height, width), one character each"""
    styles: npt.NDArray[np.uint8]
    """(height, width)"""
    x_axis: Axis
    y_axis: Axis
    left: int
    columns: int


def narrow(text: str) -> str:
    """Return `text` safe and one cell per character, as a grid needs it."""
    return "".join(c if cell_len(c) == 1 else "·" for c in safe_text(text))


def x_axis_of(layers: Sequence[Layer], frame: Frame) -> Axis:
    """Return the x axis: the window if there is one, else from the start to where it has jumped to."""
    lasts = [float(layer.x[-1]) for layer in layers if len(layer.x)]
    firsts = [float(layer.x[0]) for layer in layers if len(layer.x)]
    if frame.window is not None:
        low, high = frame.window
    elif frame.tight and lasts:
        low, high = min(firsts), max(lasts)
    else:
        low, high = min([0.0, *firsts]), jump_limit(max([0.0, *lasts]), frame.total)
    if frame.log_x:
        low = max(
            low, min((float(layer.x[layer.x > 0][0]) for layer in layers if (layer.x > 0).any()), default=1.0)
        )
        high = max(high, low * 1.01)
    return Axis(low, high if high > low else low + 1, frame.log_x)


def y_axis_of(layers: Sequence[Layer], frame: Frame, x_axis: Axis, parts: int) -> Axis:
    """Return the y axis around what is shown; a nearby baseline widens it, spikes of faint curves do not."""
    ranges: list[tuple[float, float]] = []
    solid = [layer for layer in layers if not layer.faint]
    for layer in layers:
        start, stop = np.searchsorted(layer.x, [x_axis.low, x_axis.high])
        y = layer.y[max(0, int(start) - 1) : int(stop) + 1]
        trim = 0.01 if layer.faint or len(solid) == len(layers) else 0.0
        found = finite_range(y[y > 0] if frame.log_y else y, trim=trim)
        if found:
            ranges.append(found)
    if not ranges:
        return value_axis(float("nan"), float("nan"), log=frame.log_y, parts=parts)
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    reach = 0.5 * (high - low)
    near = [b.value for b in frame.baselines if low - reach <= b.value <= high + reach]
    return value_axis(min([low, *near]), max([high, *near]), log=frame.log_y, parts=parts)


def compose(layers: Sequence[Layer], frame: Frame, width: int, height: int) -> Picture:
    """Draw the chart into `width` × `height` cells."""
    chars = np.full((max(height, 0), max(width, 0)), " ", dtype="<U1")
    styles = np.zeros(chars.shape, dtype=np.uint8)
    roomy = height >= 14
    top, rows = 1, height - 2 - roomy
    x_axis = x_axis_of(layers, frame)
    parts = max(3, min(rows // 2, 8))
    y_axis = y_axis_of(layers, frame, x_axis, parts)
    y_ticks = ticks(y_axis, parts)
    labels = tick_labels(y_ticks, log=frame.log_y)
    left = max((len(label) for label in labels), default=1) + 1
    columns = width - left - 1
    picture = Picture(chars, styles, x_axis, y_axis, left + 1, max(columns, 0))
    if rows < 2 or columns < 8:
        return picture

    plot = (slice(top, top + rows), slice(left + 1, left + 1 + columns))
    code = np.zeros((rows, columns), dtype=np.uint8)
    owner = np.zeros((rows, columns), dtype=np.uint8)

    def lay(dots: raster.Dots, style: int) -> None:
        # A later curve replaces the cell: merging dots would draw both in one colour and thicken the line.
        pattern = raster.cells(dots)
        code[pattern > 0], owner[pattern > 0] = pattern[pattern > 0], style

    if not frame.ascii:
        for value in y_ticks:
            lay(raster.horizontal(value, y_axis, columns, rows, every=8), GRID)
    for baseline in frame.baselines:
        lay(raster.horizontal(baseline.value, y_axis, columns, rows, every=2), BASELINE)
    bad: set[int] = set()
    for layer in layers:
        style = (FAINT if layer.faint else SERIES) + layer.colour % COLOURS
        drawn = raster.curve(layer.x, layer.y, x_axis, y_axis, columns, rows)
        bad |= set((drawn.bad // 2).tolist())
        lay(drawn.dots, style)
        if layer.marked:
            lay(raster.marks(layer.x, layer.y, x_axis, y_axis, columns, rows), style)

    chars[plot], styles[plot] = _glyphs(code, owner, frame.ascii), owner
    _baseline_labels(picture, frame, owner, top, rows)
    if bad:
        for column in bad:
            chars[top + rows - 1, left + 1 + column] = "!" if frame.ascii else "×"
            styles[top + rows - 1, left + 1 + column] = BAD
    _axes(picture, frame, y_ticks, labels, top, rows, roomy)
    _cursor(picture, frame, top, rows)
    _head(picture, layers, frame)
    return picture


def _glyphs(
    code: npt.NDArray[np.uint8], owner: npt.NDArray[np.uint8], ascii_only: bool
) -> npt.NDArray[np.str_]:
    if not ascii_only:
        points = np.where(code > 0, code.astype(np.uint32) + raster.BRAILLE, 32)
        return points.astype(np.uint32).view("<U1")
    table = np.full(256, " ", dtype="<U1")
    table[BASELINE] = "-"
    for i in range(COLOURS):
        table[SERIES + i], table[FAINT + i] = _ASCII_GLYPHS[i], "."
    return np.where(code > 0, table[owner], " ")


def _write(picture: Picture, row: int, column: int, text: str, style: int) -> int:
    """Write `text`, cut at the right edge; return the column after it."""
    height, width = picture.chars.shape
    if not 0 <= row < height or column < 0:
        return column
    text = text[: max(0, width - column)]
    picture.chars[row, column : column + len(text)] = list(text)
    picture.styles[row, column : column + len(text)] = style
    return column + len(text)


def _baseline_labels(
    picture: Picture, frame: Frame, owner: npt.NDArray[np.uint8], top: int, rows: int
) -> None:
    taken: set[int] = set()
    for baseline in frame.baselines:
        place = float(picture.y_axis.place(baseline.value))
        if not 0 <= place <= 1:
            continue
        row = round((1 - place) * (4 * rows - 1)) // 4
        text = f" {narrow(baseline.name)} {baseline.value:.2f} "
        start = picture.columns - len(text)
        if row in taken or start < 0:
            continue
        # At the right if no curve runs there, else at the left; a label never hides a curve.
        for column in (start, 1):
            if (owner[row, column : column + len(text)] < SERIES).all():
                _write(picture, top + row, picture.left + column, text, LABEL)
                taken.add(row)
                break


def _axes(
    picture: Picture, frame: Frame, y_ticks: list[float], labels: list[str], top: int, rows: int, roomy: bool
) -> None:
    bar, tick, corner, line, down = ("|", "+", "+", "-", "+") if frame.ascii else ("│", "┤", "└", "─", "┬")
    gutter = picture.left - 1
    for row in range(top, top + rows):
        _write(picture, row, gutter, bar, AXIS)
    for value, label in zip(y_ticks, labels, strict=True):
        row = top + round((1 - float(picture.y_axis.place(value))) * (4 * rows - 1)) // 4
        _write(picture, row, gutter - len(label), label, LABEL)
        _write(picture, row, gutter, tick, AXIS)
    bottom = top + rows
    if roomy:
        _write(picture, bottom, gutter, corner + line * picture.columns, AXIS)
        bottom += 1
    values = ticks(picture.x_axis, max(3, picture.columns // 14))
    right = picture.left + picture.columns
    free = picture.left - 1
    for value, label in zip(values, tick_labels(values, log=frame.log_x), strict=True):
        column = picture.left + round(float(picture.x_axis.place(value)) * (picture.columns - 1))
        if roomy:
            _write(picture, bottom - 1, column, down, AXIS)
        start = min(column - len(label) // 2, right - len(label))
        if start >= free:
            free = _write(picture, bottom, start, label, LABEL) + 1
    # The name of the axis goes where room is left: behind the last label, else in front of it.
    name = narrow(frame.x_name)
    for start in (right - len(name), free - 1 - len(label) - 1 - len(name)) if name and values else ():
        if start > 0 and set("".join(picture.chars[bottom, start - 1 : start + len(name)])) <= {" "}:
            _write(picture, bottom, start, name, LABEL)
            break


def _cursor(picture: Picture, frame: Frame, top: int, rows: int) -> None:
    if frame.cursor is None:
        return
    place = float(picture.x_axis.place(frame.cursor))
    if not 0 <= place <= 1:
        return
    column = picture.left + round(place * (picture.columns - 1))
    for row in range(top, top + rows):
        if picture.styles[row, column] < SERIES and picture.styles[row, column] != BAD:
            _write(picture, row, column, "|" if frame.ascii else "│", CURSOR)


def _head(picture: Picture, layers: Sequence[Layer], frame: Frame) -> None:
    """Write the first row: title, legend, and the note at the right; under a cursor the values instead."""
    width = picture.chars.shape[1]
    column = _write(picture, 0, 0, narrow(frame.title), TITLE) + 2 if frame.title else 0
    if frame.cursor is not None:
        column = (
            _write(
                picture,
                0,
                column,
                f"{narrow(frame.x_name)} {_position(frame.cursor, picture.x_axis)}".strip(),
                TITLE,
            )
            + 2
        )
    for i, layer in enumerate(layers):
        if not layer.name:
            continue
        style = (FAINT if layer.faint else SERIES) + layer.colour % COLOURS
        mark = (_ASCII_GLYPHS[layer.colour % COLOURS] if not layer.faint else ".") if frame.ascii else "━"
        text = narrow(layer.name)
        if frame.cursor is not None:
            text += f" {_near(layer, frame.cursor)}"
        if column + len(text) + 2 > width:
            _write(picture, 0, width - 1, "+" if frame.ascii else "…", LABEL)
            return
        column = _write(picture, 0, column, mark, style) + 1
        column = _write(picture, 0, column, text, LABEL) + (2 if i < len(layers) else 0)
    note = narrow(frame.note)
    if note and column + len(note) <= width:
        _write(picture, 0, width - len(note), note, LABEL)


def _position(x: float, axis: Axis) -> str:
    """Return where the read-out is, as finely as the axis can tell."""
    return f"{x:,.0f}" if axis.high - axis.low > 50 else f"{x:.4g}"


def _near(layer: Layer, x: float) -> str:
    """Return the value of the point of `layer` nearest to `x`."""
    if not len(layer.x):
        return "-"
    after = int(np.searchsorted(layer.x, x))
    around = [i for i in (after - 1, after) if 0 <= i < len(layer.x)]
    return f"{layer.y[min(around, key=lambda i: abs(layer.x[i] - x))]:.4g}"
