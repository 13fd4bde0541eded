"""One writer for one run: an advisory `flock` on `run.lock`, held by the worker for as long as it lives.

The kernel gives the lock back when the holder dies, however it dies, so there is no stale lock to guess
about. The file is never removed (whoever had opened it before would hold a lock that nobody else sees), and
the owner record inside it serves messages and signals only, never the question whether the run is alive.
"""

import errno
import fcntl
import os
import secrets
import time
import weakref
from typing import Self

import msgspec

from rnn_tui.errors import BusyError, DiskError, InputError
from rnn_tui.files import disk_error
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.process import Identity, identify
from rnn_tui.runs.records import read_record

_PATIENCE = 0.5
"""Seconds for which `acquire` tries: `held` takes a shared lock for microseconds, which must not fail a starter."""

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)


class Owner(msgspec.Struct, frozen=True):
    """Who took the lock, and when (unix time). The nonce tells two holds by one process apart."""

    identity: Identity
    time: float
    nonce: str


def held(run: RunFolder) -> bool:
    """Whether a living process holds the run, this one included.

    Writes nothing and works on a read-only folder. The probe takes a shared lock and returns it within
    microseconds. Probes do not disturb each other; a worker that starts in that moment tries again for half a
    second. On a file system without locks nobody can hold one: False.

    Raises:
        DiskError: when the lock file exists and may not be read.
    """
    try:
        fd = _open(run, os.O_RDONLY)
    except InputError:
        return False
    try:
        return not _try_lock(fd, fcntl.LOCK_SH)
    except DiskError:
        return False
    finally:
        os.close(fd)


class RunLock:
    """The right to write a run. Make one with `acquire`; use it as a context manager or call `release`."""

    def __init__(self, run: RunFolder, fd: int) -> None:
        self.run = run
        self._fd = fd
        _held_here.add(self)

    @classmethod
    def acquire(cls, run: RunFolder) -> Self:
        """Take the lock, or say who has it.

        Raises:
            BusyError: naming pid, host and since when.
            DiskError: when the lock cannot be made, or the file system has no locks.
            InputError: when the run folder is gone.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            fd = _open(run, os.O_RDWR | os.O_CREAT)
            try:
                if _try_lock(fd, fcntl.LOCK_EX):
                    if _is_current(run, fd):
                        _write_owner(run, fd)
                        return cls(run, fd)
                elif time.monotonic() > deadline:
                    raise BusyError(f"run {run.name} is in use {_describe(read_owner(run))}")
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
            time.sleep(0.01)

    held = staticmethod(held)

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

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
        lock.release()


os.register_at_fork(after_in_child=_drop_in_child)


def read_owner(run: RunFolder) -> Owner | None:
    """Return the record of the last holder, who may be long dead; None when there is none or it is damaged."""
    return read_record(run.lock_path, Owner)


def _open(run: RunFolder, flags: int) -> int:
    try:
        return os.open(run.lock_path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except FileNotFoundError:
        raise InputError(
            f"run {run.name}: there is no {run.lock_path}; was the run removed or moved?"
        ) from None
    except OSError as error:
        raise disk_error(error, f"could not open the lock of run {run.name}") from error


def _try_lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
            return False
        if error.errno in _NO_LOCKS:
            raise DiskError(
                "this file system has no file locks (flock), so two workers could write one run; "
                "keep runs on a local disk with --runs-dir"
            ) from None
        raise disk_error(error, "could not lock the run") from error
    return True


def _is_current(run: RunFolder, fd: int) -> bool:
    """Whether the locked file is still the one that others will find under its name."""
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(run.lock_path))
    except FileNotFoundError:
        return False


def _write_owner(run: RunFolder, fd: int) -> None:
    record = msgspec.json.encode(Owner(identify(os.getpid()), time.time(), secrets.token_hex(8)))
    try:
        os.pwrite(fd, record, 0)
        os.ftruncate(fd, len(record))
    except OSError as error:
        raise disk_error(error, f"could not write the lock of run {run.name}; it was not started") from error


def _describe(owner: Owner | None) -> str:
    if owner is None:
        return "by another process"
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(owner.time))
    return f"by process {owner.identity.pid} on {owner.identity.host} since {since}"
