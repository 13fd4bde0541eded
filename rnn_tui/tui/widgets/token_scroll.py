"""A scroll through a text of any length, as its tokens: only blocks near what is in view are read and laid out."""

from bisect import bisect_right
from collections import OrderedDict
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from rnn_tui.errors import RnnTuiError
from rnn_tui.safetext import safe_text
from rnn_tui.tui.widgets.lines import Line
from rnn_tui.tui.widgets.token_lines import Look, Row, TokenLines, wrap

if TYPE_CHECKING:
    from rnn_tui.corpus.reading import Reader

_KEPT = 12
"""Blocks whose rows are kept: more than a screen of 500 columns shows."""


class TokenScroll(TokenLines, can_focus=True):
    """Shows what a `Reader` reads. At the right edge a track tells the place, and where a split begins."""

    DEFAULT_CSS = "TokenScroll { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "rows(-1)", "Up", show=False),
        Binding("down,j", "rows(1)", "Down", show=False),
        Binding("pageup,shift+space", "page(-1)", "Page up", show=False),
        Binding("pagedown,space", "page(1)", "Page down", show=False),
        Binding("home", "go(0)", "Beginning", show=False),
        Binding("end,G", "end", "End", show=False),
    ]

    class Moved(Message):
        """Another token is the first in view."""

        def __init__(self, token: int) -> None:
            super().__init__()
            self.token = token

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.reader: Reader | None = None
        self.look: Look = "shades"
        self.token = 0
        """The first in view."""
        self._told = -1
        self._block = self._first = 0
        self._marked = range(0)
        self._lowered = False  # what is brought into view next stands a third down
        self._laid: OrderedDict[int, list[Row]] = OrderedDict()

    # -- where it is ------------------------------------------------------------------------------------------------

    def read(self, reader: "Reader | None", look: Look) -> None:
        """Show a text from its beginning."""
        self.reader, self.look = reader, look
        self.token = self._block = self._first = 0
        self._told = -1
        self._marked = range(0)
        self._lay_out()

    def restyle(self, look: Look) -> None:
        """Show the same place in another look."""
        self.look = look
        self._lay_out()

    @property
    def text_width(self) -> int:
        """Cells in a row of text: all but the track and a blank before it."""
        return max(2, self.size.width - 2)

    def go(self, token: int, marked: range = range(0)) -> None:
        """Bring a token to the top; with `marked` tokens a third down, so that what leads to them is seen, too."""
        if self.reader is None:
            return
        self.token = min(max(token, 0), self.reader.tokens - 1)
        self._marked, self._lowered = marked, bool(marked)
        self._bring()

    def _bring(self) -> None:
        """Bring `token` into view; where there is no room yet, that waits until there is."""
        if self.reader is None or not self.size:
            return
        self._block = self.reader.block_of(self.token)
        rows = self._rows(self._block)
        self._first = max(0, bisect_right(rows, self.token, key=lambda row: row.token) - 1)
        if self._first and rows[self._first - 1].token == self.token:  # the rule where a split begins
            self._first -= 1
        lowered, self._lowered = self._lowered, False
        self._move(-(self.size.height // 3) if lowered else 0)

    def action_go(self, token: int) -> None:
        self.go(token)

    def action_end(self) -> None:
        if self.reader is not None:
            self.go(self.reader.tokens - 1)

    def action_rows(self, by: int) -> None:
        """Move by rows."""
        self._move(by)

    def action_page(self, direction: int) -> None:
        """Move by a page, of which a row stays in view."""
        self._move(direction * max(1, self.size.height - 1))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._move(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._move(3)

    def on_click(self, event: events.Click) -> None:
        """Go to the place of the text that was clicked at on the track."""
        if self.reader is not None and event.x >= self.size.width - 1:
            self.go(self.reader.tokens * event.y // max(1, self.size.height))

    def _move(self, by: int) -> None:
        """Move by rows, no further than until the last row is the last in view."""
        if self.reader is None:
            return
        place = self._moved((self._block, self._first), by)
        last = self.reader.blocks - 1
        bottom = self._moved((last, max(0, len(self._rows(last)) - 1)), 1 - self.size.height)
        self._block, self._first = min(place, bottom)
        self._paint()

    def _moved(self, place: tuple[int, int], by: int) -> tuple[int, int]:
        """Return the block and row that lie `by` rows from another."""
        assert self.reader is not None
        block, row = place[0], place[1] + by
        while row < 0 and block > 0:
            block -= 1
            row += len(self._rows(block))
        while block + 1 < self.reader.blocks and row >= len(self._rows(block)):
            row -= len(self._rows(block))
            block += 1
        return block, min(max(row, 0), max(0, len(self._rows(block)) - 1))

    # -- laying out -------------------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        """Lay out anew for another width, text or look; the place stays."""
        self._laid.clear()
        if self.reader is None:
            self.set_lines(())
        self._bring()

    def _rows(self, block: int) -> list[Row]:
        """Return the rows of a block, from memory or laid out now: 4,096 tokens take some 10 ms."""
        reader = self.reader
        if reader is None:
            return []
        if block in self._laid:
            self._laid.move_to_end(block)
            return self._laid[block]
        try:
            begin = reader.bounds(block)[0]
            rows = wrap(reader.block(block), self.text_width, self.look, ascii=self._ascii)
        except RnnTuiError as error:
            begin, rows = 0, [Row(0, [(safe_text(error, limit=500), "bad", 0)])]
        if reader.begins_part(block):
            rows.insert(0, self._rule(begin))
        self._laid[block] = rows
        if len(self._laid) > _KEPT:
            self._laid.popitem(last=False)
        return rows

    def _rule(self, token: int) -> Row:
        assert self.reader is not None
        part, line = self.reader.part(token), "-" if self._ascii else "─"
        said = f"{line * 2} {safe_text(part.name)} begins: tokens {part.begin:,} to {part.end - 1:,} "
        return Row(token, [(said.ljust(self.text_width, line)[: self.text_width], "rule", -1)])

    @property
    def _ascii(self) -> bool:
        return bool(getattr(self.app, "ascii", False))

    def _paint(self) -> None:
        """Set the rows in view, with the track."""
        reader, height = self.reader, self.size.height
        if reader is None:
            return
        rows = self._rows(self._block)
        token = self.token = rows[self._first].token if rows else 0
        lines: list[Line] = []
        block, row = self._block, self._first
        while len(lines) < height and block < reader.blocks:
            taken = self._rows(block)[row : row + height - len(lines)]
            lines += [one.line(self._marked) for one in taken]
            block, row = block + 1, 0
        lines += [()] * (height - len(lines))
        self.set_lines([self._tracked(line, y, token) for y, line in enumerate(lines)])
        if token != self._told:
            self._told = token
            self.post_message(self.Moved(token))

    def _tracked(self, line: Line, y: int, token: int) -> Line:
        """Return a row with its cell of the track."""
        from rich.cells import cell_len

        assert self.reader is not None
        tokens, height = self.reader.tokens, self.size.height
        here = y == min(height - 1, token * height // tokens)
        begins = any(part.begin * height // tokens == y for part in self.reader.parts[1:])
        glyph = (
            ("#" if self._ascii else "█")
            if here
            else ("=" if begins else "|")
            if self._ascii
            else "┼│"[not begins]
        )
        used = sum(cell_len(text) for text, _ in line)
        style = "accent" if here or begins else "open"
        return (*line, (" " * max(1, self.size.width - 1 - used), "plain"), (glyph, style))
