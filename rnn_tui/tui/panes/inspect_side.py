"""Which units fire on what: a choice of patterns, and a table of the units found."""

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.coordinate import Coordinate
from textual.message import Message
from textual.widgets import DataTable, Select, Static

from rnn_tui.inference.inspect_requests import PATTERNS
from rnn_tui.safetext import safe_text
from rnn_tui.tui.keys import bind, named
from rnn_tui.tui.panes.inspect_search import REGEX, STARS, SURVEY, Row, number_text
from rnn_tui.tui.panes.inspect_units import Unit


class UnitTable(DataTable[Text]):
    """Units; the one under the cursor is wanted."""

    BINDINGS: ClassVar[list[BindingType]] = named(
        "inspect.units",
        [
            bind("j", "cursor_down", "Down", "Go to the next unit of the table; the text takes its colours"),
            bind("k", "cursor_up", "Up", "Go to the unit of the table before"),
        ],
    )


class InspectSide(Vertical):
    """A pattern to choose, a line on it, and the units found."""

    DEFAULT_CSS = """
    InspectSide Select { width: 100%; }
    InspectSide SelectCurrent { background: $panel; padding: 0 1; }
    InspectSide #inspect-note { height: auto; max-height: 2; color: $foreground 60%; }
    InspectSide UnitTable { height: 1fr; background: transparent; }
    InspectSide UnitTable:ansi > .datatable--header { background: ansi_default; }
    """

    class Wanted(Message):
        """Units are wanted for a pattern, `SURVEY` or `STARS`; `REGEX` alone asks for an expression."""

        def __init__(self, pattern: str) -> None:
            super().__init__()
            self.pattern = pattern

    class Chosen(Message):
        """A unit of the table is wanted."""

        def __init__(self, unit: Unit) -> None:
            super().__init__()
            self.unit = unit

    def __init__(self, *, ascii: bool, id: str | None = None) -> None:
        super().__init__(id=id)
        self._ascii = ascii
        self._rows: list[Row] = []
        self._stars: Sequence[Unit] = ()
        self._pattern = SURVEY

    def compose(self) -> ComposeResult:
        yield Select(
            [(Content(safe_text(label, limit=60)), value) for label, value in self._entries("")],
            value=SURVEY, allow_blank=False, compact=True, type_to_search=False,
        )  # fmt: skip
        yield Static(id="inspect-note", markup=False)
        yield UnitTable(cursor_type="row")

    def _entries(self, expression: str) -> list[tuple[str, str]]:
        star = "*" if self._ascii else "★"
        entries = [("the best unit of each pattern", SURVEY), (f"{star} starred units", STARS)]
        entries += [(pattern, pattern) for pattern in PATTERNS]
        if expression:
            entries.append((expression, expression))
        entries.append(("a regular expression …" if not self._ascii else "a regular expression ...", REGEX))
        return entries

    @property
    def table(self) -> UnitTable:
        """The table of units."""
        return self.query_one(UnitTable)

    @property
    def units(self) -> list[Unit]:
        """The units in the table, best first."""
        return [row.unit for row in self._rows]

    def choose(self, pattern: str) -> None:
        """Show `pattern` as the one chosen, without asking for it."""
        select = self.query_one(Select)
        self._pattern = pattern
        with self.prevent(Select.Changed):
            entries = self._entries(pattern if pattern.startswith(REGEX) else "")
            select.set_options([(Content(safe_text(label, limit=60)), value) for label, value in entries])
            select.value = pattern

    def open(self) -> None:
        """Unfold the list of patterns."""
        select = self.query_one(Select)
        select.focus()
        select.action_show_overlay()

    def show(self, rows: Sequence[Row], note: str, stars: Sequence[Unit], unit: Unit | None) -> None:
        """Fill the table; the cursor goes to `unit` where it is there."""
        self._rows, self._stars = list(rows), stars
        self.query_one("#inspect-note", Static).update(Content(safe_text(note)))
        table = self.table
        table.clear(columns=True)
        patterns = any(row.pattern for row in rows)
        scored = any(row.score is not None for row in rows)
        means = ["in", "out"] if scored and not patterns else []
        names = ["", *(["pattern"] if patterns else []), "unit", *(["score"] if scored else []), *means]
        cells: list[list[str]] = []
        for row in rows:
            named = [
                self._star(row.unit),
                *([row.pattern] if patterns else []),
                f"{row.unit.part} {row.unit.number}",
            ]
            numbers = [row.score, row.mean_in, row.mean_out][: len(names) - len(named)]
            cells.append([safe_text(cell, limit=24) for cell in (*named, *map(number_text, numbers))])
        for column, name in enumerate(names):
            # set here, as a table that is filled a second time measures its columns too late for its first paint
            width = max([1, cell_len(name), *(cell_len(line[column]) for line in cells)])
            table.add_column(Text(name), width=width)
        for line in cells:
            table.add_row(*(Text(safe_text(cell)) for cell in line))
        self.point(unit)

    def star(self, stars: Sequence[Unit]) -> None:
        """Show which units are starred; repaints those that changed."""
        for number, row in enumerate(self._rows):
            if (row.unit in stars) != (row.unit in self._stars):
                self.table.update_cell_at(
                    Coordinate(number, 0), Text(safe_text(self._mark if row.unit in stars else ""))
                )
        self._stars = stars

    def point(self, unit: Unit | None) -> None:
        """Put the cursor on a unit, if it is there, without asking for it."""
        if unit in self.units:
            with self.prevent(DataTable.RowHighlighted):
                self.table.move_cursor(row=self.units.index(unit))

    @property
    def _mark(self) -> str:
        return "*" if self._ascii else "★"

    def _star(self, unit: Unit) -> str:
        return self._mark if unit in self._stars else ""

    @on(Select.Changed)
    def _picked(self, event: Select.Changed) -> None:
        event.stop()
        if event.value == REGEX:
            self.choose(self._pattern)  # what is chosen stays until an expression is given
            self.post_message(self.Wanted(REGEX))
        elif isinstance(event.value, str):
            self._pattern = event.value
            self.post_message(self.Wanted(event.value))

    @on(DataTable.RowHighlighted)
    def _moved(self, event: DataTable.RowHighlighted) -> None:
        event.stop()
        # a table that is filled highlights its first row too; only a user at it asks for something
        if self.table.has_focus and 0 <= event.cursor_row < len(self._rows):
            self.post_message(self.Chosen(self._rows[event.cursor_row].unit))

    @on(DataTable.RowSelected)
    def _selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
