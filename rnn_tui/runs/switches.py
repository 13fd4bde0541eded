"""The events `engine` and `threads`: from their step on a run computes in another way, or on other threads.

In both: `id`, `from`, `to`, `reason`, and `before` and `after`, the seconds of a step; in `engine` also the `threads`
in force with it. A resumed run writes those again that it makes again.
"""

import math
from collections.abc import Mapping
from typing import Any

from rnn_tui.runs.eventline import Event, number

SWITCHES = frozenset({"engine", "threads"})


def in_force(start: Mapping[str, Any], event: Event) -> dict[str, Any]:
    """Return the data of a `start` or `resume` as they are after a switch."""
    data = event.data
    if event.kind == "threads":
        return {**start, "threads": data.get("to")}
    return {
        **start,
        "engine": data.get("to"),
        "engine_reason": data.get("reason"),
        "threads": data.get("threads"),
    }


def switch_line(event: Event) -> str:
    """Say in one line what was switched; not yet safe to show."""
    data = event.data
    what = f"{data.get('to')} in place of {data.get('from')}"
    if event.kind == "threads":
        what = f"threads: {what}"
    elif data.get("threads"):
        what += f", threads: {data['threads']}"
    before, after = (1e3 * number(data.get(key)) for key in ("before", "after"))
    if math.isfinite(before) and math.isfinite(after):
        what += f", {after:.1f} ms a step instead of {before:.1f}"
    return f"{what}; {data.get('reason')}"
