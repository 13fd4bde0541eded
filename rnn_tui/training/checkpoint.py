"""Checkpoints: directories that are whole or are not checkpoints.

    checkpoints/step-00001200/
      model.safetensors   a complete model file: weights, settings, tokenizer
      train.safetensors   optimiser, carried state, random states
      state.json          counters, cursor, schedule, bookkeeping
      manifest.json       sizes and SHA-256 of the other three, written last; see `manifest`

Written under a temporary name in the same folder, each file fsynced, the folder fsynced, renamed, the parent
fsynced. What has no valid manifest is not a checkpoint. Temporary leftovers are swept by the next writer, which
holds the run's lock.

A final name is never replaced: a step that is saved again, because the run went back or came by once more, becomes
`step-00001200-2`, and the first stays until it is pruned. The newest is that of the highest step, and of several of one
step that of the highest number; the clock has no part in it.
"""

import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from rnn_tui.errors import DiskError, InputError, is_out_of_memory
from rnn_tui.files import disk_error, fsync_directory, need_room, write_durable
from rnn_tui.model.container import open_container
from rnn_tui.model.header import read_header
from rnn_tui.model.manifest import NewerFormat, check_file, encode_manifest, read_manifest
from rnn_tui.model.strict_json import parse_json
from rnn_tui.runs.layout import checkpoint_key, checkpoint_name
from rnn_tui.runs.records import read_small

STATE_LIMIT = 16 * 1024 * 1024
"""Bytes. A state.json of a hundred parameters takes 20 kB."""

KEEP_LEAST = 2


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose manifest was read; `verify` compares the files with it."""

    path: Path
    step: int
    manifest: Mapping[str, Any]

    @property
    def model_path(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def size(self) -> int:
        """The bytes of its files."""
        return sum(entry["size"] for entry in self.manifest["files"].values())

    def verify(self) -> None:
        """Raise InputError unless every file has the size and SHA-256 that the manifest states."""
        for name, entry in self.manifest["files"].items():
            check_file(self.path, name, entry)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the tensors of train.safetensors and the contents of state.json; call `verify` first.

        Raises:
            InputError: when they cannot be read, or a file is of another step than the manifest.
        """
        try:
            # into memory of our own: a mapped file that is cut short later kills the process with SIGBUS
            with open_container(self.path / "train.safetensors") as container:
                tensors = {name: container.read(name) for name in container.entries}
            state = parse_json(read_small(self.path / "state.json", STATE_LIMIT).decode())
            steps = {
                "state.json": state["progress"]["step"],
                "model.safetensors": read_header(self.model_path).training["step"],
            }
        except InputError:
            raise
        except Exception as error:  # whatever is wrong with a file is a reason not to use it
            if is_out_of_memory(error):
                raise
            raise InputError(f"checkpoint {self.path.name} cannot be read: {error!r}") from error
        for name, step in steps.items():
            if step != self.step:
                raise InputError(
                    f"checkpoint {self.path.name}: {name} is of step {step}; its files do not belong together"
                )
        return tensors, state


def save(
    folder: Path,
    step: int,
    files: Mapping[str, Sequence[bytes | memoryview]],
    *,
    run_id: str,
    environment: Mapping[str, Any],
) -> Checkpoint:
    """Write a checkpoint and return it; it is durable when this returns.

    Args:
        folder: the run's `checkpoints`, made when absent.
        files: the contents of the three, each in parts.

    Raises:
        DiskError: when it could not be written, or there is not the room to begin; earlier checkpoints are whole.
    """
    temporary = folder / f".tmp-{step:08d}-{secrets.token_hex(4)}"
    what = f"could not save {checkpoint_name(step)}; earlier checkpoints are whole"
    try:
        if not os.path.lexists(folder):
            folder.mkdir(mode=0o700)
            fsync_directory(folder.parent)
        if reason := _unfit(folder):
            raise DiskError(f"{what}: {folder} {reason}")
        sweep(folder)
        size = sum(memoryview(part).nbytes for parts in files.values() for part in parts)
        need_room(folder, size, len(files) + 2, what)
        temporary.mkdir(mode=0o700)
        entries = {name: _write(temporary / name, parts) for name, parts in files.items()}
        manifest = encode_manifest(run_id, step, environment, entries)
        write_durable(temporary / "manifest.json", [manifest])
        fsync_directory(temporary)
        numbers = [number for path in _folders(folder) for at, number in [_key(path)] if at == step]
        final = folder / checkpoint_name(step, max(numbers, default=0) + 1)
        os.rename(temporary, final)
        fsync_directory(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)  # what resists is swept by the next save
        raise disk_error(error, what) from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return Checkpoint(final, step, parse_json(manifest.decode()))


def _write(path: Path, parts: Sequence[bytes | memoryview]) -> dict[str, Any]:
    """Write a file durably and return its entry in the manifest, of what it was meant to hold."""
    size, digest = 0, hashlib.sha256()

    def counted() -> Iterator[bytes | memoryview]:
        nonlocal size
        for part in parts:
            size += memoryview(part).nbytes
            digest.update(part)
            yield part

    write_durable(path, counted())
    return {"size": size, "sha256": digest.hexdigest()}


def find(folder: Path) -> list[Checkpoint]:
    """Return the checkpoints of a run, newest first. What has no readable manifest is left out.

    Raises:
        InputError: when `folder` is a link or no folder, or cannot be read.
    """
    found = []
    for path in _listed(folder):
        try:
            found.append(_read(path))
        except InputError:
            continue
    return found


