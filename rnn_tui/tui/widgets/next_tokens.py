"""The most probable next tokens, with their probabilities as bars."""

from collections.abc import Sequence

from textual.content import Content
from textual.widget import Widget

from rnn_tui.safetext import safe_text
from rnn_tui.tui.widgets.bars import MUTED, bars, visible


class NextTokens(Widget):
    """A table of ten rows, or one line where there is no height for it."""

    DEFAULT_CSS = """
    NextTokens { height: 11; }
    NextTokens.-line { height: 1; }
    """

    def __init__(self, *, line: bool = False, ascii: bool = False, id: str | None = None) -> None:
        super().__init__(id=id, classes="-line" if line else "")
        self._line, self._ascii = line, ascii
        self._rows: Sequence[tuple[int, str, float]] = ()
        self._title = ""

    @property
    def rows(self) -> Sequence[tuple[int, str, float]]:
        """What is shown."""
        return self._rows

    def show(self, rows: Sequence[tuple[int, str, float]], title: str) -> None:
        """Show (id, text, probability), most probable first; equal content repaints nothing."""
        if (rows, safe_text(title)) != (self._rows, self._title):
            self._rows, self._title = rows, safe_text(title)
            self.refresh()

    def render(self) -> Content:
        if not self._rows:
            return Content("")
        return self._as_line() if self._line else self._as_table()

    def _as_line(self) -> Content:
        parts = [Content.styled(f"{self._title}  ", MUTED)]
        room = self.size.width - parts[0].cell_length
        for _, text, share in self._rows:
            part = Content.assemble((f"{visible(text, 8)} ", "bold"), (f"{share:.0%}   ", MUTED))
            room -= part.cell_length
            if room < -3:  # the blanks at the end may be cut
                break
            parts.append(part)
        return Content("").join(parts)

    def _as_table(self) -> Content:
        rows = [(visible(text, 12), share, f"{share:.1%}") for _, text, share in self._rows[:10]]
        title = Content.styled(f"{self._title}\n", f"bold {MUTED}")
        return title + bars(rows, self.size.width, ascii=self._ascii)
