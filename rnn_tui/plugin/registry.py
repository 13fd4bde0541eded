"""Which plugins are installed, found by entry point; nothing is imported before `load_plugin`.

A plugin that cannot be used is a row with an `error`, never an exception: one broken package must not take
the command away that shows which one it is. `RNN_TUI_PLUGINS` narrows the list to the distributions it names
(comma-separated; empty: none), unset it allows all.
"""

import importlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, distributions
from typing import Any, Literal, get_args

from rnn_tui.errors import PluginError, UsageError, nearest
from rnn_tui.plugin import API_VERSION
from rnn_tui.plugin.options import option_infos

Kind = Literal["architecture", "tokenizer", "numpy-step"]

GROUPS: dict[Kind, str] = {
    "architecture": "rnn_tui.architectures",
    "tokenizer": "rnn_tui.tokenizers",
    "numpy-step": "rnn_tui.numpy_steps",
}
"""Entry-point groups, in the order in which kinds are listed."""

SWITCH = "RNN_TUI_PLUGINS"

_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class PluginInfo:
    """What a distribution's metadata says of one plugin.

    Attributes:
        target: `module:Class`, as the entry point gives it.
        error: Why it cannot be used, as one clause; None if nothing is known against it.
    """

    kind: Kind
    name: str
    target: str
    distribution: str
    version: str
    error: str | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.name} ({self.distribution} {self.version})"


def list_plugins(kind: Kind | None = None) -> list[PluginInfo]:
    """Return the plugins of one kind or of all, sorted by name, from metadata alone."""
    found = [info for info in _found() if kind in (None, info.kind)]
    found.sort(key=lambda info: (get_args(Kind).index(info.kind), info.name, info.distribution))
    return [_with_clash(info, found) for info in found]


def find_plugin(kind: Kind, name: str) -> PluginInfo:
    """Return the row of one plugin, which may carry an error.

    Raises:
        UsageError: when there is none of that name, with the nearest one and the list of those there are.
    """
    infos = list_plugins(kind)
    for info in infos:
        if info.name == name:
            return info
    names = sorted({info.name for info in infos})
    allowed = f"; {SWITCH} is set to {os.environ[SWITCH]!r}" if SWITCH in os.environ else ""
    installed = f"installed: {', '.join(names)}" if names else f"no {kind} is installed"
    raise UsageError(f"there is no {kind} {name!r} ({installed}{allowed}){nearest(name, names)}")


def load_plugin(kind: Kind, name: str) -> type:
    """Import a plugin and return its class, checked against the interface.

    Raises:
        UsageError: when none of that name is installed.
        PluginError: when its import fails in any way, or what it gives is not a plugin of this kind and
            version.
    """
    info = find_plugin(kind, name)
    if info.error is not None:
        raise PluginError(f"{info}: {info.error}")
    try:
        return load_target(info)
    except PluginError as error:
        raise PluginError(f"{info}: {error}") from error


def load_target(info: PluginInfo) -> type:
    """Import the class that `info` points at and check it.

    Raises:
        PluginError: as `load_plugin`, the message being one clause that does not name the plugin.
    """
    module, _, attributes = info.target.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for attribute in attributes.split("."):
            found = getattr(found, attribute)
        _check_class(info.kind, found)
    except PluginError:
        raise
    except (Exception, SystemExit) as error:  # imports raise OSError, RuntimeError and sys.exit as well
        raise PluginError(f"importing {info.target} failed: {type(error).__name__}: {error}") from error
    plugin: type = found
    return plugin


def plugin_record(kind: Kind, name: str) -> dict[str, str]:
    """Return what a run or model file notes of a plugin: its name, distribution and version.

    Raises:
        UsageError: when none of that name is installed.
    """
    info = find_plugin(kind, name)
    return {"name": info.name, "distribution": info.distribution, "version": info.version}


def _check_class(kind: Kind, found: Any) -> None:
    bases: tuple[type, ...]
    if kind == "architecture":
        from rnn_tui.plugin.core import (
            Cell,
            Core,
        )  # torch: only here, where an architecture has loaded it anyway

        bases = (Cell, Core)
    elif kind == "numpy-step":
        from rnn_tui.plugin.numpy_step import NumpyStep

        bases = (NumpyStep,)
    else:
        from rnn_tui.plugin.tokenizer import Tokenizer

        bases = (Tokenizer,)
    if not (isinstance(found, type) and issubclass(found, bases)):
        raise PluginError(f"{found!r} is no subclass of {' or '.join(base.__name__ for base in bases)}")
    version: Any = getattr(found, "api_version", None)
    if version != API_VERSION:
        raise PluginError(
            f"written for plugin interface {version!r}, this rnn-tui has {API_VERSION}; "
            "install versions that go together"
        )
    options: Any = getattr(found, "Options", None)
    if options is not None:
        if not getattr(getattr(options, "__dataclass_params__", None), "frozen", False):
            raise PluginError("its Options is no frozen dataclass")
        option_infos(options)


def _found() -> Iterator[PluginInfo]:
    """Read the metadata on `sys.path`; of two copies of one distribution the first counts, as for imports."""
    allowed = os.environ.get(SWITCH)
    names = None if allowed is None else {_normalised(name) for name in allowed.split(",")}
    seen = set()
    for distribution in distributions():
        text = _entry_points(distribution)
        kinds = [kind for kind, group in GROUPS.items() if f"[{group}]" in text.replace(" ", "")]
        if not kinds:
            continue
        # the name is behind METADATA, slow to parse: read for the few that have plugins
        distribution_name, version = _name_and_version(distribution)
        normalised = _normalised(distribution_name)
        if normalised in seen or (names is not None and normalised not in names):
            continue
        seen.add(normalised)
        for kind in kinds:
            yield from _of_kind(kind, distribution, distribution_name, version)


def _of_kind(kind: Kind, distribution: Distribution, name: str, version: str) -> Iterator[PluginInfo]:
    try:
        points = [point for point in distribution.entry_points if point.group == GROUPS[kind]]
    except Exception as error:  # a malformed file raises TypeError, ValueError or AttributeError
        yield PluginInfo(kind, "?", "", name, version, f"its entry_points.txt cannot be read: {error}")
        return
    for point in points:
        fault = None if _TARGET.fullmatch(point.value) else f"its target {point.value!r} is not module:Class"
        yield PluginInfo(kind, point.name, point.value, name, version, fault)


def _entry_points(distribution: Distribution) -> str:
    try:
        return distribution.read_text("entry_points.txt") or ""
    except (OSError, UnicodeDecodeError):
        return ""


def _name_and_version(distribution: Distribution) -> tuple[str, str]:
    try:
        metadata = distribution.metadata
        return metadata["Name"] or "?", metadata["Version"] or "?"
    except Exception:  # no METADATA at all: the reader differs between Python versions
        return "?", "?"


def _with_clash(info: PluginInfo, infos: list[PluginInfo]) -> PluginInfo:
    others = [
        other for other in infos if other is not info and (other.kind, other.name) == (info.kind, info.name)
    ]
    if not others or info.error is not None:
        return info
    claims = ", ".join(f"{other.distribution} {other.version}" for other in others)
    return replace(info, error=f"the name is also claimed by {claims}; uninstall one or narrow {SWITCH}")


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
