"""The losses of several runs on one pair of axes, as far as they can be compared. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from rnn_tui.safetext import safe_text
from rnn_tui.tui.history import History
from rnn_tui.tui.widgets.chart import Series

BITS = "bits per character"


@dataclass(frozen=True)
class Overlay:
    """What is drawn, and what is said of it."""

    title: str
    series: list[Series]
    note: str = ""
    """Which runs are left out, and why."""


def overlay(histories: Sequence[History]) -> Overlay:
    """Return the validation losses, or where a run has none those of training, in the unit of the first run.

    Nats per token mean something else for each tokenizer: runs that differ there are compared in bits per character.
    Runs whose loss is of another kind are left out, and named by their number.
    """
    unit = histories[0].unit if histories else ""
    alike = [history.unit == unit for history in histories]
    chosen = [history for history, same in zip(histories, alike, strict=True) if same]
    ratios = [history.number("chars_per_token", history.start) for history in chosen]
    in_bits = len(set(ratios)) > 1 and all(ratios) and all(history.in_tokens for history in chosen)
    series = []
    for number, history in enumerate(histories):
        if alike[number]:
            track = history.validation if len(history.validation) else history.loss
            per_character = history.per_character(1.0) if in_bits else None
            values = (
                track.values if per_character is None else [value * per_character for value in track.values]
            )
            series.append(Series(f"{number + 1}", track.steps, values, number))
    shown = BITS if in_bits else safe_text(unit, limit=40)
    others = [
        f"{n} in {_unit(h)}" for n, (h, same) in enumerate(zip(histories, alike, strict=True), 1) if not same
    ]
    note = (
        f"Not in the chart, because their losses are of another kind: {', '.join(others)}." if others else ""
    )
    return Overlay(f"validation loss, {shown}" if shown else "validation loss", series, note)


def _unit(history: History) -> str:
    return safe_text(history.unit or "an unknown unit", limit=40)
