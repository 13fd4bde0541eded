"""How a program names a run, a model or a folder of runs."""

import os
from pathlib import Path

from rnn_tui.paths import default_runs_dir

StrPath = str | os.PathLike[str]


def runs_folder(runs_dir: StrPath | None) -> Path:
    """Return the folder of runs that is meant; None: `RNN_TUI_RUNS`, else `./runs`."""
    return default_runs_dir() if runs_dir is None else Path(runs_dir)


def name_or_path(target: StrPath) -> str:
    """Return what is looked for: a text may be the name of a run, while a path object is always a path."""
    return target if isinstance(target, str) else os.path.abspath(target)
