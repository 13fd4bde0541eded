"""How a program names a run, a model, a file or a folder of runs."""

import os
from pathlib import Path

from rnn_tui.errors import UsageError
from rnn_tui.library.arguments import shown
from rnn_tui.paths import default_runs_dir

StrPath = str | os.PathLike[str]


def path_text(name: str, value: StrPath) -> str:
    """Return the argument `name` as the text of a path; UsageError where it can be none."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or "\0" in text:
        raise UsageError(f"{name} must be a text or a path, not {shown(value)}")
    return text


def file_to_write(value: StrPath) -> Path:
    """Return the path of a file that is to be written; UsageError where it is that of a folder."""
    text = path_text("path", value)
    if not text or text.endswith(os.sep) or os.path.isdir(text):
        raise UsageError(f"path must name the file to write, and {text!r} is a folder; add a name")
    return Path(text)


def runs_folder(runs_dir: StrPath | None) -> Path:
    """Return the folder of runs that is meant; None: `RNN_TUI_RUNS`, else `./runs`."""
    return default_runs_dir() if runs_dir is None else Path(path_text("runs_dir", runs_dir))


def name_or_path(name: str, target: StrPath) -> str:
    """Return what the argument `name` looks for: a text may be the name of a run, while a path object is always a
    path."""
    text = path_text(name, target)
    return text if isinstance(target, str) else os.path.abspath(text)
