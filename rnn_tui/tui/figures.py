"""The figures of a run in rows of text. Pure, so that each can be read in a test."""

import math

from rnn_tui.tui import format as f
from rnn_tui.tui.history import History
from rnn_tui.tui.machine import Load
from rnn_tui.tui.machine_view import load_flat, load_tall
from rnn_tui.tui.track import Track
from rnn_tui.tui.widgets.lines import Line, Span
from rnn_tui.tui.widgets.tail_text import wrap

# State → mark, its ASCII form, style.
_STATES = {
    "running": ("●", "*", "good"),
    "starting": ("○", "o", "accent"),
    "created": ("○", "o", "muted"),
    "paused": ("‖", "=", "warn"),
    "stopping": ("●", "*", "warn"),
    "finished": ("✓", "+", "good"),
    "stopped": ("■", "#", "muted"),
    "stalled": ("?", "?", "warn"),
}
_REASON_ROWS = 2
_WRONG = ("×", "x", "bad")  # crashed, failed, diverged, damaged


def state_span(state: str, *, ascii: bool = False) -> Span:
    """Return mark and name of a state, coloured by how it is."""
    mark, plain, style = _STATES.get(state, _WRONG)
    return f"{plain if ascii else mark} {f.one_line(state, 40)}", style


def value_style(value: float | None, style: str = "plain") -> str:
    """Return `style`, or that of something wrong for NaN and infinity."""
    return "bad" if value is not None and not math.isfinite(value) else style


Cell = tuple[str, str, str, str, str]
"""Label, value, the value's style, what follows it, and the style of that."""


def _cells(history: History, spark: int, *, tall: bool, ascii: bool) -> list[Cell]:
    """Return the twelve figures in reading order of the tall form; the task names the fourth to the sixth.

    Args:
        spark: Cells for a sparkline; 0: none.
    """
    train = history.loss.last
    held_out = history.validation.last
    clipped = history.number("clipped", history.point)
    norm = history.tracks["grad_norm"]
    best_step, best = history.best or (None, None)

    def bars(track: Track, room: int = spark) -> str:
        return f.sparkline(track.values, room, ascii=ascii) if room > 0 else ""

    at = f"at {f.count(best_step)}" if best_step else ""
    if tall and best_step in history.checkpoints:
        at += f", {f.one_line(history.checkpoints[best_step], 24)}"
    lr, speed = history.tracks["lr"], history.tracks["tokens_per_second"]
    share = "-" if clipped is None or not math.isfinite(clipped) else f"{100 * clipped:.0f} %"
    # short screens have no row for it
    cut = "" if tall or share == "-" else f"clip {share.replace(' ', '')}"
    measures: list[Cell] = [
        (f.one_line(name, 10), f.loss(value), value_style(value), "", "muted")
        for name, value in history.measures()[:3]
    ]
    return [
        ("train", f.loss(train), value_style(train, "first"), "", "muted"),
        ("validation", f.loss(held_out), value_style(held_out, "second"), "", "muted"),
        ("best", f.loss(best), "good" if best is not None else "plain", at, "muted"),
        *measures,
        *[("", "", "plain", "", "muted")] * (3 - len(measures)),
        ("lr", f.rate(lr.last), "plain", bars(lr), "third"),
        (
            "grad norm",
            f.loss(norm.last),
            value_style(norm.last),
            f"{cut} {bars(norm, spark - len(cut) - 1)}".strip(),
            "fourth",
        ),
        (f"{history.counted}/s", f.coarse(speed.last), "plain", bars(speed), "fifth"),
        ("clipped", share, "plain", "", "muted"),
        ("checkpoint", f.count(history.checkpoint), "plain", "", "muted"),
        (history.counted, f.short(history.number("tokens", history.point)), "plain", "", "muted"),
    ]


