"""From what a user names, a run or a file, to the model file that is meant. Free of torch."""

import os
from pathlib import Path

from rnn_tui.errors import InputError, nearest
from rnn_tui.runs.folder import find_run
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.status import ENDED, run_state


def resolve_target(target: str, runs_dir: Path) -> Path:
    """Return the path of a model file.

    Args:
        target: the name of a run in `runs_dir`, or the path of a run folder, a checkpoint folder or a model file.
            A name that is both a run and a file means the run; `./name` means the file.

    Raises:
        InputError: when there is no such thing (with the nearest name), or the run has no model yet.
    """
    path = Path(target)
    if os.sep not in target and (runs_dir / target).is_dir():
        return model_of(find_run(runs_dir, target))
    if path.exists() and not path.is_dir():
        return path
    if (path / "manifest.json").is_file():
        return path / "model.safetensors"
    if path.suffix == ".safetensors":
        names = os.listdir(path.parent) if path.parent.is_dir() else []
        raise InputError(f"{target}: there is no such file{nearest(path.name, names)}")
    return model_of(
        find_run(runs_dir, target if os.sep in target or not path.is_dir() else f".{os.sep}{target}")
    )


def model_of(run: RunFolder) -> Path:
    """Return the best model of a run so far, or that of its newest checkpoint where there is none yet.

    Raises:
        InputError: when it has neither.
    """
    if run.model_path.is_file():
        return run.model_path
    newest = run.newest_checkpoint()
    if newest is not None:
        return newest / "model.safetensors"
    view = run_state(run)
    if view.state in ENDED:
        why = f": {view.message}" if view.message else ""
        raise InputError(f"run {run.name} has no model and is {view.state}{why}")
    raise InputError(
        f"run {run.name} has no model yet; wait for its first validation or ask for one with "
        f"rnn-tui checkpoint {run.name}"
    )
