"""Checkpoints: directories that are whole or are not checkpoints.

    checkpoints/step-00001200/
      model.safetensors   a complete model file: weights, settings, tokenizer
      train.safetensors   optimiser, carried state, random states
      state.json          counters, cursor, schedule, bookkeeping
      manifest.json       sizes and SHA-256 of the other three, written last

Written under a temporary name in the same folder, each file fsynced, the folder fsynced, renamed, the parent
fsynced. What has no valid manifest is not a checkpoint. Temporary leftovers are swept by the next writer, which
holds the run's lock.
"""

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import safetensors.torch
from torch import Tensor

from rnn_tui.errors import InputError
from rnn_tui.files import disk_error, fsync_directory, write_durable

FORMAT = 1
NAME = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose manifest was read; `verify` compares the files with it."""

    path: Path
    step: int
    manifest: Mapping[str, Any]

    @property
    def model_path(self) -> Path:
        return self.path / "model.safetensors"

    def verify(self) -> None:
        """Raise InputError unless every file has the size and SHA-256 that the manifest states."""
        for name, entry in self.manifest["files"].items():
            path = self.path / name
            try:
                size, digest = path.stat().st_size, _sha256(path)
            except OSError as error:
                raise InputError(f"checkpoint {self.path.name}: {name}: {error.strerror}") from None
            if size != entry["size"] or digest != entry["sha256"]:
                raise InputError(
                    f"checkpoint {self.path.name}: {name} is damaged: it is not what the manifest states"
                )

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the tensors of train.safetensors and the contents of state.json; call `verify` first."""
        # read into memory of our own: a mapped file that is cut short later kills the process with SIGBUS
        tensors = safetensors.torch.load((self.path / "train.safetensors").read_bytes())
        state = msgspec.json.decode((self.path / "state.json").read_bytes())
        if not isinstance(state, dict):
            raise InputError(f"checkpoint {self.path.name}: state.json is not a table")
        return tensors, state


def save(
    folder: Path,
    step: int,
    files: Mapping[str, Iterable[bytes | memoryview]],
    *,
    run_id: str,
    environment: Mapping[str, Any],
) -> Checkpoint:
    """Write a checkpoint and return it; it is durable when this returns.

    Args:
        folder: the run's `checkpoints`, made when absent.
        files: the contents of the three, each in parts.

    Raises:
        DiskError: when it could not be written; earlier checkpoints are whole.
    """
    final = folder / f"step-{step:08d}"
    temporary = folder / f".tmp-{step:08d}-{secrets.token_hex(4)}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        sweep(folder)
        temporary.mkdir(mode=0o700)
        entries = {name: _write(temporary / name, parts) for name, parts in files.items()}
        manifest = {
            "format": FORMAT,
            "run": run_id,
            "step": step,
            "environment": environment,
            "files": entries,
        }
        write_durable(temporary / "manifest.json", [msgspec.json.encode(manifest)])
        fsync_directory(temporary)
        if final.exists():  # an attempt that was killed after this step wrote the same state already
            os.rename(final, folder / f".del-{step:08d}-{secrets.token_hex(4)}")
        os.rename(temporary, final)
        fsync_directory(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise disk_error(error, f"could not save {final.name}; earlier checkpoints are whole") from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return Checkpoint(final, step, manifest)


def _write(path: Path, parts: Iterable[bytes | memoryview]) -> dict[str, Any]:
    """Write a file durably and return its entry in the manifest, of what it was meant to hold."""
    size, digest = 0, hashlib.sha256()

    def counted() -> Iterator[bytes | memoryview]:
        nonlocal size
        for part in parts:
            size += len(part)
            digest.update(part)
            yield part

    write_durable(path, counted())
    return {"size": size, "sha256": digest.hexdigest()}


def find(folder: Path) -> list[Checkpoint]:
    """Return the checkpoints of a run, newest first. What has no readable manifest is left out."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        match = NAME.fullmatch(path.name)
        if not match:
            continue
        try:
            manifest = msgspec.json.decode((path / "manifest.json").read_bytes())
            names = {"model.safetensors", "train.safetensors", "state.json"}
            if (
                manifest["format"] == FORMAT
                and manifest["step"] == int(match[1])
                and set(manifest["files"]) == names
            ):
                found.append(Checkpoint(path, manifest["step"], manifest))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda checkpoint: checkpoint.step, reverse=True)


def newest_valid(folder: Path, complain: Callable[[str], None]) -> Checkpoint | None:
    """Return the newest checkpoint whose files are what its manifest states, or None where there is none at all.

    A damaged one is set aside as `damaged-…`, and `complain` is told.

    Raises:
        InputError: when there are checkpoints and all are damaged; nothing is started over in silence.
    """
    candidates = find(folder)
    reasons = []
    for checkpoint in candidates:
        try:
            checkpoint.verify()
        except InputError as error:
            reasons.append(str(error))
            aside = folder / f"damaged-{checkpoint.path.name}-{secrets.token_hex(2)}"
            os.rename(checkpoint.path, aside)
            complain(f"{error}; it was set aside as {aside.name} and an earlier one is used")
        else:
            return checkpoint
    if reasons:
        raise InputError(
            f"no checkpoint can be used: {'; '.join(reasons)}. The files were kept, renamed to damaged-…"
        )
    return None


def prune(folder: Path, *, keep: int, best_step: int | None) -> None:
    """Remove all but the newest `keep` checkpoints and the best; each is renamed before it is deleted."""
    for checkpoint in find(folder)[keep:]:
        if checkpoint.step != best_step:
            os.rename(checkpoint.path, folder / f".del-{checkpoint.path.name}-{secrets.token_hex(4)}")
    sweep(folder)


def sweep(folder: Path) -> None:
    """Delete what an interrupted save or removal left; only the holder of the run's lock may call this."""
    for path in folder.iterdir():
        if path.name.startswith((".tmp-", ".del-")):
            shutil.rmtree(path, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
