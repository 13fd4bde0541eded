"""The Runs pane: every run of the folder, and what sets marked ones apart."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import DataTable, Static

from rnn_tui.errors import RnnTuiError
from rnn_tui.runs.layout import RunFolder
from rnn_tui.safetext import safe_text
from rnn_tui.tui import format as f
from rnn_tui.tui.dialogs import Confirm
from rnn_tui.tui.figures import state_span
from rnn_tui.tui.history import History
from rnn_tui.tui.keys import bind, rows
from rnn_tui.tui.overlay import Overlay, overlay
from rnn_tui.tui.panes.base import Pane
from rnn_tui.tui.theme import rich_colours
from rnn_tui.tui.widgets.chart import Chart

if TYPE_CHECKING:
    from rnn_tui.runs.listing import RunSummary

REFRESH_SECONDS = 2.0
# (key, heading, width); as the terminal gets narrower the last of these go first.
_COLUMNS = (
    ("name", "name", 24),
    ("state", "state", 10),
    ("step", "step", 13),
    ("loss", "best loss", 9),
    ("updated", "updated", 7),
    ("corpus", "corpus", 14),
    ("task", "task", 10),
    ("arch", "arch", 8),
    ("speed", "tokens/s", 8),
    ("tokenizer", "tokenizer", 9),
    ("parameters", "parameters", 10),
    ("size", "size", 8),
)


def cells(
    run: "RunSummary", now: float, mark: int | None, colours: Mapping[str, str], *, ascii: bool = False
) -> dict[str, Text]:
    """Return a row of the table by column; text from outside is made safe here.

    Args:
        mark: The run's place among the marked ones, which is also its colour.
        colours: As `theme.rich_colours` gives them.
    """
    state, style = state_span(run.state, ascii=ascii)
    best = run.best_loss if run.best_loss is not None else run.validation_loss
    wrong = best is not None and not math.isfinite(best)
    of = f"/{f.short(run.total_steps)}" if run.total_steps else ""
    name = Text(f.one_line(run.name, 64))
    if mark is not None:
        name = Text.assemble((f"{mark + 1} ", f"bold {colours[f'chart-{mark + 1}']}"), (name.plain, "bold"))
    corpus = Path(run.corpus).name if "/" in run.corpus else run.corpus
    return {
        "name": name,
        "state": Text(state, style=colours.get(style, "")),
        "step": Text(f"{f.count(run.step)}{of}", justify="right"),
        "loss": Text(f.loss(best), style=colours["bad"] if wrong else "", justify="right"),
        "updated": Text(f.ago(now - run.updated) if run.updated else "-", justify="right"),
        "corpus": Text(f.one_line(corpus, 40)),
        "task": Text(f.one_line(run.task, 40)),
        "arch": Text(f.one_line(run.arch, 40)),
        "speed": Text(f.short(run.tokens_per_second) if run.tokens_per_second else "-", justify="right"),
        "tokenizer": Text(f.one_line(run.tokenizer, 40)),
        "parameters": Text(f.short(run.parameters), justify="right"),
        "size": Text(f.size(run.size_bytes), justify="right"),
    }


def fitting(width: int) -> list[tuple[str, str, int]]:
    """Return the columns that fit into `width` cells, in order of importance."""
    chosen: list[tuple[str, str, int]] = []
    for column in _COLUMNS:
        width -= column[2] + 2
        if width < 0:
            break
        chosen.append(column)
    return chosen


def differences(configs: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, list[str]]]:
    """Return the settings in which the runs differ: section.key and each run's value as safe text."""
    flat = [dict(_flatten(config)) for _, config in configs]
    paths = sorted({path for values in flat for path in values if not path.startswith("about.")})
    rows = [(path, [safe_text(values.get(path, "-"), limit=60) for values in flat]) for path in paths]
    return [(safe_text(path, limit=60), values) for path, values in rows if len(set(values)) > 1]


