"""From a table of numbers to a scaled series: columns, cut, splits, scaling.

The table is CSV with commas, semicolons, tabs or blanks between its cells, or one number a line; the first line may
name the columns. It is read through the same snapshot as a text. What is scaled is scaled by the training split
alone: nothing of what is held out may be known beforehand.
"""

import csv
import hashlib
import json
import math
import re
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.decoding import TextReport
from rnn_tui.corpus.findings import text_findings
from rnn_tui.corpus.snapshot import Progress, Snapshot, snapshot
from rnn_tui.corpus.splits import Prepared, split_bounds
from rnn_tui.errors import InputError, UsageError, nearest

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scaling:
    """What a model of numbers reads and writes: (value - mean) / std, column by column."""

    columns: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return values (..., C) as the model reads them; what is too large for it becomes infinite."""
        with np.errstate(over="ignore"):
            scaled: npt.NDArray[np.float32] = ((values - self.mean) / np.array(self.std)).astype(np.float32)
        return scaled

    def invert(self, scaled: npt.NDArray[Any]) -> Floats:
        """Return what the model wrote, (..., C), in the units of the data; what is too large for these is infinite."""
        with np.errstate(over="ignore"):
            values: Floats = scaled.astype(np.float64) * self.std + self.mean
        return values


@dataclass(frozen=True)
class SeriesSplit:
    """The rows from `begin` to before `end`."""

    name: str
    """`train`, `validation` or `test`."""
    begin: int
    end: int


@dataclass(frozen=True, kw_only=True)
class PreparedSeries(Prepared[SeriesSplit]):
    """A series, its scaling and its splits; a split without rows is absent."""

    noun = "series"

    scaling: Scaling
    values: Floats
    """(n, C), all rows in the units of the data."""

    def scaled(self, split: str) -> npt.NDArray[np.float32]:
        """Return the rows of a split, (m, C), as the model reads them."""
        part = self.split(split)
        return self.scaling.apply(self.values[part.begin : part.end])


def prepare_series(
    config: CorpusConfig,
    *,
    columns: tuple[str, ...] = (),
    scale: Literal["standard", "none"] = "standard",
    progress: Progress | None = None,
    keep_in: Path | None = None,
) -> PreparedSeries:
    """Read a table and scale it by its training split.

    Args:
        config: The source, the cut (`first_tokens` rows) and the splits.
        columns: The columns to keep, in this order, by name or by number from 1; none keeps all. Only these must
            hold numbers.
        scale: `standard` brings the training rows of each column to mean 0 and deviation 1.
        progress: Told what is done; see `rnn_tui.corpus.snapshot.Progress`.
        keep_in: The run's folder, for standard input; see `snapshot`.

    Raises:
        UsageError: for a column that is not there, or for normalising steps, which are for text.
        InputError: for a table that cannot be read, with line and column, or is too short.
        DiskError: when the cache cannot be written.
    """
    taken = _take(config, progress, keep_in)
    table = _Table(taken)
    chosen = _choose(table.names, columns) if columns else list(range(table.width))
    values = table.read(chosen, config.first_tokens, progress)
    train = values[: split_bounds(len(values), config.validation, config.test)["train"][1]]
    names = tuple(table.names[column] for column in chosen)
    scaling = Scaling(names, (0.0,) * len(names), (1.0,) * len(names))
    if scale == "standard" and len(train):
        constant = train.min(0) == train.max(0)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, std = train.mean(0), np.where(constant, 1.0, train.std(0))
        for index, name in enumerate(names):
            if constant[index]:
                note = (
                    f"column {name} has the same number in every training row; it is shifted to 0, not scaled"
                )
                taken = replace(taken, notes=(*taken.notes, note))
            elif not 0 < std[index] < math.inf:
                raise InputError(
                    f"{taken.name}: the numbers of column {name} are too large or too close together to be scaled; "
                    "give them in another unit"
                )
        scaling = Scaling(names, tuple(mean.tolist()), tuple(std.tolist()))
    return _prepared(config, taken, scaling, values)


def prepare_series_with(
    config: CorpusConfig,
    scaling: Scaling,
    *,
    progress: Progress | None = None,
    keep_in: Path | None = None,
) -> PreparedSeries:
    """Read a table for a model that exists already, with its columns and its scaling.

    A table without a line of names is taken by position if it has as many columns as the model.

    Args and Raises: as `prepare_series`.
    """
    taken = _take(config, progress, keep_in)
    table = _Table(taken)
    by_position = not table.headed and table.width == len(scaling.columns)
    if by_position and not set(scaling.columns) <= set(table.names):
        chosen = list(range(table.width))
    else:
        chosen = _choose(table.names, scaling.columns)
    return _prepared(config, taken, scaling, table.read(chosen, config.first_tokens, progress))


def _take(config: CorpusConfig, progress: Progress | None, keep_in: Path | None) -> Snapshot:
    if config.normalise:
        raise UsageError(
            f"corpus.normalise ({', '.join(config.normalise)}) is for text; leave it out for a series"
        )
    taken = snapshot(config, progress=progress, keep_in=keep_in)
    # the words about line ends are for those who learn them
    idle = {finding.sentence for finding in text_findings(TextReport(crlf=taken.report.crlf))}
    return replace(taken, notes=tuple(note for note in taken.notes if note not in idle))


def _prepared(config: CorpusConfig, taken: Snapshot, scaling: Scaling, values: Floats) -> PreparedSeries:
    rows = len(values)
    bounds = split_bounds(rows, config.validation, config.test)
    splits = {name: SeriesSplit(name, begin, end) for name, (begin, end) in bounds.items() if end > begin}
    if bounds["train"][1] < 2:
        raise InputError(
            f"{taken.name}: too short: {rows:,} rows leave {bounds['train'][1]} to train on, at least 2 are needed; "
            "give a longer series, or hold out less of it"
        )
    if not np.isfinite(scaling.apply(values)).all():
        raise InputError(
            f"{taken.name}: a number is too large for the model to read; give them in another unit"
        )
    if config.first_tokens > rows:
        note = f"the series has only {rows:,} rows, fewer than the first {config.first_tokens:,} asked for"
        taken = replace(taken, notes=(*taken.notes, note))
    numbers = (scaling.columns, scaling.mean, scaling.std)
    parts = (taken.sha256, config.first_tokens, config.validation, config.test, *numbers)
    fingerprint = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return PreparedSeries(
        name=taken.name,
        fingerprint=fingerprint,
        snapshot=taken,
        splits=splits,
        scaling=scaling,
        values=values,
    )


def _choose(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Return the places of the columns `wanted`, each a name or else a number from 1."""
    chosen: list[int] = []
    for column in wanted:
        if column in names:
            place = names.index(column)
        elif column.isdecimal() and len(column) < 10 and 1 <= int(column) <= len(names):
            place = int(column) - 1
        else:
            there = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
            raise UsageError(f"there is no column {column!r}, only {there}{nearest(column, names)}")
        if place in chosen:
            raise UsageError(f"the column {column!r} is named twice; name each column once")
        chosen.append(place)
    return chosen