def newest_valid(
    folder: Path, complain: Callable[[str], object], run_id: str | None = None
) -> Checkpoint | None:
    """Return the newest checkpoint whose files are what its manifest states, or None where there is none at all.

    Those that are newer and damaged, or of another run than `run_id` (None: of any), are set aside as `damaged-…`, and
    `complain` is told of each why, and how many steps are lost with it.

    Raises:
        NewerFormat: when a later version of rnn-tui made one that is newer; nothing is changed.
        InputError: when there are checkpoints and none can be used; nothing is started over in silence, or changed.
    """
    refused: list[tuple[Path, str]] = []
    for path in _listed(folder):
        try:
            checkpoint = _read(path)
            if run_id is not None and checkpoint.manifest["run"] != run_id:
                raise InputError(
                    f"checkpoint {path.name} is of another run ({checkpoint.manifest['run']}, this one is {run_id})"
                )
            checkpoint.verify()
        except NewerFormat:
            raise
        except InputError as error:
            refused.append((path, str(error)))
            continue
        for bad, reason in refused:
            lost = _key(bad)[0] - checkpoint.step
            complain(f"{reason}; {_set_aside(bad)}; {checkpoint.path.name} is used, {lost} steps earlier")
        return checkpoint
    if refused:
        reasons = "; ".join(reason for _, reason in refused)
        raise InputError(
            f"no checkpoint can be used: {reasons}. Nothing was changed; put a copy of one in its place, or start a "
            "new run"
        )
    if aside := [path.name for path in folder.glob("damaged-*")]:
        raise InputError(
            f"all checkpoints that are left in {folder} are damaged: {', '.join(aside[:3])}; start a new run"
        )
    return None


def of_step(folder: Path, step: int | None) -> Checkpoint | None:
    """Return the newest checkpoint of one step; None where there is none."""
    return next((checkpoint for checkpoint in find(folder) if checkpoint.step == step), None)


def prune(folder: Path, *, keep: int, best_step: int | None) -> str:
    """Remove all checkpoints but those of the newest `keep` steps and of the best; never down to less than two.

    The newest is read and compared with its manifest before anything is removed. Returns, in a sentence, what hindered
    it, else the empty string: that something could not be removed is no reason to end a run.
    """
    try:
        for path in _listed(folder)[:1]:
            _read(path).verify()
        found = find(folder)
        newest: dict[int, Checkpoint] = {}
        for checkpoint in found:
            newest.setdefault(checkpoint.step, checkpoint)
        again = [checkpoint for checkpoint in found if checkpoint is not newest[checkpoint.step]]
        kept = [*newest.values(), *again][: max(keep, KEEP_LEAST)]
        if best_step in newest:
            kept.append(newest[best_step])
        return _remove(folder, [checkpoint.path for checkpoint in found if checkpoint not in kept])
    except (OSError, InputError) as error:
        reason = error if isinstance(error, InputError) else error.strerror or error
        return f"checkpoints that are not needed any more were not removed: {reason}"


def forget_later(folder: Path, step: int) -> str:
    """Remove the checkpoints of later steps than `step`: the run went back to it, and they are of a way given up.

    Returns, in a sentence, what could not be deleted, else the empty string.

    Raises:
        DiskError: when they could not be taken out of the list: a resumed run would go on from them.
    """
    try:
        return _remove(folder, [path for path in _folders(folder) if _key(path)[0] > step])
    except OSError as error:
        raise disk_error(error, f"could not remove the checkpoints after step {step}") from error


def _remove(folder: Path, paths: Sequence[Path]) -> str:
    for path in paths:
        os.rename(path, folder / f".del-{path.name}-{secrets.token_hex(4)}")
    if paths:
        fsync_directory(folder)  # else a power cut could bring the name back without what was in it
    return sweep(folder)


def sweep(folder: Path) -> str:
    """Delete what an interrupted save or removal left; only the holder of the run's lock may call this.

    Returns, in a sentence, what could not be deleted, else the empty string.
    """
    kept = []
    for path in folder.iterdir():
        if path.name.startswith((".tmp-", ".del-")):
            try:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            except OSError as error:
                kept.append(f"{path.name} ({error.strerror or error})")
    return f"what is left of old checkpoints could not be deleted: {', '.join(kept[:3])}" if kept else ""


def _unfit(folder: Path) -> str:
    """Why a folder cannot hold checkpoints; empty when it can, or is not there."""
    try:
        mode = os.lstat(folder).st_mode
    except FileNotFoundError:
        return ""
    if stat.S_ISLNK(mode):
        return "is a symbolic link, which is not followed"
    return "" if stat.S_ISDIR(mode) else "is not a folder"


def _folders(folder: Path) -> list[Path]:
    """The folders that are named as checkpoints, newest first."""
    keys = [key for name in os.listdir(folder) if (key := checkpoint_key(name))]
    return [folder / checkpoint_name(*key) for key in sorted(keys, reverse=True)]


def _listed(folder: Path) -> list[Path]:
    """As `_folders`; none where there is no folder, and InputError where it cannot be read."""
    if reason := _unfit(folder):
        raise InputError(f"{folder} {reason}")
    try:
        return _folders(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"the checkpoints in {folder} cannot be read: {error.strerror}") from None


def _key(path: Path) -> tuple[int, int]:
    key = checkpoint_key(path.name)
    assert key is not None
    return key


def _read(path: Path) -> Checkpoint:
    """Return the checkpoint in a folder named as one; raise InputError, as `read_manifest`, where there is none."""
    if reason := _unfit(path):
        raise InputError(f"checkpoint {path.name} {reason}")
    step, _ = _key(path)
    return Checkpoint(path, step, read_manifest(path, step))


def _set_aside(path: Path) -> str:
    """Take a damaged checkpoint out of the list and say so."""
    aside = path.with_name(f"damaged-{path.name}-{secrets.token_hex(2)}")
    try:
        os.rename(path, aside)
    except OSError as error:
        return f"it could not be set aside ({error.strerror})"
    return f"it was set aside as {aside.name}"
