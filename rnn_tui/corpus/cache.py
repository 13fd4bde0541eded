"""Folders of the cache: built under a temporary name, then renamed, so that a reader never sees half of one.

Two processes may build the same folder at once; its name is a key of its content, so either result will do.
"""

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rnn_tui.files import fsync_directory

_ABANDONED = 24 * 3600.0  # seconds; no build takes so long, so its owner was killed


@contextmanager
def staging(parent: Path) -> Iterator[Path]:
    """Give a fresh folder inside `parent`, which is made if needed; removed at the end unless published."""
    parent.mkdir(parents=True, exist_ok=True)
    for path in parent.glob(".tmp-*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED:
                shutil.rmtree(path)
    staged = Path(tempfile.mkdtemp(prefix=".tmp-", dir=parent))
    try:
        yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def publish(staged: Path, final: Path) -> None:
    """Rename `staged` to `final`; where another process was first, its folder stays and ours goes."""
    fsync_directory(staged)
    try:
        os.rename(staged, final)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    else:
        fsync_directory(final.parent)


def discard(damaged: Path) -> None:
    """Take a folder that is not whole out of the way."""
    with staging(damaged.parent) as staged, suppress(FileNotFoundError):
        os.rename(damaged, staged / damaged.name)
