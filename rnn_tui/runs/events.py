"""The event log of a run: events.jsonl, append-only, one line for each event (`eventline`), one writer.

The reader moves only past whole lines. A tail without a newline is a record that is still being written, or
one that a crash tore; the next writer cuts it off. A line that does not check is counted, reported and
skipped.
"""

import contextlib
import errno
import os
import time
from collections import deque
from pathlib import Path
from typing import Any, Self

from rnn_tui.files import disk_error, fsync_directory
from rnn_tui.runs.eventline import Event, decode, effective, encode, number, rescue

__all__ = ["Event", "EventReader", "EventWriter", "effective", "last_event", "number"]

SYNC_EVERY = 2.0
"""Seconds after which points that were not asked to be durable are made so."""

_RING = 10_000
"""Records kept in memory while the disk is full."""

_READ = 1 << 20


class EventReader:
    """Reads a log that somebody else is writing, without ever disturbing or believing it.

    Attributes:
        bad_lines: How many lines did not check since the start of the file.
        bad_line_numbers: The first hundred of them, counted from 1 (from where reading began, with `tail`).
        reset: Goes up when the file was replaced or cut, and everything is read again from its start.
    """

    def __init__(self, path: Path, *, tail: int | None = None) -> None:
        """`tail` begins at the first whole line within the last so many bytes instead of at the start."""
        self.path = path
        self.reset = 0
        self._tail = tail
        self._begin()

    def _begin(self) -> None:
        self._offset = 0
        self._line = 0
        self._last = b""
        self.bad_lines = 0
        self.bad_line_numbers: list[int] = []

    def poll(self, limit: int | None = None) -> list[Event]:
        """Return the events that were written since the last call; none when the file is not there (yet).

        Args:
            limit: Stop after about so many bytes; the next call goes on. None reads all there is.
        """
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return []
        try:
            return self._read(fd, limit)
        except OSError:  # ESTALE, EIO, a folder in its place: what was not read now is read next time
            return []
        finally:
            os.close(fd)

    def _read(self, fd: int, limit: int | None) -> list[Event]:
        size = os.fstat(fd).st_size
        if self._tail is not None:
            self._offset = _next_line(fd, size - self._tail) if size > self._tail else 0
            self._tail = None
        if not self._continues(fd):
            self._begin()
            self.reset += 1
        events: list[Event] = []
        end = size if limit is None else min(size, self._offset + max(limit, 1))
        while self._offset < end and self._chunk(fd, events):
            pass
        return events

    def _continues(self, fd: int) -> bool:
        """Whether what was read last still stands where it was.

        So another file under the name, a shorter one and one rewritten in place are all noticed. The inode would not
        do: it is given to the next file made.
        """
        if os.fstat(fd).st_size < self._offset:  # cut before anything was read, by a reader of the tail
            return False
        return os.pread(fd, len(self._last), self._offset - len(self._last)) == self._last

    def _chunk(self, fd: int, events: list[Event]) -> bool:
        """Read one chunk up to its last newline; False when it has none and is not hopelessly long."""
        data = os.pread(fd, _READ, self._offset)
        end = data.rfind(b"\n") + 1
        if not end:
            if len(data) < _READ:
                return False
            self._offset += len(data)  # no record is this long: drop it; its end is counted as the bad line
            self._last = data[-64:]
            return True
        lines = data[: end - 1].split(b"\n")
        for line in lines:
            self._line += 1
            event = decode(line)
            if event is not None:
                events.append(event)
                continue
            self.bad_lines += 1
            if len(self.bad_line_numbers) < 100:
                self.bad_line_numbers.append(self._line)
            events += rescue(line)
        self._offset += end
        self._last = data[max(0, end - 64) : end]
        return True


def _next_line(fd: int, offset: int) -> int:
    """Return where the first line begins that does not begin before `offset`; `offset` itself if none is near."""
    found = os.pread(fd, _READ, offset - 1).find(b"\n")
    return offset + max(found, 0)


