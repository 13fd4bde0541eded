"""Following a run to its end, and asking its worker for something."""

import time
from collections.abc import Callable

from rnn_tui import errors
from rnn_tui.errors import BusyError, DiskError, InputError, PluginError, RnnTuiError, UsageError
from rnn_tui.runs import supervisor
from rnn_tui.runs.control import send, wait_for_answer
from rnn_tui.runs.eventline import Event, number
from rnn_tui.runs.folder import remove_run
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.status import RunView, run_state

ANSWER_SECONDS = 60.0
"""A worker answers between two steps; a validation in between may take this long."""

_CLASSES = {
    kind.exit_code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, RnnTuiError)
}
_STOPPED = (0, 130, 143)
"""Exit codes of a run that ended well, or because it was told to."""
_REFUSALS = (UsageError, InputError, DiskError, PluginError)
"""A run that could not begin for such a reason holds nothing worth keeping."""


def follow(
    run: RunFolder, on_event: Callable[[Event], object] | None, *, since: float = 0.0, fresh: bool = False
) -> None:
    """Follow a run to its end and tell what happens from `since` on.

    Args:
        fresh: remove a run that could not begin.

    Raises:
        RnnTuiError: of the class that its exit code stands for, unless it ended well or was stopped.
    """
    end: Event | None = None
    for event in supervisor.follow(run):
        if event.kind in ("start", "resume", "end"):
            end = event if event.kind == "end" else None
        if on_event is not None and event.time >= since:
            on_event(event)
    if end is None:
        seen = run_state(run)
        raise RnnTuiError(
            f"run {run.name}: {seen.message or 'its worker died without a word'}; {run.log_path} may say more"
        )
    code = int(number(end.data.get("exit_code", 0)))
    if code in _STOPPED:
        return
    kind = _CLASSES.get(code, RnnTuiError)
    if fresh and kind in _REFUSALS and not number(end.data.get("steps", 0)):
        remove_run(run)
    raise kind(f"run {run.name}: {end.data.get('message') or end.data.get('reason')}")


def ask(run: RunFolder, command: str) -> None:
    """Ask a living worker for `stop`, `pause` or `resume`, and wait until it is done.

    Raises:
        InputError: when no worker is alive, or it ended before it answered.
        BusyError: when it does not answer in time.
        RnnTuiError: when it was to stop, and failed over it.
    """
    answer = wait_for_answer(run, send(run, command, origin="library"), timeout=ANSWER_SECONDS)
    if answer is None and not run_state(run).alive:
        raise InputError(
            f"run {run.name} ended before it answered: {run_state(run).message or run_state(run).state}"
        )
    if answer is None:
        raise BusyError(
            f"run {run.name} has not answered within {ANSWER_SECONDS:.0f} s; the request stays with it"
        )
    if command == "stop":
        _wait_until(run, "end", lambda view: not view.alive)
        if (seen := run_state(run)).state == "failed":
            raise RnnTuiError(f"run {run.name} has ended, but not well: {seen.message}")
    elif command == "pause":
        _wait_until(run, "pause", lambda view: view.state == "paused" or not view.alive)


def _wait_until(run: RunFolder, what: str, reached: Callable[[RunView], bool]) -> None:
    deadline = time.monotonic() + ANSWER_SECONDS
    while not reached(run_state(run)):
        if time.monotonic() > deadline:
            raise BusyError(f"run {run.name} is about to {what}, but has not within {ANSWER_SECONDS:.0f} s")
        time.sleep(0.05)
