"""What a corpus is for, by the look of its beginning: a text, lines with labels, or numbers."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rnn_tui.corpus import series
from rnn_tui.corpus.sources import STDIN, find_source

_READ = 1 << 16
_ENOUGH = 3
"""Rows of numbers below which a text is no table: a poem may begin with its year."""


@dataclass(frozen=True)
class Guess:
    """A task, and for numbers the columns that hold nothing else; none stands for all."""

    task: Literal["next-token", "aligned", "series"]
    columns: tuple[str, ...] = ()


TEXT = Guess("next-token")


def guess_task(source: str) -> Guess:
    """Return what the beginning of the first file of `source` looks like.

    Raises:
        UsageError, InputError: as `find_source`.
    """
    if source == STDIN:  # can be read only once
        return TEXT
    try:
        with find_source(source).files[0].open("rb") as file:
            data = file.read(_READ)
    except OSError:  # whoever reads it says what is wrong
        return TEXT
    lines = data.decode(errors="replace").removeprefix("\ufeff").split("\n")
    if len(data) == _READ:
        lines.pop()  # cut anywhere
    return guess_of([line.rstrip("\r") for line in lines if line.strip()])


def guess_of(lines: Sequence[str]) -> Guess:
    """Return what lines, none of them blank, look like.

    Numbers: rows of equally many cells of which at least one column holds numbers only, but for the names in the first
    row. Labels: one tab in each line, with as many characters or as many words on either side.
    """
    columns = _number_columns(lines)
    if columns is not None:
        return Guess("series", columns)
    return Guess("aligned") if lines and all(map(_is_pair, lines)) else TEXT


def _is_pair(line: str) -> bool:
    source, tab, target = line.partition("\t")
    if not (tab and source and target) or "\t" in target:
        return False
    return len(source) == len(target) or len(source.split()) == len(target.split()) > 1


def _number_columns(lines: Sequence[str]) -> tuple[str, ...] | None:
    """Return the columns of a table that hold numbers, () if all do; None for what is no table."""
    if len(lines) < _ENOUGH:
        return None
    # As series reads it, so that what is taken for a table can be read as one.
    delimiter = series._delimiter(lines[0])
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error:
        return None
    if len({len(row) for row in rows}) != 1:
        return None
    headed = all(series._parse(cell.strip()) is None for cell in rows[0])
    body = rows[1:] if headed else rows
    numbers = [
        all(series._parse(cell.strip()) is not None for cell in column) for column in zip(*body, strict=True)
    ]
    if not any(numbers) or (delimiter == " " and not all(numbers)):  # words and a number a line are no table
        return None
    names = rows[0] if headed else [str(number) for number in range(1, len(numbers) + 1)]
    return () if all(numbers) else tuple(name for name, good in zip(names, numbers, strict=True) if good)
