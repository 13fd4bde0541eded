"""Requests to a running worker: files put into control/inbox by rename, answered by an event in the log.

A client writes `<id>.json` under a temporary name and renames it, so the worker never sees half a request.
The worker looks between steps, checks everything, writes a durable `command` event *before* it applies the
command, then calls `Inbox.done`. So a crash neither loses nor doubles a command: what is in the log is known
to be taken.
"""

import contextlib
import itertools
import json
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
_SCAN_SHARE = 20.0
"""A look that took t seconds is followed by a pause of so many times t: a flooded inbox takes 5 % of training."""
_TOLD = 16
"""Refusals of one poll that are told one by one."""
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
        if isinstance(lr, bool) or not isinstance(lr, int | float) or not 0 < lr <= LARGEST_LR:
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
    if not (view := run_state(run)).alive:
        raise InputError(f"run {run.name} is not running ({view.state}), so there is nobody to {command} it")
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
        rejected: What the latest `poll` refused; of a flood the first few, and how many more.
    """

    def __init__(self, run: RunFolder) -> None:
        """Open the mailbox, which is made anew where it is missing.

        Raises:
            InputError: when a folder of it is a symbolic link or no folder.
            DiskError: when a missing one cannot be made.
        """
        self.run = run
        self.rejected: list[Rejection] = []
        self._opened = time.time()
        self._opened_ticks = time.monotonic()
        self._next_scan = 0.0
        self._logged: set[str] = set()
        self._taken: set[str] = set()
        self._stuck: set[str] = set()
        self._folders = {path: _folder(path) for path in (run.control, run.inbox, run.done, run.rejected)}
        self._out_of_place = False
        self._sweep()
        if self._names():
            # what an earlier worker logged before it could file it away must not be done twice
            for event in EventReader(run.events_path).poll():
                if event.kind == "command":
                    self._logged.add(str(event.data.get("id")))

    def poll(self) -> list[Command]:
        """Return the new commands, oldest first, each once. Looks at most every 50 ms; else it costs nothing.

        A full inbox is worked off in pieces: at most 256 files a look, and the longer a look took, the later the next.
        """
        if self.rejected:
            self.rejected = []
        now = time.monotonic()
        if now < self._next_scan:
            return []
        commands = []
        for name in self._names() if self._in_place() else ():
            command = self._take(name)
            if command is not None:
                commands.append(command)
        end = time.monotonic()
        self._next_scan = end + max(_SCAN_EVERY, _SCAN_SHARE * (end - now))
        if len(self.rejected) > _TOLD:
            more = len(self.rejected) - _TOLD
            self.rejected[_TOLD:] = [Rejection(f"{more} more files", "the reasons are in control/rejected")]
        return commands

    def done(self, command: Command) -> None:
        """File a command away. Call it after its event is durable."""
        if self._in_place():
            self._file(f"{command.id}.json", self.run.done / f"{command.id}.json")

    def _in_place(self) -> bool:
        """Whether the folders are those that were opened; told once when they are not.

        A run that was moved may have left its name to another, whose requests are not ours; and what is put aside
        would follow a symbolic link out of the run.
        """
        for path, then in self._folders.items():
            try:
                info = os.lstat(path)
            except OSError:
                info = None
            if info is None or (info.st_dev, info.st_ino) != then:
                if not self._out_of_place:
                    reason = (
                        "it is not the folder that was there before; no requests are taken until that is back"
                    )
                    self.rejected.append(Rejection(safe_text(path.name, limit=100), reason))
                self._out_of_place = True
                return False
        self._out_of_place = False
        return True

    def _sweep(self) -> None:
        """Remove what killed clients left; a client that is writing now needs milliseconds."""
        with contextlib.suppress(OSError), os.scandir(self.run.inbox) as entries:
            for entry in entries:
                if entry.name.startswith(".tmp-"):
                    with contextlib.suppress(OSError):  # gone meanwhile, or a folder
                        if self._opened - entry.stat(follow_symlinks=False).st_mtime > EXPIRES:
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
            if command.command in ("pause", "resume", "stop"):
                self._check_age(command)
        except FileNotFoundError:
            return None
        except (OSError, InputError, UsageError) as error:
            self._reject(name, safe_text(error, limit=300))
            return None
        self._taken.add(identity)
        return command

    def _check_age(self, command: Command) -> None:
        """Refuse what was meant for an earlier worker.

        The clock may have jumped since this worker began, so when that was is told by both of its clocks; the earlier
        counts, so that no jump makes a new command old.

        Raises:
            InputError: when it was.
        """
        now = time.time()
        age = min(self._opened, now - (time.monotonic() - self._opened_ticks)) - command.time
        if age > EXPIRES:
            raise InputError(f"{command.command} was sent {age:.0f} s before this worker began")
        if command.time - now > EXPIRES:
            raise InputError(f"{command.command} bears a time that is {command.time - now:.0f} s from now")

    def _reject(self, name: str, reason: str) -> None:
        self.rejected.append(Rejection(safe_text(name, limit=100), reason))
        stem = name.removesuffix(".json")
        # a hostile name is not carried over; a good one is kept, so that its sender finds the answer
        kept = stem if _ID.fullmatch(stem) and not os.path.lexists(self.run.rejected / name) else _new_id()
        self._file(name, self.run.rejected / f"{kept}.json")
        text = f"{safe_text(name, limit=100)}: {reason}\n"
        with contextlib.suppress(OSError):  # not durable: an fsync for each file would make a flood slow
            target = self.run.rejected / f"{kept}.txt"
            fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(fd, "wb") as file:
                file.write(text.encode("utf-8", "replace"))

    def _file(self, name: str, target: Path) -> None:
        try:
            os.rename(self.run.inbox / name, target)
        except OSError:  # a full disk, or the run was moved: leave it, and do not look at it again
            self._stuck.add(name)


def _folder(path: Path) -> tuple[int, int]:
    """Return which folder `path` is, and make it where there is none.

    Raises:
        InputError: when it is a symbolic link or no folder.
        DiskError: when it cannot be made.
    """
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
        info = os.lstat(path)
    except OSError as error:
        raise disk_error(error, f"could not open the mailbox {path}") from error
    if not stat.S_ISDIR(info.st_mode):
        raise InputError(f"{path} is no folder of its own (a symbolic link is not followed); remove it")
    return info.st_dev, info.st_ino


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
    if info.st_nlink != 1:
        raise InputError("it has another name elsewhere (a hard link)")
    try:
        data = read_small(path, _FILE_LIMIT)
        command = msgspec.json.decode(data, type=Command)
        json.loads(data, object_pairs_hook=_once)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InputError(f"it is not a command: {error}") from None
    if command.id != identity:
        raise InputError("the id inside is not that of its name")
    return command


def _once(pairs: list[tuple[str, object]]) -> None:
    """Refuse an object that says a thing twice: which of the two was meant, nobody can know."""
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise ValueError("a key stands in it twice")


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
        alive = run_state(run).alive
        for event in reader.poll():
            if event.kind == "command" and event.data.get("id") == command_id:
                return event
        if reason := _text_of(refusal):
            raise InputError(f"run {run.name} refused the command: {reason}")
        if not alive or time.monotonic() > deadline:
            return None
        time.sleep(0.05)


def _text_of(path: Path) -> str:
    """The content of a small file; empty while it is not there."""
    try:
        return read_small(path, _FILE_LIMIT).decode("utf-8", "replace").strip()
    except OSError:
        return ""
