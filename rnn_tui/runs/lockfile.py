"""Holding a run where the file system has no `flock`: by a file that only one process can make.

    run.lock.3      {"identity":{...},"time":...,"nonce":"..."}
                    000000000017

The second line counts up every second while the holder lives, and reads `released` when it let go. The file with the
highest number counts. Whoever takes the run makes the next number with O_EXCL, which one of several manages, and then
looks whether a higher one has come meanwhile; so the highest is never removed, and nobody who was slow can make a
number that was used before.

The kernel gives nothing back when the holder dies. If it was a process of this machine since its last start, it can be
seen to be dead, and the run is free. Else nobody here can tell, and the run is held until somebody removes the file.
"""

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Self

import msgspec

from rnn_tui.errors import BusyError
from rnn_tui.files import disk_error, write_all
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.process import Identity, is_alive, is_here
from rnn_tui.runs.records import RECORD_FILE_LIMIT, read_small

BEAT = 1.0
"""Seconds from one beat to the next."""

_WATCH = 3.5 * BEAT
"""How long a holder that cannot be seen from here is watched, to tell the user whether it still beats."""

_RELEASED = b"released    "


class Owner(msgspec.Struct, frozen=True):
    """Who took a run, and when (unix time). The nonce tells two holds by one process apart."""

    identity: Identity
    time: float
    nonce: str


class Claim:
    """A run that this process holds by a file. Make one with `take`; who has it closes `fd`."""

    def __init__(self, path: Path, fd: int, beat_at: int) -> None:
        self.path = path
        self.fd = fd
        self._beat_at = beat_at
        self._released = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="lock", daemon=True)
        self._beating.start()

    @classmethod
    def take(cls, run: RunFolder, owner: Owner) -> Self:
        """Make the file with the next number.

        Raises:
            BusyError: when the run is held, or nobody can tell; with what to do then.
            DiskError: when the file cannot be made.
        """
        while True:
            latest = _newest(run)
            if latest and (why := _refusal(run, latest)):
                raise BusyError(f"run {run.name} is in use {why}")
            # the number after the one looked at: the newest by now may be a holder's
            number = latest + 1
            path = _path(run, number)
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                continue
            except OSError as error:
                raise disk_error(error, f"could not lock run {run.name}; it was not started") from error
            try:
                record = msgspec.json.encode(owner) + b"\n"
                write_all(fd, record + b"%012d" % 0)
                os.fsync(fd)
            except OSError as error:
                os.close(fd)
                with contextlib.suppress(OSError):
                    path.unlink()
                raise disk_error(error, f"could not lock run {run.name}; it was not started") from error
            if _newest(run) == number:
                for earlier in _numbers(run):
                    if earlier < number:
                        _path(run, earlier).unlink(missing_ok=True)
                return cls(path, fd, len(record))
            os.close(fd)
            path.unlink(missing_ok=True)

    def release(self) -> None:
        """Let go, but for the open file. Where that cannot be written, the run is free when this process has ended."""
        self._released.set()
        self._beating.join()
        with contextlib.suppress(OSError):
            self._write(_RELEASED)

    def _beat(self) -> None:
        count = 0
        while not self._released.wait(BEAT):
            count += 1
            # a disk that is away for a while: the next beat may get through
            with contextlib.suppress(OSError):
                self._write(b"%012d" % count)

    def _write(self, beat: bytes) -> None:
        os.pwrite(self.fd, beat, self._beat_at)
        os.fsync(self.fd)


def claimed(run: RunFolder) -> bool:
    """Whether a process holds the run by a file, as far as can be seen from here. Takes microseconds."""
    number = _newest(run)
    return number > 0 and not _free(*_read(_path(run, number)))


def way_out(run: RunFolder) -> str:
    """What to do about a holder that nobody here can judge, as the end of a sentence; empty where there is none."""
    number = _newest(run)
    path = _path(run, number)
    owner, beat = _read(path)
    if not number or _free(owner, beat) or (owner is not None and _known(owner.identity)):
        return ""
    return (
        "; its file system has no locks, so it cannot be seen from here whether that process still lives: if you are "
        f"sure that it does not, remove {path}"
    )


def _refusal(run: RunFolder, number: int) -> str:
    """Say who holds the run by the file of that number, and if need be how to free it; empty when it is free."""
    path = _path(run, number)
    owner, beat = _read(path)
    if _free(owner, beat):
        return ""
    if owner is not None and _known(owner.identity):
        return describe(owner)
    deadline = time.monotonic() + _WATCH
    while time.monotonic() < deadline:
        if _newest(run) != number:
            return ""  # not by this one any more; whoever tries the next number will see
        time.sleep(BEAT / 4)
        owner, now = _read(path)
        if _free(owner, now):
            return ""
        if beat and now not in (beat, b""):
            return f"{describe(owner)}, whose heartbeat is seen to go on"
        beat = now
    return f"{describe(owner)}, though no heartbeat was seen for {_WATCH:.1f} s{way_out(run)}"


def _free(owner: Owner | None, beat: bytes) -> bool:
    """Whether a file holds nothing: it was released, or its maker is known to be dead."""
    return beat == _RELEASED or (
        owner is not None and _known(owner.identity) and not is_alive(owner.identity)
    )


def _known(who: Identity) -> bool:
    """Whether it can be seen from here that this process lives or is dead."""
    return is_here(who) and who.start_ticks > 0


def _read(path: Path) -> tuple[Owner | None, bytes]:
    """The owner, None where it cannot be read, and the beat, empty where there is none."""
    try:
        record, _, beat = read_small(path, RECORD_FILE_LIMIT).partition(b"\n")
        return msgspec.json.decode(record, type=Owner), beat
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
        return None, b""


def _path(run: RunFolder, number: int) -> Path:
    return run.lock_path.with_name(f"{run.lock_path.name}.{number}")


def _numbers(run: RunFolder) -> list[int]:
    try:
        names = os.listdir(run.path)
    except OSError:
        return []
    parts = (name.removeprefix(f"{run.lock_path.name}.") for name in names)
    return [int(part) for part in parts if part.isascii() and part.isdecimal() and len(part) < 10]


def _newest(run: RunFolder) -> int:
    return max(_numbers(run), default=0)


def describe(owner: Owner | None) -> str:
    """Say who holds a run and since when, as the end of a sentence."""
    if owner is None:
        return "by another process"
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(owner.time))
    return f"by process {owner.identity.pid} on {owner.identity.host} since {since}"
