"""What installed plugins say of themselves, for a process that must not import them.

The app never loads torch and must survive any plugin: one that raises, prints, hangs, exits or crashes while it
is imported. So a child process (`rnn_tui.plugin.probe`) has each of them imported by a process of its own, and
writes a JSON line for each on a pipe.

What was learnt is kept in the cache, keyed by the distribution's version and the plugin's source files. Failures
are not kept: what was missing may be there next time.
"""

import hashlib
import os
import re
import selectors
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from rnn_tui import __version__
from rnn_tui.errors import DiskError, PluginError
from rnn_tui.files import replace_file
from rnn_tui.paths import cache_dir
from rnn_tui.plugin import single_file
from rnn_tui.plugin.child import ending, start_child
from rnn_tui.plugin.installing import install_command, is_package_name, uninstall_command
from rnn_tui.plugin.options import OptionInfo, check_items
from rnn_tui.plugin.registry import Kind, PluginInfo, find_plugin, list_plugins
from rnn_tui.plugin.source import local_install, source_files

TIMEOUT = 10.0
"""Seconds that the import of one plugin may take, torch being there already. Ours take 20 ms, of which 12 to 18 are the
fork; torch, loaded once before, takes 1.2 to 2.4 s from a warm disk."""

_START = 60.0  # seconds until the child is ready: torch from a cold disk, on a machine that has much to do
_AT_ONCE = 4
_LONGEST_LINE = 1 << 20
_MISSING = re.compile(
    r"ModuleNotFoundError: No module named '([^']+)'|(?:ImportError|OSError): (\S+): cannot open shared object file"
)


@dataclass(frozen=True)
class PluginDescription:
    """A plugin as a list, a form or a help page shows it.

    Attributes:
        summary: The first line of `doc`.
        doc: The class's docstring.
        form: `Cell`, `Core` or `Tokenizer`; empty where there is an error.
        error: Why it cannot be used, as one clause; None if it can.
        changes: What its import changes of the process it happens in, as one clause; None if nothing.
    """

    info: PluginInfo
    summary: str = ""
    doc: str = ""
    options: tuple[OptionInfo, ...] = ()
    form: str = ""
    error: str | None = None
    changes: str | None = None

    @property
    def remark(self) -> str:
        """What there is to say against it, whether or not it can be used; empty where there is nothing."""
        error = self.error and f"error: {self.error}"
        return "; ".join(filter(None, [error, self.info.clash, self.changes, self.advice]))

    @property
    def advice(self) -> str:
        """What to do where it cannot be used, as one clause; else empty."""
        info = self.info
        if self.error is None:
            return ""
        if info.file is not None:
            return f"mend {info.file}, or leave it out with a name that begins with _"
        if info.distribution == single_file.DISTRIBUTION:
            return f"name another folder by --plugins-dir, {single_file.VARIABLE} or plugins.dir in the settings file"
        if info.ours:
            return "install rnn-tui again"
        local = local_install(info.distribution)
        if found := _MISSING.search(self.error):
            module, library = found.groups()
            needed = f"the module {module}" if module else f"the system library {library}"
            if module is None or local is not None:
                return f"it needs {needed}, which is missing here; install what has it"
            return f"it needs {needed}, which is missing here; install it again: {self.installing}"
        removing = uninstall_command(info.distribution)
        if local is not None:
            return f"mend it in {local.path}, or take it out: {removing}"
        if "ImportError: " in self.error:
            return f"what it needs does not go with it; install it again: {self.installing}"
        return f"tell the author of {info.distribution}, or take it out: {removing}; it harms nothing else"

    @property
    def installing(self) -> str:
        """The shell line by which somebody else gets it, here; empty where none is known."""
        info = self.info
        if info.file is not None:
            return shlex.join(["rnn-tui", "--plugins-dir", str(Path(info.file).parent)])
        if info.distribution == single_file.DISTRIBUTION or not is_package_name(info.distribution):
            return ""
        local = None if info.ours else local_install(info.distribution)
        if local is None:
            return install_command(info.distribution)
        return install_command(*(["--editable"] if local.editable else []), str(local.path))


class Request(msgspec.Struct):
    """What the child is asked: to describe `infos`, so many at once, each within `timeout` seconds."""

    infos: list[PluginInfo]
    at_once: int
    timeout: float


def describe_plugins(
    *, timeout: float = TIMEOUT, early: Callable[[list[PluginDescription]], None] | None = None
) -> list[PluginDescription]:
    """Describe every installed plugin, in the order of `list_plugins`.

    Args:
        timeout: Seconds that the import of one plugin may take.
        early: Told of those that are known at once, when there are others that have to be looked at.

    Raises:
        PluginError: when no process can be started.
    """
    return _describe(list_plugins(), timeout, early)


def describe_plugin(kind: Kind, name: str, *, timeout: float = TIMEOUT) -> PluginDescription:
    """Describe one plugin.

    Args:
        name: as for `registry.find_plugin`.

    Raises:
        UsageError: when none of that name is installed, or several are.
        PluginError: when no process can be started.
    """
    return describe_found(find_plugin(kind, name), timeout=timeout)


