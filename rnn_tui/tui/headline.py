"""The first rows of the monitor: which run, its state and what to do about it, how far. Pure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len

from rnn_tui.tui import format as f
from rnn_tui.tui.figures import state_span, threads_of
from rnn_tui.tui.history import History
from rnn_tui.tui.widgets.lines import Line, Span
from rnn_tui.tui.widgets.tail_text import wrap

if TYPE_CHECKING:
    from rnn_tui.runs.status import RunView

RESUMABLE = ("crashed", "stopped", "failed", "diverged", "created")
"""States that `r` goes on from."""
MESSAGE_ROWS = 3
_GAP: Span = ("  ", "plain")
_SHORTEST_NAME = 12
_WRONG = ("crashed", "failed", "diverged", "damaged", "stalled")


def head(name: str, view: "RunView", history: History, width: int, *, ascii: bool = False) -> Line:
    """Return the first row: which run, its state, and what it is or, where it does not train, what to do.

    What it is gives way in this order where the row is too narrow: tokenizer, corpus, parameters, architecture, device
    with threads. The rung that it computes on stays, then the name is cut.
    """
    state, style = state_span(view.state, ascii=ascii)
    facts, style_of_facts = _facts(view, history)
    shown = f.one_line(name, 64)

    def room(parts: Sequence[tuple[int, str]]) -> int:
        return width - cell_len(state) - 4 - cell_len(", ".join(text for _, text in parts))

    while len(facts) > 1 and room(facts) < cell_len(shown):
        facts.remove(min(facts))
    if (left := max(room(facts), _SHORTEST_NAME)) < len(shown):
        shown = f"{shown[: left - 1]}{'~' if ascii else '…'}"
    text = ", ".join(text for _, text in facts)
    return ((shown, "strong"), _GAP, (state, style), *((_GAP, (text, style_of_facts)) if text else ()))


def _facts(view: "RunView", history: History) -> tuple[list[tuple[int, str]], str]:
    """Return what stands beside the state, each with how long it stays where there is no room, and its style."""
    if view.state == "created":
        return [(1, "press r to start it")], "muted"
    if view.state in RESUMABLE:
        return [(1, "press r to resume, R with other settings")], (
            "muted" if view.state == "stopped" else "bad"
        )
    if view.state == "stalled":
        return [(1, "press s to ask it to stop")], "bad"
    if view.state == "damaged":
        return [], "bad"
    if view.state == "paused" and not view.message:
        by = {"app": "from the app", "cli": "by a command"}.get(history.asked_by.get("pause", ""), "")
        return [(2, "press p to go on"), *([(1, f"paused {by}")] if by else [])], "warn"
    if view.state in ("starting", "stopping") and view.message:
        return [(1, f.one_line(view.message, 200))], "muted"
    start = history.start
    parameters = history.number("parameters", start)
    threads = history.number("threads", start)
    device = f.one_line(start.get("device") or "", 20)
    if device == "cpu" and threads:
        device += f" {threads_of(threads)}"
    facts = [
        (4, f.one_line(start.get("arch") or "", 40)),
        (3, f"{f.short(parameters)} parameters" if parameters is not None else ""),
        (1, f.one_line(start.get("tokenizer") or "", 40)),
        (2, f.one_line(start.get("corpus") or "", 60)),
        (5, device),
        (6, f.one_line(start.get("engine") or "", 20)),
    ]
    return [(rank, text) for rank, text in facts if text], "muted"


def messages(view: "RunView", width: int) -> list[Line]:
    """Return what is wrong, or what a run waits for, in full: at most `MESSAGE_ROWS` rows."""
    if not view.message or (view.state not in _WRONG and view.state != "paused"):
        return []
    text, style = f.one_line(view.message, 600), "warn" if view.state == "paused" else "bad"
    rows = wrap(text, max(20, width))
    return [((text[start:end], style),) for start, end in rows[:MESSAGE_ROWS]]


def nothing_yet(view: "RunView") -> str:
    """Return what the chart says while it has no points; safe to show."""
    if view.state in ("starting", "running") and view.alive:
        return f.one_line(view.message, 60) or "the first points are being computed"
    if view.state == "created":
        return "this run was never started"
    if view.alive or view.state in ("starting", "finished", "stopped"):
        return "no points yet"
    return "it ended before the first point; v shows what it said"


def progress(history: History, width: int, *, alive: bool = True, ascii: bool = False) -> Line:
    """Return the second row: a bar, then step, epoch, elapsed and, while it lives, ETA; of a complete run what next."""
    total, step = history.total, history.step
    facts = [f"step {f.count(step)}" + (f" of {f.count(total)}" if total and total > step else "")]
    if (epoch := history.number("epoch", history.point)) is not None:
        facts.append(f"epoch {epoch:.2f}")
    if (elapsed := history.number("elapsed", history.end, history.point)) is not None:
        facts.append(f"elapsed {f.duration(elapsed)}")
    eta = history.number("eta", history.point)
    if eta is not None and alive and not history.end:
        facts.append(f"ETA {f.about(eta)}")
    text = "  ".join(facts)
    if not alive and history.complete:
        return ((text, "plain"), *_next(width - cell_len(text), series=history.counted == "rows"))
    share = history.share
    if share is None:
        return ((text, "plain"),)
    label = f"{100 * share:3.0f} %  "
    done, still = f.bar(share, max(8, width - len(text) - len(label) - 2), ascii=ascii)
    return ((done, "accent"), (still, "open"), (f" {label}", "strong"), (text, "plain"))


def _next(room: int, *, series: bool) -> list[Span]:
    """Return what can be done with a complete run, as much of it as fits."""
    steps = [] if series else [("enter", "prompts it"), ("i", "inspects it")]
    found: list[Span] = []
    for key, what in [*steps, ("R", "trains on"), ("e", "exports it")]:
        room -= len(key) + len(what) + 4
        if room >= 0:
            found += [("   ", "plain"), (key, "accent"), (f" {what}", "muted")]
    return found


def tab_status(name: str, view: "RunView", history: History, *, ascii: bool = False) -> Line:
    """Return what the tab bar says of the run in view."""
    text, style = state_span(view.state, ascii=ascii)
    share = history.share
    known = f" {100 * share:.0f} %" if share is not None and view.alive else ""
    return ((f"{f.one_line(name, 24)} ", "shade"), (text + known, style))
