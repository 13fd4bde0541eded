"""Checks of what a program gives: each raises UsageError in one line that names the argument."""

import operator
import reprlib
from collections.abc import Collection
from typing import Any

from rnn_tui.errors import UsageError, nearest


def shown(value: object) -> str:
    """Return a value as a message shows it: briefly, whatever it is."""
    return reprlib.repr(value)


def whole(name: str, value: Any, low: int, high: int | None = None, *, more: str = "") -> int:
    """Return a whole number within bounds, of Python or of NumPy.

    Args:
        more: what else the argument may be, as it ends the phrase.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = low - 1
    if isinstance(value, bool) or number < low or (high is not None and number > high):
        bounds = f"from {low}" if high is None else f"from {low} to {high}"
        raise UsageError(f"{name} must be a whole number {bounds}{more}, not {shown(value)}")
    return number


def text(name: str, value: Any) -> str:
    """Return a text."""
    if not isinstance(value, str):
        raise UsageError(f"{name} must be a text, not {shown(value)}")
    return value


def switch(name: str, value: Any) -> bool:
    """Return True or False; nothing else is taken for one of them."""
    if not isinstance(value, bool):
        raise UsageError(f"{name} must be True or False, not {shown(value)}")
    return value


def choice(name: str, value: Any, known: Collection[str]) -> str:
    """Return one of the texts that are known."""
    if not isinstance(value, str) or value not in known:
        near = nearest(value, known) if isinstance(value, str) else ""
        raise UsageError(f"{name} must be one of {', '.join(known)}, not {shown(value)}{near}")
    return value


def callback(name: str, value: Any) -> None:
    """Refuse what cannot be called; None stands for nothing to call."""
    if value is not None and not callable(value):
        raise UsageError(f"{name} must be a function, not {shown(value)}")
