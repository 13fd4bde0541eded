"""Where each thing lies inside a run folder."""

import os
import tomllib
from pathlib import Path
from typing import Any

from rnn_tui.errors import InputError
from rnn_tui.runs.records import read_small

CONFIG_LIMIT = 256 * 1024
"""Bytes. No settings file is larger; a nested bomb is refused before it is parsed."""


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
            return tomllib.loads(read_small(self.config_path, CONFIG_LIMIT).decode())
        except OSError as error:
            raise InputError(f"run {self.name}: config.toml: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"run {self.name}: config.toml is damaged: {error}") from None

    def newest_checkpoint_step(self) -> int | None:
        """Return the step of the newest complete checkpoint by its name and manifest; its content is not verified."""
        try:
            names = [entry.name for entry in os.scandir(self.checkpoints)]
        except OSError:
            return None
        steps = [
            int(name[5:])
            for name in names
            if name.startswith("step-")
            and name[5:].isdecimal()
            and (self.checkpoints / name / "manifest.json").is_file()
        ]
        return max(steps, default=None)
