"""The DataTable of runs, which keeps cursor, scroll and bytes where runs change."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.widgets import DataTable
from textual.widgets._data_table import ColumnKey, RowKey

from rnn_tui.tui.keys import bind, named
from rnn_tui.tui.panes.runs_rows import Column, Row, heading

_AT_ONCE = 100
"""Rows that are added at a time: 8 ms, measured; more would hold up a key press."""


class RunTable(DataTable[Text]):
    """A table of fixed columns whose rows are known by name. The cursor stays on its run, whatever moves around it."""

    BINDINGS: ClassVar[list[BindingType]] = named(
        "runs",
        [
            bind(
                "enter",
                "select_cursor",
                "Watch",
                "Watch this run in the Train pane",
                footer=True,
                shown_as="enter",
            ),
            bind("home", "scroll_top", "First", "Go to the first run"),
            bind("end,G", "scroll_bottom", "Last", "Go to the last run", shown_as="end"),
        ],
    )

    def __init__(self) -> None:
        super().__init__(cursor_type="row")
        self._fixed: list[Column] = []
        self._order = ""
        self._names: list[str] = []
        self._waiting: list[str] = []
        """Names of rows that are still to be added, below the others."""
        self._rows: dict[str, Row] = {}
        self._goal = ""

    @property
    def chosen(self) -> str:
        """The name of the run under the cursor, or the empty string."""
        row = self.cursor_row
        return self._names[row] if 0 <= row < len(self._names) else ""

    @property
    def columns_shown(self) -> list[Column]:
        """The columns, from the left."""
        return self._fixed

    def show(
        self,
        columns: Sequence[Column],
        names: Sequence[str],
        row: Callable[[str], Row],
        *,
        order: str,
        ascii: bool = False,
    ) -> None:
        """Show these runs in this order; what is the same is left alone.

        Args:
            row: Gives the cells of a run by column; a cell is the same object as long as it says the same.
            order: What the runs are sorted by, for the arrow.
        """
        moved = order != self._order
        if self._fixed != list(columns):
            self._goal = self._goal or self.chosen
            self.clear(columns=True)
            self._names, self._waiting, self._rows, self._fixed = [], [], {}, list(columns)
            for column in columns:
                self.add_column(heading(column, order, ascii=ascii), key=column.key, width=column.width)
        elif moved:
            for column in columns:
                self.columns[ColumnKey(column.key)].label = heading(column, order, ascii=ascii)
            self.notify_style_update()
        self._order = order
        rows = {name: row(name) for name in names}
        before, after = {*self._names, *self._waiting}, set(names)
        if self._waiting or len(before - after) > 4 or len(after - before) > _AT_ONCE:
            if [*self._names, *self._waiting] != list(names):
                self._goal = self._goal or self.chosen
                self.clear()
                self._names, self._waiting = [], list(names)
            self._change(rows)
            self._rows = rows
            self._fill()
            return
        chosen, at = self._goal or self.chosen, self.cursor_row
        for name in before - after:
            self.remove_row(name)
        self._names = [name for name in self._names if name in after]
        self._change(rows)
        self._rows = rows
        for name in names:
            if name not in before:
                self._add(name)
        if self._names != list(names):
            # DataTable sorts by cells; which run one belongs to is known by the cell itself
            first = columns[0].key
            places = {id(rows[name][first]): place for place, name in enumerate(names)}
            self.sort(first, key=lambda cell: places[id(cell)])
            self._names = list(names)
        if self.chosen != chosen or before != after:
            self._goal = ""
            to = self._names.index(chosen) if chosen in after else min(at, len(names) - 1)
            self.move_cursor(row=max(to, 0), scroll=moved or chosen not in after)

    def _change(self, rows: Mapping[str, Row]) -> None:
        """Replace the cells that say something new of rows that are there."""
        for name in self._names:
            was, now = self._rows[name], rows[name]
            if was is now:
                continue
            for column in self._fixed:
                if was[column.key] is not now[column.key]:
                    self.update_cell(name, column.key, now[column.key])

    def _add(self, name: str) -> None:
        self.add_row(*texts_of(self._rows[name], self._fixed), key=name)
        self._names.append(name)

    def _fill(self) -> None:
        batch, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
        for name in batch:
            self._add(name)
        if self._goal in batch:
            self.move_cursor(row=self._names.index(self._goal))
            self._goal = ""
        if self._waiting:
            self.set_timer(0.01, self._fill)  # so that a key is heard in between
        else:
            self._goal = ""

    def update_cell(
        self, row_key: RowKey | str, column_key: ColumnKey | str, value: Text, *, update_width: bool = False
    ) -> None:
        """Change one cell and repaint it alone; DataTable's own repaints the whole table, 3 kB at 80 × 24."""
        self._data[row_key][column_key] = value  # type: ignore[index]  # a key equals its string
        self._update_count += 1
        row = self.get_row_index(row_key)
        if -1 <= row - self.scroll_offset.y < self.size.height:
            self.refresh_coordinate(self.get_cell_coordinate(row_key, column_key))

    def _update_dimensions(self, new_rows: object) -> None:
        super()._update_dimensions(())  # widths are fixed: measuring the cells of 1,000 rows took 0.3 s


def texts_of(row: Row, columns: Sequence[Column]) -> list[Text]:
    """Return the cells of a row in the order of the columns."""
    return [row[column.key] for column in columns]
