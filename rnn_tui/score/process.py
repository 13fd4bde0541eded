"""The child process of a scorecard, seen from the command: asked on a pipe, heard on another, and ended
with all that it started.

Free of torch.
"""

import os
import selectors
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import msgspec

from rnn_tui.errors import PluginError
from rnn_tui.plugin.child import ending, start_child
from rnn_tui.score.wire import Ended, Job, Message, Request

START = 120.0
"""Seconds until the child process is ready: torch from a cold disk, on a machine that has much to do."""


class Child:
    """The process that does the work, see `rnn_tui.score.child`."""

    def __init__(self, process: "subprocess.Popen[bytes]", answers: int) -> None:
        self.process = process
        self.answers = answers
        self._rest = b""

    def ask(self, jobs: Sequence[Job]) -> Iterator[Message]:
        """Yield what comes of jobs, until all have ended.

        Raises:
            PluginError: when the process ends before.
        """
        if not jobs:
            return
        assert self.process.stdin
        with suppress(BrokenPipeError):  # it has ended: `hear` says so
            self.process.stdin.write(msgspec.json.encode(Request(tuple(jobs))) + b"\n")
            self.process.stdin.flush()
        left = len(jobs)
        patience = max(job.silence for job in jobs) + START
        while left:
            message = self.hear(patience)
            left -= isinstance(message, Ended)
            yield message

    def hear(self, patience: float) -> Message:
        """Return the next message.

        Raises:
            PluginError: when there is none for so many seconds, or the process has ended.
        """
        while b"\n" not in self._rest:
            with selectors.DefaultSelector() as selector:
                selector.register(self.answers, selectors.EVENT_READ)
                if not selector.select(patience):
                    raise PluginError(f"the process that trains gave no sign for {patience:g} s; try again")
            chunk = os.read(self.answers, 1 << 16)
            if not chunk:
                status = self.process.wait()
                raise PluginError(f"the process that trains has ended ({ending(status)}); try again")
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        message: Message = msgspec.json.decode(line, type=Message)
        return message


@contextmanager
def child_process() -> Iterator[Child]:
    """Start the process, and end it with all that it started."""
    process, read = start_child("rnn_tui.score.child", "train in", stderr=None)
    try:
        yield Child(process, read)
    finally:
        assert process.stdin
        with suppress(BrokenPipeError):
            process.stdin.close()  # it ends what it started, and then itself
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5.0)
        process.kill()
        process.wait()
        os.close(read)
