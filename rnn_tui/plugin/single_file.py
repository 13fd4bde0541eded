"""Plugins of one file each, in a folder: what one tries before it is worth a package.

The folder is that of `RNN_TUI_PLUGINS_DIR`, which `--plugins-dir` sets for this process and those that it starts, else
that of the settings file. Each `*.py` in it is a plugin of the file's name, with `-` for `_`; one whose name begins
with `_` or `.` is left out. What it holds is read from its text and never by running it: a class at the top level that
has `Cell`, `Core`, `Tokenizer` or `NumpyStep` as a base, itself or by way of another class of the file; one of each
kind. A class whose name begins with `_`, or that others of the file derive from, is not meant.

A plugin is this one file: nothing beside it can be imported, and its version is a hash of it.
"""

import ast
import functools
import hashlib
import importlib.util
import os
import re
import stat
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

from msgspec import Meta

from rnn_tui.errors import PluginError
from rnn_tui.paths import settings_file
from rnn_tui.toml import parse_toml

if TYPE_CHECKING:
    from rnn_tui.plugin.registry import Kind

VARIABLE = "RNN_TUI_PLUGINS_DIR"
SECTION = "plugins"
DISTRIBUTION = "plugins-dir"
"""What stands for the package of a plugin that comes in none."""

LARGEST = 256 * 1024
"""Bytes of a file; to parse so many takes up to 0.7 s and 150 MB, where there is little on each line."""
MOST = 200
"""Files of a folder: a folder of so many scripts is not one of plugins."""

_BASES: dict[str, "Kind"] = {
    "Cell": "architecture",
    "Core": "architecture",
    "Tokenizer": "tokenizer",
    "NumpyStep": "numpy-step",
}
_STEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class PluginSettings:
    """The section `[plugins]` of the settings file."""

    dir: Annotated[
        str,
        Meta(
            description="Folder of single-file plugins; one that is relative begins at this file. Empty: none."
        ),
    ] = ""


class Folder(NamedTuple):
    """Where single-file plugins are looked for.

    Attributes:
        path: None where there is no such folder to look in.
        origin: the variable or the file that says so; empty where nothing does.
        fault: what is wrong with what it says, as one clause.
    """

    path: Path | None
    origin: str
    fault: str | None = None


@dataclass(frozen=True)
class Claim:
    """A plugin of a file, or why it has none; the fields are those of `rnn_tui.plugin.registry.PluginInfo`."""

    kind: "Kind"
    name: str
    target: str
    version: str
    file: str | None
    error: str | None = None


