"""Requests to a running worker: files put into control/inbox by rename, answered by an event in the log.

A client writes `<id>.json` under a temporary name and renames it, so the worker never sees half a request.
The worker looks between steps, checks everything, writes a durable `command` event *before* it applies the
command, then calls `Inbox.done`. So a crash neither loses nor doubles a command: what is in the log is known
to be taken.
"""

import contextlib
import itertools
import math
import os
import re
import secrets
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import msgspec

from rnn_tui.errors import InputError, UsageError, nearest
from rnn_tui.files import disk_error, write_durable
from rnn_tui.runs.events import Event, EventReader
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.lock import held
from rnn_tui.runs.records import read_small
from rnn_tui.runs.status import run_state
from rnn_tui.safetext import safe_text

CommandName = Literal["pause", "resume", "stop", "checkpoint", "set"]
COMMANDS: tuple[str, ...] = get_args(CommandName)

EXPIRES = 60.0
"""Seconds. A pause, resume or stop this much older than the worker was meant for an earlier one."""

LARGEST_LR = 1e6
_FILE_LIMIT = 64 * 1024
_SCAN_EVERY = 0.05
_SCAN_MOST = 256
_ID = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8}")


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request. `id` sorts by time of sending, `origin` says who asked ("cli", "app"), `time` is unix time."""

    id: str
    command: CommandName
    args: dict[str, float]
    origin: str
    time: float


@dataclass(frozen=True)
class Rejection:
    """A file in the inbox that was no acceptable command, and why. The name is safe to show."""

    name: str
    reason: str


def check_command(command: str, args: Mapping[str, float]) -> None:
    """Check a command and its arguments as the worker will.

    Raises:
        UsageError: for an unknown command or argument, or a learning rate that no optimiser can take.
    """
    if command not in COMMANDS:
        raise UsageError(f"there is no command {command!r}{nearest(command, COMMANDS)}")
    allowed = ("lr",) if command == "set" else ()
    for key in args:
        if key not in allowed:
            raise UsageError(
                f"{command} has no setting {key!r}" + (nearest(key, allowed) or _settings(allowed))
            )
    if command == "set":
        if "lr" not in args:
            raise UsageError("set needs lr=NUMBER; the learning rate is what a running worker can change")
        lr = args["lr"]
        if (
            isinstance(lr, bool)
            or not isinstance(lr, int | float)
            or not (math.isfinite(lr) and 0 < lr <= LARGEST_LR)
        ):
            raise UsageError(f"lr must be a number above 0 and at most {LARGEST_LR:g}, not {lr!r}")


def _settings(allowed: tuple[str, ...]) -> str:
    return f"; it takes {', '.join(allowed)}" if allowed else "; it takes none"


def send(
    run: RunFolder, command: str, args: Mapping[str, float] | None = None, *, origin: str = "cli"
) -> str:
    """Put a command into the inbox of a living worker and return its id for `wait_for_answer`.

    Raises:
        UsageError: when the worker would refuse it.
        InputError: when no worker is alive; nothing is queued.
        DiskError: when it cannot be written; nothing is queued.
    """
    args = dict(args or {})
    check_command(command, args)
    if not held(run):
        raise InputError(
            f"run {run.name} is not running ({run_state(run).state}), so there is nobody to {command} it"
        )
    identity = _new_id()
    request = {"id": identity, "command": command, "args": args, "origin": origin, "time": time.time()}
    temporary = run.inbox / f".tmp-{identity}"
    if run.inbox.is_symlink() or run.control.is_symlink():
        raise InputError(f"the inbox of run {run.name} is a symbolic link, which is not followed")
    try:
        write_durable(temporary, [msgspec.json.encode(request)])
        os.rename(temporary, run.inbox / f"{identity}.json")
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise disk_error(error, f"could not send {command} to run {run.name}; nothing was sent") from error
    return identity


class Inbox:
    """The worker's end. Make it when the lock is held; `poll` between steps; `done` when a command is logged.

    Attributes:
        rejected: What the latest `poll` refused.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.rejected: list[Rejection] = []
        self._opened = time.time()
        self._next_scan = 0.0
        self._logged: set[str] = set()
        self._taken: set[str] = set()
        self._stuck: set[str] = set()
        self._sweep()
        if self._names():
            # what an earlier worker logged before it could file it away must not be done twice
            for event in EventReader(run.events_path).poll():
                if event.kind == "command":
                    self._logged.add(str(event.data.get("id")))

    def poll(self) -> list[Command]:
        """Return the new commands, oldest first, each once. Looks at most every 50 ms; else it costs nothing."""
        if self.rejected:
            self.rejected = []
        now = time.monotonic()
        if now < self._next_scan:
            return []
        self._next_scan = now + _SCAN_EVERY
        commands = []
        for name in self._names():
            command = self._take(name)
            if command is not None:
                commands.append(command)
        return commands

    def done(self, command: Command) -> None:
        """File a command away. Call it after its event is durable."""
        self._file(f"{command.id}.json", self.run.done / f"{command.id}.json")

    def _sweep(self) -> None:
        """Remove what killed clients left; a client that is writing now needs milliseconds."""
        with contextlib.suppress(OSError), os.scandir(self.run.inbox) as entries:
            for entry in entries:
                if entry.name.startswith(".tmp-") and self._opened - entry.stat().st_mtime > EXPIRES:
                    os.unlink(entry.path)

    def _names(self) -> list[str]:
        """A bounded number of names, so that a flooded inbox cannot hold up training."""
        try:
            with os.scandir(self.run.inbox) as entries:
                names = (e.name for e in entries if not e.name.startswith(".") and e.name not in self._stuck)
                return sorted(itertools.islice(names, _SCAN_MOST))
        except OSError:
            return []

    def _take(self, name: str) -> Command | None:
        identity = name.removesuffix(".json")
        path = self.run.inbox / name
        if identity in self._logged:
            self._file(name, self.run.done / name)
            return None
        if identity in self._taken and not os.path.lexists(self.run.done / name):
            return None  # handed out and not done yet
        try:
            if not _ID.fullmatch(identity) or identity == name:
                raise InputError("its name is not that of a command")
            if identity in self._taken or os.path.lexists(self.run.done / name):
                raise InputError("this command was taken already")
            command = _read_command(path, identity)
            check_command(command.command, command.args)
            age = self._opened - command.time
            if age > EXPIRES and command.command in ("pause", "resume", "stop"):
                raise InputError(f"{command.command} was sent {age:.0f} s before this worker began")
        except FileNotFoundError:
            return None
        except (OSError, InputError, UsageError) as error:
            self._reject(name, safe_text(error, limit=300))
            return None
        self._taken.add(identity)
        return command

    def _reject(self, name: str, reason: str) -> None:
        self.rejected.append(Rejection(safe_text(name, limit=100), reason))
        stem = name.removesuffix(".json")
        # a hostile name is not carried over; a good one is kept, so that its sender finds the answer
        kept = stem if _ID.fullmatch(stem) and not os.path.lexists(self.run.rejected / name) else _new_id()
        self._file(name, self.run.rejected / f"{kept}.json")
        with contextlib.suppress(OSError):
            text = f"{safe_text(name, limit=100)}: {reason}\n"
            write_durable(self.run.rejected / f"{kept}.txt", [text.encode("utf-8", "replace")])

    def _file(self, name: str, target: Path) -> None:
        try:
            os.rename(self.run.inbox / name, target)
        except OSError:  # a full disk, or the run was moved: leave it, and do not look at it again
            self._stuck.add(name)