def _flatten(table: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in table.items():
        if isinstance(value, dict):
            found += _flatten(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found


class RunTable(DataTable[Text]):
    """A table whose enter key says in the footer what it does."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("enter", "select_cursor", "Watch", "Watch this run in the Train pane", footer=True)
    ]


class RunsPane(Pane):
    """A table of runs; marked ones are compared below it."""

    title = "Runs"
    key = "4"
    default_focus = "RunTable"

    SCOPED_CSS = False  # the classes for width and height are on the screen
    DEFAULT_CSS = """
    RunsPane RunTable { height: 1; max-height: 100%; background: transparent; }
    RunsPane.-comparing RunTable { max-height: 40%; }
    RunsPane #none { height: auto; padding: 1 2; }
    RunsPane #compare { height: 1fr; display: none; margin-top: 1; }
    RunsPane #differences { width: 1fr; height: 1fr; padding-left: 2; }
    RunsPane #compare Chart { width: 2fr; }
    .-narrow RunsPane #differences { width: 34; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("p", "prompt", "Prompt", "Prompt this run's model", footer=True),
        bind(
            "m,space",
            "mark",
            "Mark",
            "Mark for comparison: settings that differ, curves overlaid",
            footer=True,
        ),
        bind("r", "resume_run", "Resume", "Go on training from the newest checkpoint", footer=True),
        bind("n", "clone", "Clone", "Fill in the form for a new run with this run's settings", footer=True),
        bind("x,delete", "delete", "Delete", "Delete this run's folder", footer=True),
        bind("j", "move(1)", "Down", "Go to the next run"),
        bind("k", "move(-1)", "Up", "Go to the run before"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._runs: dict[str, RunSummary] = {}
        self._shown: dict[str, dict[str, Text]] = {}
        self._marked: list[str] = []
        self._columns: list[str] = []
        self._timer: Timer | None = None

    @classmethod
    def table(cls) -> list[Binding]:
        return [*rows(RunTable.BINDINGS), *super().table()]

    def compose(self) -> ComposeResult:
        yield Static(
            Content("No runs here yet. In Train (key 2), d starts the demo and n opens the form."), id="none"
        )
        yield RunTable(cursor_type="row")
        with Horizontal(id="compare"):
            yield Chart("validation loss", x_name="step", id="overlay", ascii=self.shell.ascii)
            yield Vertical(Static("", id="difference-rows", markup=False), id="differences")

    @property
    def _table(self) -> RunTable:
        return self.query_one(RunTable)

    # -- the table ------------------------------------------------------------------------------------------------

    def shown(self) -> None:
        super().shown()
        self._look()
        if self._timer is None:
            self._timer = self.set_interval(REFRESH_SECONDS, self._look)
        self._timer.resume()

    def hidden(self) -> None:
        if self._timer is not None:
            self._timer.pause()

    @work(thread=True, exclusive=True, group="look")
    def _look(self) -> None:
        from rnn_tui.runs.listing import list_runs

        try:
            runs = list_runs(self.shell.runs_dir)
        except RnnTuiError as error:
            self.app.call_from_thread(self.shell.fail, error)
            return
        self.app.call_from_thread(self._update, runs)

    def _update(self, runs: "list[RunSummary]") -> None:
        """Bring the table up to date; cells that say the same are left alone."""
        table = self._table
        self.query_one("#none").display = not runs
        table.display = bool(runs)
        table.styles.height = len(runs) + 1  # an automatic height is sometimes not laid out anew as rows come
        columns = fitting(self.content_size.width)
        names = [run.name for run in runs]
        self._marked = [name for name in self._marked if name in names]
        if self._columns != [key for key, _, _ in columns] or list(self._shown) != names:
            chosen = self.chosen
            table.clear(columns=True)
            for key, heading, width in columns:
                table.add_column(heading, key=key, width=width)
            self._columns, self._shown = [key for key, _, _ in columns], {}
            for run in runs:
                table.add_row(*[Text("") for _ in columns], key=run.name)
            if chosen in names:
                table.move_cursor(row=names.index(chosen))
        now, colours = time.time(), rich_colours(self.app.current_theme)
        for run in runs:
            mark = self._marked.index(run.name) if run.name in self._marked else None
            row = cells(run, now, mark, colours, ascii=self.shell.ascii)
            for key in self._columns:
                if self._shown.get(run.name, {}).get(key) != row[key]:
                    table.update_cell(run.name, key, row[key])
            self._shown[run.name] = row
        self._runs = {run.name: run for run in runs}

    def on_resize(self) -> None:
        if self._runs:
            self._update(list(self._runs.values()))

    @property
    def chosen(self) -> str:
        """The name of the run under the cursor, or the empty string."""
        names, row = list(self._shown), self._table.cursor_row
        return names[row] if 0 <= row < len(names) else ""

    # -- actions --------------------------------------------------------------------------------------------------

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
        self.action_select_cursor()

    def action_move(self, rows: int) -> None:
        self._table.move_cursor(row=self._table.cursor_row + rows)

    def action_select_cursor(self) -> None:
        """Watch the run; what the palette calls."""
        if self.chosen:
            self.shell.open_run(self.chosen)

    def action_prompt(self) -> None:
        if self.chosen:
            self.shell.open_prompt(self.chosen)

    def action_clone(self) -> None:
        if not self.chosen:
            return
        try:
            config = RunFolder(self._runs[self.chosen].path).read_config()
        except RnnTuiError as error:
            self.shell.fail(error)
            return
        self.shell.new_run(
            {key: value for key, value in config.items() if key != "about" and isinstance(value, dict)}
        )

    @work(thread=True, group="start")
    def action_resume_run(self) -> None:
        from rnn_tui.runs.supervisor import resume_run

        if not self.chosen:
            return
        try:
            resume_run(RunFolder(self._runs[self.chosen].path))
        except RnnTuiError as error:
            self.app.call_from_thread(self.shell.fail, error)
        else:
            self.app.call_from_thread(self.shell.open_run, self.chosen)

    @work(group="dialog")
    async def action_delete(self) -> None:
        from rnn_tui.runs.folder import remove_run

        name = self.chosen
        if not name:
            return
        run = self._runs[name]
        what = f"Its checkpoints and its model go with it ({f.size(run.size_bytes)}). This cannot be undone."
        if await self.app.push_screen_wait(Confirm(f"Delete run {name}?", what)) != "yes":
            return
        try:
            remove_run(RunFolder(run.path))
        except RnnTuiError as error:
            self.shell.fail(error)
        self._look()

    # -- comparing ------------------------------------------------------------------------------------------------

    def action_mark(self) -> None:
        name = self.chosen
        if not name:
            return
        if name in self._marked:
            self._marked.remove(name)
        elif len(self._marked) == 8:
            self.shell.tell("Eight runs are marked, which is as many as there are colours.")
            return
        else:
            self._marked.append(name)
        self._update(list(self._runs.values()))
        self.query_one("#compare").display = bool(self._marked)
        self.set_class(bool(self._marked), "-comparing")
        self._compare([self._runs[name].path for name in self._marked])

    @work(thread=True, exclusive=True, group="compare")
    def _compare(self, paths: list[Path]) -> None:
        from rnn_tui.runs.events import EventReader

        histories: list[History] = []
        configs: list[tuple[str, dict[str, Any]]] = []
        for path in paths:
            run, history = RunFolder(path), History()
            history.add(EventReader(run.events_path).poll())
            histories.append(history)
            try:
                configs.append((run.name, run.read_config()))
            except RnnTuiError:
                configs.append((run.name, {}))
        self.app.call_from_thread(self._show_comparison, overlay(histories), differences(configs), len(paths))

    def _show_comparison(self, drawn: Overlay, rows: list[tuple[str, list[str]]], marked: int) -> None:
        self.query_one("#overlay", Chart).show(drawn.series, title=drawn.title)
        parts: list[Any] = []
        for path, values in rows:
            parts.append((f"{safe_text(path)}\n", "bold"))
            parts += [f"  {number} {safe_text(value)}\n" for number, value in enumerate(values, 1)]
        if marked < 2:
            parts = ["Mark another run to see the settings in which they differ."]
        elif not rows:
            parts = ["The settings are the same."]
        left_out = [(f"{safe_text(drawn.note)}\n\n", "$text-warning")] if drawn.note else []
        self.query_one("#difference-rows", Static).update(Content.assemble(*left_out, *parts))
