"""The list of runs: one summary each, from config.toml, status.json, labels.json and the first line of the log."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rnn_tui.errors import InputError, RnnTuiError
from rnn_tui.runs.eventline import decode
from rnn_tui.runs.folder import folder_size, is_run
from rnn_tui.runs.labels import Labels, read_labels
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.records import open_plain
from rnn_tui.runs.status import ENDED, RunView, Status, run_state


@dataclass(frozen=True)
class RunSummary:
    """One row of the list. Losses in the unit of the task, times in unix seconds, `eta` in seconds.

    `state` is that of `run_state`, or "damaged" with the reason in `message`, where labels that cannot be read are
    mentioned, too. `tokens_per_second` is the newest while the run lives, the mean over its updates once it has ended,
    and 0 where that is not known. Names and messages are text from outside. `parameters` is None until the worker has
    built the model.
    """

    name: str
    path: Path
    state: str
    message: str
    task: str
    arch: str
    tokenizer: str
    corpus: str
    parameters: int | None
    step: int
    total_steps: int | None
    epoch: float
    train_loss: float | None
    validation_loss: float | None
    best_loss: float | None
    tokens_per_second: float
    eta: float | None
    created: float
    updated: float
    size_bytes: int
    tags: tuple[str, ...] = ()
    note: str = ""


def list_runs(runs_dir: Path) -> list[RunSummary]:
    """Return all runs of a folder, newest first; none when it does not exist.

    Reads a few small files for each run and never a whole log. A damaged run, or one that is a symbolic link,
    is listed with the reason; folders that hold nothing of a run are passed over, and so are hidden ones.

    Raises:
        InputError: when `runs_dir` exists and cannot be read.
    """
    return Listing(runs_dir).look()


class Listing:
    """`list_runs` with a memory: a run of which no file has changed is not read again.

    Keep one for as long as the screen lives. A thousand runs take 0.6 s at first and 0.06 s from then on.
    """

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir = runs_dir
        self._known: dict[str, tuple[tuple[object, ...], RunSummary]] = {}

    def look(self) -> list[RunSummary]:
        """Return what `list_runs` does, and raise what it does."""
        try:
            with os.scandir(self.runs_dir) as entries:
                paths = [Path(e.path) for e in entries if not e.name.startswith(".") and e.is_dir()]
        except FileNotFoundError:
            paths = []
        except OSError as error:
            raise InputError(f"cannot list the runs in {self.runs_dir}: {error.strerror}") from None
        before, self._known = self._known, {}
        for path in paths:
            seen = _trace(path)
            known = before.get(path.name)
            if known is None or known[0] != seen or not _settled(known[1]):
                if not is_run(path):
                    continue
                known = (seen, summarise(RunFolder(path)))
            self._known[path.name] = known
        return sorted((row for _, row in self._known.values()), key=lambda row: (-row.created, row.name))


def _settled(row: RunSummary) -> bool:
    """Whether a row stays as it is while no file changes: nobody is alive, and nobody died without a word."""
    return row.state in ENDED | {"created"} and row.eta is None


_TRACED = (
    "", "config.toml", "status.json", "events.jsonl", "labels.json", "checkpoints", "control", "control/launch.json",
    "run.lock", "worker.log", "model.safetensors",
)  # fmt: skip


def _trace(path: Path) -> tuple[object, ...]:
    """Return what changes when anything of a run does: inode, time and size of what its summary is made of."""
    found: list[object] = []
    for part in _TRACED:
        try:
            info = os.lstat(f"{path}/{part}" if part else path)
        except OSError:
            found.append(None)
        else:
            found.append((info.st_ino, info.st_mtime_ns, info.st_size))
    return tuple(found)


def summarise(run: RunFolder) -> RunSummary:
    """Return the row of one run; never raises for a damaged one."""
    config: Mapping[str, Any] = {}
    damage = ""
    if run.path.is_symlink():
        damage = "a symbolic link, which is not followed"
    else:
        try:
            config = run.read_config()
        except RnnTuiError as error:
            damage = str(error)
    view = RunView("damaged", None, False, damage) if run.path.is_symlink() else run_state(run)
    # of a living one its settings may not be seen yet, on a network file system
    if damage and not view.alive:
        view = RunView("damaged", view.status, False, damage)
    status = view.status or Status("damaged")
    created = _created(run, config)
    labels = read_labels(run) if not run.path.is_symlink() else Labels()
    if labels.warning:
        view = replace(view, message="; ".join(filter(None, (view.message, labels.warning))))
    return RunSummary(
        name=run.name,
        path=run.path,
        state=view.state,
        message=view.message,
        task=_setting(config, "task", "name"),
        arch=_setting(config, "model", "arch"),
        tokenizer=_setting(config, "tokenizer", "name"),
        corpus=_setting(config, "corpus", "source"),
        parameters=_parameters(run),
        step=status.step,
        total_steps=status.total_steps,
        epoch=status.epoch,
        train_loss=status.train_loss,
        validation_loss=status.validation_loss,
        best_loss=status.best_loss,
        tokens_per_second=status.tokens_per_second if view.alive or view.state in ENDED else 0.0,
        eta=status.eta if view.alive else None,
        created=created,
        updated=max(created, _moment(status.time) or 0.0),
        size_bytes=0 if run.path.is_symlink() else folder_size(run.path),
        tags=labels.tags,
        note=labels.note,
    )


def _setting(config: Mapping[str, Any], section: str, key: str) -> str:
    table = config.get(section)
    return str(table.get(key, "")) if isinstance(table, Mapping) else ""


def _created(run: RunFolder, config: Mapping[str, Any]) -> float:
    """What config.toml says, as a number or an ISO date; else the time of the file; 0 when there is neither."""
    about = config.get("about")
    value = about.get("created") if isinstance(about, Mapping) else None
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return value.timestamp()
    except (ValueError, OverflowError):
        value = None
    if (moment := _moment(value)) is not None:
        return moment
    try:
        return os.lstat(run.config_path if run.config_path.exists() else run.path).st_mtime
    except OSError:
        return 0.0


def _moment(value: object) -> float | None:
    """Return a unix time that a calendar has a day for, None for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 253_402_300_800 else None  # up to the year 9999


def _parameters(run: RunFolder) -> int | None:
    """From the `start` event, which is the first line of the log."""
    try:
        with open(open_plain(run.events_path), "rb") as file:
            lines = file.read(8192).split(b"\n")[:-1]
    except OSError:
        return None
    for event in filter(None, map(decode, lines)):
        if event.kind in ("start", "resume") and isinstance(event.data.get("parameters"), int):
            return int(event.data["parameters"])
    return None
