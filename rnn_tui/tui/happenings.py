"""What happened to a run at a step that its curve should tell: changes, checkpoints, ways back. From events; pure."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rnn_tui.tui import format as f

if TYPE_CHECKING:
    from rnn_tui.runs.events import Event

Kind = Literal["checkpoint", "rate", "switch", "resume", "back", "trouble", "end"]


@dataclass(frozen=True)
class Happening:
    """Something at a step.

    Attributes:
        kind: a checkpoint was written; the learning rate was set by hand; rung or threads were switched; the run was
            resumed; it went back; its loss was not finite or exploded; it ended.
        label: a few words; safe to show.
    """

    step: int
    kind: Kind
    label: str


def happening(event: "Event") -> Happening | None:
    """Return what an event says that a chart marks; None for most."""
    from rnn_tui.runs.events import number

    data, step = event.data, event.step
    match event.kind:
        case "checkpoint" if data.get("reason") != "start":
            return Happening(step, "checkpoint", f"checkpoint ({f.one_line(data.get('reason'), 20)})")
        case "command" if data.get("command") == "set":
            given = data.get("args")
            rate = number(given.get("lr")) if isinstance(given, dict) else math.nan
            return Happening(step, "rate", f"learning rate set to {f.rate(rate)}")
        case "engine" | "threads":
            what = "" if event.kind == "engine" else " threads"
            return Happening(step, "switch", f"{f.one_line(data.get('to'), 20)}{what}")
        case "resume":
            place = number(data.get("from_step", step))
            return Happening(int(place) if math.isfinite(place) else step, "resume", "resumed")
        case "rollback":
            to, rate = number(data.get("to_step", step)), number(data.get("lr"))
            told = f", learning rate {f.rate(rate)}" if math.isfinite(rate) else ""
            return Happening(
                int(to) if math.isfinite(to) else step, "back", f"went back from {f.count(step)}{told}"
            )
        case "divergence":
            what = "exploding loss" if data.get("what") == "exploding" else "loss not finite"
            return Happening(step, "trouble", what)
        case "end":
            return Happening(step, "end", f.one_line(data.get("reason", "ended"), 20))
    return None


def after_going_back(happened: list[Happening], step: int, *, resumed: bool) -> list[Happening]:
    """Return what still counts when a run goes on from `step`.

    A resumed run sets the rate again where it was set before, and journals nothing then; a rollback does not.
    """
    return [
        one
        for one in happened
        if (one.step <= step and one.kind != "end") or (resumed and one.kind == "rate")
    ]
