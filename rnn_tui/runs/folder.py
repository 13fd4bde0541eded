"""Making, finding, renaming and removing run folders."""

import errno
import itertools
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

from rnn_tui.errors import BusyError, DiskError, InputError, UsageError, nearest
from rnn_tui.files import disk_error, fsync_directory, make_folders, write_durable
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.lock import RunLock
from rnn_tui.runs.records import open_plain
from rnn_tui.runs.status import ENDED, run_state

__all__ = [
    "RunFolder", "check_name", "check_nameless", "check_removable", "check_writable", "create_run", "export_model",
    "find_run", "folder_size", "free_name", "is_run", "numbered", "remove_run", "rename_run",
]  # fmt: skip

Made = TypeVar("Made")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LITTER_AGE = 3600.0
"""Seconds after which an unfinished `.new-` folder has certainly lost its creator, who needs milliseconds."""


def check_name(name: str) -> str:
    """Return `name` if a run may be called so.

    Raises:
        UsageError: for anything else; so no name can leave the runs folder, look like an option or drive a
            terminal.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a run; use up to 64 letters, digits, dots, dashes and underscores, "
            "beginning with a letter or digit"
        )
    return name


def create_run(runs_dir: Path, name: str | None, config: Mapping[str, Any]) -> RunFolder:
    """Make a new run folder holding `config` as config.toml, and return it.

    The folder is filled under a temporary name and renamed, so it is whole or not there, and of several
    creators who want one name exactly one gets it. Folders are 0700 and files 0600.

    Args:
        runs_dir: Made when absent; may itself be a link.
        name: None picks `<arch>-<corpus>-<n>` with the next free number.
        config: Nested plain values without None, as `training.config.to_dict` gives them.

    Raises:
        UsageError: for a name that breaks the rule.
        BusyError: when the name is taken.
        InputError: when `runs_dir` is no folder.
        DiskError: when it cannot be written; nothing is left behind.
    """
    if name is not None:
        check_name(name)
    text = tomli_w.dumps(config).encode()
    temporary = made = runs_dir / f".new-{secrets.token_hex(8)}"
    try:
        make_folders(runs_dir)
        _sweep(runs_dir)
        try:
            for path in (temporary, *(temporary / part for part in _FOLDERS)):
                path.mkdir(mode=0o700)
            write_durable(temporary / "config.toml", [text])
            fsync_directory(temporary / "control")
            fsync_directory(temporary)
            made = _claim(temporary, runs_dir, name, config)
            fsync_directory(runs_dir)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
    except OSError as error:
        if runs_dir.exists() and not runs_dir.is_dir():
            raise InputError(f"{runs_dir} is not a folder; name another for runs") from None
        raise disk_error(error, f"could not make a run in {runs_dir}; nothing was left behind") from error
    return RunFolder(made)


_FOLDERS = ("control", "control/inbox", "control/done", "control/rejected", "checkpoints")


def _claim(temporary: Path, runs_dir: Path, name: str | None, config: Mapping[str, Any]) -> Path:
    """Rename `temporary` to its final name; a rename onto a folder with anything in it fails, whoever made it."""
    base = _base_name(config)
    while True:
        final = runs_dir / (name or f"{base}-{_next_number(runs_dir, base)}")
        # rename would replace an empty folder, so that case is asked for first
        taken = os.path.lexists(final)
        if not taken:
            try:
                os.rename(temporary, final)
                return final
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
                    raise
        if name is not None:
            raise BusyError(
                f"there is already a run named {name} in {runs_dir}; choose another name or remove it"
            )


def free_name(runs_dir: Path, base: str) -> str:
    """Return `base-1`, or the first number that no run has."""
    names = (f"{base}-{number}" for number in itertools.count(1))
    return next(name for name in names if not os.path.lexists(runs_dir / name))


def numbered(runs_dir: Path, base: str, make: Callable[[str], Made]) -> Made:
    """Make a run under its `free_name`, by `make`, and under the next one where somebody else takes that meanwhile.

    Raises:
        BusyError: of `make`, when it is not the name that is taken; and whatever else it raises.
    """
    while True:
        name = free_name(runs_dir, base)
        try:
            return make(name)
        except BusyError:
            if not os.path.lexists(runs_dir / name):
                raise


def _base_name(config: Mapping[str, Any]) -> str:
    """`lstm-tinyshakespeare` from the architecture and the corpus."""
    source = str(config.get("corpus", {}).get("source") or "text")
    words = (
        str(config.get("model", {}).get("arch") or "run"),
        "stdin" if source == "-" else Path(source).stem,
    )
    base = "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", word).strip("-.") for word in words)[:56].strip("-.")
    return base if _NAME.fullmatch(base) else "run"


def _next_number(runs_dir: Path, base: str) -> int:
    """One more than the highest number in use, so that a number is not given twice while its successors stand."""
    pattern = re.compile(re.escape(base) + r"-([0-9]{1,6})", re.IGNORECASE)
    return 1 + max((int(m[1]) for m in map(pattern.fullmatch, os.listdir(runs_dir)) if m), default=0)


def _sweep(runs_dir: Path) -> None:
    """Remove what a killed creator or remover left."""
    with os.scandir(runs_dir) as entries:
        for entry in entries:
            try:
                old = time.time() - entry.stat(follow_symlinks=False).st_mtime > _LITTER_AGE
            except FileNotFoundError:
                continue
            if entry.name.startswith(".del-") or (entry.name.startswith(".new-") and old):
                shutil.rmtree(entry.path, ignore_errors=True)


def check_writable(run: RunFolder) -> None:
    """Refuse a run that may not or cannot be written, when it is started rather than at its first checkpoint.

    Raises:
        InputError: when it, or a folder of it, is a symbolic link, which is not followed.
        DiskError: when no file can be made in it.
    """
    for folder in (run.path, run.control, run.inbox, run.done, run.rejected, run.checkpoints):
        if folder.is_symlink():
            raise InputError(
                f"{folder} is a symbolic link, which is not followed; put the folder that it points to in its place"
            )
    for folder in (run.path, run.checkpoints):
        probe = folder / f".tmp-probe-{secrets.token_hex(4)}"
        try:
            os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            probe.unlink()
        except FileNotFoundError:  # the first save makes checkpoints anew
            continue
        except OSError as error:
            raise disk_error(
                error, f"run {run.name} was not started: {folder} cannot be written to"
            ) from error


def is_run(path: Path) -> bool:
    """Whether the folder holds anything that only a run has, even if it is damaged."""
    parts = ("config.toml", "events.jsonl", "status.json", "control")
    return any(os.path.lexists(path / part) for part in parts)


def find_run(runs_dir: Path, name: str) -> RunFolder:
    """Return the run called `name`, or the one whose path it is. Damaged runs are found too, hidden ones only by path.

    Raises:
        InputError: when there is none, naming the nearest; or when it is a symbolic link, which is not
            followed.
    """
    path = Path(name) if os.sep in name or name in (".", "..") else runs_dir / name
    hidden = name.startswith(".") and path == runs_dir / name
    try:
        info = os.lstat(path) if name and not hidden else None
    except (OSError, ValueError):  # ValueError: NUL inside
        info = None
    if info is not None and stat.S_ISLNK(info.st_mode):
        raise InputError(f"{path} is a symbolic link, which is not followed; name the folder it points to")
    if info is not None and stat.S_ISDIR(info.st_mode) and is_run(path):
        return RunFolder(path)
    if os.sep in name:
        what = "no such folder" if info is None else "it is not the folder of one"
        raise InputError(f"there is no run at {name}: {what}")
    try:
        known = [entry for entry in os.listdir(runs_dir) if not entry.startswith(".")]
    except OSError:
        known = []
    hint = nearest(name, known) if known else "; there are no runs yet"
    raise InputError(f"there is no run {name!r} in {runs_dir}{hint}")


def folder_size(path: Path) -> int:
    """Bytes of all files below `path`; links count as themselves and are not followed."""
    total, folders = 0, [os.fspath(path)]
    while folders:  # no recursion: folders may be nested deeper than it goes
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:  # it changes while we look
            continue
    return total


def check_removable(run: RunFolder) -> None:
    """Refuse to move or delete what is in use, or no run.

    Raises:
        BusyError: when its worker is alive.
        InputError: when the folder was not made by `create_run`.
    """
    if not run.inbox.is_dir() or run.path.is_symlink():
        raise InputError(
            f"{run.path} does not look like a run folder (no control/inbox); remove it by hand if it is one"
        )
    view = run_state(run)
    if view.alive or view.state == "starting":
        how = "about to end; try again" if view.state in ENDED else f"{view.state}; stop it first"
        raise BusyError(f"run {run.name} is {how}")


def check_nameless(run: RunFolder) -> None:
    """Refuse to rename a run of an earlier version, whose checkpoints tell it from others by its name alone.

    Raises:
        InputError: when it is one.
    """
    try:
        about = run.read_config().get("about")
    except InputError:  # nothing can go on from it, whatever its name
        return
    if run.newest_checkpoint() is not None and not (isinstance(about, Mapping) and "id" in about):
        raise InputError(
            f"run {run.name} was made by an earlier version, and its checkpoints know it by its name; it keeps that"
        )


def rename_run(run: RunFolder, name: str) -> RunFolder:
    """Give a run another name, which is that of its folder, and return it; resuming it is as exact as before.

    Raises:
        UsageError: for a name that breaks the rule.
        BusyError: when its worker is alive, or the name is taken.
        InputError: when the folder was not made by `create_run`, or its checkpoints know it by its name.
        DiskError: when it cannot be renamed; it keeps its name.
    """
    target = run.path.with_name(check_name(name))
    check_removable(run)
    check_nameless(run)
    try:
        with RunLock.acquire(run):
            # where capitals and small letters are the same, a run may change its own
            if os.path.lexists(target) and not os.path.samefile(target, run.path):
                raise BusyError(
                    f"there is already a run named {name} in {target.parent}; choose another name"
                )
            os.rename(run.path, target)
        fsync_directory(target.parent)
    except OSError as error:
        raise disk_error(error, f"could not rename run {run.name}; it keeps its name") from error
    return RunFolder(target)


def export_model(run: RunFolder, target: Path) -> Path:
    """Copy the model file of a run to `target`, or into it where that is a folder; return where it is.

    Raises:
        InputError: when the run has no model file yet, or it cannot be read.
        BusyError: when `target` exists; no file is replaced.
        DiskError: when it cannot be written; nothing is left behind.
    """
    target = target / f"{run.name}.safetensors" if os.path.isdir(target) else target
    if os.path.lexists(target):
        raise BusyError(f"{target} is there already; choose another name")
    try:
        model = open(open_plain(run.model_path), "rb")  # noqa: SIM115  closed by `with` below
    except OSError as error:
        why = "it has no model file yet" if error.errno == errno.ENOENT else error.strerror
        raise InputError(f"the model of run {run.name} cannot be exported: {why}") from None
    try:
        with model:
            write_durable(target, iter(lambda: model.read(1 << 20), b""))
    except OSError as error:
        raise disk_error(error, f"could not write {target}") from error
    return target


def remove_run(run: RunFolder) -> None:
    """Delete a run for good. Links inside it are removed, never followed.

    Raises:
        BusyError: when its worker is alive.
        InputError: when the folder was not made by `create_run`.
        DiskError: when it cannot be removed.
    """
    check_removable(run)
    grave = run.path.with_name(f".del-{run.name[:64]}-{secrets.token_hex(4)}")
    try:
        with RunLock.acquire(run):
            os.rename(run.path, grave)
    except OSError as error:
        raise disk_error(error, f"could not remove run {run.name}; it is untouched") from error
    shutil.rmtree(grave, ignore_errors=True)
    if os.path.lexists(grave):
        raise DiskError(
            f"run {run.name} was taken out of the list, but {grave} could not be deleted; remove it by hand"
        )
