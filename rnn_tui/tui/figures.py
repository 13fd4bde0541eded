"""The rows of text of the monitor: what is running, how far, how well. Pure, so that each can be read in a test."""

import math
from typing import TYPE_CHECKING

from rnn_tui.tui import format as f
from rnn_tui.tui.history import History, Track
from rnn_tui.tui.widgets.lines import Line, Span

if TYPE_CHECKING:
    from rnn_tui.runs.status import RunView

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
_WRONG = ("×", "x", "bad")  # crashed, failed, diverged, damaged


def state_span(state: str, *, ascii: bool = False) -> Span:
    """Return mark and name of a state, coloured by how it is."""
    mark, plain, style = _STATES.get(state, _WRONG)
    return f"{plain if ascii else mark} {f.one_line(state, 40)}", style


def value_style(value: float | None, style: str = "plain") -> str:
    """Return `style`, or that of something wrong for NaN and infinity."""
    return "bad" if value is not None and not math.isfinite(value) else style


def head(name: str, view: "RunView", history: History, *, ascii: bool = False) -> Line:
    """Return the first row: which run, its state, and what it is; for a dead one, how to go on."""
    gap: Span = ("  ", "plain")
    spans: list[Span] = [(f.one_line(name, 64), "strong"), gap, state_span(view.state, ascii=ascii), gap]
    if view.state in ("crashed", "stalled", "failed", "diverged", "damaged", "stopped"):
        if view.state in ("crashed", "stopped", "failed"):
            spans.append(("press r to resume  ", "bad" if view.state != "stopped" else "muted"))
        if view.message:
            spans.append((f.one_line(view.message, 300), "bad" if view.state != "stopped" else "muted"))
        return tuple(spans)
    if view.state == "paused" and view.message:  # not because somebody asked for it
        return (*spans, (f.one_line(view.message, 300), "warn"))
    start = history.start
    what = [str(start.get(key)) for key in ("arch", "tokenizer", "corpus") if start.get(key)]
    if (parameters := history.number("parameters", start)) is not None:
        what.append(f"{f.short(parameters)} parameters")
    if start.get("device"):
        threads = history.number("threads", start)
        counted = f" {f.count(threads)} thread{'s' if threads > 1 else ''}" if threads else ""
        what.append(str(start["device"]) + (counted if start["device"] == "cpu" else ""))
    if start.get("engine"):
        what.append(str(start["engine"]))
    spans.append((f.one_line(", ".join(what) or view.message, 300), "muted"))
    return tuple(spans)


def progress(history: History, width: int, *, alive: bool = True, ascii: bool = False) -> Line:
    """Return the second row: a bar, then step, epoch, elapsed and, while it lives, ETA."""
    total, step = history.total, history.step
    facts = [f"step {f.count(step)}" + (f" of {f.count(total)}" if total else "")]
    if (epoch := history.number("epoch", history.point)) is not None:
        facts.append(f"epoch {epoch:.2f}")
    if (elapsed := history.number("elapsed", history.end, history.point)) is not None:
        facts.append(f"elapsed {f.duration(elapsed)}")
    eta = history.number("eta", history.point)
    if eta is not None and alive and not history.end:
        facts.append(f"ETA {f.duration(eta)}")
    text = "  ".join(facts)
    share = history.share
    if share is None:
        return ((text, "plain"),)
    label = f"{100 * share:3.0f} %  "
    done, still = f.bar(share, max(8, width - len(text) - len(label) - 2), ascii=ascii)
    return ((done, "accent"), (still, "open"), (f" {label}", "strong"), (text, "plain"))


Cell = tuple[str, str, str, str, str]
"""Label, value, the value's style, what follows it, and the style of that."""


