"""What was said of a run, as rows of text: notes of the worker, commands to it, its output. Pure."""

from collections.abc import Iterable

from rnn_tui.safetext import safe_text
from rnn_tui.tui import format as f
from rnn_tui.tui.figures import evaluation
from rnn_tui.tui.history import History, Note
from rnn_tui.tui.widgets.lines import Line
from rnn_tui.tui.widgets.tail_text import wrap

_STYLES = {
    "warning": "warn", "error": "bad", "divergence": "bad", "rollback": "warn", "end": "strong", "command": "accent",
}  # fmt: skip
LOG_ROWS = 2000
"""Rows of worker.log that can be scrolled through."""
_MARGIN = 11
"""Cells that the step before a note takes."""


def notes(
    history: History, rows: int, width: int = 400, *, bad_lines: int = 0, final: bool = False
) -> list[Line]:
    """Return the newest notes, oldest first, and last what is wrong with the log itself; at most `rows`.

    A note that is longer than `width` cells ends in an ellipsis. With `final` the evaluation of a run that is complete
    is among them.
    """
    lines = [_note(note, max(20, width - _MARGIN)) for note in history.notes]
    if bad_lines:
        lines.append(((f"{bad_lines} damaged lines in events.jsonl were left out", "warn"),))
    figures = evaluation(history) if final else []
    if figures:
        told = ", ".join(f"{name} {f.loss(value)}" for name, value, _ in figures)
        lines.append((("evaluation ", "muted"), (f"{told} {f.one_line(history.unit, 40)}", "plain")))
    return lines[-rows:] if rows > 0 else []


def _note(note: Note, room: int | None = None) -> Line:
    text = note.text if room is None else f.one_line(note.text, room)
    return ((f"{f.count(note.step):>9}  ", "muted"), (text, _STYLES.get(note.kind, "muted")))


def all_notes(found: Iterable[Note], width: int) -> list[Line]:
    """Return every note in full, wrapped to `width`."""
    lines: list[Line] = []
    for note in found:
        step, (text, style) = _note(note)
        for number, (start, end) in enumerate(wrap(text, max(20, width - _MARGIN))):
            lines.append((step if number == 0 else (" " * _MARGIN, "muted"), (text[start:end], style)))
    return lines


def log_lines(log: str, width: int) -> list[Line]:
    """Return the rows of a worker's output, wrapped to `width`, the newest last."""
    lines: list[Line] = []
    for written in log.rstrip("\n").split("\n")[-LOG_ROWS:] if log.strip() else ():
        text = safe_text(written.expandtabs(4), limit=2000)
        style = "bad" if text.startswith("rnn-tui: error") else "plain"
        lines += [((text[start:end], style),) for start, end in wrap(text, max(20, width))]
    return lines[-LOG_ROWS:]


def rule(title: str, *, ascii: bool = False) -> Line:
    """Return a heading with a line to the right edge, where `Lines` cuts it."""
    return ((f"{f.one_line(title, 80)} ", "muted"), (("-" if ascii else "─") * 400, "open"))
