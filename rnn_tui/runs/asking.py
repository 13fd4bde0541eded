"""Asking a running worker for something, and waiting until it is done: what the commands and the library do."""

import time
from collections.abc import Callable, Mapping

from rnn_tui.errors import BusyError, DiskError, InputError, RnnTuiError
from rnn_tui.runs.control import send, wait_for_answer
from rnn_tui.runs.events import Event, EventReader
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.status import RunView, run_state

ANSWER_SECONDS = 60.0
"""A worker answers between two steps; a validation in between may take this long."""


def ask(run: RunFolder, command: str, args: Mapping[str, float] | None = None, *, origin: str) -> Event:
    """Ask a living worker for something, wait until that is done, and return its answer.

    A run that was told to stop has ended then, one that was told to pause is paused, one that was told to resume
    trains, a checkpoint is written.

    Args:
        command, args, origin: as for `rnn_tui.runs.control.send`.

    Raises:
        UsageError: when the worker would refuse it.
        InputError: when no worker is alive, it refused, or it ended before it answered.
        BusyError: when it does not answer in time.
        DiskError: when the request or the checkpoint cannot be written.
        RnnTuiError: when it was to stop, and failed over it.
    """
    answer = wait_for_answer(run, send(run, command, args, origin=origin), timeout=ANSWER_SECONDS)
    if answer is None:
        if not (seen := run_state(run)).alive:
            raise InputError(f"run {run.name} ended before it answered: {seen.message or seen.state}")
        raise BusyError(
            f"run {run.name} has not answered within {ANSWER_SECONDS:.0f} s; the request stays with it"
        )
    if command == "checkpoint":
        wait_for_checkpoint(run, answer)
    elif command == "stop":
        _wait_until(run, "end", lambda view: not view.alive)
        if (seen := run_state(run)).state == "failed":
            raise RnnTuiError(f"run {run.name} has ended, but not well: {seen.message}")
    elif command == "pause":  # so that a `resume` right after it finds what it expects
        _wait_until(run, "pause", lambda view: view.state == "paused" or not view.alive)
    elif command == "resume":  # and so that nobody who asks right after it finds it paused still
        _wait_until(run, "go on", lambda view: view.state != "paused")
    return answer


def wait_for_checkpoint(run: RunFolder, answer: Event) -> None:
    """Wait until the checkpoint that a worker agreed to write is there.

    Raises:
        DiskError: when it could not be written.
        InputError: when the worker died over it.
        BusyError: when that is not known in time.
    """
    reader = EventReader(run.events_path, tail=1 << 18)
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        alive = run_state(run).alive  # before the log is read, so that its last words are heard
        for event in reader.poll():
            if event.seq <= answer.seq:
                continue
            # another one may have been on its way
            if event.kind == "checkpoint" and event.data.get("reason") == "request":
                return
            if event.kind == "warning" and event.data.get("unsaved") == "request":
                raise DiskError(f"run {run.name}: {event.data.get('message')}")
        if not alive:
            raise InputError(
                f"run {run.name} ended before it was written; rnn-tui runs show {run.name} tells how"
            )
        time.sleep(0.05)
    raise BusyError(f"run {run.name} has not written it within {ANSWER_SECONDS:.0f} s; it may still do so")


def _wait_until(run: RunFolder, what: str, reached: Callable[[RunView], bool]) -> None:
    deadline = time.monotonic() + ANSWER_SECONDS
    while not reached(run_state(run)):
        if time.monotonic() > deadline:
            raise BusyError(f"run {run.name} is about to {what}, but has not within {ANSWER_SECONDS:.0f} s")
        time.sleep(0.05)
