"""A thread that reads one run and hands news to the screen; it keeps file access and parsing off the event loop."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnn_tui.tui.history import History
from rnn_tui.tui.machine import SAMPLE_SECONDS, Load, Sampler

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
    load: Load | None = None
    """Of the machine, as far as it is known; None where no worker lives."""


class Follower(threading.Thread):
    """Polls events and state of a run until `stop`. `post` is called in this thread, only when something changed.

    Args:
        machine: Also tell the load of the machine, every `SAMPLE_SECONDS` while a worker lives.
    """

    def __init__(self, path: Path, post: Callable[[News], object], *, machine: bool = True) -> None:
        super().__init__(name=f"follow-{path.name}", daemon=True)
        self.path = path
        self._post = post
        self._sampler = Sampler() if machine else None
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
        resets, bad_lines, since_look, since_sample = 0, 0, 0.0, SAMPLE_SECONDS
        view, device = liveness.view(run), ""
        load: Load | None = None
        while not self._stopped.is_set():
            if history is not None:  # the past, in pieces, so that closing the app does not wait for it
                events = reader.poll(_CHUNK)
                if reader.reset != resets:
                    resets, history = reader.reset, History()
                history.add(events)
                if events:
                    continue
                device = str(history.start.get("device", ""))
                self._post(News(self.path, view, history=history, bad_lines=reader.bad_lines, load=load))
                history, bad_lines = None, reader.bad_lines
            wait = POLL_SECONDS if view.alive or view.state in ("created", "starting") else QUIET_SECONDS
            if self._stopped.wait(wait):
                return
            events = reader.poll()
            if reader.reset != resets:
                resets, history = reader.reset, History()
                history.add(events)
                continue
            device = next((str(e.data["device"]) for e in reversed(events) if "device" in e.data), device)
            since_look += wait
            since_sample += wait
            before = (view.state, view.message, load)
            if since_look >= _LOOK_EVERY or events:
                since_look, view = 0.0, liveness.view(run)
            if self._sampler is not None and (since_sample >= SAMPLE_SECONDS or not view.alive):
                since_sample, load = 0.0, self._sampler.sample(view, on_gpu=device == "cuda")
            if events or (view.state, view.message, load) != before or reader.bad_lines != bad_lines:
                bad_lines = reader.bad_lines
                self._post(News(self.path, view, tuple(events), bad_lines=bad_lines, load=load))