def _cells(history: History, spark: int, *, ascii: bool) -> list[Cell]:
    """Return the twelve figures in reading order of the wide form; the task names the fourth to the sixth."""
    train = history.loss.last
    held_out = history.validation.last
    clipped = history.number("clipped", history.point)
    norm = history.tracks["grad_norm"]
    best_step, best = history.best or (None, None)

    def bars(track: Track) -> str:
        return f.sparkline(track.values, spark, ascii=ascii) if spark else ""

    at = f"at {f.count(best_step)}" if best_step else ""
    lr, speed = history.tracks["lr"], history.tracks["tokens_per_second"]
    share = "-" if clipped is None or not math.isfinite(clipped) else f"{100 * clipped:.0f} %"
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
        ("grad norm", f.loss(norm.last), value_style(norm.last), bars(norm), "fourth"),
        ("tokens/s", f.short(speed.last), "plain", bars(speed), "fifth"),
        ("clipped", share, "plain", "", "muted"),
        ("checkpoint", f.count(history.checkpoint), "plain", "", "muted"),
        ("tokens", f.short(history.number("tokens", history.point)), "plain", "", "muted"),
    ]


def figures_flat(history: History, width: int, *, ascii: bool = False) -> list[Line]:
    """Return three rows of three figures and a sparkline, for screens below 140 columns."""
    widths = (30, 21, width - 51)
    cells = _cells(history, max(0, min(widths[2] - 20, 40)), ascii=ascii)
    lines: list[Line] = []
    for row in range(3):
        spans: list[Span] = []
        for column in range(3):
            label, value, style, more, more_style = cells[3 * column + row]
            room = widths[column] - 10 - max(8, len(value)) - 2
            tail = f" {more[: max(room, 0)]}" if more else ""
            pad = max(1, widths[column] - 10 - max(8, len(value)) - len(tail))
            spans += [(f"{label:<10}", "muted"), (f"{value:>8}", style), (tail + " " * pad, more_style)]
        lines.append(tuple(spans))
    return lines


def figures_tall(history: History, width: int, *, bars: bool = True, ascii: bool = False) -> list[Line]:
    """Return one figure a row, with baselines and the final evaluation, for the side column of wide screens."""
    cells = _cells(history, max(0, width - 26) if bars else 0, ascii=ascii)
    lines: list[Line] = []
    for index, (label, value, style, more, more_style) in enumerate(cells):
        if index in (3, 6, 9):
            lines.append(())
        if label:
            lines.append(((f"{label:<12}", "muted"), (f"{value:>10}", style), (f"  {more}", more_style)))
    rows = [(name, value, "baseline") for name, value in history.baselines()]
    lines += _block(rows)
    lines += _block(evaluation(history))
    engine = history.start.get("engine_reason")
    if engine:
        lines += [(), (("engine      ", "muted"), (f.one_line(engine, 200), "muted"))]
    return lines


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


_NOTE_STYLES = {
    "warning": "warn", "error": "bad", "divergence": "bad", "rollback": "warn", "end": "strong", "command": "accent",
}  # fmt: skip


def notes(
    history: History, view: "RunView", rows: int, *, bad_lines: int = 0, final: bool = False
) -> list[Line]:
    """Return the newest notes, oldest first, and last what is wrong with the run now; at most `rows`.

    With `final` the evaluation of a run that is complete is among them.
    """
    lines: list[Line] = [
        ((f"{f.count(note.step):>9}  ", "muted"), (note.text, _NOTE_STYLES.get(note.kind, "muted")))
        for note in history.notes
    ]
    if bad_lines:
        lines.append(((f"{bad_lines} damaged lines in events.jsonl were left out", "warn"),))
    figures = evaluation(history) if final else []
    if figures:
        told = ", ".join(f"{name} {f.loss(value)}" for name, value, _ in figures)
        lines.append((("evaluation ", "muted"), (f"{told} {f.one_line(history.unit, 40)}", "plain")))
    if view.state in ("crashed", "stalled", "damaged") and view.message:
        lines.append(((f.one_line(view.message, 300), "bad"),))
    return lines[-rows:] if rows > 0 else []


def rule(title: str, *, ascii: bool = False) -> Line:
    """Return a heading with a line to the right edge, where `Lines` cuts it."""
    return ((f"{f.one_line(title, 80)} ", "muted"), (("-" if ascii else "─") * 400, "open"))


def tab_status(name: str, view: "RunView", history: History, *, ascii: bool = False) -> Line:
    """Return what the tab bar says of the run in view."""
    text, style = state_span(view.state, ascii=ascii)
    share = history.share
    known = f" {100 * share:.0f} %" if share is not None and view.alive else ""
    return ((f"{f.one_line(name, 24)} ", "shade"), (text + known, style))
