"""Text coloured by a number for each token: the activation of a unit, in nine colours from -1 over 0 to 1.

Another unit repaints the cells whose colour changes and no others; the cursor repaints two rows.
"""

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.style import Style
from textual import events
from textual.app import RenderResult
from textual.binding import BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from rnn_tui.tui.keys import bind, named
from rnn_tui.tui.widgets.glow_text import LEVELS, SIGNS, UNKNOWN, GlowText, merged
from rnn_tui.tui.widgets.lines import Line, paint

STEPS = (*range(-LEVELS, LEVELS + 1), UNKNOWN)


def level_name(level: int) -> str:
    """Return the name of a level's style: low-4 … zero … high-4, unknown."""
    if level == UNKNOWN:
        return "unknown"
    return "zero" if not level else f"{'low' if level < 0 else 'high'}-{abs(level)}"


def level_css(prefix: str) -> str:
    """Return the rules of the scale for the component classes of a widget that begin with `prefix`.

    Orange and blue are told apart by nearly everybody. Sixteen colours have no shades: the weakest level is plain
    there, the next one coloured letters.
    """
    rules = [
        f"& > .{prefix}{side}-{step} {{ background: ${colour} {share}%; {text} }}"
        for side, colour in (("low", "chart-2"), ("high", "chart-1"))
        for step, share, text in ((1, 16, ""), (2, 38, _AUTO), (3, 62, _AUTO), (4, 90, _AUTO))
    ]
    sixteen = {
        "low-4": ("ansi_bright_yellow", "ansi_black"), "low-3": ("ansi_yellow", "ansi_black"),
        "low-2": ("ansi_default", "ansi_yellow"), "low-1": ("ansi_default", "ansi_default"),
        "high-1": ("ansi_default", "ansi_default"), "high-2": ("ansi_default", "ansi_bright_blue"),
        "high-3": ("ansi_blue", "ansi_bright_white"), "high-4": ("ansi_bright_blue", "ansi_black"),
    }  # fmt: skip
    rules += [
        f"&:ansi > .{prefix}{name} {{ background: {background}; color: {text}; }}"
        for name, (background, text) in sixteen.items()
    ]
    rules.append(f"& > .{prefix}unknown {{ color: $text-error; }}")
    return "\n".join(rules)


_AUTO = "color: auto 95%;"
LEVEL_NAMES = tuple(map(level_name, STEPS))


def scale_legend(bound: float = 1.0, *, signs: bool, letters: bool) -> Line:
    """Return the scale as one row of (text, style of `Lines`).

    Args:
        bound: The value at its ends.
        signs: Show the signs, where colours are not to be relied on.
        letters: Show letters in the colours, where some colours are the letters' own.
    """
    shown = [step for step in STEPS if step != UNKNOWN]
    if signs:
        middle = tuple(("0" if not step else SIGNS[step], "strong") for step in shown)
    else:
        middle = tuple(("ab" if letters else "  ", level_name(step)) for step in shown)
    return ((f"-{bound:.3g} ", "muted"), *middle, (f" +{bound:.3g}", "muted"))


