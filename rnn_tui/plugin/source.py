"""The files that a plugin is made of, and where its package was installed from; found without importing it."""

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from rnn_tui.plugin.registry import PluginInfo


class Local(NamedTuple):
    """Where a package was installed from, if that is a folder or a file of this machine."""

    path: Path
    editable: bool


def source_files(info: "PluginInfo") -> list[Path]:
    """Return the module's file and those beside it in its package; none where they are not found."""
    if info.file is not None:
        return [Path(info.file)]
    file = module_file(info)
    if file is None:
        return []
    return sorted(file.parent.glob("*.py")) if "." in info.module or file.name == "__init__.py" else [file]


def module_file(info: "PluginInfo") -> Path | None:
    """Return the file of a plugin's module; None where it is not found."""
    if info.file is not None:
        return Path(info.file)
    if not info.module:
        return None
    path: Sequence[str] | None = None
    origin: str | None = None
    parts = info.module.split(".")
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        # importlib.util.find_spec would import the parents
        specs = (finder.find_spec(name, path) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is None:
            return None
        path, origin = spec.submodule_search_locations, spec.origin
    return Path(origin) if origin is not None and os.path.isfile(origin) else None


def source_hash(info: "PluginInfo") -> str:
    """Return a short hash of the files of a plugin; empty where they are not found."""
    files = source_files(info)
    digest = hashlib.sha256()
    try:
        for file in files:
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    except OSError:
        return ""
    return digest.hexdigest()[:16] if files else ""


def local_install(name: str) -> Local | None:
    """Return where a distribution was installed from; None for one of an index, or that is not there."""
    try:
        about = json.loads(distribution(name).read_text("direct_url.json") or "")
        url = urlsplit(about["url"])
        editable = bool(about.get("dir_info", {}).get("editable"))
        path = Path(unquote(url.path))
    except (PackageNotFoundError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Local(path, editable) if url.scheme == "file" else None
