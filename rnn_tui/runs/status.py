"""What the worker says of itself (status.json), and what is true of the run (`run_state`).

The lock decides whether a run is alive, the status file says what it is doing. A status that claims a living
worker while the lock is free is a worker that died without a word: `crashed`.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from msgspec import structs

from rnn_tui.errors import DiskError
from rnn_tui.runs.events import last_event, number
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.lock import held, read_owner
from rnn_tui.runs.process import Identity, identify, is_alive, is_here
from rnn_tui.runs.records import open_plain, read_record, write_record
from rnn_tui.runs.surroundings import network_kind

ENDED = frozenset({"finished", "stopped", "failed", "diverged"})
"""States after which the worker writes nothing more. The others are starting, running, paused and stopping."""

STALL_SECONDS = 60.0
_GRACE = 30.0
"""Seconds for which a worker on another machine may be out of sight: before it holds its lock, or where its lock is
not seen from here. By its clock and ours, which may differ a little."""


class Status(msgspec.Struct):
    """What the worker is doing. Losses are in nats per token, `elapsed` and `eta` in seconds, `time` is unix.

    Attributes:
        heartbeat: Goes up while the worker lives, paused or not; compared with itself, so no clock has to be right.
        tokens_per_second: At the last point of the curve; once the run has ended, the mean over the attempt's updates.
        engine, threads: How it computes now; a run may switch.
        start_ticks: With pid and boot_id, which process wrote this (`process.Identity`).
    """

    state: str
    step: int = 0
    attempt: int = 1
    pid: int = 0
    start_ticks: int = 0
    boot_id: str = ""
    host: str = ""
    heartbeat: int = 0
    time: float = 0.0
    message: str = ""
    total_steps: int | None = None
    epoch: float = 0.0
    elapsed: float = 0.0
    eta: float | None = None
    train_loss: float | None = None
    validation_loss: float | None = None
    best_loss: float | None = None
    best_step: int | None = None
    tokens_per_second: float = 0.0
    engine: str = ""
    threads: int = 0


class Launch(msgspec.Struct):
    """Which worker process was started last, and how it ended if its starter was still there to see."""

    identity: Identity
    time: float
    exit_code: int | None = None


@dataclass(frozen=True)
class RunView:
    """A run as a user should see it.

    `state` is the worker's own word while it lives, else one of "created" (never started), "starting",
    "stalled", "crashed", "damaged", or how it ended. `alive` says that its lock is held, or that it was heard of just
    now from a machine whose locks are not seen here. `message` may hold text from outside.
    """

    state: str
    status: Status | None
    alive: bool
    message: str = ""


def my_status(state: str, *, attempt: int, step: int = 0) -> Status:
    """Return a status that carries the identity of this process."""
    me = identify(os.getpid())
    return Status(
        state,
        step,
        attempt,
        pid=me.pid,
        start_ticks=me.start_ticks,
        boot_id=me.boot_id,
        host=me.host,
        time=time.time(),
    )


def write_status(run: RunFolder, status: Status) -> None:
    """Replace status.json in one step. Durable for the last word; a heartbeat is not worth an fsync.

    Raises:
        DiskError: when it cannot be written; the earlier one is whole, and training may go on.
    """
    write_record(run.status_path, status, durable=status.state in ENDED)


def read_status(run: RunFolder) -> Status | None:
    """Return what the worker wrote last; None when there is none or it is damaged."""
    values = read_record(run.status_path, dict[str, Any])
    if values is None:
        return None
    for key in _NUMBERS:
        if values.get(key) in ("nan", "inf", "-inf"):
            values[key] = float(values[key])
    if any(isinstance(value, int) and abs(value) >> 63 for value in values.values()):
        return None  # JSON has numbers that no float can hold
    try:
        return msgspec.convert(values, Status)
    except msgspec.ValidationError:
        return None


_NUMBERS = tuple(field.name for field in msgspec.structs.fields(Status) if field.type is not str)


def run_state(run: RunFolder) -> RunView:
    """Return what is true of the run now. It keeps no memory, so it cannot see a stall: `Liveness` can."""
    try:
        while True:
            # the lock before the status: a worker writes its last word before it lets go
            alive = held(run)
            status = read_status(run)
            if alive:
                return _living(run, status)
            view = _dead(run, status)
            # a worker that took the lock between the two looks is no crash
            if view.state != "crashed" or not held(run):
                return view
    except DiskError as error:  # the lock may not be read, so nobody can tell
        return RunView("damaged", read_status(run), False, str(error))


def _living(run: RunFolder, status: Status | None) -> RunView:
    owner = read_owner(run)
    if status is None or (owner and not _same(status, owner.identity)):
        return RunView(
            "starting", status, True, "the worker is loading"
        )  # the status is that of an earlier attempt
    return RunView(status.state, status, True, status.message)


def _dead(run: RunFolder, status: Status | None) -> RunView:
    launch = read_record(run.launch_path, Launch)
    if launch and not (status and _same(status, launch.identity)):
        # the worker that was launched last has not spoken; the status, if any, is that of an earlier attempt
        elsewhere = not is_here(launch.identity) and abs(time.time() - launch.time) < _GRACE
        if is_alive(launch.identity) or elsewhere:
            return RunView("starting", status, False, "the worker is loading")
        if status is None or status.time < launch.time:
            said = last_log_line(run)
            message = f"the worker {_ending(launch)} before it began; see worker.log" + (
                f": {said}" if said else ""
            )
            # a resume that came to nothing changes nothing about a run that had ended well
            state = status.state if status and status.state in ENDED else "crashed"
            return RunView(state, status, False, message)
    if status is None:
        if not os.path.isfile(run.config_path):
            return RunView("damaged", None, False, "config.toml is missing")
        if os.path.exists(run.events_path):
            return RunView("crashed", None, False, f"status.json is missing or damaged; {_way_back(run)}")
        return RunView("created", None, False, "never started")
    if status.state in ENDED:
        return RunView(status.state, status, False, status.message)
    if _out_of_sight(run, status):
        return RunView(
            status.state, status, True, status.message or f"on {status.host}; its lock is not seen here"
        )
    if (last_word := _last_word(run, status)) is not None:
        return RunView(last_word.state, last_word, False, last_word.message)
    how = _ending(launch if launch and _same(status, launch.identity) else None)
    return RunView("crashed", status, False, f"the worker {how} at step {status.step}; {_way_back(run)}")


def state_after(reason: str) -> str:
    """Return the state of a run whose last event gives `reason`."""
    states = {"early-stop": "finished", "preempted": "stopped"}
    return states.get(reason, reason)


def _last_word(run: RunFolder, status: Status) -> Status | None:
    """Return the status that a worker did not come to write, where it was killed after its last event."""
    end = last_event(run.events_path)
    if end is None or end.kind != "end" or end.attempt != status.attempt:
        return None
    data, ended = end.data, structs.replace(status, state=state_after(str(end.data.get("reason"))))
    ended.step, ended.message = end.step, str(data.get("message", ""))
    ended.epoch, ended.elapsed = number(data.get("epochs")), number(data.get("elapsed"))
    ended.train_loss, ended.validation_loss, ended.best_loss = (
        None if data.get(name) is None else number(data[name])
        for name in ("train_loss", "validation_loss", "best_loss")
    )
    best = data.get("best_step")
    ended.best_step = best if isinstance(best, int) else None
    return ended if ended.state in ENDED else None


def _out_of_sight(run: RunFolder, status: Status) -> bool:
    """Whether the worker may live on another machine that shares these files but not their locks."""
    who = Identity(status.pid, status.start_ticks, status.boot_id, status.host)
    fresh = abs(time.time() - status.time) < _GRACE
    return fresh and not is_here(who) and bool(network_kind(run.path))


def _same(status: Status, who: Identity) -> bool:
    return (status.pid, status.start_ticks, status.boot_id) == (who.pid, who.start_ticks, who.boot_id)


def _ending(launch: Launch | None) -> str:
    code = launch.exit_code if launch else None
    if code is None:
        return "died without a word"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown signal"
    guess = ", probably for want of memory" if -code == signal.SIGKILL else ""
    return f"was killed by {name} ({-code}{guess})"


def _way_back(run: RunFolder) -> str:
    step = run.newest_checkpoint_step()
    where = (
        f"goes on from step {step}" if step is not None else "starts it anew, for there is no checkpoint yet"
    )
    return f"`rnn-tui resume {run.name}` {where}"


def last_log_line(run: RunFolder) -> str:
    """Return the last line of worker.log that says anything, cut to 200 characters; text from outside."""
    try:
        with open(open_plain(run.log_path), "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")


class Liveness:
    """`run_state` with a memory: sees that a worker holds its lock and yet does nothing.

    Keep one for as long as the screen lives and ask it for each run now and then.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beats: dict[RunFolder, tuple[tuple[int, int], float]] = {}

    def view(self, run: RunFolder) -> RunView:
        """Return the state of `run`: "stalled" when its heartbeat stood still for a minute and ten steps' time.

        A worker that is still starting is let be: loading and encoding a large corpus has no steps.
        """
        view = run_state(run)
        if not view.alive or view.status is None or view.state == "starting":
            return view
        now, beat = self._clock(), (view.status.attempt, view.status.heartbeat)
        seen, since = self._beats.setdefault(run, (beat, now))
        if seen != beat:
            self._beats[run] = (beat, now)
            return view
        step_seconds = view.status.elapsed / max(view.status.step, 1)
        if now - since <= max(STALL_SECONDS, 10 * step_seconds):
            return view
        return replace(
            view,
            state="stalled",
            message=f"no sign of life for {now - since:.0f} s; the process still exists",
        )