class GlowView(Widget, can_focus=True):
    """The text of a trace with a cursor on one token.

    Call `show` with a text, `colour` with a level for each token, `mark` with the tokens to underline. With `signs`, a
    row of signs stands under each row of text, so that nothing is told by colour alone.
    """

    DEFAULT_CSS = f"""
    GlowView {{
        height: 1fr;
        {level_css("level--")}
        & > .level--cursor {{ background: $foreground; color: $background; text-style: bold; }}
        &:ansi > .level--cursor {{ background: ansi_default; color: ansi_default; text-style: bold reverse; }}
    }}
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"level--cursor", *(f"level--{name}" for name in LEVEL_NAMES)}
    BINDINGS: ClassVar[list[BindingType]] = named(
        "inspect.text",
        [
            bind("left", "step(-1)", "Back", "Move the cursor to the token before"),
            bind("right", "step(1)", "On", "Move the cursor to the next token"),
            bind("up", "rows(-1)", "Up", "Move the cursor up a row"),
            bind("down", "rows(1)", "Down", "Move the cursor down a row"),
            bind("pageup", "page(-1)", "Page up", "Move the cursor up a page"),
            bind("pagedown", "page(1)", "Page down", "Move the cursor down a page"),
            bind("home", "end(0)", "Start", "Move the cursor to the first token"),
            bind("end", "end(1)", "End", "Move the cursor to the last token"),
        ],
    )

    class Moved(Message):
        """The cursor is on another token."""

        def __init__(self, token: int) -> None:
            super().__init__()
            self.token = token

    def __init__(self, *, signs: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self.signs = signs
        self.text = GlowText(())
        self.cursor = 0
        self._levels: Sequence[int] = ()
        self._marked: Sequence[bool] = ()
        self._top = 0
        self._styles: dict[tuple[int, bool, bool], Style] = {}

    # -- what it shows --------------------------------------------------------------------------------------------

    def show(self, text: GlowText) -> None:
        """Show another text, uncoloured, with the cursor on its first token."""
        self.text, self._levels, self._marked = text, (), ()
        self.cursor = self._top = 0
        if self.size.width:
            self.text.resize(max(2, self.size.width))
        self.refresh()

    def colour(self, levels: Sequence[int]) -> None:
        """Colour the tokens, one level each; repaints the cells that differ."""
        before, self._levels = self._levels, levels
        if len(before) != len(levels):
            self.refresh()
            return
        height = 2 if self.signs else 1
        regions = [
            Region(first, (row - self._top) * height, last - first, height)
            for row in self._rows_in_view()
            for first, last in self.text.changed(row, before, levels)
        ]
        if regions:
            self.refresh(*regions)

    def mark(self, marked: Sequence[bool]) -> None:
        """Underline tokens, one truth each; an empty sequence underlines none."""
        if marked != self._marked:
            self._marked = marked
            self.refresh()

    # -- the cursor -----------------------------------------------------------------------------------------------

    def go(self, token: int) -> None:
        """Put the cursor on a token and bring it into view."""
        token = min(max(0, token), max(0, self.text.tokens - 1))
        if token == self.cursor:
            return
        before, self.cursor = self.cursor, token
        if not self._follow():
            self._refresh_rows(self.text.row_of(before))
            self._refresh_rows(self.text.row_of(token))
        self.post_message(self.Moved(token))

    def action_step(self, tokens: int) -> None:
        self.go(self.cursor + tokens)

    def action_rows(self, rows: int) -> None:
        row, column = self.text.row_of(self.cursor), self.text.column_of(self.cursor)
        if 0 <= row + rows < len(self.text.rows):
            self.go(self.text.token_in(row + rows, column))

    def action_page(self, pages: int) -> None:
        row = self.text.row_of(self.cursor) + pages * max(1, self._height - 1)
        self.go(self.text.token_in(row, self.text.column_of(self.cursor)))

    def action_end(self, which: int) -> None:
        self.go(self.text.tokens - 1 if which else 0)

    def on_click(self, event: events.Click) -> None:
        row = self._top + event.y // (2 if self.signs else 1)
        if row < len(self.text.rows):
            self.go(self.text.token_in(row, event.x))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._scroll(self._top - 3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._scroll(self._top + 3)

    # -- the view -------------------------------------------------------------------------------------------------

    @property
    def _height(self) -> int:
        """Rows of text in view."""
        return max(1, self.size.height // (2 if self.signs else 1))

    def _rows_in_view(self) -> range:
        return range(self._top, min(self._top + self._height + 1, len(self.text.rows)))

    def _scroll(self, top: int) -> bool:
        top = min(max(0, top), max(0, len(self.text.rows) - self._height))
        moved, self._top = top != self._top, top
        if moved:
            self.refresh()
        return moved

    def _follow(self) -> bool:
        """Scroll until the cursor is in view, by half a view, so that not every row moves all of them."""
        row = self.text.row_of(self.cursor)
        if self._top <= row < self._top + self._height:
            return False
        return self._scroll(row - self._height // 2)

    def _refresh_rows(self, row: int) -> None:
        height = 2 if self.signs else 1
        self.refresh(Region(0, (row - self._top) * height, self.size.width, height))

    def on_resize(self) -> None:
        if self.size.width and self.text.width != max(2, self.size.width):
            self.text.resize(max(2, self.size.width))
            self.refresh()
        self._scroll(self._top)
        self._follow()

    def notify_style_update(self) -> None:
        self._styles.clear()
        super().notify_style_update()

    # -- drawing --------------------------------------------------------------------------------------------------

    def render(self) -> RenderResult:
        return ""  # never used: `render_line` draws

    def _style(self, level: int, marked: bool, here: bool) -> Style:
        style = self._styles.get((level, marked, here))
        if style is None:
            style = self.get_component_rich_style("level--cursor" if here else f"level--{level_name(level)}")
            if here and self.signs:
                style = self.rich_style + Style(
                    reverse=True, bold=True
                )  # as no colour may be left of the other
            if marked:
                style += Style(underline=True)
            self._styles[level, marked, here] = style
        return style

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        row, of_signs = (self._top + y // 2, bool(y % 2)) if self.signs else (self._top + y, False)
        if row >= len(self.text.rows) or not self.text.tokens:
            return Strip.blank(width, base)
        pieces: list[tuple[str, tuple[int, bool, bool]]] = []
        cursor = self.text.starts[self.cursor]
        for token, first, end in self.text.pieces(row):
            level = self._levels[token] if token < len(self._levels) else 0
            shown = self.text.text[first:end]
            if of_signs:
                pieces.append((SIGNS[level] * cell_len(shown), (0, False, False)))
            else:
                marked = bool(self._marked[token]) if token < len(self._marked) else False
                pieces.append((shown, (level, marked, first <= cursor < end)))
        segments = [paint(text, self._style(*key)) for text, key in merged(pieces)]
        return Strip(segments).adjust_cell_length(width, base)
