"""What happened at a place on the x axis: checkpoints, the best one, changes of rate and rung, the end.

Marks stand on the line of the axis; in a picture too low for one, in its lowest row or its highest, where no curve is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rnn_tui.tui.widgets.picture import Picture

Kind = Literal["checkpoint", "rate", "switch", "best", "end"]

# From the one that yields to the one that stays where several share a cell.
_GLYPHS: dict[Kind, tuple[str, str]] = {
    "checkpoint": ("▴", "^"),
    "rate": ("↕", "~"),
    "switch": ("⇄", "%"),
    "end": ("■", "#"),
    "best": ("★", "B"),
}
_RANKS = {kind: rank for rank, kind in enumerate(_GLYPHS)}
_APART = 4
"""Columns between checkpoints that stand too close to be told apart: one glyph for each so many."""


@dataclass(frozen=True)
class Mark:
    """Something that happened at `x`.

    Args:
        label: What the read-out says of it; it need not be safe yet.
    """

    x: float
    kind: Kind
    label: str


@dataclass(frozen=True)
class Placed:
    """The marks that one glyph stands for."""

    column: int
    marks: tuple[Mark, ...]
    """The most telling one last."""

    def glyph(self, *, ascii: bool) -> str:
        """Return what stands for them."""
        return _GLYPHS[self.marks[-1].kind][ascii]


def place(marks: Sequence[Mark], picture: "Picture") -> list[Placed]:
    """Return the marks that are in the picture, from left to right, those of one cell together.

    Checkpoints that would stand closer than every third cell are drawn together further.
    """
    columns: dict[int, list[Mark]] = {}
    places = picture.x_axis.place([mark.x for mark in marks]).tolist()
    for mark, at in zip(marks, places, strict=True):
        if 0 <= at <= 1:
            columns.setdefault(picture.left + round(at * (picture.columns - 1)), []).append(mark)
    plain = sorted(c for c, held in columns.items() if all(mark.kind == "checkpoint" for mark in held))
    if plain and 3 * len(plain) > plain[-1] - plain[0] + 3:
        for column in plain:
            to = picture.left + (column - picture.left) // _APART * _APART
            if to != column:
                columns.setdefault(to, []).extend(columns.pop(column))
    return [
        Placed(column, tuple(sorted(held, key=lambda mark: _RANKS[mark.kind])))
        for column, held in sorted(columns.items())
    ]


def draw(placed: Sequence[Placed], picture: "Picture", row: int | None, *, ascii: bool) -> None:
    """Write the glyphs into `row`; without one, where the lowest or the highest row of the plot is free."""
    from rnn_tui.tui.widgets.picture import BEST, CHANGE, LABEL, MARK

    styles: dict[Kind, int] = {
        "checkpoint": MARK,
        "rate": CHANGE,
        "switch": CHANGE,
        "best": BEST,
        "end": LABEL,
    }
    lowest, highest = picture.top + picture.rows - 1, picture.top
    free = [_free(picture, item.column, (lowest, highest)) if row is None else {row} for item in placed]
    everywhere = set.intersection(*free) if free else set()  # all stand in one row if one has room for all
    for item, rows in zip(placed, free, strict=True):
        for at in (lowest, highest) if row is None else (row,):
            if at in (everywhere or rows):
                picture.write(at, item.column, item.glyph(ascii=ascii), styles[item.marks[-1].kind])
                break


def _free(picture: "Picture", column: int, rows: Iterable[int]) -> set[int]:
    """Return those of `rows` in which the cell holds no curve, no label and no sign of a NaN."""
    from rnn_tui.tui.widgets.picture import BAD, LABEL, SERIES

    return {
        row
        for row in rows
        if (style := int(picture.styles[row, column])) < SERIES and style not in (BAD, LABEL)
    }


def near(placed: Sequence[Placed], column: int) -> Placed | None:
    """Return what stands in a column of cells."""
    return next((item for item in placed if item.column == column), None)
