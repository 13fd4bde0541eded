"""Units that fire on a pattern, as rows of a table: asked of the engine, or those with a star."""

from collections.abc import Sequence
from dataclasses import dataclass

from rnn_tui.tui.panes.inspect_answers import Survey, Units
from rnn_tui.tui.panes.inspect_session import InspectSession, Say
from rnn_tui.tui.panes.inspect_units import Unit

SURVEY, STARS, REGEX = "survey", "stars", "regex:"
"""What may be searched for beside a pattern: the best unit of each pattern, those with a star, an expression."""
TOP = 20
"""Units that are found, at most."""


@dataclass(frozen=True)
class Row:
    """A unit in the table, with what was found of it."""

    unit: Unit
    pattern: str = ""
    score: float | None = None
    mean_in: float | None = None
    mean_out: float | None = None


@dataclass(frozen=True)
class Search:
    """What a search has found: units, best first, a note on them, and for each token whether it has the pattern."""

    rows: list[Row]
    note: str
    marked: list[bool]


async def search(session: InspectSession, pattern: str, stars: Sequence[Unit], say: Say) -> Search:
    """Look for the units that tell `pattern`; raises what the session raises."""
    if pattern == STARS:
        return Search([Row(unit) for unit in stars], "" if stars else "no unit has a star; s gives one", [])
    if pattern == SURVEY:
        rows = survey_rows(await session.ask("survey", Survey, say, top=1))
        note = (
            "c chooses a pattern, e asks for an expression" if rows else "the text has none of the patterns"
        )
        return Search(rows, note, [])
    units = await session.ask("units", Units, say, pattern=pattern, top=TOP)
    note, marked = units.note, [bool(one) for one in units.marked] if units.kind == "yes-no" else []
    if units.share and marked and not note:
        note = f"{100 * units.share:.1f} % of the tokens, underlined in the text"
    rows = [Row(Unit(one.part, one.unit), "", one.score, one.mean_in, one.mean_out) for one in units.found]
    return Search(rows, note, marked)


def survey_rows(survey: Survey) -> list[Row]:
    """Return the best unit of each pattern, that which tells its pattern best first."""
    found = [
        Row(Unit(one.part, one.unit), pattern.pattern, one.score, one.mean_in, one.mean_out)
        for pattern in survey.patterns
        for one in pattern.found[:1]
    ]
    return sorted(found, key=lambda row: -abs(row.score or 0.0))


def number_text(value: float | None) -> str:
    """Return a score or a mean as a table shows it."""
    return "-" if value is None or value != value else f"{value:+.2f}"
