"""The two axes of a chart: where they begin and end, and how they are drawn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rnn_tui.tui.widgets.durations import duration, duration_labels, duration_ticks
from rnn_tui.tui.widgets.picture import AXIS, LABEL, SERIES, Picture, narrow, shorten
from rnn_tui.tui.widgets.pyramid import Points
from rnn_tui.tui.widgets.scales import Axis, finite_range, jump_limit, tick_labels, ticks, value_axis

if TYPE_CHECKING:
    from rnn_tui.tui.widgets.plot import Frame, Layer

_FEW, _SAMPLE = 100, 1024
"""Points of which all set the scale, and places that are looked at where there are more."""
_FILLED, _ROOM = 0.65, 0.2
"""The share of the y axis that curves must fill for it to stay, and what it has in reserve once they outgrew one."""


def x_axis_of(layers: Sequence["Layer"], frame: "Frame") -> Axis:
    """Return the x axis: the window if there is one, else from the start to where it has jumped to."""
    firsts = [layer.points.first for layer in layers if layer.points.first <= layer.points.last]
    last = max([0.0, *(layer.points.last for layer in layers)])
    if frame.window is not None:
        low, high = frame.window
    elif frame.tight and firsts:
        low, high = min(firsts), max(layer.points.last for layer in layers)
    else:
        low, high = min([0.0, *firsts]), jump_limit(last, frame.total)
    if frame.log_x:
        least = [first_positive(layer.points) for layer in layers]
        low = max(low, min((x for x in least if x is not None), default=1.0))
        high = max(high, low * 1.01)
    return Axis(low, high if high > low else low + 1, frame.log_x)


def first_positive(points: Points) -> float | None:
    """Return where the first point above zero is."""
    at = int(np.searchsorted(points.x, 0, side="right"))
    return float(points.x[at]) if at < len(points) else None


def y_axis_of(layers: Sequence["Layer"], frame: "Frame", x_axis: Axis, parts: int) -> Axis:
    """Return the y axis around what is shown; a nearby baseline widens it, single spikes of a long curve do not.

    The axis of the picture before stays while it fits, since another one changes every cell of the picture.
    """
    if frame.y_window is not None:
        low, high = frame.y_window
        return Axis(low, high, frame.log_y)
    found = [_range(layer, x_axis, frame.log_y) for layer in layers]
    ranges = [pair for pair in found if pair is not None]
    if not ranges:
        return value_axis(float("nan"), float("nan"), log=frame.log_y, parts=parts)
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    reach = 0.3 * (high - low)
    near = [b.value for b in frame.baselines if low - reach <= b.value <= high + reach]
    low, high = min([low, *near]), max([high, *near])
    before = frame.before.y_axis if frame.before is not None and frame.before.x_axis == x_axis else None
    if before is not None and before.log == frame.log_y and high > low:
        first, last = before.place([low, high]).tolist()
        if first >= 0 and last <= 1 and last - first >= _FILLED:
            return before
        low, high = _roomier(Axis(low, high, frame.log_y), below=first < 0, above=last > 1)
    return value_axis(low, high, log=frame.log_y, parts=parts)


def _roomier(axis: Axis, *, below: bool, above: bool) -> tuple[float, float]:
    """Return a range with room where the curves grow to, so that they do not outgrow it with every point."""
    low = axis.value(-_ROOM) if below else axis.low
    return max(low, 0.0) if axis.low >= 0 else low, axis.value(1 + _ROOM) if above else axis.high


def _range(layer: "Layer", x_axis: Axis, log: bool) -> tuple[float, float] | None:
    """Return the smallest and the largest value in the picture; of many points without the half percent at either end.

    Of many, those are looked at that are the last before evenly spaced places of the picture: what is narrow there
    counts little, and a curve that grows changes few of them.
    """
    x, y, trim = layer.points.x, layer.values.values, 0.0
    start, stop = np.searchsorted(x, [x_axis.low, x_axis.high]).tolist()
    start, stop = max(0, start - 1), min(stop + 1, len(x))
    if stop - start > _FEW:
        index = layer.points.before(x_axis.edges(_SAMPLE)) - 1
        y, trim = y[index[(index >= start) & (index < stop - 1)]], 0.005
    else:
        y = y[start:stop]
    return finite_range(y[y > 0] if log else y, trim=trim)


def draw_y(picture: Picture, y_ticks: list[float], labels: list[str], *, ascii: bool) -> None:
    """Draw the axis at the left and its labels."""
    bar, tick = ("|", "+") if ascii else ("│", "┤")
    gutter = picture.left - 1
    for row in range(picture.top, picture.top + picture.rows):
        picture.write(row, gutter, bar, AXIS)
    for value, label in zip(y_ticks, labels, strict=True):
        at = picture.row_of(value)
        if at is not None:
            picture.write(at, gutter - len(label), label, LABEL)
            picture.write(at, gutter, tick, AXIS)


def draw_x(picture: Picture, frame: "Frame", *, line_row: int | None) -> None:
    """Draw the labels of the x axis below the plot, and its line where there is a row for it."""
    corner, line, down = ("+", "-", "+") if frame.ascii else ("└", "─", "┬")
    bottom = picture.top + picture.rows
    if line_row is not None:
        picture.write(line_row, picture.left - 1, corner + line * picture.columns, AXIS)
        bottom += 1
    values, labels = x_ticks(picture.x_axis, frame, max(3, picture.columns // 14))
    right, free = picture.left + picture.columns, picture.left - 1
    for value, label in zip(values, labels, strict=True):
        column = picture.column_of(value)
        if column is None:
            continue
        if line_row is not None:
            picture.write(line_row, column, down, AXIS)
        start = min(column - len(label) // 2, right - len(label))
        if start >= free:
            free = picture.write(bottom, start, label, LABEL) + 1
    # The name of the axis goes where room is left: behind the last label, else in front of it.
    name = narrow(frame.x_name)
    for start in (right - len(name), free - 1 - len(labels[-1]) - 1 - len(name)) if name and values else ():
        if start > 0 and set("".join(picture.chars[bottom, start - 1 : start + len(name)])) <= {" "}:
            picture.write(bottom, start, name, LABEL)
            break


def x_ticks(axis: Axis, frame: "Frame", parts: int) -> tuple[list[float], list[str]]:
    """Return round places on the x axis and what is written below them."""
    if frame.x_format == "duration":
        values = duration_ticks(axis, parts)
        return values, duration_labels(values, log=frame.log_x)
    values = ticks(axis, parts)
    return values, tick_labels(values, log=frame.log_x)


def x_text(x: float, picture: Picture, frame: "Frame") -> str:
    """Return where the read-out is, as finely as the columns of the picture can tell."""
    axis = picture.x_axis
    column = picture.column_of(x) or picture.left
    step = abs(picture.x_of(column + 1) - picture.x_of(column)) or axis.high - axis.low
    if frame.x_format == "duration":
        return duration(x, step)
    if abs(x) < 1e15 and x == int(x):
        return f"{int(x):,}"
    digits = max(0, min(6, 1 - int(np.floor(np.log10(step)))))
    return f"{x:,.{digits}f}"


def draw_baseline_labels(picture: Picture, frame: "Frame", owner: npt.NDArray[np.uint8]) -> None:
    """Write name and value of the baselines at the right, or at the left if a curve is there: it is never hidden."""
    taken: set[int] = set()
    for baseline in frame.baselines:
        row = picture.row_of(baseline.value)
        if row is None or row in taken:
            continue
        name = shorten(narrow(baseline.name), max(6, picture.columns // 3), ascii=frame.ascii)
        text = f" {name} {baseline.value:.2f} "
        start = picture.columns - len(text)
        for column in (start, 1) if start >= 0 else ():
            if (owner[row - picture.top, column : column + len(text)] < SERIES).all():
                picture.write(row, picture.left + column, text, LABEL)
                taken.add(row)
                break