def last_event(path: Path) -> Event | None:
    """Return the last whole event of a log; None when there is none. Reads backwards, so a long log costs nothing.

    Raises:
        DiskError: when there is a log and it cannot be read: whoever writes next must not begin to count anew.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk_error(error, f"could not read the event log {path}") from error
    try:
        return _last_in(path, fd)
    except OSError as error:
        raise disk_error(error, f"could not read the event log {path}") from error
    finally:
        os.close(fd)


def _last_in(path: Path, fd: int) -> Event | None:
    window = 1 << 16
    while True:
        events = EventReader(path, tail=window)._read(fd, None)
        if events:
            return events[-1]
        if window >= os.fstat(fd).st_size:
            return None
        window *= 16


class EventWriter:
    """Appends to the log of a run whose lock is held by this process.

    A disk that is full or broken does not stop training: the record is taken back whole, kept in a ring of
    bounded size and written as soon as there is room, in order. What an fsync could not bring to the disk is written
    once more, in its place: the system takes it for written, and no later fsync would.

    Attributes:
        fault: Why the last attempt to write or sync failed, in a sentence; empty when all is well.
        pending: How many records wait for room.
        dropped: How many were lost because the ring was full.
    """

    def __init__(self, path: Path, attempt: int) -> None:
        """Open or create the log, cut off a torn tail and go on counting after the last whole record.

        Raises:
            DiskError: when the log cannot be opened.
        """
        self.path = path
        self.attempt = attempt
        self.fault = ""
        self.dropped = 0
        self._ring: deque[bytes] = deque()
        # what is in the file since the last fsync, which was up to `_durable`
        self._unsynced: deque[bytes] = deque()
        self._in_doubt = False
        self._untold = 0
        self._synced = time.monotonic()
        try:
            self._open(os.O_CREAT)
            try:
                if not self._size:  # else a power cut takes the file, however durable its lines are
                    fsync_directory(path.parent)
                last = _last_in(path, self._fd)
            except OSError:
                os.close(self._fd)
                raise
        except OSError as error:
            raise disk_error(error, f"could not open the event log {path}") from error
        self._durable = self._size
        self._seq = last.seq if last else 0

    @property
    def pending(self) -> int:
        return len(self._ring)

    def write(self, kind: str, step: int, *, durable: bool = False, **data: Any) -> bool:
        """Append one event; True when it, and all before it, are in the file (on the disk, if `durable`)."""
        self._seq += 1
        self._ring.append(encode(Event(self._seq, self.attempt, time.time(), kind, step, data)))
        if len(self._ring) > _RING:
            self._ring.popleft()
            self.dropped += 1
            self._untold += 1
        if not self._flush():
            return False
        if self._untold:
            lost, self._untold = self._untold, 0
            self.write("warning", step, message=f"{lost} records were lost: the disk was full for too long")
        if durable or time.monotonic() - self._synced >= SYNC_EVERY:
            return self.sync()
        return True

    def sync(self) -> bool:
        """Write what waits and make it durable; False, with `fault` set, when that failed."""
        if not self._flush():
            return False
        self._synced = time.monotonic()
        try:
            if self._in_doubt:
                self._write_again()
            os.fsync(self._fd)
        except OSError as error:
            self._fail(error)
            self._in_doubt = True
            self._reopen()
            return False
        self._durable, self._in_doubt = self._size, False
        self._unsynced.clear()
        return True

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        with contextlib.suppress(OSError):  # what matters was said by `sync`
            os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, create: int = 0) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | create
        fd = os.open(self.path, flags, 0o600)
        try:
            size = _end_of_lines(fd)
            os.ftruncate(fd, size)
        except OSError:
            os.close(fd)
            raise
        self._fd, self._size, self._torn = fd, size, False

    def _flush(self) -> bool:
        """Write the ring, oldest first, each record whole or not at all."""
        try:
            while self._ring:
                if self._torn:
                    os.ftruncate(self._fd, self._size)
                self._torn = True
                if os.write(self._fd, self._ring[0]) < len(self._ring[0]):
                    # a disk that fills up gives a short count first and the error only at the next write
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._torn = False
                self._size += len(self._ring[0])
                self._unsynced.append(self._ring.popleft())
                if len(self._unsynced) > _RING:  # the disk fails for days: the oldest are as they are
                    self._durable += len(self._unsynced.popleft())
        except OSError as error:
            self._fail(error)
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)
                self._torn = False
            return False
        self.fault = ""
        return True

    def _fail(self, error: OSError) -> None:
        what = f"could not write {self.path.name}; {len(self._ring)} records are kept in memory"
        self.fault = str(disk_error(error, what))

    def _write_again(self) -> None:
        data = b"".join(self._unsynced)
        # with O_APPEND it would go to the end
        fd = os.open(self.path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.pwrite(fd, data, self._durable) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(fd)

    def _reopen(self) -> None:
        """Go on with a fresh descriptor; with the old one where the file cannot be found any more."""
        old = self._fd
        with contextlib.suppress(OSError):
            self._open()
            os.close(old)


def _end_of_lines(fd: int) -> int:
    """Return the offset after the last newline of a file."""
    end = os.fstat(fd).st_size
    while end:
        start = max(0, end - _READ)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
