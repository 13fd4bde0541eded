"""What the parts of the corpus pane say in its status line, and how a thread says how far it is."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.message import Message

from rnn_tui.tui.format import bar

if TYPE_CHECKING:
    from rnn_tui.corpus.snapshot import Progress

_TELL = 0.1
"""Seconds between two words about progress."""


class Said(Message):
    """Something for the status line; it may hold anything."""

    def __init__(self, text: str, bad: bool = False) -> None:
        super().__init__()
        self.text, self.bad = text, bad


class Superseded(Exception):
    """Raised by a progress function when nobody waits for the result any more."""


def telling(say: Callable[[str], object], cancelled: Callable[[], bool], *, ascii: bool) -> "Progress":
    """Return a progress function that says how far a thread is, ten times a second at most.

    It raises `Superseded` once `cancelled` says that nobody waits any more.
    """
    told = 0.0

    def progress(what: str, done: int, total: int | None) -> None:
        nonlocal told
        if cancelled():
            raise Superseded
        if time.monotonic() - told < _TELL:
            return
        told = time.monotonic()
        filled, rest = bar(done / total, 20, ascii=ascii) if total else ("", "")
        part = f"  {filled}{rest} {100 * (done / total):.0f} %" if total else ""
        say(f"{what} …{part}")

    return progress
