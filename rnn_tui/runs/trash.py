"""Runs that were deleted and can come back: whole folders, moved into `.trash` beside the others.

A folder lies there as `<name>-<when, in UTC>`. It is moved by rename, so the trash is on the file system of the runs,
takes no room of its own and frees none; `empty` does, and nothing else ever deletes from it.
"""

import os
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rnn_tui.errors import BusyError, DiskError, InputError, nearest
from rnn_tui.files import disk_error, fsync_directory
from rnn_tui.runs.folder import check_name, check_nameless, check_removable, folder_size, is_run, remove_run
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.lock import RunLock

TRASH = ".trash"
_ENTRY = re.compile(r"(.+)-([0-9]{8}T[0-9]{6}\.[0-9]{6})")
_STAMP = "%Y%m%dT%H%M%S.%f"


@dataclass(frozen=True)
class Trashed:
    """A run in the trash: what it was called, where it lies, when it was deleted (unix time), its bytes."""

    name: str
    path: Path
    deleted: float
    size_bytes: int


def discard(run: RunFolder) -> Path:
    """Move a run into the trash and return where it lies now.

    Raises:
        BusyError: when its worker is alive.
        InputError: when the folder was not made by `create_run`, or lies in the trash already.
        DiskError: when it cannot be moved; it is untouched.
    """
    if run.path.parent.name == TRASH:
        raise InputError(
            f"{run.path} is in the trash already; rnn-tui runs trash --empty deletes what is there"
        )
    check_removable(run)
    trash = run.path.parent / TRASH
    try:
        trash.mkdir(mode=0o700, exist_ok=True)
        if trash.is_symlink():
            raise InputError(f"{trash} is a symbolic link, which is not followed; remove it")
        with RunLock.acquire(run):
            while True:
                place = trash / f"{run.name}-{datetime.now(UTC).strftime(_STAMP)}"
                if not os.path.lexists(place):
                    break
                time.sleep(1e-6)  # the name is taken for a microsecond
            os.rename(run.path, place)
        fsync_directory(trash)
        fsync_directory(run.path.parent)
    except OSError as error:
        raise disk_error(error, f"could not move run {run.name} into {trash}; it is untouched") from error
    return place


def list_trash(runs_dir: Path) -> list[Trashed]:
    """Return what is in the trash of a folder of runs, the newest first; what is no run is passed over.

    Raises:
        InputError: when it is there and cannot be read.
    """
    trash = runs_dir / TRASH
    try:
        names = [] if trash.is_symlink() else os.listdir(trash)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"cannot list the trash in {trash}: {error.strerror}") from None
    found = []
    for name in names:
        when, path = _when(name), trash / name
        if when is not None and not path.is_symlink() and path.is_dir() and is_run(path):
            found.append(Trashed(_name(name), path, when, folder_size(path)))
    return sorted(found, key=lambda one: (-one.deleted, one.name))


def _name(entry: str) -> str:
    match = _ENTRY.fullmatch(entry)
    return match[1] if match else ""


def _when(name: str) -> float | None:
    """Return when an entry was deleted, by its name; None for another name."""
    match = _ENTRY.fullmatch(name)
    try:
        return datetime.strptime(f"{match[2]}+0000", f"{_STAMP}%z").timestamp() if match else None
    except ValueError:
        return None


def find_trashed(runs_dir: Path, name: str) -> Trashed:
    """Return the run that was called `name` and deleted last, or the one whose folder in the trash is called so.

    Raises:
        InputError: when there is none, naming the nearest.
    """
    held = list_trash(runs_dir)
    for one in held:
        if name in (one.name, one.path.name):
            return one
    hint = nearest(name, {one.name for one in held}) if held else "; the trash is empty"
    raise InputError(f"there is no run {name!r} in the trash of {runs_dir}{hint}")


def restore(path: Path, name: str | None = None) -> RunFolder:
    """Move a run out of the trash, to where it was or under another name.

    Raises:
        UsageError: for a name that breaks the rule.
        BusyError: when there is a run of that name now.
        InputError: when `path` is not in a trash, or gone; or its checkpoints know it by the name it had.
        DiskError: when it cannot be moved; it stays in the trash.
    """
    before = _name(path.name)
    if not before or path.parent.name != TRASH or path.is_symlink() or not path.is_dir():
        raise InputError(f"{path} is no run in the trash")
    target = path.parent.parent / (before if name is None else check_name(name))
    if target.name != before:
        check_nameless(RunFolder(path))
    if os.path.lexists(target):
        raise BusyError(
            f"there is a run named {target.name} again; rnn-tui runs restore {before} --as NAME gives this one "
            "another name"
        )
    try:
        os.rename(path, target)
        fsync_directory(target.parent)
    except OSError as error:
        raise disk_error(error, f"could not restore {target.name}; it is still in the trash") from error
    return RunFolder(target)


def empty(runs_dir: Path, older_than: float = 0.0) -> Sequence[Trashed]:
    """Delete for good what has been in the trash for more than `older_than` seconds; return what was deleted.

    Raises:
        BusyError: when a worker is alive in one of them.
        InputError: when the trash cannot be read.
        DiskError: when one cannot be deleted.
    """
    gone = [one for one in list_trash(runs_dir) if time.time() - one.deleted >= older_than]
    for one in gone:
        remove_run(RunFolder(one.path))
    trash = runs_dir / TRASH
    try:
        for name in os.listdir(trash) if gone else ():  # what a killed one left
            if name.startswith(".del-"):
                shutil.rmtree(trash / name)
    except OSError as error:
        raise DiskError(f"{trash} could not be emptied; what is left can be removed by hand") from error
    return gone