def _new_id() -> str:
    return f"{time.time_ns():016x}-{secrets.token_hex(4)}"


def _read_command(path: Path, identity: str) -> Command:
    """Read and check the form of one request.

    Raises:
        OSError, InputError: for whatever is not a small regular file of ours holding exactly one command.
    """
    info = os.lstat(path)
    if not stat.S_ISREG(info.st_mode):
        raise InputError("it is not a regular file")
    if info.st_uid not in (os.geteuid(), 0) or info.st_mode & 0o022:
        raise InputError("it belongs to, or can be written by, somebody else")
    try:
        command = msgspec.json.decode(read_small(path, _FILE_LIMIT), type=Command)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InputError(f"it is not a command: {error}") from None
    if command.id != identity:
        raise InputError("the id inside is not that of its name")
    return command


def wait_for_answer(run: RunFolder, command_id: str, timeout: float = 10.0) -> Event | None:
    """Wait for the `command` event of a command; None when the worker died or gave no answer within `timeout` s.

    A worker answers between steps, so a slow step or a validation delays it; the command stays in its inbox.

    Raises:
        InputError: when the worker refused it.
    """
    reader = EventReader(run.events_path, tail=1 << 18)
    refusal = run.rejected / f"{command_id}.txt"
    deadline = time.monotonic() + timeout
    while True:
        # whether somebody is there is asked before the log is read, so that its last words are heard
        alive = held(run)
        for event in reader.poll():
            if event.kind == "command" and event.data.get("id") == command_id:
                return event
        if os.path.lexists(refusal) and (
            reason := read_small(refusal, _FILE_LIMIT).decode("utf-8", "replace").strip()
        ):
            raise InputError(f"run {run.name} refused the command: {reason}")
        if not alive or time.monotonic() > deadline:
            return None
        time.sleep(0.05)
