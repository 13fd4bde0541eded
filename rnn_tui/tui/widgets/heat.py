"""A heat map: the units of a part of the state over time, two of them in each row of cells as half blocks.

Where there are no colours each unit has a row of signs. Numpy loads with the first map, not with the app.
"""

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.color import Color
from rich.style import Style
from textual import events
from textual.app import RenderResult
from textual.binding import BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from rnn_tui.safetext import safe_text
from rnn_tui.tui.keys import bind, named
from rnn_tui.tui.widgets.glow import STEPS, level_name
from rnn_tui.tui.widgets.glow_text import SIGNS, UNKNOWN, merged
from rnn_tui.tui.widgets.heat_data import Heat
from rnn_tui.tui.widgets.lines import paint, spans

_HERE = UNKNOWN + 1
"""In place of a level: the cursor."""


class HeatMap(Widget, can_focus=True):
    """A heat map under an axis row, with a cursor on one unit and token.

    The axis row shows a character for each token where a column is one token, and token numbers otherwise.
    """

    DEFAULT_CSS = """
    HeatMap {
        height: 1fr;
        & > .heat--low-4 { color: $chart-2; } & > .heat--high-4 { color: $chart-1; }
        & > .heat--low-3 { color: $chart-2 70%; } & > .heat--high-3 { color: $chart-1 70%; }
        & > .heat--low-2 { color: $chart-2 42%; } & > .heat--high-2 { color: $chart-1 42%; }
        & > .heat--low-1 { color: $chart-2 18%; } & > .heat--high-1 { color: $chart-1 18%; }
        & > .heat--unknown { color: $error; }
        & > .heat--here { color: $foreground; }
        & > .heat--axis { color: $foreground 60%; }
        & > .heat--chosen { color: $background; background: $primary; text-style: bold; }
        &:ansi > .heat--low-4 { color: ansi_bright_yellow; } &:ansi > .heat--high-4 { color: ansi_bright_blue; }
        &:ansi > .heat--low-3, &:ansi > .heat--low-2 { color: ansi_yellow; }
        &:ansi > .heat--high-3, &:ansi > .heat--high-2 { color: ansi_blue; }
        &:ansi > .heat--here { color: ansi_bright_white; }
        &:ansi > .heat--low-1, &:ansi > .heat--high-1 { color: ansi_default; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"heat--{level_name(step)}" for step in STEPS), "heat--here", "heat--axis", "heat--chosen",
    }  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = named(
        "inspect.map",
        [
            bind("left", "walk(0,-1)", "Earlier", "Move the cursor of the heat map to earlier tokens"),
            bind("right", "walk(0,1)", "Later", "Move the cursor of the heat map to later tokens"),
            bind("up", "walk(-1,0)", "Unit up", "Move the cursor of the heat map up a unit"),
            bind("down", "walk(1,0)", "Unit down", "Move the cursor of the heat map down a unit"),
            bind("pageup", "leap(-1,0)", "Page up", "Move the cursor of the heat map up by a page of units"),
            bind(
                "pagedown",
                "leap(1,0)",
                "Page down",
                "Move the cursor of the heat map down by a page of units",
            ),
            bind(
                "shift+left,home",
                "leap(0,-1)",
                "Far left",
                "Move the cursor of the heat map by a page of tokens back",
            ),
            bind(
                "shift+right,end",
                "leap(0,1)",
                "Far right",
                "Move the cursor of the heat map by a page of tokens on",
            ),
            bind(
                "enter", "pick", "This unit", "Colour the text by the unit under the cursor of the heat map"
            ),
        ],
    )

    class Moved(Message):
        """The cursor is on another cell; `token` may lie beyond the map's tokens, which then are asked for."""

        def __init__(self, token: int) -> None:
            super().__init__()
            self.token = token

    class Picked(Message):
        """This unit is wanted."""

        def __init__(self, unit: int) -> None:
            super().__init__()
            self.unit = unit

    def __init__(self, *, signs: bool = False, ascii: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self.signs, self.ascii = signs, ascii
        self.heat: Heat | None = None
        self.row = self.column = 0
        self.token = 0
        """Where the cursor is in the text; perhaps on its way to a part that the map does not show yet."""
        self._axis: tuple[str, ...] = ()
        self._top = 0
        self._cells: dict[tuple[int, int], tuple[str, Style]] = {}

    # -- what it shows --------------------------------------------------------------------------------------------

    def show(self, heat: Heat | None, axis: Sequence[str] = ()) -> None:
        """Show another map; repaints the cells that differ.

        Args:
            axis: What stands over each column, a token's text; only its first character is shown.
        """
        before, self.heat = self.heat, heat
        axis, old_axis = tuple(safe_text(text[:1] or " ") for text in axis), self._axis
        self._axis = tuple(text if cell_len(text) == 1 else "." if self.ascii else "·" for text in axis)
        if (
            heat is None
            or before is None
            or heat.units != before.units
            or len(heat.starts) != len(before.starts)
        ):
            self.row = min(self.row, len(heat.units) - 1) if heat else 0
            self.column = min(self.column, len(heat.starts) - 1) if heat else 0
            self._follow()
            self.refresh()
            return
        differ = heat.levels != before.levels
        step, left = self._units_a_row, self.margin_width
        regions = [
            Region(left + first, y, last - first, 1)
            for y in range(1, self.size.height)
            for first, last in spans(
                differ[self._top + (y - 1) * step :][:step].any(axis=0).nonzero()[0].tolist()
            )
        ]
        if old_axis != self._axis or heat.starts != before.starts:
            regions.append(Region(0, 0, self.size.width, 1))
        if regions:
            self.refresh(*regions)

    def point(self, unit: int | None, token: int | None) -> None:
        """Put the cursor on a unit and a token, None for where they are, without saying so."""
        self.token = self.token if token is None else token
        if self.heat is not None:
            row = None if unit is None else self.heat.row_of(unit)
            self._put(self.row if row is None else row, self.heat.column_of(self.token))

    @property
    def unit(self) -> int | None:
        """The unit under the cursor: of several, the first."""
        return self.heat.units[self.row][0] if self.heat and self.heat.units else None

    @property
    def value(self) -> float | None:
        """The value under the cursor."""
        if self.heat is None or not self.heat.values.size:
            return None
        return float(self.heat.values[self.row, self.column]) * self.heat.scale

    @property
    def room(self) -> int:
        """Columns that the map can have."""
        return max(1, self.size.width - self.margin_width)

    @property
    def margin_width(self) -> int:
        """Cells of the labels at the left."""
        last = max((units[0] for units in self.heat.units), default=0) if self.heat else 999
        return len(str(last)) + 1

    # -- the cursor -----------------------------------------------------------------------------------------------

    def _put(self, row: int, column: int) -> None:
        assert self.heat is not None
        row = min(max(0, row), max(0, len(self.heat.units) - 1))
        column = min(max(0, column), max(0, len(self.heat.starts) - 1))
        before = self.row, self.column
        if (row, column) == before:
            return
        self.row, self.column = row, column
        if not self._follow():
            lines = {self._line_of(before[0]), self._line_of(row)}
            lines |= {0} if column != before[1] else set()
            self.refresh(*(Region(0, line, self.size.width, 1) for line in lines))

    def action_walk(self, rows: int, columns: int) -> None:
        if self.heat is None or not self.heat.starts:
            return
        column = self.heat.column_of(self.token) + columns
        self._put(self.row + rows, column)
        if 0 <= column < len(self.heat.starts):
            self._go(self.heat.starts[column] if columns else self.token)
        else:
            self._go(self.heat.end if columns > 0 else self.heat.starts[0] - 1)

    def action_leap(self, rows: int, columns: int) -> None:
        if self.heat is None or not self.heat.starts:
            return
        self._put(self.row + rows * max(1, self._units_in_view - self._units_a_row), self.column)
        self._go(self.token + columns * (self.heat.end - self.heat.starts[0]))

    def _go(self, token: int) -> None:
        self.token = max(0, token)
        self.post_message(self.Moved(self.token))

    def action_pick(self) -> None:
        if self.unit is not None:
            self.post_message(self.Picked(self.unit))

    def on_click(self, event: events.Click) -> None:
        if self.heat is None or event.x < self.margin_width or event.y < 1:
            return
        # a terminal does not say which half of a cell was clicked: the upper one
        self._put(self._top + (event.y - 1) * self._units_a_row, event.x - self.margin_width)
        self._go(self.heat.starts[self.column])

    # -- the view -------------------------------------------------------------------------------------------------

    @property
    def _units_a_row(self) -> int:
        return 1 if self.signs else 2

    @property
    def _units_in_view(self) -> int:
        return max(1, self.size.height - 1) * self._units_a_row

    def _line_of(self, row: int) -> int:
        return 1 + (row - self._top) // self._units_a_row

    def _follow(self) -> bool:
        """Scroll until the cursor is in view, by half a view."""
        rows, seen = len(self.heat.units) if self.heat else 0, self._units_in_view
        last = -(-max(0, rows - seen) // self._units_a_row) * self._units_a_row
        top = min(self._top, last)
        if not top <= self.row < top + seen:
            top = min(max(0, (self.row - seen // 2) // self._units_a_row * self._units_a_row), last)
        moved, self._top = top != self._top, top
        if moved:
            self.refresh()
        return moved

    def on_resize(self) -> None:
        self._follow()  # what else changes with the size has been painted when this is heard

    def notify_style_update(self) -> None:
        self._cells.clear()
        super().notify_style_update()

    # -- drawing --------------------------------------------------------------------------------------------------

    def render(self) -> RenderResult:
        return ""  # never used: `render_line` draws

    def _colour(self, level: int) -> Color | None:
        """Return the colour of a level, None for what is not painted."""
        if not level:
            return None
        name = "here" if level == _HERE else level_name(level)
        colour = self.get_component_rich_style(f"heat--{name}").color
        return None if colour is None or colour.is_default else colour

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        if self.heat is None or not self.heat.units:
            return Strip.blank(width, base)
        axis = self.get_component_rich_style("heat--axis")
        chosen = self.get_component_rich_style("heat--chosen")
        left = self.margin_width
        if y == 0:
            pieces = [(" " * left, axis)]
            pieces += [(c, chosen if x == self.column else axis) for x, c in enumerate(self._axis_row())]
        else:
            row = self._top + (y - 1) * self._units_a_row
            if row >= len(self.heat.units):
                return Strip.blank(width, base)
            here = row <= self.row < row + self._units_a_row
            named = self.heat.units[self.row if here else row][0]
            pieces = [(str(named).rjust(left - 1), chosen if here else axis), (" ", base)]
            pieces += self._signs_of(row) if self.signs else self._blocks_of(row)
        return Strip([paint(text, style) for text, style in merged(pieces)]).adjust_cell_length(width, base)

    def _axis_row(self) -> str:
        assert self.heat is not None
        starts = self.heat.starts
        if self.heat.end - starts[0] <= len(starts):
            return "".join(self._axis)
        row = ""
        for column in range(0, len(starts), 12):
            label = f"{starts[column] + 1:,}"
            row = row.ljust(column) + label if column + len(label) <= len(starts) else row
        return row.ljust(len(starts))

    def _signs_of(self, row: int) -> list[tuple[str, Style]]:
        assert self.heat is not None
        here = Style(reverse=True, bold=True)
        return [
            (SIGNS[level], self.rich_style + here if (row, x) == (self.row, self.column) else self.rich_style)
            for x, level in enumerate(self.heat.levels[row].tolist())
        ]

    def _blocks_of(self, row: int) -> list[tuple[str, Style]]:
        """Return two units as half blocks; level 0 is left unpainted, so that any background does."""
        assert self.heat is not None
        upper = self.heat.levels[row].tolist()
        two = row + 1 < len(self.heat.units)
        lower = self.heat.levels[row + 1].tolist() if two else [0] * len(upper)
        if self.row == row:
            upper[self.column] = _HERE
        elif two and self.row == row + 1:
            lower[self.column] = _HERE
        return [self._cells.get(levels) or self._cell(*levels) for levels in zip(upper, lower, strict=True)]

    def _cell(self, upper: int, lower: int) -> tuple[str, Style]:
        """Return a character and its style for two levels; kept, as adding styles takes longest in a row."""
        above, below = self._colour(upper), self._colour(lower)
        if above is None and below is None:
            cell = " ", self.rich_style
        elif above is None:
            cell = "▄", self.rich_style + Style(color=below)
        else:
            cell = "▀", self.rich_style + Style(color=above, bgcolor=below)
        self._cells[upper, lower] = cell
        return cell
