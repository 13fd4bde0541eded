"""The most probable next tokens, with their probabilities as bars; one of them can be picked."""

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from rnn_tui.safetext import safe_text
from rnn_tui.tui.keys import bind, named
from rnn_tui.tui.widgets.bars import MUTED, bars, visible

ROWS = 10
"""In view at a time; a digit picks one of these."""


class NextTokens(Widget, can_focus=True):
    """A table of ten rows, or one line where there is no height for it, which unfolds while it has the focus."""

    BINDINGS: ClassVar[list[BindingType]] = named(
        "prompt.next",
        [
            bind("enter", "pick", "Read", "In the table: have the model read the token under the cursor"),
            bind(
                "1",
                "pick(1)",
                "Read",
                "In the table: have the model read the token of this number",
                shown_as="1-9 0",
            ),
            *(Binding(f"{n % 10}", f"pick({n})", show=False) for n in range(2, ROWS + 1)),
            bind("backspace", "unpick", "Unread", "In the table: take the last picked token back"),
            bind("up,k", "move(-1)", "Up", "In the table: the token above"),
            bind("down,j", "move(1)", "Down", "In the table: the token below"),
            bind("home", "move(-1000)", "First", "In the table: the most probable token"),
            bind("end", "move(1000)", "Last", "In the table: the least probable token of the table"),
        ],
    )

    DEFAULT_CSS = """
    NextTokens { height: 11; }
    NextTokens.-line { height: 1; }
    NextTokens.-line:focus { height: 11; }
    """

    class Picked(Message):
        """The model should read this token."""

        def __init__(self, token: int, text: str) -> None:
            super().__init__()
            self.token, self.text = token, text

    class Unpicked(Message):
        """The last picked token should be taken back."""

    def __init__(self, *, line: bool = False, ascii: bool = False, id: str | None = None) -> None:
        super().__init__(id=id, classes="-line" if line else "")
        self._line, self._ascii = line, ascii
        self._rows: Sequence[tuple[int, str, float]] = ()
        self._title = ""
        self._at = 0
        self._top = 0

    @property
    def rows(self) -> Sequence[tuple[int, str, float]]:
        """What is shown, and can be scrolled to."""
        return self._rows

    def show(self, rows: Sequence[tuple[int, str, float]], title: str) -> None:
        """Show (id, text, probability), most probable first; equal content repaints nothing."""
        if (rows, safe_text(title)) != (self._rows, self._title):
            self._rows, self._title = rows, safe_text(title)
            self._at = self._top = 0
            self.refresh()

    def action_move(self, rows: int) -> None:
        at = max(0, min(self._at + rows, len(self._rows) - 1))
        if at != self._at:
            self._at = at
            self._top = min(max(self._top, at - ROWS + 1), at)
            self.refresh()

    def action_pick(self, number: int = 0) -> None:
        at = self._top + number - 1 if number else self._at
        if at < len(self._rows):
            token, text, _ = self._rows[at]
            self.post_message(self.Picked(token, text))

    def action_unpick(self) -> None:
        self.post_message(self.Unpicked())

    def on_click(self, event: events.Click) -> None:
        if not self._as_one_line and event.y >= 1:
            self.action_pick(event.y)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.action_move(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.action_move(3)

    def on_focus(self) -> None:
        self.refresh(layout=self._line)

    def on_blur(self) -> None:
        self.refresh(layout=self._line)

    @property
    def _as_one_line(self) -> bool:
        return self._line and not self.has_focus

    def render(self) -> Content:
        if not self._rows:
            hint = "what may come next stands here after a prompt" if self.has_focus else ""
            return Content.styled(hint, MUTED)
        return self._as_line() if self._as_one_line else self._as_table()

    def _as_line(self) -> Content:
        parts = [Content.styled(f"{self._title}  ", MUTED)]
        room = self.size.width - parts[0].cell_length
        for _, text, share in self._rows:
            part = Content.assemble((f"{visible(text, 8)} ", "bold"), (f"{100 * share:.0f} %   ", MUTED))
            room -= part.cell_length
            if room < -3:  # the blanks at the end may be cut
                break
            parts.append(part)
        return Content("").join(parts)

    def _as_table(self) -> Content:
        seen = self._rows[self._top : self._top + ROWS]
        rows = [(visible(text, 12), share, f"{100 * share:.1f} %") for _, text, share in seen]
        told = "   enter or a digit reads it, \N{ERASE TO THE LEFT} takes it back" if self.has_focus else ""
        told = told.replace("\N{ERASE TO THE LEFT}", "backspace" if self._ascii else "\N{ERASE TO THE LEFT}")
        if cell_len(self._title + told) > self.size.width:
            told = "   1-0 reads it"
        title = Content.styled((self._title + told)[: self.size.width], f"bold {MUTED}")
        lines = bars(rows, self.size.width - 3, ascii=self._ascii).split("\n")
        shown = [title]
        for number, line in enumerate(lines):
            chosen = self.has_focus and self._top + number == self._at
            mark = (">" if self._ascii else "▸") if chosen else " "
            row = Content.styled(f"{mark}{(number + 1) % 10} ", "bold" if chosen else MUTED) + line
            shown.append(row.stylize("bold on $panel") if chosen else row)
        return Content("\n").join(shown)
