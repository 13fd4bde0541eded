"""The scorecard: what is known of each architecture, figure by figure.

Free of torch.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from rnn_tui.score.wire import Rate, Training

SOLVED = 0.9
"""The score from which on a lag, length or depth counts as solved."""

CLEAR = 0.1
"""The score from which on a figure is clearly no guess."""
ALIKE = 0.02
"""Scores, or bits per character, no farther apart are alike: 256 sequences tell no more."""

TOLERANCE = 0.03
"""Of the parameters asked for: what is farther off is said. A step of one unit is 1.3 % of an LSTM of 20,000."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be scored.

    Attributes:
        names: architectures, by plugin name.
        beside: what they stand beside; those that are not installed are left out.
        options: of the architectures in `names`, as typed.
        tasks: groups of tasks, and `speed`; none: all of it.
        parameters: of every model, as nearly as a hidden size gives.
        seeds: each is a training of everything.
        limit: seconds of processor time for one architecture on one group of tasks, all seeds together.
    """

    names: tuple[str, ...]
    beside: tuple[str, ...] = ("rnn", "gru", "lstm")
    options: dict[str, Any] = field(default_factory=dict)
    tasks: tuple[str, ...] = ()
    parameters: int = 20_000
    seeds: tuple[int, ...] = (1, 2, 3)
    quick: bool = False
    limit: float = 300.0


@dataclass(frozen=True, kw_only=True)
class Contender:
    """An architecture on the card.

    Attributes:
        source: a digest of the plugin's files; None where they are not found.
        sizes: the hidden size and the parameters by group of tasks.
        engine: how it trains over time, and why.
        problems: what went wrong, by group of tasks, as one clause each.
    """

    name: str
    role: Literal["scored", "beside"]
    package: str
    version: str
    source: str | None
    options: dict[str, Any]
    sizes: dict[str, tuple[int, int]]
    engine: str
    engine_reason: str
    problems: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One figure of one architecture: the median over seeds, with the least and the most."""

    value: float
    least: float
    most: float
    score: float | None
    seeds: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure of all architectures. `cells` lacks those that have none; the rest as in `wire`."""

    group: str
    measure: str
    axis: str
    at: int
    beyond: bool
    unit: str
    chance: float | None
    better: str
    cells: dict[str, Cell]

    @property
    def best(self) -> set[str]:
        """Those with the best figure as it is shown, where there is a best.

        There is none where figures are neither good nor bad, where the best is hardly above chance, and where all are
        as near to it as makes no difference, or as its own seeds are to each other.
        """
        if not self.better:
            return set()
        figures = {
            name: cell.value if cell.score is None else -cell.score
            for name, cell in self.cells.items()
            if math.isfinite(cell.value)
        }
        least = min(figures.values(), default=0.0)
        found = {name for name, figure in figures.items() if round(figure, 2) == round(least, 2)}
        scored = any(self.cells[name].score is not None for name in found)
        if not found or len(found) == len(self.cells) or (scored and -least < CLEAR):
            return set()
        near = max(ALIKE, min(self.spread(name) for name in found))
        return found if len(figures) < len(self.cells) or max(figures.values()) - least > near else set()

    def spread(self, name: str) -> float:
        """How far apart the seeds are: on the scale of scores where there is one, else in the measure's unit."""
        cell, chance = self.cells[name], self.chance
        if chance is None or cell.score is None:
            return cell.most - cell.least
        if self.better == "low":
            return (min(cell.most, chance) - min(cell.least, chance)) / chance
        return (max(cell.most, chance) - max(cell.least, chance)) / (1 - chance)


@dataclass(frozen=True, kw_only=True)
class Card:
    """All that was found out.

    Attributes:
        complete: whether nothing was interrupted.
        notes: what was left out, and why.
        solved: by architecture and measure, the greatest lag, length or depth up to which all are solved; 0: none.
        rates: how fast each is, at the size that it has on the text.
        summary: a sentence for each of those that are scored, and one before them of what none could do.
        trainings: everything, one by one.
    """

    machine: str
    versions: dict[str, str]
    plan: Plan
    seconds: float
    complete: bool
    notes: tuple[str, ...]
    contenders: tuple[Contender, ...]
    rows: tuple[Row, ...]
    solved: dict[str, dict[str, int]]
    rates: tuple[Rate, ...]
    summary: tuple[str, ...] = ()
    trainings: tuple[Training, ...] = ()


def rows_of(trainings: Iterable[Training], groups: Sequence[str]) -> tuple[Row, ...]:
    """Gather figures by measure and place, over architectures and seeds.

    Args:
        groups: of tasks, in the order of the rows.
    """
    found: dict[tuple[Any, ...], dict[str, list[tuple[float, float | None]]]] = defaultdict(dict)
    chances: dict[tuple[Any, ...], float | None] = {}
    for training in trainings:
        for number, measure in enumerate(training.measures):
            for point in measure.points:
                place = (
                    groups.index(training.group),
                    number,
                    measure.name,
                    measure.axis,
                    point.at,
                    measure.unit,
                    measure.better,
                )
                chances.setdefault(place, measure.chance)
                values = found[place].setdefault(training.architecture, [])
                values.append((float(point.value), point.score))
    beyond = {
        (measure.name, point.at)
        for training in trainings
        for measure in training.measures
        for point in measure.points
        if point.beyond and measure.axis
    }
    return tuple(
        Row(
            group=groups[group],
            measure=name,
            axis=axis,
            at=at,
            beyond=(name, at) in beyond,
            unit=unit,
            chance=chances[group, number, name, axis, at, unit, better],
            better=better,
            cells={who: _cell(values) for who, values in cells.items()},
        )
        for (group, number, name, axis, at, unit, better), cells in sorted(found.items())
    )


def _cell(values: list[tuple[float, float | None]]) -> Cell:
    figures = [value for value, _ in values]
    scores = [score for _, score in values if score is not None]
    return Cell(
        value=statistics.median(figures),
        least=min(figures),
        most=max(figures),
        score=statistics.median(scores) if scores else None,
        seeds=len(values),
    )


def solved_of(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Return, by architecture and measure that has an axis, how far from the first figure on each is solved."""
    solved: dict[str, dict[str, int]] = defaultdict(dict)
    failed: set[tuple[str, str]] = set()
    for row in rows:  # in order of `at`
        for name, cell in row.cells.items() if row.axis else ():
            solved[name].setdefault(row.measure, 0)
            if cell.score is None or cell.score < SOLVED:
                failed.add((name, row.measure))
            elif (name, row.measure) not in failed:
                solved[name][row.measure] = row.at
    return dict(solved)


def document(card: Card) -> Any:
    """Return a card in JSON's types, but for numbers that are not finite."""
    return msgspec.to_builtins(card)
