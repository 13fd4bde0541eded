"""JSON from anywhere, parsed strictly and within bounds: what Python's reader lets pass is refused here."""

import json
import math
from typing import Any

VALUES_LIMIT = 400_000
"""Values and keys in a text, a list or a table counting as eight; a word vocabulary of 300,000 has as many. As an
object a value may take a hundred bytes, so that 8 MiB of brackets would take 400 MB and two seconds."""
_WHOLE_DIGITS, _DIGITS = 20, 64  # of a whole number, and of any other, which is written with 24 at most


def values_in(text: str) -> int:
    """Return how many values a JSON text has at most, counted as for `VALUES_LIMIT`; its strings may add some."""
    return sum(text.count(mark) for mark in ",:") + 8 * sum(text.count(mark) for mark in "[{")


def parse_json(text: str) -> Any:
    """Parse JSON: no key twice, no number that is not finite or absurdly long, no more values than `VALUES_LIMIT`.

    Raises:
        ValueError: for anything else, nesting beyond the interpreter's limit included.
    """
    if values_in(text) > VALUES_LIMIT:  # before they become objects
        raise ValueError(f"more than {VALUES_LIMIT:,} values")
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_whole,
            parse_float=_finite,
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands twice")
    return table


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _whole(digits: str) -> int:
    if len(digits) > _WHOLE_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def _finite(digits: str) -> float:
    if len(digits) > _DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"{digits} is too large a number")
    return number
