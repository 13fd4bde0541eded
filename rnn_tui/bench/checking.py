"""The laws of a plugin tried in a child process (`rnn_tui.bench.check_child`), which the plugin may hang, end or crash.

A law during which that happens does not hold, and the others are tried by another child. Nothing here imports a plugin,
nor torch.
"""

import os
import re
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import IO, Any

import msgspec

from rnn_tui.errors import PluginError
from rnn_tui.plugin.child import ending, start_child
from rnn_tui.plugin.guard import last_words
from rnn_tui.plugin.registry import PluginInfo
from rnn_tui.plugin.testing.laws import NOT_MEASURED, Verdict, law_name
from rnn_tui.plugin.testing.roots import root_of

LIMIT = 120.0
"""Seconds that a law may take. The longest of ours, compiling among it, take 2 to 3 on a busy machine."""

_START = 60.0
"""Seconds until the first law: torch from a cold disk, on a machine that has much to do."""
_MOST_LOST = 3
"""Children that one plugin may take with it; what is left of its laws then is not tried."""
_DUMP = 2.0
_LONGEST = 1 << 20
_FRAME = re.compile(r'File "(.+)", line (\d+) in (.+)')


class Request(msgspec.Struct):
    """What the child is asked.

    Attributes:
        skip: words; a law whose name has one of them is not tried.
        done: the laws that were tried before, by method.
    """

    info: PluginInfo
    options: dict[str, Any]
    skip: list[str]
    done: list[str]


class Message(msgspec.Struct, omit_defaults=True):
    """What the child tells: one of these at a time.

    Attributes:
        laws: all of them, by method, in order.
        file: where the plugin's class is from.
        begin: the law, by method, that is now tried.
        verdict: what became of it.
        error: why none can be tried.
    """

    laws: list[str] = []
    file: str = ""
    begin: str = ""
    verdict: Verdict | None = None
    error: str = ""


@dataclass(frozen=True)
class Checked:
    """What became of all laws of a plugin.

    Attributes:
        error: why none could be tried, as one clause; None if they were.
        loading: seconds until the first was tried: Python, torch and the plugin.
        seconds: that all of it took.
    """

    info: PluginInfo
    verdicts: tuple[Verdict, ...] = ()
    error: str | None = None
    loading: float = 0.0
    seconds: float = 0.0

    def count(self, outcome: str) -> int:
        return sum(each.outcome == outcome for each in self.verdicts)

    @property
    def good(self) -> bool:
        return self.error is None and not self.count("FAIL")

    @property
    def begin_with(self) -> str:
        """The law that others may not hold because of, in words; empty where each stands for itself."""
        return next((each.follows for each in self.verdicts if each.follows), "")


def check_plugin(
    info: PluginInfo,
    options: Mapping[str, Any],
    *,
    limit: float = LIMIT,
    skip: Sequence[str] = (),
    told: Callable[[Verdict], object] = lambda verdict: None,
) -> Checked:
    """Try every law of an architecture or a tokenizer.

    Args:
        options: all of them, checked.
        limit: seconds that each law may take.
        skip: words; a law whose name has one of them is not tried.
        told: each verdict, as soon as it is known.

    Raises:
        PluginError: when no process can be started.
    """
    begin = time.monotonic()
    verdicts: list[Verdict] = []
    done: list[str] = []
    laws: list[str] = []
    loading = 0.0

    failed: list[str] = []

    def note(law: str, verdict: Verdict) -> None:
        done.append(law)
        verdicts.append(verdict)
        if verdict.outcome == "FAIL":
            failed.append(law)
        told(verdict)

    for lost in range(1, _MOST_LOST + 1):
        with _Child(Request(info, dict(options), list(skip), done)) as child:
            law, file, since = "", "", time.monotonic()
            while True:
                message = child.read(since + (limit if law else _START))
                if message is None or message.error:
                    break
                laws, file = message.laws or laws, message.file or file
                if message.laws and not loading:
                    loading = time.monotonic() - begin
                if message.begin:
                    law, since = message.begin, time.monotonic()
                elif message.verdict is not None:
                    note(law, _related(message.verdict, root_of(law, failed)))
                    law = ""
            if message is not None:
                return Checked(info, error=message.error)
            if laws and len(done) == len(laws):
                break
            reason = child.end(file, limit if law else _START)
        if not law:
            return Checked(info, tuple(verdicts), error=f"the process that tries its laws {reason}")
        note(law, Verdict(law_name(law), "FAIL", reason, time.monotonic() - since))
        if lost == _MOST_LOST:
            for rest in [each for each in laws if each not in done]:
                note(rest, Verdict(law_name(rest), "skipped", f"{_MOST_LOST} processes were lost before"))
    return Checked(info, tuple(verdicts), loading=loading, seconds=time.monotonic() - begin)


def _related(verdict: Verdict, root: str | None) -> Verdict:
    """Note in a verdict that something is amiss by which law, if any, it may be."""
    amiss = verdict.outcome == "FAIL" or verdict.text.startswith(NOT_MEASURED)
    return replace(verdict, follows=law_name(root)) if root and amiss else verdict


class _Child:
    """A process that tries laws, and what it says."""

    def __init__(self, request: Request) -> None:
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed in __exit__
        self._rest = b""
        self._messages: list[Message] = []
        try:
            self._process, self._pipe = start_child(
                "rnn_tui.bench.check_child", "try the laws", stdout=self._said, stderr=self._said
            )
        except PluginError:
            self._said.close()
            raise
        assert self._process.stdin is not None
        with suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(msgspec.json.encode(request))

    def __enter__(self) -> "_Child":
        return self

    def __exit__(self, *_: object) -> None:
        self._kill(signal.SIGKILL)
        self._process.wait()
        os.close(self._pipe)
        self._said.close()

    def read(self, deadline: float) -> Message | None:
        """Return the next message; None when the process has ended or nothing came until `deadline`."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._pipe, selectors.EVENT_READ)
            while not self._messages and len(self._rest) < _LONGEST:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return None
                chunk = os.read(self._pipe, 65536)
                if not chunk:
                    return None
                *lines, self._rest = (self._rest + chunk).split(b"\n")
                for line in lines:
                    with suppress(msgspec.DecodeError):  # a plugin may write there too
                        self._messages.append(msgspec.json.decode(line, type=Message))
        return self._messages.pop(0) if self._messages else None

    def end(self, file: str, limit: float) -> str:
        """End the process, if it has not done so itself; say why, and where in the code of the plugin, as one clause.

        Args:
            file: where the plugin's class is from.
        """
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)
        status = self._process.poll()
        if status is None:
            what = f"took longer than {limit:g} s and was ended"
            self._kill(signal.SIGABRT)  # it then writes where it is, see `faulthandler`
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_DUMP)
        elif status < 0:
            what = f"was ended by {ending(status)}"
        else:
            what = f"ended with {ending(status)}, as by os._exit"
        self._said.seek(0)
        said = self._said.read(_LONGEST)
        frames = _FRAME.findall(said.decode("utf-8", "replace"))
        folder = os.path.dirname(file)
        own = [frame for frame in frames if folder and frame[0].startswith(folder)] or frames[:1]
        if own:
            return f"{what}, in {own[0][0]}:{own[0][1]}, {own[0][2]}"
        words = last_words(said)
        return f"{what} (it said: {words})" if words else what

    def _kill(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(self._process.pid, number)
            elif self._process.poll() is None:
                self._process.send_signal(number)
