"""Where each thing lies inside a run folder."""

import os
import re
from pathlib import Path
from typing import Any

from rnn_tui.errors import InputError
from rnn_tui.runs.records import read_small
from rnn_tui.toml import parse_toml

CONFIG_LIMIT = 256 * 1024
"""Bytes. No settings file is larger; a nested bomb is refused before it is parsed."""

_CHECKPOINT = re.compile(r"step-([0-9]{8,})(?:-([0-9]+))?")


def checkpoint_name(step: int, number: int = 1) -> str:
    """Return the name of the folder of the checkpoint that is the `number`-th to be saved of `step`."""
    return f"step-{step:08d}" + (f"-{number}" if number > 1 else "")


def checkpoint_key(name: str) -> tuple[int, int] | None:
    """Return step and number of a checkpoint by its name, None for another name; the greatest is the newest."""
    match = _CHECKPOINT.fullmatch(name)
    if not match:
        return None
    key = int(match[1]), int(match[2] or 1)
    return key if checkpoint_name(*key) == name else None


class RunFolder:
    """The paths of one run. Holds no open file and checks nothing: `find_run` and `create_run` do.

    The path is made absolute when the object is made, so that it stays right when the process changes folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.abspath(path))
        self.name = self.path.name
        self.config_path = self.path / "config.toml"
        self.events_path = self.path / "events.jsonl"
        self.status_path = self.path / "status.json"
        self.control = self.path / "control"
        self.inbox = self.control / "inbox"
        self.done = self.control / "done"
        self.rejected = self.control / "rejected"
        self.launch_path = self.control / "launch.json"
        self.checkpoints = self.path / "checkpoints"
        self.model_path = self.path / "model.safetensors"
        self.log_path = self.path / "worker.log"
        self.lock_path = self.path / "run.lock"
        self.labels_path = self.path / "labels.json"

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunFolder) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def read_config(self) -> dict[str, Any]:
        """Return config.toml as plain tables.

        Raises:
            InputError: when it is missing, unreadable, too large or no TOML.
        """
        try:
            return parse_toml(read_small(self.config_path, CONFIG_LIMIT))
        except OSError as error:
            raise InputError(f"run {self.name}: config.toml: {error.strerror}") from None
        except ValueError as error:
            raise InputError(f"run {self.name}: config.toml is damaged: {error}") from None

    def newest_checkpoint(self) -> Path | None:
        """Return the newest complete checkpoint by its name and manifest; its content is not verified."""
        try:
            names = os.listdir(self.checkpoints)
        except OSError:
            return None
        keys = sorted((key for name in names if (key := checkpoint_key(name))), reverse=True)
        paths = (self.checkpoints / checkpoint_name(*key) for key in keys)
        return next((path for path in paths if (path / "manifest.json").is_file()), None)

    def newest_checkpoint_step(self) -> int | None:
        """Return the step of `newest_checkpoint`."""
        newest = self.newest_checkpoint()
        key = checkpoint_key(newest.name) if newest else None
        return key[0] if key else None
