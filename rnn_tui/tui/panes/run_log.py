"""All that was said of a run, to scroll through: the notes of its events, and what its worker wrote into worker.log."""

import os
from collections.abc import Callable
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.records import open_plain
from rnn_tui.safetext import safe_text
from rnn_tui.tui.dialogs import Modal
from rnn_tui.tui.history import History
from rnn_tui.tui.keys import bind
from rnn_tui.tui.notes_view import all_notes, log_lines
from rnn_tui.tui.widgets.lines import Lines

REFRESH_SECONDS = 1.0
_READ = 256 * 1024
"""Bytes of worker.log, its last, that are shown."""


class RunLog(Modal[None]):
    """The notes of a run, or its worker.log. At its end it goes on growing; scrolled up it stays where it is."""

    DEFAULT_CSS = """
    RunLog { background: $background; }
    RunLog > Vertical { padding: 0 1; }
    RunLog #which { height: 1; }
    RunLog VerticalScroll { height: 1fr; }
    RunLog #keys { height: 1; color: $foreground 60%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("escape,q,v", "dismiss(None)", "Close", "Back to the monitor", footer=True),
        bind("tab,left,right", "turn", "Turn", "From the notes to worker.log, or back", footer=True),
        bind("j", "scroll(1)", "Down", "Scroll down"),
        bind("k", "scroll(-1)", "Up", "Scroll up"),
    ]

    def __init__(self, run: RunFolder, history: Callable[[], History]) -> None:
        """Show what was said of `run`; `history` gives what is known of it now."""
        super().__init__()
        self._run, self._history = run, history
        self._which = "notes"
        self._log = ""
        self._seen: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Lines(id="which")
            with VerticalScroll():
                yield Lines(id="text")
            yield Static(
                Content("tab turns to the other one   up, down, page up, end scroll   esc closes"), id="keys"
            )

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        self.set_interval(REFRESH_SECONDS, self._look)
        self._draw()
        self._look()

    @work(thread=True, exclusive=True, group="log")
    def _look(self) -> None:
        text = read_log(self._run)
        self.app.call_from_thread(self._take, text)

    def _take(self, text: str) -> None:
        self._log = text
        self._draw()

    def _draw(self) -> None:
        """Write the rows anew where they are others, and stay at the end where that is in view."""
        place, width = self.query_one(VerticalScroll), self.size.width - 4
        found = self._history()
        now = (self._which, width, found.events, len(self._log), self._log[-200:])
        if now == self._seen:
            return
        turned, at_end = self._seen[:1] != now[:1], place.scroll_offset.y >= place.max_scroll_y
        self._seen = now
        chosen = self._which == "notes"
        heading = [
            ("notes", "chosen" if chosen else "muted"),
            ("worker.log", "muted" if chosen else "chosen"),
        ]
        spans = [part for text, style in heading for part in ((f" {text} ", style), (" ", "plain"))]
        self.query_one("#which", Lines).set_lines([(*spans, (safe_text(self._run.name, limit=64), "strong"))])
        lines = all_notes(found.notes, width) if chosen else log_lines(self._log, width)
        self.query_one("#text", Lines).set_lines(
            lines or [(("no notes yet" if chosen else "the worker wrote nothing", "muted"),)]
        )
        if turned or at_end:
            place.scroll_end(animate=False)

    def on_resize(self) -> None:
        self._draw()

    def action_turn(self) -> None:
        self._which = "worker.log" if self._which == "notes" else "notes"
        self._draw()

    def action_scroll(self, direction: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=3 * direction, animate=False)


def read_log(run: RunFolder) -> str:
    """Return the end of a run's worker.log; text from outside, empty where there is none."""
    try:
        with open(open_plain(run.log_path), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _READ))
            text = file.read(_READ).decode("utf-8", "replace")
    except OSError:
        return ""
    return text if size <= _READ else text.partition("\n")[2]
