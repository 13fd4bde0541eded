"""Trainings of the architectures beside, kept: a second card takes them from here.

A file for each architecture and group of tasks, under a name that is made of all that its figures depend on: the
plugin's package, version, sources and options, the tasks with all their settings, seeds and size, torch, this program
and the machine. What was stopped or failed is not kept.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from rnn_tui import __version__
from rnn_tui.errors import DiskError
from rnn_tui.files import replace_file
from rnn_tui.paths import cache_dir
from rnn_tui.score.wire import Training


def place(about: Mapping[str, Any]) -> Path:
    """Return where the trainings are kept whose figures depend on `about` and this program alone."""
    parts = msgspec.json.encode([__version__, dict(about)], order="deterministic")
    return cache_dir() / "scores" / f"{hashlib.sha256(parts).hexdigest()[:32]}.json"


def read(path: Path) -> list[Training] | None:
    """Return what is kept there, marked as such; None for nothing."""
    with suppress(OSError, msgspec.DecodeError):
        kept = msgspec.json.decode(path.read_bytes(), type=list[Training])
        return [msgspec.structs.replace(each, cached=True) for each in kept]
    return None


def write(path: Path, trainings: Sequence[Training]) -> None:
    """Keep trainings, where each went well."""
    if trainings and not any(each.problem for each in trainings):
        with suppress(OSError, DiskError):  # without a cache the next card takes longer
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, msgspec.json.encode(trainings))