def describe_found(info: PluginInfo, *, timeout: float = TIMEOUT) -> PluginDescription:
    """Describe a plugin that `list_plugins` found. Raises PluginError when no process can be started."""
    return _describe([info], timeout)[0]


def check_options(kind: Kind, name: str, items: Mapping[str, Any]) -> dict[str, Any]:
    """Check the options of a plugin without importing it here; return all of them, defaults filled in.

    Raises:
        UsageError: when there is no such plugin or several, for an unknown option or a value that is not allowed.
        PluginError: when the plugin cannot be used.
    """
    description = describe_plugin(kind, name)
    if description.error is not None:
        raise PluginError(f"{description.info}: {description.error}")
    return check_items(description.options, items, owner=f"{kind} {name}")


def _describe(
    infos: Sequence[PluginInfo],
    timeout: float,
    early: Callable[[list[PluginDescription]], None] | None = None,
) -> list[PluginDescription]:
    known: dict[PluginInfo, PluginDescription] = {}
    for info in infos:
        if info.error is not None:
            known[info] = PluginDescription(info, error=info.error)
        elif (cached := _read_cache(info)) is not None:
            known[info] = cached
    pending = [info for info in infos if info not in known]
    if early is not None and known and pending:
        early([known[info] for info in infos if info in known])
    at_once = _AT_ONCE
    while pending:
        found, failure = _ask_child(Request(pending, at_once, timeout))
        known.update(found)
        for description in found.values():
            if description.error is None:
                _write_cache(description)
        pending = [info for info in pending if info not in found]
        if pending and at_once == 1:  # the child, which imports nothing, was ended by what it looked at
            culprit = pending.pop(0)
            known[culprit] = PluginDescription(culprit, error=failure)
        at_once = 1
    return [known[info] for info in infos]


def _ask_child(request: Request) -> tuple[dict[PluginInfo, PluginDescription], str]:
    """Let one child describe plugins; return what it got done, and why it got no further."""
    child, read = start_child("rnn_tui.plugin.probe", "look at the plugins")
    assert child.stdin is not None
    found: dict[PluginInfo, PluginDescription] = {}
    failure = ""
    try:
        with suppress(BrokenPipeError), child.stdin as stdin:
            stdin.write(msgspec.json.encode(request))
        for line in _lines(read, _START + request.timeout):
            with suppress(msgspec.DecodeError):
                description = msgspec.json.decode(line, type=PluginDescription)
                if description.info in request.infos:
                    found[description.info] = description
    except TimeoutError:
        failure = f"the process that looks at plugins gave no sign for {_START + request.timeout:g} s"
    finally:
        os.close(read)
        status = _end(child)
    return found, failure or f"its import ended the process that looks at plugins ({ending(status)})"


def _end(child: "subprocess.Popen[bytes]") -> int:
    """End the child, and with it whatever the plugins started; return its status."""
    child.terminate()  # it ends what it started, wherever that went
    with suppress(subprocess.TimeoutExpired):
        return child.wait(timeout=5.0)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    return child.wait()


def _lines(fd: int, timeout: float) -> Iterator[bytes]:
    """Yield whole lines until the other end closes.

    Raises:
        TimeoutError: when none came for `timeout` seconds.
    """
    rest = b""
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while len(rest) < _LONGEST_LINE:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            chunk = os.read(fd, 65536)
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            if lines:
                deadline = time.monotonic() + timeout
            yield from lines


class _Cached(msgspec.Struct):
    key: str
    description: PluginDescription


def _read_cache(info: PluginInfo) -> PluginDescription | None:
    with suppress(OSError, msgspec.DecodeError):
        cached = msgspec.json.decode(_cache_file(info).read_bytes(), type=_Cached)
        if cached.key == _cache_key(info):
            return cached.description
    return None


def _write_cache(description: PluginDescription) -> None:
    key = _cache_key(description.info)
    if key is None:
        return
    path = _cache_file(description.info)
    with suppress(OSError, DiskError):  # without a cache the next start takes a little longer
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, msgspec.json.encode(_Cached(key, description)))


def _cache_file(info: PluginInfo) -> Path:
    place = hashlib.sha256(msgspec.json.encode([info.kind, info.name, sys.prefix])).hexdigest()[:32]
    return cache_dir() / "plugins" / f"{place}.json"


def _cache_key(info: PluginInfo) -> str | None:
    """Return what must be the same for a description to be still right; None where sources cannot be found."""
    files = source_files(info)
    if not files:
        return None
    try:
        stamps = [[str(file), (stat := file.stat()).st_mtime_ns, stat.st_size] for file in files]
    except OSError:  # a link that leads nowhere, as an editor leaves beside a file that it has open
        return None
    parts = [__version__, sys.version, msgspec.to_builtins(info), stamps]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
