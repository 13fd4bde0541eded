"""A table of any number of rows, of which only those in view are ever made: 400,000 scroll like 40."""

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from rnn_tui.safetext import safe_text
from rnn_tui.tui.widgets.lines import Line, paint


class RowTable(ScrollView, can_focus=True):
    """Rows made on demand below a heading that stays, with a cursor."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "rows--plain", "rows--muted", "rows--strong", "rows--bar", "rows--cursor",
    }  # fmt: skip
    DEFAULT_CSS = """
    RowTable { height: 1fr; overflow-x: hidden; }
    .rows--plain { color: $foreground; }
    .rows--muted { color: $foreground 60%; }
    .rows--strong { color: $foreground; text-style: bold; }
    .rows--bar { color: $chart-1; }
    RowTable > .rows--cursor { color: $foreground; background: $panel; text-style: bold; }
    RowTable:focus > .rows--cursor { color: $background; background: $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "move(-1000000000)", "First", show=False),
        Binding("end,G", "move(1000000000)", "Last", show=False),
        Binding("enter", "choose", "Choose", show=False),
    ]

    class Chosen(Message):
        """The row `index` was chosen, by enter or a click."""

        def __init__(self, table: "RowTable", index: int) -> None:
            super().__init__()
            self.table, self.index = table, index

        @property
        def control(self) -> "RowTable":
            return self.table

    def __init__(self, nothing: str = "", *, id: str | None = None) -> None:
        """Make an empty table, which says `nothing`."""
        super().__init__(id=id)
        self.count = self.cursor = 0
        self._heading: Line = ()
        self._row: Callable[[int, int], Line] = lambda index, width: ()
        self._nothing = nothing

    def show(
        self, count: int, row: Callable[[int, int], Line], heading: Line, nothing: str | None = None
    ) -> None:
        """Show `count` rows; `row` is asked for an index and the width, and gives text that is safe."""
        self.count, self._row, self._heading = count, row, heading
        self._nothing = self._nothing if nothing is None else nothing
        self.cursor = 0
        self.virtual_size = Size(self.size.width, count + 1)
        self.scroll_to(y=0, animate=False)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        if y == 0:
            return self._strip(self._heading, width)
        index = self.scroll_offset.y + y - 1
        if not self.count and y == 1:
            return self._strip(((safe_text(self._nothing), "muted"),), width)
        if index >= self.count:
            return Strip.blank(width, self.rich_style)
        line = self._row(index, width)
        if index == self.cursor:  # all but the bar, whose length could not be seen on it
            line = tuple((text, style if style == "bar" else "cursor") for text, style in line)
        return self._strip(line, width)

    def _strip(self, line: Line, width: int) -> Strip:
        spans = [paint(text, self.get_component_rich_style(f"rows--{style}")) for text, style in line if text]
        return Strip(spans).adjust_cell_length(width, self.rich_style)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self.refresh()

    def action_move(self, by: int) -> None:
        """Move the cursor, and the view with it."""
        self._go(self.cursor + by)

    def action_page(self, direction: int) -> None:
        self._go(self.cursor + direction * max(1, self.size.height - 2))

    def action_choose(self) -> None:
        if self.count:
            self.post_message(self.Chosen(self, self.cursor))

    def _go(self, index: int) -> None:
        before, self.cursor = self.cursor, min(max(index, 0), max(0, self.count - 1))
        top, height = self.scroll_offset.y, max(1, self.size.height - 1)
        if not top <= self.cursor < top + height:
            self.scroll_to(y=self.cursor if self.cursor < top else self.cursor - height + 1, animate=False)
        else:
            rows = {before - top + 1, self.cursor - top + 1}
            self.refresh(*(Region(0, row, self.size.width, 1) for row in rows))

    def on_click(self, event: events.Click) -> None:
        index = self.scroll_offset.y + event.y - 1
        if event.y and 0 <= index < self.count:
            if index == self.cursor:
                self.action_choose()
            self._go(index)
