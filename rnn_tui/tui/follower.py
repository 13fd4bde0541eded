"""A thread that reads one run and hands news to the screen; it keeps file access and parsing off the event loop."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnn_tui.tui.history import History

if TYPE_CHECKING:
    from rnn_tui.runs.events import Event
    from rnn_tui.runs.status import RunView

POLL_SECONDS = 0.15
QUIET_SECONDS = 1.0
_LOOK_EVERY = 1.0
"""Seconds between looks at lock and status: a dead worker is seen well within three seconds."""
_CHUNK = 4 << 20


@dataclass(frozen=True)
class News:
    """What changed since the last one."""

    path: Path
    view: "RunView"
    events: "tuple[Event, ...]" = ()
    history: History | None = None
    """A whole new history, the receiver's from now on: at first, and when the log was replaced."""
    bad_lines: int = 0


class Follower(threading.Thread):
    """Polls events and state of a run until `stop`. `post` is called in this thread, only when something changed."""

    def __init__(self, path: Path, post: Callable[[News], object]) -> None:
        super().__init__(name=f"follow-{path.name}", daemon=True)
        self.path = path
        self._post = post
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Make it end soon; does not wait."""
        self._stopped.set()

    def run(self) -> None:
        from rnn_tui.runs.events import EventReader
        from rnn_tui.runs.layout import RunFolder
        from rnn_tui.runs.status import Liveness

        run = RunFolder(self.path)
        reader, liveness = EventReader(run.events_path), Liveness()
        history: History | None = History()
        resets, bad_lines, since_look = 0, 0, 0.0
        view = liveness.view(run)
        while not self._stopped.is_set():
            if history is not None:  # the past, in pieces, so that closing the app does not wait for it
                events = reader.poll(_CHUNK)
                if reader.reset != resets:
                    resets, history = reader.reset, History()
                history.add(events)
                if events:
                    continue
                self._post(News(self.path, view, history=history, bad_lines=reader.bad_lines))
                history, bad_lines = None, reader.bad_lines
            wait = POLL_SECONDS if view.alive or view.state in ("created", "starting") else QUIET_SECONDS
            if self._stopped.wait(wait):
                return
            events = reader.poll()
            if reader.reset != resets:
                resets, history = reader.reset, History()
                history.add(events)
                continue
            since_look += wait
            before = view
            if since_look >= _LOOK_EVERY or events:
                since_look, view = 0.0, liveness.view(run)
            if events or view.state != before.state or reader.bad_lines != bad_lines:
                bad_lines = reader.bad_lines
                self._post(News(self.path, view, events=tuple(events), bad_lines=bad_lines))
