"""Writing files so that a crash leaves the old one or the new one, never half of either.

The order is fixed: write beside the target, fsync the file, rename, fsync the directory. A failed fsync voids the
file; it is removed and never retried on the same descriptor.
"""

import errno
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from rnn_tui.errors import DiskError


def fsync_directory(path: Path) -> None:
    """Make the names inside `path` durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write the whole of `data`; `os.write` may stop short on a full disk without an error."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_durable(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Create `path`, which must not exist, write `chunks` and fsync it. Removes it again on any failure.

    Raises:
        OSError: as the system reports it.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        for chunk in chunks:
            write_all(fd, chunk)
        os.fsync(fd)
    except BaseException:
        os.close(fd)
        path.unlink(missing_ok=True)
        raise
    os.close(fd)


def replace_file(path: Path, data: bytes) -> None:
    """Replace the contents of `path` in one step, durably.

    Raises:
        DiskError: when there is no room or no permission; the old file is whole.
    """
    temporary = path.with_name(f".tmp-{path.name}-{secrets.token_hex(4)}")
    try:
        write_durable(temporary, [data])
        os.rename(temporary, path)
        fsync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise disk_error(error, f"could not write {path}; the earlier file is untouched") from error


def disk_error(error: OSError, what: str) -> DiskError:
    """Turn an OSError into the sentence a user can act on."""
    reasons = {
        errno.ENOSPC: "no space left on the disk; free some and try again",
        errno.EDQUOT: "the disk quota is used up; free some space and try again",
        errno.EACCES: "permission denied; choose a folder you may write to",
        errno.EROFS: "the file system is read-only; choose another folder",
    }
    return DiskError(f"{what}: {reasons.get(error.errno or 0, error.strerror or str(error))}")
