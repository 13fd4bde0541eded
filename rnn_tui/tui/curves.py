"""What the monitor's charts draw of a run, and of the runs that are laid over it. Pure: histories in, series out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from rnn_tui.tui import format as f
from rnn_tui.tui.happenings import Kind
from rnn_tui.tui.history import History
from rnn_tui.tui.overlay import BITS, overlay
from rnn_tui.tui.track import AXES
from rnn_tui.tui.widgets.chart import Mark, Series

MOST_LAID_OVER = 6
"""Runs; there are eight colours, and the run itself has two."""
_SIGNS: Mapping[Kind, Literal["checkpoint", "rate", "switch", "best", "end"]] = {
    "checkpoint": "checkpoint", "rate": "rate", "switch": "switch", "resume": "switch", "back": "rate",
    "trouble": "rate", "end": "end",
}  # fmt: skip
_CHECKPOINTS = 4
"""Marks of checkpoints: a run keeps about as many, and one at each validation would say nothing."""


@dataclass(frozen=True)
class LaidOver:
    """Another run in the chart; `colour` is its own as long as the app lives."""

    name: str
    history: History
    colour: int


@dataclass(frozen=True)
class Drawing:
    """One chart: the arguments of `Chart.show` and `Chart.configure`."""

    title: str
    series: list[Series]
    baselines: list[tuple[str, float]]
    marks: list[Mark]
    total: float
    x_name: str
    x_format: Literal["number", "duration"]
    note: str = ""


def axes_of(history: History) -> list[str]:
    """Return the axes on which the places of a run's points are known."""
    return [axis for axis in AXES if history.clock.knows(axis)]


def axis_name(history: History, axis: str) -> str:
    """Return what is written at the axis."""
    return history.counted if axis == "tokens" else axis


def x_format(axis: str) -> Literal["number", "duration"]:
    """Return how numbers on the axis are written."""
    return "duration" if axis == "time" else "number"


def loss_drawing(history: History, axis: str, others: Sequence[LaidOver] = ()) -> Drawing:
    """Return the chart of the loss.

    Where runs with other tokenizers are laid over it, all is in bits per character.
    """
    series = [
        Series("train", history.clock.places(axis, history.loss.steps), history.loss.values, 0, smoothed=True)
    ]
    checks = history.validation
    if len(checks):
        series.append(
            Series("validation", history.clock.places(axis, checks.steps), checks.values, 1, marked=True)
        )
    baselines, unit, note = history.baselines(), history.unit, ""
    if others:
        drawn = overlay([history, *(one.history for one in others)], axis=axis)
        laid_over = [
            replace(one, name=f.one_line(others[place].name, 20), colour=others[place].colour, smoothed=False)
            for one in drawn.series
            if (place := int(one.name) - 2) >= 0
        ]
        missing = len(others) - len(laid_over)
        note = f"{missing} of another unit" if missing else ""
        a_nat = history.per_character(1.0) if drawn.title.endswith(BITS) else None
        if a_nat is not None:
            series = [replace(one, y=[a_nat * value for value in one.y]) for one in series]
            baselines, unit = [(name, a_nat * value) for name, value in baselines], BITS
        series = [*laid_over, *series]
    return Drawing(
        title=f"loss, {f.one_line(unit, 40)}" if unit else "loss",
        series=series,
        baselines=baselines,
        marks=marks(history, axis),
        total=end_of_axis(history, axis, max((one.x[-1] for one in series if len(one.x)), default=0.0)),
        x_name=axis_name(history, axis),
        x_format=x_format(axis),
        note=note,
    )


def end_of_axis(history: History, axis: str, last: float) -> float:
    """Return where the axis ends: at the end of the run where that is known, else at a place that doubles.

    Each growth repaints the whole chart; by a quarter at a time, as charts do without this, the first minute of a run
    sent 11 kB/s to the terminal.

    Args:
        last: The largest x that is drawn.
    """
    total = history.total_on(axis)
    if total is not None and total >= last:
        return total
    if history.end:
        return last
    first = {"step": 100.0, "tokens": 1e5, "epoch": 1.0, "time": 60.0}[axis]
    return first * 2.0 ** max(0, math.ceil(math.log2(last / first))) if last > 0 else first


def marks(history: History, axis: str) -> list[Mark]:
    """Return what happened up to now, and the best validation, where they lie on the axis."""
    told = [one for one in history.happened if one.step <= history.step and one.kind != "checkpoint"]
    saved = [one for one in history.happened if one.step <= history.step and one.kind == "checkpoint"]
    events: list[tuple[int, Any, str]] = [
        (one.step, _SIGNS[one.kind], one.label) for one in [*saved[-_CHECKPOINTS:], *told]
    ]
    if history.best is not None:
        events.append((history.best[0], "best", f"best {f.loss(history.best[1])}"))
    places = history.clock.between(axis, [step for step, _, _ in events])
    return [Mark(x, kind, label) for x, (_, kind, label) in zip(places, events, strict=True)]


def small_series(history: History, key: str, colour: int, axis: str) -> list[Series]:
    """Return the curve of one of the small charts."""
    track = history.tracks[key]
    return [Series("", history.clock.places(axis, track.steps), track.values, colour)]
