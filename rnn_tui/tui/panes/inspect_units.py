"""Units by name, one after the other, and those with a star."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rnn_tui.errors import UsageError
from rnn_tui.tui.panes.inspect_answers import Part

STARS_KEPT = 100
RUNS_KEPT = 50


@dataclass(frozen=True)
class Unit:
    """One unit of a part of the state."""

    part: str
    number: int


def has_unit(parts: Sequence[Part], unit: Unit) -> bool:
    """Return whether a model has a unit."""
    return any(part.name == unit.part and 0 <= unit.number < part.units for part in parts)


def next_unit(parts: Sequence[Part], unit: Unit, step: int) -> Unit:
    """Return the unit so many after `unit`, in all parts one after the other and around."""
    place = unit.number + step
    for part in parts:
        if part.name == unit.part:
            break
        place += part.units
    place %= sum(part.units for part in parts)
    for part in parts:
        if place < part.units:
            break
        place -= part.units
    return Unit(part.name, place)


def next_part(parts: Sequence[Part], unit: Unit, step: int) -> Unit:
    """Return the unit of the same number so many parts further, or the last one there."""
    names = [part.name for part in parts]
    part = parts[(names.index(unit.part) + step) % len(names)]
    return Unit(part.name, min(unit.number, part.units - 1))


def unit_named(text: str, parts: Sequence[Part], part: str) -> Unit:
    """Return the unit that `text` names: a number in `part`, or a part, a colon and a number.

    Raises:
        UsageError: when there is none.
    """
    name, colon, number = text.strip().rpartition(":")
    if colon:
        named = [one for one in parts if name.strip() in (one.name, one.name.removeprefix("layer "))]
        if not named:
            raise UsageError(f"there is no part {name}; there are {', '.join(one.name for one in parts)}")
    else:
        named = [one for one in parts if one.name == part]
    right = re.fullmatch("[0-9]{1,9}", number.strip())
    if not right or not named or int(number) >= named[0].units:
        last = named[0].units - 1 if named else 0
        raise UsageError(f"type a unit's number, 0 to {last}, or part:number")
    return Unit(named[0].name, int(number))


def read_stars(kept: Any, run: str) -> list[Unit]:
    """Return the starred units of a run from what the app remembers, which may be anything."""
    found = kept.get(run) if isinstance(kept, dict) else None
    pairs = (
        [one for one in found if isinstance(one, list) and len(one) == 2] if isinstance(found, list) else []
    )
    return [Unit(part, number) for part, number in pairs if isinstance(part, str) and isinstance(number, int)]


def with_star(kept: Any, run: str, unit: Unit) -> dict[str, Any]:
    """Return what is to be remembered once `unit` has a star, or has none if it had one."""
    stars = read_stars(kept, run)
    stars = [one for one in stars if one != unit] if unit in stars else [*stars, unit]
    others = {name: value for name, value in kept.items() if name != run} if isinstance(kept, dict) else {}
    others = dict(list(others.items())[-RUNS_KEPT:])
    return {**others, run: [[one.part, one.number] for one in stars[-STARS_KEPT:]]}
