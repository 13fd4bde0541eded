"""A view of streaming text that repaints no more than what changed.

Textual's own logs change their virtual size on each write, which lays out and repaints the whole screen. This one
keeps its own offset and draws by `render_line`: an append repaints the cells that are new, and when the bottom is
reached the view moves up by as many rows as the next half second will need, not by one row at a time. Writes are
gathered and shown at most twenty times a second; without writes nothing runs.
"""

from collections.abc import Iterable
from time import monotonic
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import RenderResult
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.selection import Selection
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from rnn_tui.tui.widgets.lines import paint
from rnn_tui.tui.widgets.tail_text import LEVELS, Row, Span, Tag, TailText

FLUSH_SECONDS = 0.05
ROOM_SECONDS = 0.5
"""How much streaming the rows left free after a move should hold."""


class TailView(Widget, can_focus=True):
    """Append-only text with a style per span, scrollback and follow mode. Text from anywhere may be written."""

    ALLOW_SELECT = True
    DEFAULT_CSS = """
    TailView {
        height: 1fr;
        padding: 0 1;
        & > .tail--prompt { color: $accent; text-style: bold; }
        & > .tail--generated { color: $foreground; }
        & > .tail--copied { color: $text-warning; }
        & > .tail--note { color: $foreground 60%; }
        & > .tail--error { color: $text-error; text-style: bold; }
        & > .tail--more { color: $foreground; background: $primary-muted; }
        & > .tail--key { color: $background; background: $accent; text-style: bold; }
        & > .tail--unknown { color: $background; background: $primary; }
        & > .tail--level-0 { color: $foreground 45%; }
        & > .tail--level-1 { color: $foreground 75%; }
        & > .tail--level-2 { color: $foreground; }
        & > .tail--level-3 { color: $warning; }
        & > .tail--level-4 { color: $error; text-style: bold; }
        & > .tail--level-5 { color: $background; background: $error; text-style: bold; }
        &:ansi > .tail--level-0 { text-style: dim; }
        &:nocolor {
            & > .tail--level-0 { text-style: dim; }
            & > .tail--level-3 { text-style: bold; }
            & > .tail--level-4 { text-style: reverse; }
        }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(
            f"tail--{kind}"
            for kind in ("prompt", "generated", "copied", "note", "error", "more", "unknown", "key")
        ),
        *(f"tail--level-{level}" for level in range(6)),
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_by(-1)", "Up", show=False),
        Binding("down,j", "scroll_by(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "top", "First line", show=False),
        Binding("end,G", "follow", "Follow", show=False),
    ]

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.text = TailText()
        self.colours = ""
        self._top = 0
        self._following = True
        self._pending: list[Span] = []
        self._timer: Timer | None = None
        self._styles: dict[Tag | str, Style] = {}
        self._grown: list[tuple[float, int]] = []

    # Writing

    def write(
        self,
        text: str,
        kind: str = "generated",
        surprise: float | None = None,
        entropy: float | None = None,
        rank: int | None = None,
    ) -> None:
        """Add `text` in the style of `kind`; what was measured colours it while `show_colours` asks for that."""
        self._pending.append(Span(text, kind, surprise, entropy, rank))
        if self._timer is None and self.is_mounted:
            self._timer = self.set_timer(FLUSH_SECONDS, self.flush)

    def write_all(self, pieces: Iterable[Span | tuple[str, str, float | None]]) -> None:
        """Replace everything by `pieces`, of which a plain tuple is (text, kind, surprise), at once."""
        self.clear()
        for piece in pieces:
            self.write(*piece)
        self.flush()

    def restyle(self, pieces: Iterable[Span | tuple[str, str, float | None]]) -> None:
        """Replace everything by the same text in other styles: what is in view stays there."""
        self.flush()
        top, following = self._top, self._following
        self.write_all(pieces)
        self._following = following
        self._top = min(top, max(0, len(self.text.rows) - 1))

    def clear(self) -> None:
        """Forget the text and what was still to be shown."""
        self._pending.clear()
        self.text.clear()
        self._top, self._following = 0, True
        self.refresh()

    def show_colours(self, measure: str) -> None:
        """Colour spans by a measure of `LEVELS`, or by their kind if it is the empty string."""
        self.colours = measure
        self._styles.clear()
        self.refresh()

    def flush(self) -> None:
        """Show what was written since the last flush."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if not self._pending:
            return
        before, dropped_all = len(self.text.rows), 0
        first: tuple[int, int] | None = None
        for text, tag in self._merged():
            change = self.text.append(text, tag)
            dropped_all += change.dropped
            row, column = first or (change.row + change.dropped, change.column)
            first = (max(0, row - change.dropped), column)
        assert first is not None
        self._top = max(0, self._top - dropped_all)
        height = self.size.height
        added = len(self.text.rows) + dropped_all - before
        if self._following and len(self.text.rows) - self._top > height:
            self._top = min(self._last_top() + self._room(added), len(self.text.rows) - 1)
            self._refresh_rows(0, height)
        elif dropped_all:
            self._refresh_rows(0, height)
        else:
            self._grown.append((monotonic(), added))
            row, column = first[0] - self._top, first[1]
            self._refresh_rows(row, 1, column)
            self._refresh_rows(row + 1, max(added, 1))
            if not self._following:
                self._refresh_rows(height - 1, 1)

    def _merged(self) -> list[tuple[str, Tag]]:
        """Return the pending writes, neighbours with one tag as one; there are none afterwards."""
        merged: list[tuple[str, Tag]] = []
        for span in self._pending:
            text, tag = span.text, span.tag
            if merged and merged[-1][1] == tag:
                merged[-1] = (merged[-1][0] + text, tag)
            else:
                merged.append((text, tag))
        self._pending.clear()
        return merged

    def _room(self, added: int) -> int:
        """Return how many rows to leave free below, from how fast rows came lately."""
        now = monotonic()
        self._grown = [*(entry for entry in self._grown if now - entry[0] < 1.0), (now, added)]
        rate = sum(rows for _, rows in self._grown)
        return min(self.size.height // 3, int(rate * ROOM_SECONDS))

    # Looking

    def _last_top(self) -> int:
        return max(0, len(self.text.rows) - self.size.height)

    @property
    def following(self) -> bool:
        """Whether new text stays in view."""
        return self._following

    def _move(self, top: int) -> None:
        top = min(max(0, top), max(self._last_top(), self._top if self._following else 0))
        following = top >= self._last_top()
        if (top, following) != (self._top, self._following):
            self._top, self._following = top, following
            self._refresh_rows(0, self.size.height)

    def action_scroll_by(self, rows: int) -> None:
        self._move(self._top + rows)

    def action_page(self, pages: int) -> None:
        self._move(self._top + pages * max(1, self.size.height - 2))

    def action_top(self) -> None:
        self._move(0)

    def action_follow(self) -> None:
        self._move(self._last_top())

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._move(self._top - 3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._move(self._top + 3)

    # Drawing

    def on_mount(self) -> None:
        self.flush()

    def on_resize(self) -> None:
        if self.size.width and self.size.width != self.text.width:
            anchor = self.text.rows[self._top] if self._top < len(self.text.rows) else None
            self.text.resize(self.size.width)
            if anchor is not None:
                self._top = self._find(anchor)
        if self._following:
            self._top = self._last_top()
        self.refresh()

    def _find(self, anchor: Row) -> int:
        """Return the row that now holds the first character of `anchor`."""
        rows = (
            i for i, row in enumerate(self.text.rows) if row.line is anchor.line and row.end >= anchor.start
        )
        return next(rows, 0)

    def notify_style_update(self) -> None:
        self._styles.clear()
        super().notify_style_update()

    def selection_updated(self, selection: Selection | None) -> None:
        self._refresh_rows(0, self.size.height)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the selected text with wrapped lines whole again."""
        first = selection.start.transpose if selection.start else (0, 0)
        last = selection.end.transpose if selection.end else (len(self.text.rows), 0)
        return self.text.copy(first, last), "\n"

    def _refresh_rows(self, row: int, count: int, column: int = 0) -> None:
        width, height = self.size
        region = Region(column, row, max(1, width - column), count).intersection(Region(0, 0, width, height))
        if region:
            self.refresh(region)

    def _style(self, tag: Tag | str) -> Style:
        style = self._styles.get(tag)
        if style is None:
            if isinstance(tag, str):
                name = tag
            else:
                level = tag.levels[list(LEVELS).index(self.colours)] if self.colours else -1
                name = f"level-{level}" if level >= 0 and tag.kind != "unknown" else tag.kind
            style = self.get_component_rich_style(f"tail--{name}")
            if isinstance(tag, Tag) and tag.kind == "copied":
                style += Style(underline=True)  # seen without colours, and beside those of surprise
            self._styles[tag] = style
        return style

    def render(self) -> RenderResult:
        return ""  # never used: `render_line` draws

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        below = len(self.text.rows) - self._top - self.size.height
        if y == self.size.height - 1 and not self._following and below > 0:
            label = f" {below + 1:,} more rows below  (end) ".center(width)[:width]
            return Strip([paint(label, self._style("more"))])
        number = self._top + y
        if number >= len(self.text.rows):
            return Strip.blank(width, base)
        segments: list[Segment] = []
        for text, tag in self.text.rows[number].pieces():
            style = self._style(tag)
            if segments and segments[-1].style is style:
                segments[-1] = paint(segments[-1].text + text, style)
            else:
                segments.append(paint(text, style))
        strip = Strip(segments).adjust_cell_length(width, base)
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(number)) is not None:
            strip = self._select(strip, span)
        return strip.apply_offsets(0, number)

    def _select(self, strip: Strip, span: tuple[int, int]) -> Strip:
        """Return `strip` with the characters of `span` in the style of a selection."""
        text = strip.text
        start, end = span[0], len(text) if span[1] == -1 else span[1]
        cuts = [cell_len(text[:at]) for at in (start, end)]
        before, middle, after = strip.divide([*cuts, strip.cell_length])
        style = self.screen.get_component_rich_style("screen--selection")
        return Strip.join([before, middle.apply_style(style), after])
