"""One writer for one run: an advisory `flock` on `run.lock`, held by the worker for as long as it lives.

The kernel gives the lock back when the holder dies, however it dies, so there is no stale lock to guess
about. The file is never removed (whoever had opened it before would hold a lock that nobody else sees), and
the owner record inside it serves messages and signals only, never the question whether the run is alive.
Where the file system has no `flock`, `lockfile` stands in for it.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import time
import weakref
from pathlib import Path
from typing import Self

import msgspec

from rnn_tui.errors import BusyError, DiskError, InputError
from rnn_tui.files import disk_error
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.lockfile import Claim, Owner, claimed, describe, way_out
from rnn_tui.runs.process import identify
from rnn_tui.runs.records import read_record

__all__ = ["Owner", "RunLock", "held", "holder", "read_owner"]

_PATIENCE = 0.5
"""Seconds for which `acquire` tries: `held` takes a shared lock for microseconds, which must not fail a starter."""

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)


class _NoLocks(Exception):
    """This file system has none."""


def held(run: RunFolder) -> bool:
    """Whether a living process holds the run, this one included.

    Writes nothing and works on a read-only folder. The probe takes a shared lock and returns it within
    microseconds. Probes do not disturb each other; a worker that starts in that moment tries again for half a
    second.

    Raises:
        DiskError: when the lock file exists and cannot be read, or is no plain file.
    """
    try:
        fd = _open(run, os.O_RDONLY)
    except InputError:
        return False
    try:
        return not _try_lock(fd, fcntl.LOCK_SH)
    except _NoLocks:
        return claimed(run)
    finally:
        os.close(fd)


class RunLock:
    """The right to write a run. Make one with `acquire`; use it as a context manager or call `release`."""

    def __init__(self, run: RunFolder, path: Path, fd: int, claim: Claim | None = None) -> None:
        self.run = run
        self._path, self._fd = path, fd  # the file that others find locked
        self._claim = claim
        _held_here.add(self)

    @classmethod
    def acquire(cls, run: RunFolder) -> Self:
        """Take the lock, or say who has it.

        Raises:
            BusyError: naming pid, host and since when.
            DiskError: when the lock cannot be made.
            InputError: when the run folder is gone.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            fd = _open(run, os.O_RDWR | os.O_CREAT)
            try:
                if _try_lock(fd, fcntl.LOCK_EX):
                    if _is_current(run.lock_path, fd):
                        _write_owner(run, fd, _myself())
                        return cls(run, run.lock_path, fd)
                elif time.monotonic() > deadline:
                    raise BusyError(f"run {run.name} is in use {describe(read_owner(run))}")
            except _NoLocks:
                with os.fdopen(fd, "rb"):
                    return cls._claimed(run, fd)
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
            time.sleep(0.01)

    @classmethod
    def _claimed(cls, run: RunFolder, fd: int) -> Self:
        """Take the run by a file instead; `fd` is run.lock, which then bears the owner only."""
        owner = _myself()
        claim = Claim.take(run, owner)
        lock = cls(run, claim.path, claim.fd, claim)
        try:
            _write_owner(run, fd, owner)
        except DiskError:
            lock.release()
            raise
        return lock

    held = staticmethod(held)

    def current(self) -> bool:
        """Whether the run is still held and its folder still where it was; a microsecond.

        After a folder was moved or removed, its place may be another run's: a worker asks before it writes by name.
        """
        try:
            return self._fd >= 0 and _is_current(self._path, self._fd)
        except OSError:  # a disk that fails is not a folder that is gone; the write that follows will tell
            return True

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._fd >= 0:
            if self._claim is not None:
                self._claim.release()
            self._drop()

    def _drop(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            # the descriptor is gone, and the lock with it, whatever close says
            with contextlib.suppress(OSError):
                os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


_held_here: "weakref.WeakSet[RunLock]" = weakref.WeakSet()


def _drop_in_child() -> None:
    """Close inherited descriptors after a fork.

    A lock lives as long as any process has it open: a child that outlives the worker would keep a dead run alive.
    Closing in the child does not unlock; only the last close does.
    """
    for lock in list(_held_here):
        lock._drop()


os.register_at_fork(after_in_child=_drop_in_child)


def read_owner(run: RunFolder) -> Owner | None:
    """Return the record of the last holder, who may be long dead; None when there is none or it is damaged."""
    return read_record(run.lock_path, Owner)


def holder(run: RunFolder) -> str:
    """Say who holds a run, since when, and where nobody can tell whether he lives, how to free it.

    The end of a sentence, with a comma before it; empty when nobody holds it.
    """
    if not held(run):
        return ""
    return f", {describe(read_owner(run))}{way_out(run)}"


def _open(run: RunFolder, flags: int) -> int:
    try:
        fd = os.open(run.lock_path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except FileNotFoundError:
        raise InputError(
            f"run {run.name}: there is no {run.lock_path}; was the run removed or moved?"
        ) from None
    except OSError as error:
        raise disk_error(error, f"could not open the lock of run {run.name}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise DiskError(
            f"could not open the lock of run {run.name}: {run.lock_path} is no plain file; remove it"
        )
    return fd


def _try_lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
            return False
        if error.errno in _NO_LOCKS:
            raise _NoLocks from None
        raise disk_error(error, "could not lock the run") from error
    return True


def _is_current(path: Path, fd: int) -> bool:
    """Whether the locked file is still the one that others will find under its name."""
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return False


def _myself() -> Owner:
    return Owner(identify(os.getpid()), time.time(), secrets.token_hex(8))


def _write_owner(run: RunFolder, fd: int, owner: Owner) -> None:
    record = msgspec.json.encode(owner)
    try:
        os.pwrite(fd, record, 0)
        os.ftruncate(fd, len(record))
    except OSError as error:
        raise disk_error(error, f"could not write the lock of run {run.name}; it was not started") from error
