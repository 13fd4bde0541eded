"""The app on a real pseudo-terminal: bytes, signals, a line that breaks."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pexpect = pytest.importorskip("pexpect")

PROGRAM = (
    "import sys, pathlib; from rnn_tui.tui.app import run_app; sys.exit(run_app(pathlib.Path(sys.argv[1])))"
)


class Terminal:
    """An app on a pty of 80 × 24."""

    def __init__(self, folder: Path, **more: str) -> None:
        environment = {
            k: v for k, v in os.environ.items() if k not in ("TMUX", "STY", "NO_COLOR", "SSH_CONNECTION")
        }
        environment |= {"TERM": "xterm-256color", "RNN_TUI_PLUGINS": "", "LC_ALL": "C.UTF-8"} | more
        environment |= {f"RNN_TUI_{n}_DIR": str(folder / n) for n in ("STATE", "CACHE", "CONFIG", "DATA")}
        arguments = ["-c", PROGRAM, str(folder / "runs")]
        self.child = pexpect.spawn(
            sys.executable, arguments, env=environment, dimensions=(24, 80), timeout=60
        )
        self.child.expect("No runs yet")
        self.fall_silent()

    def read(self, seconds: float = 60.0) -> bytes:
        """Return what comes first; nothing where nothing comes within `seconds`."""
        try:
            data: bytes = self.child.read_nonblocking(65536, seconds)
        except pexpect.TIMEOUT:
            return b""
        return data

    def fall_silent(self, seconds: float = 0.5) -> None:
        """Read until nothing has come for `seconds`; on a busy machine what is to be painted may be late."""
        deadline = time.monotonic() + 60
        while self.read(seconds):
            assert time.monotonic() < deadline, "it sends without end"

    def end(self) -> int | None:
        """Wait for the end and return the exit status."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        status: int | None = self.child.exitstatus
        return status


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    found = Terminal(tmp_path)
    yield found
    with contextlib.suppress(pexpect.ExceptionPexpect):  # reaped already
        found.child.close(force=True)


def test_idle_sends_nothing(terminal: Terminal) -> None:
    for key in "12345":
        terminal.child.send(f"\x1b{key}")  # alt and the digit
        assert terminal.read() != b"", key
        terminal.fall_silent(1.5)


def test_x10_mouse_bytes_and_broken_utf8_do_no_harm(terminal: Terminal) -> None:
    terminal.child.send(b"\x1b[M \xe0\xe0")
    terminal.child.send(b"\xff\xfe\xc3")
    terminal.fall_silent()
    terminal.child.send(b"x")  # ends the broken character
    terminal.fall_silent()
    terminal.child.send(b"\x1b5")
    terminal.child.expect("No runs here yet")
    terminal.child.send(b"q")
    assert terminal.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_restores_the_terminal(terminal: Terminal, number: signal.Signals) -> None:
    os.kill(terminal.child.pid, number)
    assert terminal.end() == 128 + number
    assert b"\x1b[?1049l" in terminal.child.before
    assert b"\x1b[?25h" in terminal.child.before


def test_a_lost_terminal_leaves_no_process(terminal: Terminal) -> None:
    terminal.child.ptyproc.fileobj.close()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        done, _ = os.waitpid(terminal.child.pid, os.WNOHANG)
        if done:
            return
        time.sleep(0.1)
    pytest.fail("the app lives on without a terminal")


def test_ascii_when_the_terminal_cannot_do_better(tmp_path: Path) -> None:
    found = Terminal(
        tmp_path, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", LC_ALL="POSIX", PYTHONIOENCODING="ascii"
    )
    try:
        found.child.send(b"\x1b5")
        found.child.expect("No runs here yet")
        found.child.send(b"q")
        assert found.end() == 0
    finally:
        found.child.close(force=True)
