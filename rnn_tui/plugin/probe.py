"""The child process of `rnn_tui.plugin.describe`: has plugins imported, and writes down what is found.

    python -m rnn_tui.plugin.probe FD < request.json

One JSON line for each plugin goes to the descriptor FD. This process imports none of them: it loads what they have in
common, torch above all, and forks a process for each. So none can harm the others, whatever it changes, starts or
breaks, and if it hangs, it does so alone.
"""

import ctypes
import inspect
import os
import resource
import selectors
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

import msgspec

from rnn_tui.errors import PluginError
from rnn_tui.files import write_all
from rnn_tui.plugin.child import ending
from rnn_tui.plugin.describe import PluginDescription, Request
from rnn_tui.plugin.guard import last_words, unchanged
from rnn_tui.plugin.loading import describe_error, interface, last_said, load_target
from rnn_tui.plugin.options import option_infos
from rnn_tui.plugin.registry import PluginInfo

_LONGEST_TEXT = 20_000
_LONGEST_ANSWER = 1 << 20
_MEMORY = 4 << 30
"""Bytes that an import may take; this process has 0.2 GB with torch."""
_TICK = 0.05
_PARENT_DEATH_SIGNAL, _CHILD_SUBREAPER = 1, 36
"""As prctl(2) numbers them."""


def describe(info: PluginInfo) -> PluginDescription:
    """Import one plugin and describe it; any failure becomes its `error`."""
    try:
        with unchanged() as changes:
            plugin = load_target(info)
        doc = _plain(inspect.cleandoc(plugin.__doc__ or ""))
        return PluginDescription(
            info,
            summary=doc.partition("\n")[0],
            doc=doc,
            options=option_infos(getattr(plugin, "Options", None)),
            form=next(
                base.__name__ for base in plugin.__mro__ if base.__module__.startswith("rnn_tui.plugin.")
            ),
            changes=changes.told(),
        )
    except PluginError as error:
        return PluginDescription(info, error=_plain(str(error)))
    except (
        BaseException
    ) as error:  # KeyboardInterrupt from its import; whatever its class does when it is looked at
        return PluginDescription(
            info, error=_plain(f"importing {info.target} failed: {describe_error(error)}")
        )


def _plain(text: str) -> str:
    """Return text that JSON can hold, and not too much of it."""
    return text[:_LONGEST_TEXT].encode("utf-8", "backslashreplace").decode()


class _Look:
    """One plugin, in a process of its own."""

    def __init__(self, info: PluginInfo, timeout: float) -> None:
        self.info = info
        self.deadline = time.monotonic() + timeout
        self.answer = self.said = b""
        self.status: int | None = None
        self._timeout = timeout
        self.answers, answer = os.pipe()
        self.sayings, say = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            _be_looked_at(info, answer, say)
        for end in (answer, say):
            os.close(end)
        for end in (self.answers, self.sayings):
            os.set_blocking(end, False)

    def read(self) -> None:
        """Take what has come."""
        # nothing to read, or too much: both are seen elsewhere
        with suppress(BlockingIOError):
            self.said = (self.said + os.read(self.sayings, 65536))[-65536:]
        with suppress(BlockingIOError):
            while len(self.answer) < _LONGEST_ANSWER and (chunk := os.read(self.answers, 65536)):
                self.answer += chunk

    def result(self) -> PluginDescription | None:
        """Return what is known of the plugin; None while it may still answer."""
        ended = self._ended()
        self.read()
        for line in self.answer.split(b"\n")[:-1]:  # a plugin may have written there too
            with suppress(msgspec.DecodeError):
                found = msgspec.json.decode(line, type=PluginDescription)
                if found.info == self.info:
                    return self._with_words(found)
        failure = ""
        if len(self.answer) >= _LONGEST_ANSWER:
            failure = "it writes without end where its description is awaited"
        elif ended:
            failure = f"its import ended the process ({ending(os.waitstatus_to_exitcode(self.status or 0))})"
        elif time.monotonic() > self.deadline:
            failure = f"its import takes longer than {self._timeout:g} s"
        return self._with_words(PluginDescription(self.info, error=failure)) if failure else None

    def _with_words(self, found: PluginDescription) -> PluginDescription:
        words = last_words(self.said)
        if found.error is None or not words:
            return found
        return replace(found, error=found.error + last_said([words]))

    def _ended(self) -> bool:
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = status if pid else None
        return self.status is not None

    def end(self) -> None:
        """End the process and those it leads."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self.status is None:
            with suppress(ProcessLookupError):  # not yet the leader of a group of its own
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.answers)
        os.close(self.sayings)


def look(request: Request) -> Iterator[PluginDescription]:
    """Describe plugins as they answer, several at once."""
    waiting = deque(request.infos)
    running: list[_Look] = []
    with selectors.DefaultSelector() as selector:
        while waiting or running:
            while waiting and len(running) < request.at_once:
                one = _Look(waiting.popleft(), request.timeout)
                running.append(one)
                for end in (one.answers, one.sayings):
                    selector.register(end, selectors.EVENT_READ)
            selector.select(_TICK)
            for one in list(running):
                one.read()
                found = one.result()
                if found is not None:
                    for end in (one.answers, one.sayings):
                        selector.unregister(end)
                    one.end()
                    running.remove(one)
                    yield found


def _be_looked_at(info: PluginInfo, answer: int, say: int) -> NoReturn:
    """Describe `info` on the descriptor `answer`, with nothing else left of the process it was forked from."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setsid()
        _prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (say, 1), (say, 2)):
            os.dup2(source, target)
        os.closerange(3, answer)
        os.closerange(answer + 1, os.sysconf("SC_OPEN_MAX"))
        with suppress(OSError):  # if memory runs out, this process goes and no other
            Path("/proc/self/oom_score_adj").write_text("1000")
        with suppress(OSError, ValueError):  # a lower limit is in force
            resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
        found = describe(info)
        write_all(answer, b"\n" + msgspec.json.encode(found) + b"\n")
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:
        os._exit(0)  # threads that a plugin left behind are not waited for


def _prctl(option: int, value: int) -> None:
    with suppress(AttributeError, OSError):  # Linux has it
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _end_all(*_: int | FrameType | None) -> NoReturn:
    """End this process after all that descend from it: those that lost their parent have become its children."""
    with suppress(ChildProcessError):
        while True:
            for tasks in Path("/proc/self/task").glob("*/children"):
                for pid in tasks.read_text().split():
                    with suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
            if not sys.platform.startswith("linux"):
                break
            os.waitpid(-1, 0)
    os._exit(0)


def main() -> None:
    fd = int(sys.argv[1])
    os.set_inheritable(fd, False)  # what a plugin starts must not hold the pipe open
    signal.signal(signal.SIGTERM, _end_all)
    _prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    _prctl(_CHILD_SUBREAPER, 1)  # what plugins leave behind becomes a child of this process
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    if request.at_once > 1:
        for kind in {info.kind for info in request.infos}:
            with suppress(Exception):  # a plugin of that kind will say it
                interface(kind)
    for found in look(request):
        write_all(fd, msgspec.json.encode(found) + b"\n")
    _end_all()


if __name__ == "__main__":
    main()
