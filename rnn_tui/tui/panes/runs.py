"""The Runs pane: every run of the folder, sorted and filtered, and what sets marked ones apart."""

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import DataTable, Input, Static

from rnn_tui.errors import RnnTuiError
from rnn_tui.safetext import safe_text
from rnn_tui.tui import format as f
from rnn_tui.tui.keys import bind, rows
from rnn_tui.tui.panes.base import Pane
from rnn_tui.tui.panes.runs_compare import MOST, Comparison
from rnn_tui.tui.panes.runs_keys import RunKeys
from rnn_tui.tui.panes.runs_rows import NEWEST, Row, Rows, fitting
from rnn_tui.tui.panes.runs_side import Side, two_rows
from rnn_tui.tui.panes.runs_table import RunTable
from rnn_tui.tui.theme import rich_colours
from rnn_tui.tui.widgets.chart import Chart
from rnn_tui.tui.widgets.line_input import LineInput
from rnn_tui.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from rnn_tui.runs.listing import Listing, RunSummary

REFRESH_SECONDS = 2.0


class RunsPane(Pane):
    """A table of runs with what is known of the one under the cursor; marked ones are compared below it."""

    title = "Runs"
    key = "5"
    default_focus = "RunTable, #runs-body"

    SCOPED_CSS = False  # the classes for width and height are on the screen
    DEFAULT_CSS = """
    RunsPane RunTable { height: 2fr; background: transparent; }
    RunsPane #filter { display: none; height: 1; }
    RunsPane #status { height: 1; }
    RunsPane #none { height: auto; padding: 1 2; display: none; }
    RunsPane #runs-table { width: 1fr; height: 1fr; }
    RunsPane #side { width: 46; display: none; margin-left: 2; }
    RunsPane #detail { height: 2; }
    .-wide RunsPane #side { display: block; }
    .-wide RunsPane #detail, .-low RunsPane.-comparing #detail { display: none; }
    .-wide RunsPane.-comparing #side { display: none; }
    RunsPane.-comparing RunTable { height: auto; max-height: 40%; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("m,space", "mark", "Mark", "Mark for comparison: curves, figures, settings that differ", footer=True),
        bind("slash", "filter", "Filter", "Show some runs only: by name, tag:x, state:running, loss<1.6 …",
             footer=True, shown_as="/"),
        bind("j", "move(1)", "Down", "Go to the next run"),
        bind("k", "move(-1)", "Up", "Go to the run before"),
        bind("greater_than_sign", "sort(1)", "Sort", "Sort by the next column; a click on a heading does it, too",
             shown_as=">"),
        bind("less_than_sign", "sort(-1)", "Sort back", "Sort by the column before", shown_as="<"),
        bind("o", "turn_round", "Order", "Turn the order round"),
        bind("b", "next_axis", "Along", "Compare over steps, epochs, tokens or time"),
        bind("f", "other_curve", "Curve", "Compare the losses of training, or of the validation split"),
        bind("y", "log_axis('y')", "Log y", "Compare on a logarithmic loss axis, or a linear one again"),
        bind("x", "log_axis('x')", "Log x", "Compare on a logarithmic x axis, or a linear one again"),
        bind("right_square_bracket", "smooth(1)", "Smoother", "Smooth the compared curves of training more",
             shown_as="]"),
        bind("left_square_bracket", "smooth(-1)", "Rougher", "Smooth the compared curves of training less",
             shown_as="["),
        bind("w", "turn_page", "Tables", "Go from the curves to figures and settings, or back, on a narrow screen"),
        bind("escape", "back", "Back", "Leave the filter; then show all runs; then unmark them"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._listing: Listing | None = None
        self._listed = False
        self._wrong = ""
        """Why the folder cannot be read."""
        self._runs: dict[str, RunSummary] = {}
        self._rows = Rows()
        self._trash: tuple[float, str] = (0.0, "")
        self._timer: Timer | None = None

    @classmethod
    def table(cls) -> list[Binding]:
        return [
            *rows(RunTable.BINDINGS), *rows(RunKeys.BINDINGS), *super().table(), *rows(Chart.BINDINGS),
        ]  # fmt: skip

    def compose(self) -> ComposeResult:
        yield LineInput(
            id="filter", placeholder="words   tag:keep   state:running   arch:lstm   loss<1.6   -word"
        )
        yield Lines(id="status")
        yield Static("", id="none", markup=False)
        with RunKeys(id="runs-body"):
            with Horizontal():
                with Vertical(id="runs-table"):
                    yield RunTable()
                    yield Comparison(ascii=self.shell.ascii)
                yield Side(ascii=self.shell.ascii)
            yield Lines(id="detail")

    def on_mount(self) -> None:
        self._rows.sort(self.shell.recall("runs.order"))
        self.shell.theme_changed_signal.subscribe(self, lambda _: self._paint_anew())

    @property
    def _table(self) -> RunTable:
        return self.query_one(RunTable)

    @property
    def _shown(self) -> Mapping[str, Row]:
        """The rows of the table by name."""
        return self._rows.rows

    @property
    def _compared(self) -> Comparison:
        return self.query_one(Comparison)

    @property
    def chosen(self) -> str:
        """The name of the run under the cursor, or the empty string."""
        return self._table.chosen

    # -- looking --------------------------------------------------------------------------------------------------

    def shown(self) -> None:
        super().shown()
        self._look()
        if self._timer is None:
            self._timer = self.set_interval(REFRESH_SECONDS, self._look)
        self._timer.resume()

    def hidden(self) -> None:
        if self._timer is not None:
            self._timer.pause()

    def on_run_keys_changed(self, event: RunKeys.Changed) -> None:
        event.stop()
        self._look()

    @work(thread=True, exclusive=True, group="look")
    def _look(self) -> None:
        from rnn_tui.runs.listing import Listing

        listing = self._listing = self._listing or Listing(self.shell.runs_dir)
        try:
            runs = listing.look()
            trash = self._look_into_trash()
        except RnnTuiError as error:
            self.app.call_from_thread(self._take, [], (0.0, ""), str(error))
        else:
            self.app.call_from_thread(self._take, runs, trash)

    def _look_into_trash(self) -> tuple[float, str]:
        """Return when the trash was changed and what it holds, in a few words."""
        from rnn_tui.runs.trash import TRASH, list_trash

        try:
            changed_at = os.stat(self.shell.runs_dir / TRASH).st_mtime
        except OSError:
            return 0.0, ""
        if changed_at == self._trash[0]:
            return self._trash
        held = list_trash(self.shell.runs_dir)
        size = f.size(sum(one.size_bytes for one in held))
        return changed_at, f"{len(held)} in the trash, {size}" if held else ""

    def _take(self, runs: "list[RunSummary]", trash: tuple[float, str], wrong: str = "") -> None:
        self._runs, self._trash, self._wrong, self._listed = (
            {run.name: run for run in runs},
            trash,
            wrong,
            True,
        )
        gone = [name for name in self._rows.marked if name not in self._runs]
        for name in gone:
            del self._rows.marked[name]
        self._update()
        self._compare()

    # -- showing --------------------------------------------------------------------------------------------------

    def _update(self) -> None:
        """Bring the table up to date; cells that say the same are left alone."""
        found = self._rows.arrange(
            self._runs.values(), rich_colours(self.app.current_theme), time.time(), ascii=self.shell.ascii
        )
        columns = fitting(self._table.size.width or self.content_size.width, empty=self._rows.empty)
        names = [run.name for run in found]
        self._table.show(
            columns, names, self._shown.__getitem__, order=self._rows.order, ascii=self.shell.ascii
        )
        self._say(len(found))
        self._follow_cursor()

    def _say(self, found: int) -> None:
        """Say how many runs there are and in which order; and where there are none, why."""
        known, typing = len(self._runs), bool(self.query_one("#filter").display)
        self.query_one("#status", Lines).set_lines(
            [self._rows.told(found, known, self._trash[1], typing=typing)]
        )
        nothing = self.query_one("#none", Static)
        nothing.display = self._listed and not found
        if nothing.display:
            why = Content(safe_text(self._nothing(known), newlines=True))
            if nothing.content != why:
                nothing.update(why)
        body = self.query_one(RunKeys)
        body.display = bool(known)
        if known and self.has_focus:  # there was nothing in it to have the focus
            self._table.focus(scroll_visible=False)

    def _nothing(self, known: int) -> str:
        """Return what stands where there is no run to be seen."""
        if self._wrong:
            return f"{self._wrong}\n\nIt is tried again every {REFRESH_SECONDS:.0f} s."
        if known:
            return f"None of the {known} runs is like that. Escape shows all."
        trash = f"\n\n{self._trash[1]}; T shows them." if self._trash[1] else ""
        return f"No runs here yet. In Train (key 2), d starts the demo and n opens the form.{trash}"

    def _follow_cursor(self) -> None:
        """Tell the keys and the panel which run is meant."""
        run = self._runs.get(self.chosen)
        self.query_one(RunKeys).run = run
        side, detail = self.query_one(Side), self.query_one("#detail", Lines)
        if side.display:
            side.show(run)
        if detail.display:
            detail.set_lines(two_rows(run, detail.content_size.width) if run else [])

    def _paint_anew(self) -> None:
        """Make all rows anew: their cells hold the colours of a theme."""
        self._rows.forget()
        if self._listed:
            self._update()

    def on_resize(self) -> None:
        if self._listed:
            self.call_after_refresh(self._update)

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        event.stop()
        self._follow_cursor()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
        self.action_select_cursor()

    def action_select_cursor(self) -> None:
        """Watch the run; what the palette calls."""
        if self.chosen:
            self.shell.open_run(self.chosen)

    def action_move(self, rows: int) -> None:
        self._table.move_cursor(row=self._table.cursor_row + rows)

    # -- order and filter -----------------------------------------------------------------------------------------

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        event.stop()
        key = str(event.column_key.value)
        if self._rows.order == key:
            self.action_turn_round()
        else:
            self._sort_by(key)

    def action_sort(self, direction: int) -> None:
        keys = [NEWEST, *(column.key for column in self._table.columns_shown)]
        now = self._rows.order.removeprefix("-")
        place = keys.index(now) if now in keys else 0
        self._sort_by(keys[(place + direction) % len(keys)])

    def action_turn_round(self) -> None:
        order = self._rows.order
        self._sort_by(order.removeprefix("-") if order.startswith("-") else f"-{order}")

    def _sort_by(self, order: str) -> None:
        self._rows.sort(order)
        self.shell.remember("runs.order", order)
        self._update()

    def action_filter(self) -> None:
        line = self.query_one("#filter", LineInput)
        line.display = True
        line.value = self._rows.wanted
        line.focus(scroll_visible=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._rows.wanted = event.value.strip()
        self._update()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_leave_input()

    def action_leave_input(self) -> None:
        """Leave the filter as it is, and go to the table."""
        self.query_one("#filter").display = False
        self._table.focus(scroll_visible=False)
        self._update()

    def action_back(self) -> None:
        line = self.query_one("#filter", LineInput)
        if line.has_focus or self._rows.wanted:
            line.value = self._rows.wanted = ""
            self.action_leave_input()
        elif self._rows.marked:
            self._rows.marked.clear()
            self._marks_changed()

    # -- comparing ------------------------------------------------------------------------------------------------

    def action_mark(self) -> None:
        name = self.chosen
        if not name:
            return
        if name in self._rows.marked:
            del self._rows.marked[name]
        elif len(self._rows.marked) == MOST:
            self.shell.tell("Eight runs are marked, which is as many as there are colours.")
            return
        else:
            self._rows.marked[name] = min(set(range(MOST)) - set(self._rows.marked.values()))
        self._marks_changed()

    def _marks_changed(self) -> None:
        self.set_class(bool(self._rows.marked), "-comparing")
        self._compare()
        self._update()
        self.refresh_bindings()

    def _compare(self) -> None:
        marked: Mapping[str, int] = dict(sorted(self._rows.marked.items(), key=lambda item: item[1]))
        self.set_class(bool(marked), "-comparing")
        self._compared.compare([self._runs[name] for name in marked], marked)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "filter":
            return not self.query("#filter:focus")
        if action in ("next_axis", "other_curve", "log_axis", "smooth", "turn_page"):
            return bool(self._rows.marked)
        return True

    def action_next_axis(self) -> None:
        self._compared.next_axis()

    def action_other_curve(self) -> None:
        self._compared.other_curve()

    def action_log_axis(self, axis: str) -> None:
        self._compared.log_axis(axis)

    def action_smooth(self, direction: int) -> None:
        self._compared.smooth(direction)

    def action_turn_page(self) -> None:
        self._compared.turn()
