"""Which plugins are installed, found by entry point; nothing is imported before `load_plugin`.

A plugin that cannot be used is a row with an `error`, never an exception: one broken package must not take
the command away that shows which one it is. `RNN_TUI_PLUGINS` narrows the list to the distributions it names
(comma-separated; empty: none), unset it allows all. Files of a folder are plugins too, see
`rnn_tui.plugin.single_file`; `plugins-dir` stands for their distribution.

`distribution:name` asks for any plugin, wherever a name is taken. The name alone will do where one distribution claims
it, and for what ships with rnn-tui, whoever else claims it. What several others claim has to be asked for in full.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, PackageNotFoundError, distributions
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Literal, get_args

from rnn_tui.errors import PluginError, UsageError, nearest
from rnn_tui.plugin import single_file, uninstalled
from rnn_tui.plugin.installing import install_command, is_package_name
from rnn_tui.plugin.source import source_hash

Kind = Literal["architecture", "tokenizer", "numpy-step", "unknown"]
"""`unknown`: a file that is to be a plugin, and cannot be read as one."""

GROUPS: dict[Kind, str] = {
    "architecture": "rnn_tui.architectures",
    "tokenizer": "rnn_tui.tokenizers",
    "numpy-step": "rnn_tui.numpy_steps",
}
"""Entry-point groups, in the order in which kinds are listed."""

SWITCH = "RNN_TUI_PLUGINS"

OWN = "rnn-tui"
"""The distribution of this very package: its plugins keep their names."""

_NAMELESS = "?"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LARGEST = 256 * 1024  # characters of an entry_points.txt; one of 100 MB took minutes to take apart
_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class PluginInfo:
    """What a distribution's metadata says of one plugin.

    Attributes:
        name: What it is asked for by: its own name, or `distribution:name` where its own leads to another or to none.
        target: `module:Class`, as the entry point gives it.
        error: Why it cannot be used, as one clause; None if nothing is known against it.
        clash: Why its own name does not lead to it, as one clause; None if it does.
        file: The path of a plugin that is a single file; its `target` is then `file.py:Class`.
    """

    kind: Kind
    name: str
    target: str
    distribution: str
    version: str
    error: str | None = None
    clash: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        what = "plugin" if self.kind == "unknown" else self.kind
        return f"{what} {self.own_name} ({self.origin})"

    @property
    def origin(self) -> str:
        """Where it comes from, in a few words."""
        return (
            f"{self.distribution} {self.version}".rstrip()
            if self.file is None
            else f"file {Path(self.file).name}"
        )

    @property
    def module(self) -> str:
        """The name of the module that its import gives."""
        return (
            self.target.partition(":")[0]
            if self.file is None
            else single_file.module_name(self.file, self.version)
        )

    @property
    def own_name(self) -> str:
        """The name of its entry point."""
        return self.name.rpartition(":")[2]

    @property
    def full_name(self) -> str:
        """What leads to it always."""
        return f"{self.distribution}:{self.own_name}"

    @property
    def ours(self) -> bool:
        """Whether it ships with rnn-tui."""
        return _normalised(self.distribution) == OWN


def list_plugins(kind: Kind | None = None) -> list[PluginInfo]:
    """Return the plugins of one kind or of all, sorted by name, from metadata alone."""
    claims: dict[tuple[Kind, str], list[PluginInfo]] = defaultdict(list)
    for info in _found():
        if kind in (None, info.kind):
            claims[info.kind, info.name].append(info)
    found = [named for group in claims.values() for named in _named_apart(group)]
    found.sort(key=lambda info: (get_args(Kind).index(info.kind), info.own_name, info.distribution))
    return found


def find_plugin(kind: Kind, name: str) -> PluginInfo:
    """Return the row of one plugin, which may carry an error.

    Args:
        name: its name, or `distribution:name`.

    Raises:
        UsageError: when there is none of that name, with the nearest one and the list of those there are; or several.
        PluginError: when the name is that of a file that is no plugin.
    """
    everything = list_plugins()
    infos = [info for info in everything if info.kind == kind]
    distribution, _, own_name = name.rpartition(":")
    claims = [info for info in infos if info.own_name == own_name]
    if distribution:
        claims = [info for info in claims if _normalised(info.distribution) == _normalised(distribution)]
    named = [info for info in claims if info.name == name] or claims
    if len(named) == 1:
        return named[0]
    if named:
        ways = " or ".join(info.name for info in named)
        raise UsageError(f"several packages claim the {kind} {name!r}; ask for {ways}")
    others = [info for info in everything if name in (info.name, info.own_name, info.full_name)]
    for info in others:
        if info.kind == "unknown":
            raise PluginError(f"{info}: {info.error}")
    names = sorted({info.name for info in infos if info.error is None})
    allowed = f"; {SWITCH} is set to {os.environ[SWITCH]!r}" if SWITCH in os.environ else ""
    installed = f"installed: {', '.join(names)}" if names else f"no {kind} is installed"
    if others:
        more = f"; what has that name: {' and '.join(map(str, others))}"
    elif name.endswith(".py"):
        more = "; the name of a single file is without .py, and its folder is given with --plugins-dir"
    else:
        more = missing(name, names)
    raise UsageError(f"there is no {kind} {name!r} ({installed}{allowed}){more}")


def missing(name: str, names: Iterable[str]) -> str:
    """Say what may be done about a plugin that is not installed; begins with `;` where it is not empty.

    Args:
        names: of those that it may have been meant for.
    """
    distribution, _, own_name = name.rpartition(":")
    if SWITCH not in os.environ and (here := uninstalled.advice(own_name, set(GROUPS.values()))):
        return f"; {here}"
    return f"; {remedy(distribution, own_name)}" if distribution else nearest(name, names)


def load_plugin(kind: Kind, name: str) -> type:
    """Import a plugin and return its class, checked against the interface.

    One that does not ship with rnn-tui is first imported by a child process, unless that is known to have gone well.
    What its import changes of this process is put back; `rnn_tui.plugin.loading.plugin_notes` tells of it.

    Args:
        name: as for `find_plugin`.

    Raises:
        UsageError: when none of that name is installed, or several are.
        PluginError: when its import fails in any way, or what it gives is not a plugin of this kind and
            version.
    """
    # here, since a list of plugins needs neither
    from rnn_tui.plugin.describe import describe_found
    from rnn_tui.plugin.loading import load_guarded

    info = find_plugin(kind, name)
    error = info.error if info.error or info.ours else describe_found(info).error
    if error is not None:
        raise PluginError(f"{info}: {error}")
    return load_guarded(info)


def plugin_record(kind: Kind, name: str) -> dict[str, str]:
    """Return what a run or model file notes of a plugin: the name it was asked for by, its distribution and version.

    Of one of another package there is `source` too, a hash of its files: a version says nothing of a package that is
    being worked on.

    Raises:
        UsageError: when none of that name is installed, or several are.
    """
    info = find_plugin(kind, name)
    record = {"name": name, "distribution": info.distribution, "version": info.version}
    if info.file is None and not info.ours and (source := source_hash(info)):
        record["source"] = source
    return record


def recorded_name(record: Mapping[str, Any]) -> str:
    """Return the full name of the plugin of a `plugin_record`: what a file was made with is not replaced by another of
    that name.
    """
    return f"{record['distribution']}:{record['name'].rpartition(':')[2]}"


def recorded_origin(record: Mapping[str, Any]) -> str:
    """Return in words where the plugin of a `plugin_record` is from."""
    distribution, version = record["distribution"], record["version"]
    if (file := recorded_file(record)) is not None:
        return f"a single file, {file} ({version})"
    return f"the package {distribution} {version}"


def recorded_file(record: Mapping[str, Any]) -> str | None:
    """Return the name of the file of a `plugin_record` that is of a single one; else None."""
    single = record["distribution"] == single_file.DISTRIBUTION
    return _file_name(record["name"].rpartition(":")[2]) if single else None


def remedy(distribution: str, own_name: str) -> str:
    """Say in one clause how to get a plugin that is not there.

    Args:
        distribution: as a run, a model file or a person gives it: it may be any text.
    """
    if not _allowed(distribution):
        return f"{SWITCH} (or --no-plugins) leaves it out"
    if distribution == single_file.DISTRIBUTION:
        folder = single_file.plugins_folder()
        found = (
            f" ({folder.fault or f'there is none in {folder.path}'})" if folder.fault or folder.path else ""
        )
        return f"name the folder of {_file_name(own_name)} by rnn-tui --plugins-dir DIR{found}"
    if not is_package_name(distribution):
        return "no package can have that name"
    with suppress(PackageNotFoundError):
        return f"{distribution} {installed_version(distribution)} is installed without it; another version may have it"
    return f"if it is published and you trust it, install it with: {install_command(distribution)}"


def _file_name(own_name: str) -> str:
    return f"{own_name.replace('-', '_')}.py"


def _allowed(distribution: str) -> bool:
    """Whether the switch lets the plugins of a distribution be listed."""
    allowed = os.environ.get(SWITCH)
    return allowed is None or _normalised(distribution) in map(_normalised, allowed.split(","))


def _found() -> Iterator[PluginInfo]:
    """Read the metadata on `sys.path`; of two copies of one distribution the first counts, as for imports."""
    if _allowed(single_file.DISTRIBUTION):
        for each in single_file.claims():
            yield PluginInfo(distribution=single_file.DISTRIBUTION, **vars(each))
    seen = {single_file.DISTRIBUTION}  # no package passes for the folder
    for distribution in distributions():
        text, fault = _entry_points(distribution)
        compact = text.replace(" ", "") if "rnn_tui." in text else ""
        kinds = [kind for kind, group in GROUPS.items() if f"[{group}]" in compact]
        if not kinds:
            continue
        # the name is behind METADATA, slow to parse: read for the few that have plugins
        distribution_name, version = _name_and_version(distribution)
        normalised = _normalised(distribution_name)
        if normalised in seen or not _allowed(distribution_name):
            continue
        seen.add(normalised)
        for kind in kinds:
            if fault is not None:
                yield PluginInfo(kind, _NAMELESS, "", distribution_name, version, fault)
            else:
                yield from _of_kind(kind, distribution, distribution_name, version)


def _of_kind(kind: Kind, distribution: Distribution, name: str, version: str) -> Iterator[PluginInfo]:
    found: dict[str, PluginInfo] = {}
    fault: str | None
    try:
        points = [point for point in distribution.entry_points if point.group == GROUPS[kind]]
    except Exception as error:  # a malformed file raises TypeError, ValueError or AttributeError
        fault = f"its entry_points.txt cannot be read: {error}"
        points, found = [], {_NAMELESS: PluginInfo(kind, _NAMELESS, "", name, version, fault)}
    for point in points:
        own_name, fault = point.name, None
        if not _NAME.fullmatch(own_name):
            own_name = _NAMELESS
            fault = (
                f"{point.name[:64]!r} cannot name a plugin; use up to 64 letters, digits, '.', '-' and '_'"
            )
        elif not _TARGET.fullmatch(point.value):
            fault = f"its target {point.value[:200]!r} is not module:Class"
        elif own_name in found:
            fault = "its package gives the name twice"
        found[own_name] = PluginInfo(kind, own_name, point.value, name, version, fault)
    yield from found.values()


def _entry_points(distribution: Distribution) -> tuple[str, str | None]:
    """Return the text that names the plugins, and what is wrong with it, as one clause."""
    try:
        text = distribution.read_text("entry_points.txt") or ""
    except OSError:
        return "", None
    except UnicodeDecodeError as error:  # it is one of ours if the bytes have our groups in them
        return error.object.decode("latin-1"), "its entry_points.txt is not UTF-8"
    if len(text) > _LARGEST:
        return text, f"its entry_points.txt has {len(text):,} characters, more than {_LARGEST:,}"
    return text, None


def _name_and_version(distribution: Distribution) -> tuple[str, str]:
    try:
        metadata = distribution.metadata
        return metadata["Name"] or "?", metadata["Version"] or "?"
    except Exception:  # no METADATA at all: the reader differs between Python versions
        return "?", "?"


def _named_apart(claims: list[PluginInfo]) -> list[PluginInfo]:
    """Give the name that all of `claims` have to the one that it leads to, if any, and full names to the others."""
    usable = [info for info in claims if info.error is None]
    winner = next((info for info in usable if info.ours), usable[0] if len(usable) == 1 else None)
    if len(claims) == 1 or claims[0].name == _NAMELESS:
        return claims
    named = []
    for info in claims:
        if info is not winner:
            others = ", ".join(
                f"{other.distribution} {other.version}"
                for other in ([winner] if winner else claims)
                if other is not info
            )
            clash = f"the name {info.name} {'belongs to' if winner else 'is also claimed by'} {others}"
            info = replace(info, name=info.full_name, clash=clash)
        named.append(info)
    return named


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
