"""A new run that begins with the weights of a model file: with nothing else of it, neither optimiser nor step.

The file is copied into the run's folder, so that the run does not depend on the life of another; its tokenizer or
scaling reads the new corpus. Free of torch.
"""

from pathlib import Path
from typing import Any

from rnn_tui.errors import InputError, UsageError
from rnn_tui.files import disk_error, fsync_directory, write_durable
from rnn_tui.model.header import ModelFile, read_header
from rnn_tui.runs.layout import RunFolder
from rnn_tui.training.config import Layer, RunConfig, from_dict
from rnn_tui.training.stored import changes, differing

SECTIONS = ("model", "tokenizer", "task")
"""What a model file decides of a run that begins with it."""
FREE = frozenset({"model.dropout", "model.init_std", "task.horizons"})
"""Settings of these sections that are no part of the weights."""

_NAME = "warm-start.safetensors"
_PIECE = 1 << 20


def settings_of_model(path: Path) -> Layer:
    """Return the settings that a run has to have to begin with a model file; to be the weakest layer.

    Raises:
        InputError: when it is no model file that can be used.
    """
    settings = read_header(path).config
    return str(path), {section: settings[section] for section in SECTIONS if section in settings}


def check_warm_start(path: Path, config: RunConfig) -> ModelFile:
    """Return what stands in a model file, if a run with these settings can begin with its weights.

    Raises:
        InputError: when it is no model file that can be used.
        UsageError: when the settings ask for another model; names what differs.
    """
    header = read_header(path)
    try:
        then = from_dict(header.config, f"{path}: its settings")
    except UsageError as error:
        raise InputError(str(error)) from None
    others = [
        text
        for name, text in changes(then, config).items()
        if name.partition(".")[0] in SECTIONS and name not in FREE
    ]
    if others:
        raise UsageError(
            f"warm start from {path}: these settings ask for another model: {differing(others)}; leave them out"
        )
    return header


def keep(path: Path, run: RunFolder) -> None:
    """Copy a model file into the folder of a run, durably.

    Raises:
        InputError: when it cannot be read, or was changed meanwhile.
        DiskError: when it cannot be written.
    """
    copy, header = run.path / _NAME, read_header(path)
    try:
        source = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    with source:
        try:
            write_durable(copy, iter(lambda: source.read(_PIECE), b""))
            fsync_directory(run.path)
        except OSError as error:
            raise disk_error(error, f"could not copy {path} into run {run.name}") from error
    if read_header(copy) != header:
        raise InputError(f"{path} was changed while it was copied; try again")


def note_of(header: ModelFile) -> dict[str, Any]:
    """Return what config.toml notes of the model that a run began with."""
    return {"run": str(header.training.get("run", "")), "step": int(header.training.get("step", 0))}


def began_with(path: Path) -> str:
    """Return the sentence that tells which weights a run began with."""
    noted = note_of(read_header(path))
    if not noted["run"]:
        return "began with weights that no run of rnn-tui made; the optimiser is new"
    return f"began with the weights of run {noted['run']} at step {noted['step']:,}; the optimiser is new"


def kept(run: RunFolder) -> Path | None:
    """Return the model file that a run is to begin with, or None where it begins with random weights.

    Raises:
        InputError: when there should be one and it is gone.
    """
    about = run.read_config().get("about")
    if not isinstance(about, dict) or "warm_start" not in about:
        return None
    path = run.path / _NAME
    if not path.is_file():
        raise InputError(
            f"{path}, whose weights run {run.name} was to begin with, is gone; create the run again"
        )
    return path
