"""One line of narration for a pane, red when something is wrong; three rows at most where it does not fit."""

from rich.cells import cell_len
from textual import events

from rnn_tui.safetext import safe_text
from rnn_tui.tui.widgets.lines import Line, Lines
from rnn_tui.tui.widgets.tail_text import wrap

MAX_ROWS = 3


def rows_of(text: str, width: int) -> list[str]:
    """Wrap `text` to `width` cells; three spaces part hints such as `esc leaves`, between which it breaks first."""
    rows: list[str] = []
    for hint in text.split("   "):
        if rows and cell_len(rows[-1]) + 3 + cell_len(hint) <= width:
            rows[-1] += "   " + hint
        else:
            rows += [hint[start:end].rstrip() for start, end in wrap(hint, width)]
    return rows


class StatusLine(Lines):
    """Says what is going on at the left, and something steady at the right where there is room."""

    DEFAULT_CSS = """
    StatusLine { height: auto; min-height: 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._said = ("", False, "")

    def say(self, text: str, bad: bool = False, right: str = "") -> None:
        """Show `text`, which may hold anything."""
        self._said = (text, bad, right)
        left = safe_text(text, limit=500)
        style, width = "bad" if bad else "muted", max(20, self.size.width)
        gap = width - cell_len(left) - cell_len(right)
        if right and gap >= 3:
            lines: list[Line] = [((left, style), (" " * gap, "muted"), (right, "muted"))]
        else:
            lines = [((row, style),) for row in rows_of(left, width)[:MAX_ROWS]]
        self.set_lines(lines)

    def on_resize(self, event: events.Resize) -> None:
        self.say(*self._said)
