"""A package that lies in a folder here and is not installed, or not as it stands: what its author forgot to do.

Only its pyproject.toml is read, and only when a plugin is asked for that is not there.
"""

import os
import tomllib
from collections.abc import Collection, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any

from rnn_tui.plugin.installing import install_command, is_package_name

_MOST = 200
"""Folders that are looked into, those first whose names are likely."""
_LARGEST = 256 * 1024


def advice(name: str, groups: Collection[str]) -> str:
    """Say in one clause how to install the package in the current folder, or in one inside it, that has a plugin.

    Empty where none names it.

    Args:
        name: of its entry point.
        groups: the entry-point groups in which plugins are named.
    """
    if not is_package_name(name):
        return ""
    for folder in islice(_folders(name), _MOST):
        project = _project(folder / "pyproject.toml")
        points = project.get("entry-points")
        if not isinstance(points, dict) or not any(
            isinstance(points.get(group), dict) and name in points[group] for group in groups
        ):
            continue
        this = "this folder" if folder == Path() else f"the folder {folder} here"
        # a relative path without ./ would be a package's name
        command = install_command("--editable", "." if folder == Path() else f"./{folder}")
        try:
            version(str(project.get("name")))
        except (PackageNotFoundError, ValueError):
            return f"{this} is not installed: {command}"
        return f"{this} has it, and was installed without it; install it again: {command}"
    return ""


def _folders(name: str) -> Iterator[Path]:
    likely = [Path(), Path(f"rnn-tui-{name}"), Path(name)]
    yield from likely
    with suppress(OSError), os.scandir() as entries:
        for entry in entries:
            if not entry.name.startswith(".") and Path(entry.name) not in likely and entry.is_dir():
                yield Path(entry.name)


def _project(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return {}
        project = tomllib.loads(path.read_text("utf-8")).get("project")
    except (OSError, ValueError, RecursionError):  # what tomllib raises is a ValueError
        return {}
    return project if isinstance(project, dict) else {}