class _Table:
    """The cells of a text.

    Attributes:
        names: of the columns: from the first line, if no cell of it is a number, or else "1", "2", ….
        headed: whether the names are from the first line.
        width: how many columns there are.
    """

    def __init__(self, taken: Snapshot) -> None:
        self._taken = taken
        # the second line tells more: the first may hold names with anything in them
        first = list(islice((line for line in _lines(taken) if line.strip()), 2))
        self._delimiter = _delimiter(first[-1]) if first else ","
        line, cells = next(self._rows(), (1, []))
        if not cells:
            raise InputError(f"{taken.name}: there are only blank lines; give a table of numbers")
        self.width = len(cells)
        self.headed = all(_parse(cell) is None for cell in cells)
        self.names = [
            (cell if self.headed else "") or str(number) for number, cell in enumerate(cells, start=1)
        ]
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise InputError(f"{taken.name}: line {line}: two columns are called {twice[0]!r}; rename one")

    def read(self, columns: Sequence[int], first_rows: int, progress: Progress | None) -> Floats:
        """Return the numbers of `columns`, (n, C), of the first rows or of all if `first_rows` is 0.

        Raises:
            InputError: for a cell that is no finite number and for rows of unequal width.
        """
        numbers = array("d")
        done = 0
        for index, (line, cells) in enumerate(self._rows()):
            if index == 0 and self.headed:
                continue
            if len(cells) != self.width:
                raise InputError(
                    f"{self._taken.name}: line {line} has {len(cells)} columns, the first line {self.width}; every row "
                    "needs the same columns"
                )
            for column in columns:
                value = _parse(cells[column])
                if value is None or not math.isfinite(value):
                    raise self._no_number(line, column, cells[column])
                numbers.append(value)
            done += 1
            if progress is not None and done % 100_000 == 0:
                progress("rows", done, None)
            if done == first_rows:
                break
        return np.array(numbers, np.float64).reshape(-1, len(columns))

    def _no_number(self, line: int, column: int, cell: str) -> InputError:
        what = repr(cell[:40]) + " is no finite number" if cell else "the cell is empty"
        advice = "correct it"
        if self.width > 1:
            advice += ", or choose other columns with task.columns"
        return InputError(f"{self._taken.name}: line {line}, column {self.names[column]}: {what}; {advice}")

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the line number and the stripped cells of each row that is not blank."""
        lines = _lines(self._taken)
        if self._delimiter == " ":
            lines = (line.strip() for line in lines)
        # with blanks between the cells, several are one: the reader skips those after the first
        reader = csv.reader(lines, delimiter=self._delimiter, skipinitialspace=True, strict=True)
        while True:
            try:
                cells = [cell.strip() for cell in next(reader)]
            except StopIteration:
                return
            except csv.Error as error:
                raise InputError(
                    f"{self._taken.name}: line {reader.line_num}: {error}; correct that line"
                ) from None
            if any(cells):
                yield reader.line_num, cells


def _lines(taken: Snapshot) -> Iterator[str]:
    """Yield the lines of a text without their ends."""
    held = ""
    for piece in taken.pieces():
        *lines, held = (held + piece).split("\n")
        for line in lines:
            yield line.rstrip("\r")
    if held:
        yield held.rstrip("\r")


def _delimiter(line: str) -> str:
    """Return what stands between the cells of a line."""
    bare = re.sub(r'"[^"]*"', "", line.strip())
    return next((candidate for candidate in (";", "\t", ",", " ") if candidate in bare), ",")


def _parse(cell: str) -> float | None:
    """Return the number that a cell holds, which may be infinite or NaN; None for anything else."""
    try:
        return None if "_" in cell else float(cell)  # Python would read 1_000
    except ValueError:
        return None
