"""From what a user names, a run or a file, to the model file that is meant. Free of torch."""

import os
from pathlib import Path

from rnn_tui.errors import InputError, nearest
from rnn_tui.model.manifest import check_file, read_manifest
from rnn_tui.runs.folder import find_run
from rnn_tui.runs.layout import RunFolder, checkpoint_key
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
    if os.sep not in target and os.path.isdir(runs_dir / target):
        return model_of(find_run(runs_dir, target))
    if os.path.exists(path) and not os.path.isdir(path):
        return path
    if os.path.isfile(path / "manifest.json"):
        return path / "model.safetensors"
    if path.suffix == ".safetensors":
        names = os.listdir(path.parent) if os.path.isdir(path.parent) else []
        raise InputError(f"{target}: there is no such file{nearest(path.name, names)}")
    if os.sep in target and not os.path.lexists(path):
        raise InputError(f"{target}: there is no such file or folder")
    return model_of(
        find_run(runs_dir, target if os.sep in target or not os.path.isdir(path) else f".{os.sep}{target}")
    )


def checkpoint_model(folder: Path) -> Path:
    """Return the path of the model file in a checkpoint folder, having compared that file with the manifest.

    Raises:
        InputError: when it is no checkpoint folder, or the file is not what the manifest states.
    """
    key = checkpoint_key(folder.absolute().name)
    if key is None:
        raise InputError(
            f"{folder}: a folder, but not that of a checkpoint; give a model file or a checkpoint (step-…)"
        )
    name = "model.safetensors"
    check_file(folder, name, read_manifest(folder, key[0])["files"][name])
    return folder / name


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
