"""Writing files so that a crash leaves the old one or the new one, never half of either.

The order is fixed: write beside the target, fsync the file, rename, fsync the directory. A failed fsync voids the
file; it is removed and never retried on the same descriptor.
"""

import contextlib
import errno
import math
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
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


def make_folders(path: Path) -> None:
    """Make a folder and those above it that are missing, each durable and 0700.

    Raises:
        OSError: as the system reports it.
    """
    if path.is_dir():
        return
    if path.parent != path:
        make_folders(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    fsync_directory(path.parent)


def write_durable(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Create `path`, which must not exist, write `chunks` and fsync it. Removes it again on any failure.

    Raises:
        OSError: as the system reports it.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            for chunk in chunks:
                write_all(fd, chunk)
            os.fsync(fd)
        finally:
            os.close(fd)  # which may fail too, on a network file system
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise


def replace_file(path: Path, data: bytes) -> None:
    """Replace the contents of `path` in one step, durably.

    Raises:
        DiskError: when there is no room or no permission; the file is whole, in almost every case the earlier one.
    """
    temporary = path.with_name(f".tmp-{path.name}-{secrets.token_hex(4)}")
    what = f"could not write {path}" + "; the earlier file is untouched" * os.path.lexists(path)
    try:
        write_durable(temporary, [data])
        os.rename(temporary, path)
        what = f"{path} was written, but may be the earlier file again after a power cut"
        fsync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise disk_error(error, what) from error


MARGIN = 1.1
"""How much more room than the bytes to be written there has to be, beside a block for each file: the event log, which
says that the disk is full, takes some too."""


def need_room(folder: Path, size: int, names: int, what: str) -> None:
    """Refuse to begin what would fill the disk to its brim.

    Args:
        size: bytes that will be written into `folder`.
        names: files and folders that will be made.
        what: the beginning of the sentence, as for `disk_error`.

    Raises:
        DiskError: when there is not `MARGIN` times the room. The sentence is the same each time it is tried.
    """
    found = room(folder)
    if found.names < names:
        reason = _NO_INODES
    elif found.bytes < MARGIN * size + names * found.block:
        reason = f"no space left on the disk for {_told(size)}; free some and try again"
    else:
        return
    raise DiskError(f"{what}: {reason}") from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def warn_of_room(folder: Path, size: int, count: int = 1) -> str:
    """Return a warning where `folder` has not the room for `count` times `size` bytes, else the empty string."""
    try:
        free = room(folder).bytes
    except OSError:
        return ""
    if free >= MARGIN * size * count:
        return ""
    return (
        f"{_told(free)} are free on the disk of {folder}, and {count} checkpoints of {_told(size)} will be "
        "kept there; a run that finds the disk full waits until there is room"
    )


def _told(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.0f} kB"


@dataclass(frozen=True)
class Room:
    """What a file system has left for this user: bytes, and names of files (infinitely many where it does not say); and
    what the smallest file takes."""

    bytes: int
    names: float
    block: int


def room(folder: Path) -> Room:
    """Return what the file system of `folder` has left.

    Raises:
        OSError: as the system reports it.
    """
    left = os.statvfs(folder)
    return Room(left.f_bavail * left.f_frsize, left.f_favail if left.f_files else math.inf, left.f_frsize)


_NO_INODES = (
    "the disk has no free inodes, so it takes no more files whatever their size; remove some and try again"
)

_REASONS = {
    errno.ENOSPC: "no space left on the disk; free some and try again",
    errno.EDQUOT: "the disk quota is used up; free some space and try again",
    errno.EACCES: "permission denied; choose a folder you may write to",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.EIO: "Input/output error; the disk may be failing, so copy what matters to another one",
    errno.EMFILE: "this process may not open so many files; raise the limit with ulimit -n",
    errno.EFBIG: "the file would be larger than the file system, or the limit set by ulimit -f, allows",
}


def disk_error(error: OSError, what: str) -> DiskError:
    """Turn an OSError into the sentence a user can act on."""
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    if error.errno == errno.ENOSPC and isinstance(error.filename, str | bytes | os.PathLike):
        # only what makes a name needs an inode, and there the system says at which path
        with contextlib.suppress(OSError):
            if room(Path(os.fsdecode(error.filename)).parent).names < 1:
                reason = _NO_INODES
    return DiskError(f"{what}: {reason}")