def plugins_folder() -> Folder:
    """Return the folder of single-file plugins, made absolute."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        return _checked(given, VARIABLE) if given.strip() else Folder(None, VARIABLE)
    file = settings_file()
    try:
        section = parse_toml(_read(file)).get(SECTION, {})
    except (OSError, ValueError):  # a command that reads all of the file says what is wrong with it
        return Folder(None, "")
    wanted = section.get("dir", "") if isinstance(section, dict) else None
    if not isinstance(wanted, str):
        return Folder(None, str(file), f"plugins.dir in {file} must be the path of a folder")
    if unknown := [key for key in section if key != "dir"]:
        return Folder(
            None,
            str(file),
            f"{file} sets plugins.{unknown[0][:60]}, which there is not; plugins.dir there is",
        )
    if not wanted:
        return Folder(None, "")
    return _checked(os.path.join(file.parent, os.path.expanduser(wanted)), str(file))


def _checked(given: str, origin: str) -> Folder:
    path = Path(os.path.abspath(given))
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return Folder(None, origin, f"{str(path)!r} of {origin} is not UTF-8; rename it")
    if path.is_dir():
        return Folder(path, origin)
    return Folder(None, origin, f"{path} of {origin} is no folder")


def claims() -> Iterator[Claim]:
    """Yield what the files of the folder claim to be, in the order of their names; none is run."""
    folder = plugins_folder()
    if folder.fault is not None:
        yield Claim("unknown", "?", "", "", None, folder.fault)
    if folder.path is None:
        return
    try:
        paths = sorted(
            path for path in folder.path.iterdir() if path.name.endswith(".py") and path.name[0] not in "_."
        )
    except OSError as error:
        yield Claim("unknown", "?", "", "", None, f"{folder.path} cannot be read: {error.strerror}")
        return
    if len(paths) > MOST:
        what = f"{folder.path} has {len(paths)} files of Python; those after the first {MOST} are left out"
        yield Claim("unknown", "?", "", "", None, what)
    taken: dict[str, str] = {}
    for path in paths[:MOST]:
        name = path.stem.replace("_", "-")
        if not _STEM.fullmatch(path.stem):
            fault = f"{path.name[:64]!r} cannot name a plugin; use up to 64 letters, digits, '-' and '_'"
            yield Claim("unknown", "?", "", "?", repr(str(path))[1:-1], fault)  # it may be no UTF-8
        elif name in taken:
            yield Claim("unknown", name, path.name, "?", str(path), f"{taken[name]} gives the same name")
        else:
            taken[name] = path.name
            yield from _of_file(path, name)


def _of_file(path: Path, name: str) -> Iterator[Claim]:
    version = "?"

    def failed(why: str) -> Claim:
        return Claim("unknown", name, path.name, version, str(path), why)

    try:
        source = _read(path)
        version = _version(source)
        found = _classes(source)
    except OSError as error:
        yield failed(f"it cannot be read: {error.strerror}")
        return
    except SyntaxError as error:
        where = f"line {error.lineno}: " if error.lineno else ""
        yield failed(f"{where}SyntaxError: {str(error.msg)[:200]}")
        return
    except (RecursionError, MemoryError):
        yield failed("it is nested too deeply")
        return
    except ValueError as error:  # also of the parser: null bytes
        yield failed(str(error)[:200])
        return
    if not found:
        yield failed(f"no class in it has {', '.join(_BASES)} of rnn_tui.plugin as a base")
    for kind, classes in found.items():
        target, fault = f"{path.name}:{classes[0][0]}", None
        if len(classes) > 1:
            named = " and ".join(f"{word} in line {line}" for word, line in classes[:5])
            target, fault = path.name, f"it has {len(classes)} classes for one {kind}: {named}"
        yield Claim(kind, name, target, version, str(path), fault)


def _read(path: Path) -> bytes:
    """Return the bytes of a file. Raises OSError, and ValueError for one that is no regular file or too large."""
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no regular file")
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"it has more than {LARGEST:,} bytes")
    return data


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a named pipe without a writer would wait for one."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _version(source: bytes) -> str:
    return f"sha256:{hashlib.sha256(source).hexdigest()[:12]}"


@functools.lru_cache(maxsize=32)  # a command lists plugins several times
def _classes(source: bytes) -> dict["Kind", list[tuple[str, int]]]:
    """Return the classes that are meant, with their lines, by kind; from the text.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: as `ast.parse`; ValueError where it needs a second file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(source)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    for each in imports:
        if each.level:
            raise ValueError(
                f"line {each.lineno} imports from beside it, and a plugin of one file is that file alone; rnn-tui "
                "plugins new makes a package, which may have many"
            )
    names = {
        alias.asname or alias.name: alias.name
        for each in imports
        if (each.module or "").startswith("rnn_tui.plugin")
        for alias in each.names
    }
    kinds: dict[str, tuple[Kind, int]] = {}
    derived_from = set()
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        for base in node.bases:
            kind: Kind | None = None
            match base:
                case ast.Name(id=word) if word in kinds:
                    kind = kinds[word][0]
                    derived_from.add(word)
                case ast.Name(id=word) | ast.Attribute(attr=word):
                    kind = _BASES.get(names.get(word, word))
            if kind is not None:
                kinds[node.name] = kind, node.lineno
    found: dict[Kind, list[tuple[str, int]]] = defaultdict(list)
    for name, (kind, line) in kinds.items():
        if name not in derived_from and not name.startswith("_"):
            found[kind].append((name, line))
    return found


def module_name(file: str, version: str) -> str:
    """Return the name of the module that the file becomes: one that shadows no other, and another for another text."""
    return f"rnn_tui_file_{Path(file).stem.replace('-', '_')}_{version.rpartition(':')[2]}"


def import_file(file: str, version: str) -> ModuleType:
    """Import a file by its path, under `module_name`. What is run is what has that version.

    Raises:
        PluginError: when it is another file by now.
        BaseException: whatever it raises; nothing is left of the module then.
    """
    name = module_name(file, version)
    if name in sys.modules:
        return sys.modules[name]
    try:
        source = _read(Path(file))
    except (OSError, ValueError) as error:
        raise PluginError(f"{file} can no longer be read: {error}") from None
    if _version(source) != version:
        raise PluginError(f"{file} was changed in this moment; try again")
    loader = _Loader(name, file, source)
    spec = importlib.util.spec_from_file_location(name, file, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and torch.fx look there
    try:
        loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


class _Loader(SourceFileLoader):
    """Runs the text it is given, and keeps no bytecode: that is told from the source by seconds and size only."""

    def __init__(self, name: str, path: str, source: bytes) -> None:
        super().__init__(name, path)
        self._source = source

    def get_data(self, path: Any) -> bytes:
        return self._source

    def path_stats(self, path: Any) -> NoReturn:
        raise OSError
