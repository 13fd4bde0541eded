"""The losses of several runs on one pair of axes, as far as they can be compared. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rnn_tui.safetext import safe_text
from rnn_tui.tui.history import History
from rnn_tui.tui.widgets.chart import Series

BITS = "bits per character"
Curve = Literal["validation", "training"]


@dataclass(frozen=True)
class Overlay:
    """What is drawn, and what is said of it."""

    title: str
    series: list[Series]
    note: str = ""
    """Which runs are left out, and why."""


def overlay(
    histories: Sequence[History],
    *,
    numbers: Sequence[int] = (),
    curve: Curve = "validation",
    axis: str = "step",
) -> Overlay:
    """Return the losses of runs in the unit of the first: of the validation split, or those of training.

    Nats per token mean something else for each tokenizer: runs that differ there are compared in bits per character.
    Runs whose loss is of another kind, and those that nobody knows the place of on `axis`, are left out and named by
    their number.

    Args:
        numbers: What each run is called, from 0; its colour, too. By default their places.
        curve: A run without a validation split shows the loss of training in either case.
        axis: One of `track.AXES`.
    """
    numbers = numbers or range(len(histories))
    named = list(zip(numbers, histories, strict=True))
    unit = histories[0].unit if histories else ""
    chosen = [history for history in histories if history.unit == unit]
    ratios = [history.number("chars_per_token", history.start) for history in chosen]
    in_bits = len(set(ratios)) > 1 and all(ratios) and all(history.in_tokens for history in chosen)
    series, others, placeless = [], [], []
    for number, history in named:
        track = history.validation if curve == "validation" and len(history.validation) else history.loss
        if history.unit != unit:
            others.append(f"{number + 1} in {_unit(history)}")
            continue
        if len(track) and not history.clock.knows(axis):
            placeless.append(f"{number + 1}")
            continue
        values: Sequence[float] = track.values
        per_nat = history.per_character(1.0) if in_bits else None
        if per_nat is not None:
            values = [value * per_nat for value in values]
        smoothed = track is history.loss
        series.append(
            Series(f"{number + 1}", history.clock.places(axis, track.steps), values, number, smoothed)
        )
    shown = BITS if in_bits else safe_text(unit, limit=40)
    notes = []
    if others:
        notes.append(f"Not in the chart, because their losses are of another kind: {', '.join(others)}.")
    if placeless:
        notes.append(f"Not in the chart, because they have no {safe_text(axis)}: {', '.join(placeless)}.")
    title = f"{curve} loss, {shown}" if shown else f"{curve} loss"
    return Overlay(title, series, " ".join(notes))


def _unit(history: History) -> str:
    return safe_text(history.unit or "an unknown unit", limit=40)
