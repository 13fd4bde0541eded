"""A program behind a pseudo-terminal: its bytes, the screen they make, signals, sizes, and what is left at the end."""

import contextlib
import os
import re
import signal
import sys
import time

import pexpect
import psutil
import pyte

APP = "import sys, pathlib; from rnn_tui.tui.app import run_app; sys.exit(run_app(pathlib.Path(sys.argv[1])))"

TITLE_OR_CLIPBOARD = re.compile(rb"\x1b\]|\x1bP|\x1b_|\x1b\^|\x9d|\x90")
"""What begins a string that a terminal takes for itself: a title, a link, the clipboard. The app sends none unasked."""


class Terminal:
    """One program on a pty of its own, in a session of its own, with every folder it writes to in `folder`."""

    def __init__(self, folder, words, size=(24, 80), ignore=(), **environment):
        kept = {k: v for k, v in os.environ.items() if k not in ("TMUX", "STY", "NO_COLOR", "SSH_CONNECTION")}
        kept |= {"TERM": "xterm-256color", "RNN_TUI_PLUGINS": "", "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}
        kept |= dict.fromkeys(("SHELL", "EDITOR", "VISUAL"), "true")  # a key may ask for them
        kept |= {f"RNN_TUI_{n}_DIR": str(folder / n.lower()) for n in ("STATE", "CACHE", "CONFIG", "DATA")}

        def before():
            for number in ignore:
                signal.signal(number, signal.SIG_IGN)

        self.size = size
        self.raw = b""
        self._shown = ()
        """The size of the screen that was asked for last, and the bytes that have made it."""
        self.child = pexpect.spawn(
            sys.executable, list(words), env=kept | environment, cwd=str(folder), dimensions=size,
            preexec_fn=before if ignore else None,
        )  # fmt: skip
        self.child.delaybeforesend = None
        self.pid = self.child.pid

    def read(self, seconds=0.05):
        """Take in what arrives within `seconds`; return it."""
        deadline, got = time.monotonic() + seconds, b""
        while (left := deadline - time.monotonic()) > 0:
            try:
                got += self.child.read_nonblocking(1 << 16, left)
            except pexpect.TIMEOUT:
                break
            except (pexpect.EOF, OSError):
                time.sleep(min(left, 0.02))
                break
        self.raw += got
        return got

    def text(self):
        """The screen that all bytes so far make."""
        if self._shown[:1] != (self.size,) or not self.raw.startswith(self._shown[1]):
            self._screen = pyte.Screen(*self.size[::-1])
            self._screen.write_process_input = lambda _: None
            self._stream, self._shown = pyte.ByteStream(self._screen), (self.size, b"")
        self._stream.feed(self.raw[len(self._shown[1]) :])
        self._shown = (self.size, self.raw)
        return "\n".join(line.rstrip() for line in self._screen.display)

    def wait_for(self, *words, seconds=60, since=0):
        """Read until one of `words` came by among the bytes from `since` on."""
        deadline = time.monotonic() + seconds
        while not any(word.encode() in self.raw[since:] for word in words):
            self.read(0.1)
            if time.monotonic() > deadline or not (self.alive or self.read()):
                raise AssertionError(f"{words} never came; the screen:\n{self.text()}")

    def wait_to_see(self, *words, seconds=60):
        """Read until the screen shows one of `words`; an app sends no more of a text than what changed."""
        self.wait_until(lambda: any(word in self.text() for word in words), seconds, f"to see {words}")

    def wait_until(self, condition, seconds=60, what="for the screen"):
        """Read until `condition` is met: that nothing comes for a while says nothing where others want the cores."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.settle(0.05, 0.5)
            if time.monotonic() > deadline or not (self.alive or self.read()):
                raise AssertionError(f"waited in vain {what}:\n{self.text()}")

    def settle(self, quiet=0.3, seconds=10):
        """Read until nothing came for a while."""
        deadline = time.monotonic() + seconds
        while self.read(quiet) and time.monotonic() < deadline:
            pass

    def send(self, data):
        """Type `data`, however much of it the terminal takes at a time."""
        data = data.encode() if isinstance(data, str) else data
        os.set_blocking(self.child.child_fd, False)
        try:
            while data:
                with contextlib.suppress(BlockingIOError):
                    data = data[os.write(self.child.child_fd, data[:1024]) :]
                self.read(0.005)
        finally:
            os.set_blocking(self.child.child_fd, True)

    def signal(self, number):
        os.kill(self.pid, number)

    def resize(self, rows, columns):
        self.size = (rows, columns)
        self.child.setwinsize(rows, columns)

    @property
    def alive(self):
        with contextlib.suppress(psutil.Error):
            return psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        return False

    def cpu(self):
        """Seconds of processor time so far."""
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system

    def end(self, seconds=60):
        """Wait for the end; return the exit code, 128 and the signal's number where that ended it; None if it lives."""
        deadline = time.monotonic() + seconds
        while self.alive:
            self.read()
            if time.monotonic() > deadline:
                return None
        self.read()
        self.child.wait()
        code, number = self.child.exitstatus, self.child.signalstatus
        return 128 + number if number else code

    def close(self):
        """End what still lives."""
        with contextlib.suppress(ProcessLookupError):
            if self.alive:
                os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(pexpect.ExceptionPexpect, OSError):
            self.child.close(force=True)


def given_back(raw):
    """Return what an app that has ended has left a terminal in that it should not have; nothing if all is well."""
    wrong = []
    last = {}  # mode → whether the last word was on
    for modes, letter in re.findall(rb"\x1b\[\?([\d;]+)([hl])", raw):
        for mode in modes.split(b";"):
            last[mode] = letter == b"h"
    names = {
        b"1049": "the alternate screen",
        b"2004": "bracketed paste",
        b"1004": "focus reports",
        b"2048": "size reports",
    }
    names |= dict.fromkeys((b"1000", b"1003", b"1015", b"1006", b"1016"), "mouse reports")
    wrong += [what for mode, what in names.items() if last.get(mode)]
    if last.get(b"25") is False:
        wrong.append("the cursor hidden")
    if last.get(b"7") is False:
        wrong.append("lines not wrapped")
    if raw.count(b"\x1b[>") - raw.count(b"\x1b[>c") > raw.count(b"\x1b[<u"):
        wrong.append("the keyboard protocol")
    return list(dict.fromkeys(wrong))
