"""The first row: the six panes, and what the run in view is doing."""

from collections.abc import Sequence

from rich.cells import cell_len
from textual import events
from textual.message import Message

from rnn_tui.tui.widgets.lines import Line, Lines, Span


class TabBar(Lines):
    """One row of numbered names; a click on one posts `Chosen`."""

    DEFAULT_CSS = """
    TabBar { height: 1; dock: top; background: $panel; }
    """

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, tabs: Sequence[tuple[str, str, str]]) -> None:
        """Take (id, key, title) of each pane."""
        super().__init__(id="tabs")
        self._tabs = tuple(tabs)
        self._current = ""
        self._status: Line = ()

    def choose(self, name: str) -> None:
        """Mark one tab as the current one."""
        self._current = name
        self._build()

    def set_status(self, status: Line) -> None:
        """Show `status` at the right."""
        self._status = status
        self._build()

    def on_resize(self) -> None:
        self._build()

    def _build(self) -> None:
        spans: list[Span] = []
        for name, key, title in self._tabs:
            spans.append((f" {key} {title} ", "chosen" if name == self._current else "shade"))
        used = sum(cell_len(text) for text, _ in spans)
        wanted = sum(cell_len(text) for text, _ in self._status) + 1
        room = self.size.width - used
        if self._status and wanted <= room:
            spans += [(" " * (room - wanted), "shade"), *self._status, (" ", "shade")]
        else:
            spans.append((" " * max(room, 0), "shade"))
        self.set_lines([tuple(spans)])

    def on_click(self, event: events.Click) -> None:
        at = 0
        for name, key, title in self._tabs:
            at += len(f" {key} {title} ")
            if event.x < at:
                self.post_message(self.Chosen(name))
                return
