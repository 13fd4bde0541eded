"""Small JSON files of a run folder: read without being led astray, replaced in one step."""

import errno
import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from rnn_tui.files import disk_error, fsync_directory, write_all

RECORD_FILE_LIMIT = 64 * 1024
"""Bytes. Larger than any file we write."""

T = TypeVar("T")


def read_small(path: Path, limit: int) -> bytes:
    """Return the content of a small regular file.

    A link is not followed, and a FIFO or device does not block. A stale NFS handle is tried three times.

    Raises:
        OSError: as the system reports it; ELOOP for a symbolic link, EINVAL for anything that is no regular
            file, EFBIG for more than `limit` bytes.
    """
    for attempt in range(3):
        try:
            data = _read(path, limit)
        except OSError as error:
            if error.errno != errno.ESTALE or attempt == 2:
                raise
        else:
            return data
    raise AssertionError("unreachable")


def open_plain(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a regular file and return its descriptor. A link is not followed; a FIFO or device does not block.

    Raises:
        OSError: as `read_small`.
    """
    fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file")
    return fd


def _read(path: Path, limit: int) -> bytes:
    fd = open_plain(path)
    try:
        data = b""
        while part := os.read(fd, limit + 1 - len(data)):
            data += part
    finally:
        os.close(fd)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit} bytes")
    return data


def plain(value: Any) -> Any:
    """Return `value` ready for JSON: non-finite floats as strings, lone surrogates replaced, tuples as lists."""
    if isinstance(value, str):
        return value if value.isprintable() else value.encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, Mapping):
        return {str(plain(str(key))): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def read_record(path: Path, kind: type[T]) -> T | None:
    """Return the record in a small JSON file; None when it is missing, damaged or of another shape."""
    try:
        return msgspec.json.decode(read_small(path, RECORD_FILE_LIMIT), type=kind)
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
        return None


def write_record(path: Path, record: msgspec.Struct, *, durable: bool) -> None:
    """Replace a small JSON file in one step; without `durable` it may be damaged after a power cut.

    Raises:
        DiskError: when it cannot be written; the earlier file is whole.
    """
    # one fixed temporary name: each file has one writer, and what a killed one leaves the next removes
    temporary = path.with_name(f".tmp-{path.name}")
    try:
        temporary.unlink(missing_ok=True)  # rather than written to: it may be a link, or a FIFO that blocks
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, msgspec.json.encode(plain(msgspec.to_builtins(record))))
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
        if durable:
            fsync_directory(path.parent)
    except OSError as error:
        raise disk_error(error, f"could not write {path}; the earlier file is whole") from error
