"""What the table of runs says: its columns, and the rows of the runs that pass the filter, in order. Pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from rich.text import Text

from rnn_tui.errors import UsageError
from rnn_tui.runs.query import SORTS, falls, parse_filter, sort_runs
from rnn_tui.safetext import safe_text
from rnn_tui.tui import format as f
from rnn_tui.tui.figures import state_span
from rnn_tui.tui.widgets.lines import Line

if TYPE_CHECKING:
    from rnn_tui.runs.listing import RunSummary

NEWEST = "created"
"""The order of the runs unless another one is asked for."""
Row = Mapping[str, Text]
"""The cells of a run by column."""


@dataclass(frozen=True)
class Column:
    """One column; `key` is also what runs are sorted by."""

    key: str
    heading: str
    width: int
    number: bool = False


# As the terminal gets narrower the last of these go first.
COLUMNS = (
    Column("name", "name", 24),
    Column("state", "state", 10),
    Column("step", "step", 13, True),
    Column("loss", "best loss", 11, True),
    Column("updated", "updated", 9, True),
    Column("tag", "tags", 12),
    Column("corpus", "corpus", 14),
    Column("arch", "arch", 8),
    Column("task", "task", 10),
    Column("speed", "tokens/s", 10, True),
    Column("tokenizer", "tokenizer", 11),
    Column("parameters", "parameters", 12, True),
    Column("size", "size", 8, True),
    Column("note", "note", 30),
)


def fitting(width: int, *, empty: frozenset[str] = frozenset()) -> list[Column]:
    """Return the columns that fit into `width` cells, in order of importance, without those named in `empty`.

    The first is always there: a table without columns has no rows either.
    """
    chosen: list[Column] = []
    for column in COLUMNS:
        if column.key in empty:
            continue
        width -= column.width + 2
        if width < 0 and chosen:
            break
        chosen.append(column)
    return chosen


def heading(column: Column, order: str, *, ascii: bool = False) -> Text:
    """Return the heading of a column, with an arrow where the runs are in its order."""
    text = column.heading
    if order.removeprefix("-") == column.key:
        text += (" v" if ascii else " ▼") if falls(order) else (" ^" if ascii else " ▲")
    return Text(f.one_line(text), justify="right" if column.number else "left")


def cells(
    run: "RunSummary", now: float, mark: int | None, colours: Mapping[str, str], *, ascii: bool = False
) -> dict[str, Text]:
    """Return a row of the table by column; text from outside is made safe here, and cut to the width of its column.

    Args:
        mark: The number of the run among the marked ones, which is also its colour.
        colours: As `theme.rich_colours` gives them.
    """
    state, style = state_span(run.state, ascii=ascii)
    best = run.best_loss if run.best_loss is not None else run.validation_loss
    wrong = best is not None and not math.isfinite(best)
    of = f"/{f.short(run.total_steps)}" if run.total_steps else ""
    name = Text(f.one_line(run.name, 24 if mark is None else 22))
    if mark is not None:
        name = Text.assemble((f"{mark + 1} ", f"bold {colours[f'chart-{mark + 1}']}"), (name.plain, "bold"))
    corpus = PurePath(run.corpus).name if "/" in run.corpus else run.corpus
    return {
        "name": name,
        "state": Text(state, style=colours.get(style, "")),
        "step": Text(f"{f.count(run.step)}{of}", justify="right"),
        "loss": Text(f.loss(best), style=colours["bad"] if wrong else "", justify="right"),
        "updated": Text(f.one_line(ago(run, now)), justify="right"),
        "tag": Text(f.one_line(" ".join(run.tags), 12)),
        "corpus": Text(f.one_line(corpus, 14)),
        "arch": Text(f.one_line(run.arch, 8)),
        "task": Text(f.one_line(run.task, 10)),
        "speed": Text(f.short(run.tokens_per_second) if run.tokens_per_second else "-", justify="right"),
        "tokenizer": Text(f.one_line(run.tokenizer, 11)),
        "parameters": Text(f.short(run.parameters), justify="right"),
        "size": Text(f.size(run.size_bytes), justify="right"),
        "note": Text(f.one_line(run.note, 30)),
    }


def changed(before: Row | None, now: Row) -> Row:
    """Return the row `now`, made of the cells of `before` where they say the same in the same style."""
    if before is None:
        return now
    kept = {
        key: before[key] if before[key] == cell and before[key].style == cell.style else cell
        for key, cell in now.items()
    }
    return before if all(kept[key] is before[key] for key in kept) else kept


def ago(run: "RunSummary", now: float) -> str:
    """Return how long ago a run was heard of."""
    return f.ago(now - run.updated) if run.updated else "-"


class Rows:
    """The rows of the table; one that says the same as before is the same object.

    Attributes:
        order: What the runs are sorted by, as `query.sort_runs` takes it.
        wanted: The filter, as it is typed.
        marked: Name → number of the marked runs, which stays while they are.
        rows: Name → row of the runs that pass.
        empty: Columns in which no run has anything to say.
    """

    def __init__(self) -> None:
        self.order, self.wanted = NEWEST, ""
        self.marked: dict[str, int] = {}
        self.rows: dict[str, Row] = {}
        self.empty: frozenset[str] = frozenset()
        self._complaint = ""
        self._made: dict[str, tuple[tuple[object, ...], Row]] = {}
        """Name → what a row says and the row, of all runs."""

    def sort(self, order: object) -> None:
        """Sort by `order` if that can be, which may come from anywhere."""
        if isinstance(order, str) and order.removeprefix("-") in SORTS:
            self.order = order

    def forget(self) -> None:
        """Make all rows anew when they are asked for next."""
        self._made = {name: ((), row) for name, (_, row) in self._made.items()}

    def arrange(
        self, runs: "Iterable[RunSummary]", colours: Mapping[str, str], now: float, *, ascii: bool = False
    ) -> "list[RunSummary]":
        """Return the runs that pass the filter, in order, and make their rows; a filter that is none lets all pass."""
        runs, self._complaint = list(runs), ""
        try:
            holds = parse_filter(self.wanted, now=now)
        except UsageError as error:
            self._complaint, holds = str(error), parse_filter("", now=now)
        self.empty = frozenset(
            key
            for key, part in (("tag", "tags"), ("note", "note"))
            if not any(getattr(r, part) for r in runs)
        )
        found = sort_runs(filter(holds, runs), self.order)
        before, self._made = self._made, {}
        for run in runs:
            made_of: tuple[object, ...] = (run, ago(run, now), self.marked.get(run.name))
            was, row = before.get(run.name, (None, None))
            if row is None or was != made_of:
                row = changed(row, cells(run, now, self.marked.get(run.name), colours, ascii=ascii))
            self._made[run.name] = made_of, row
        self.rows = {run.name: self._made[run.name][1] for run in found}
        return found

    def told(self, found: int, known: int, trash: str, *, typing: bool) -> Line:
        """Return the row above the table: how many runs there are, in which order, or what is wrong with the filter.

        Args:
            found: Runs that pass the filter.
            trash: What the trash holds, in a few words.
            typing: The filter is on the screen anyway.
        """
        if self._complaint:
            return ((safe_text(self._complaint, limit=200), "warn"),)
        if not known:
            return ()
        counted = f"{found} of {known} runs" if self.wanted else f"{known} run{'s' if known > 1 else ''}"
        like = f" like {self.wanted}" if self.wanted and not typing else ""
        by = self.order.removeprefix("-")
        order = "" if self.order == NEWEST else f", by {by}" + (" turned round" if by != self.order else "")
        order += "   enter goes to the table   esc shows all" if typing else ""
        marked = f"   {len(self.marked)} marked" if self.marked else ""
        return (
            (safe_text(f"{counted}{like}{order}", limit=300), "muted"),
            (safe_text(marked), "accent"),
            (safe_text(f"   {trash}" if trash else ""), "muted"),
        )