def figures_flat(
    history: History, width: int, load: Load | None = None, *, ascii: bool = False
) -> list[Line]:
    """Return three rows of three figures and a sparkline, and where it is known one of the machine's load."""
    widths = (30, 20, width - 50)
    cells = _cells(history, max(0, min(widths[2] - 19, 40)), tall=False, ascii=ascii)
    lines: list[Line] = []
    for row in range(3):
        spans: list[Span] = []
        for column in range(3):
            label, value, style, more, more_style = cells[3 * column + row]
            room = widths[column] - 10 - max(8, len(value)) - (1 if column == 2 else 2)
            tail = f" {more[: max(room, 0)]}" if more else ""
            pad = max(0 if column == 2 else 1, widths[column] - 10 - max(8, len(value)) - len(tail))
            spans += [(f"{label:<10}", "muted"), (f"{value:>8}", style), (tail + " " * pad, more_style)]
        lines.append(tuple(spans))
    return [*lines, *load_flat(load, width, ascii=ascii)]


def figures_tall(
    history: History, width: int, load: Load | None = None, *, bars: bool = True, ascii: bool = False
) -> list[Line]:
    """Return one figure a row, for the side column of wide screens.

    Below them the load of the machine, the final evaluation, the rung and the baselines; low screens cut that.
    """
    cells = _cells(history, max(0, width - 26) if bars else 0, tall=True, ascii=ascii)
    lines: list[Line] = []
    for index, (label, value, style, more, more_style) in enumerate(cells):
        if index in (3, 6, 9):
            lines.append(())
        if label:
            lines.append(((f"{label:<12}", "muted"), (f"{value:>10}", style), (f"  {more}", more_style)))
    machine = load_tall(load, ascii=ascii)
    lines += [(), *machine] if machine else []
    lines += _block(evaluation(history))
    lines += _engine(history, width)
    lines += _block([(name, value, "baseline") for name, value in history.baselines()])
    return lines


def _engine(history: History, width: int) -> list[Line]:
    start = history.start
    rung = f.one_line(start.get("engine") or "", 20)
    if not rung:
        return []
    threads = history.number("threads", start)
    how = f"{rung}{f', {threads_of(threads)}' if threads and start.get('device') == 'cpu' else ''}"
    lines: list[Line] = [(), (("engine      ", "muted"), (how, "plain"))]
    reason = f.one_line(start.get("engine_reason") or "", 200)
    room = max(10, width - 12)
    rows = wrap(reason, room) if reason else []
    told = [reason[begin:end] for begin, end in rows[:_REASON_ROWS]]
    if len(rows) > _REASON_ROWS:
        told[-1] = f.one_line(reason[rows[_REASON_ROWS - 1][0] :], room)
    return [*lines, *(((" " * 12, "muted"), (text, "muted")) for text in told)]


def threads_of(count: float) -> str:
    """Return 1 thread, 4 threads."""
    return f"{f.count(count)} thread{'' if count == 1 else 's'}"


def _block(rows: list[tuple[str, float, str]]) -> list[Line]:
    lines: list[Line] = [
        (
            (f"{f.one_line(name, 11):<12}", "muted"),
            (f"{f.loss(value):>10}", value_style(value)),
            (f"  {what}", "muted"),
        )
        for name, value, what in rows
    ]
    return [(), *lines] if lines else []


def evaluation(history: History) -> list[tuple[str, float, str]]:
    """Return name, loss and meaning of what was measured of a run that is complete."""

    def found(name: str) -> float | None:
        part = history.evaluation.get(name)
        return (
            history.number("loss", part)
            if isinstance(part, dict)
            else history.number(name, history.evaluation)
        )

    window = history.number("window", history.evaluation)
    told = {
        "warm": f"{f.one_line(history.evaluation.get('split', ''), 10)}, carried",
        "cold": f"fresh windows of {f.count(window)}",
        "train_loss": "training, carried",
        "gap": "warm above train",
    }
    values = [(name.removesuffix("_loss"), found(name), what) for name, what in told.items()]
    return [(name, value, what) for name, value, what in values if value is not None]


def memorised(history: History) -> Line | None:
    """Return the row that says that the model knows its training text by heart; None where it does not."""
    bits, share = history.memorised()
    if bits is None and share is None:
        return None
    told = []
    if bits is not None:
        told.append(f"{bits:.2f} bits per character in training")
    if share is not None:
        told.append(f"{100 * share:.0f} % of a sample copied")
    return ((f"memorised: {', '.join(told)}", "warn"),)
