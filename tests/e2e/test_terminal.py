"""The whole path in a real pseudo-terminal: start the app, train from the form, watch, prompt, quit, find it again."""

import os
import sys
import time

import pexpect
import pyte
import pytest

from rnn_tui.runs.folder import find_run
from rnn_tui.runs.status import run_state

COLUMNS, LINES = 80, 24


class Terminal:
    """An app behind a pseudo-terminal, and the screen that a terminal would show."""

    def __init__(self, folder, *words):
        self.screen = pyte.Screen(COLUMNS, LINES)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TMUX", "SSH_CONNECTION")}
        environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "OMP_NUM_THREADS": "2"}
        self.process = pexpect.spawn(
            sys.executable,
            ["-m", "rnn_tui", *words],
            cwd=str(folder),
            env=environment,
            dimensions=(LINES, COLUMNS),
        )

    def read(self, seconds=0.05):
        deadline = time.monotonic() + seconds
        while True:
            try:
                data = self.process.read_nonblocking(65536, timeout=max(0.0, deadline - time.monotonic()))
            except (pexpect.TIMEOUT, pexpect.EOF):
                return
            self.raw += data
            self.stream.feed(data)

    @property
    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def wait_for(self, *words, seconds=40):
        deadline = time.monotonic() + seconds
        while True:
            self.read()
            if any(word in self.text for word in words):
                return
            if time.monotonic() > deadline or not self.process.isalive():
                raise AssertionError(f"{words} never appeared; the screen:\n{self.text}")

    def ended(self, seconds=20):
        """Read to the end; return the exit status."""
        deadline = time.monotonic() + seconds
        while self.process.isalive() and time.monotonic() < deadline:
            self.read()
        self.read()
        self.process.close()
        return self.process.exitstatus

    def type(self, *keys):
        for key in keys:
            self.process.send(key)
            self.read(0.1)


@pytest.fixture
def terminal(tmp_path):
    opened = []

    def open_terminal(*words):
        opened.append(Terminal(tmp_path, *words))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.process.close(force=True)


def test_start_train_watch_prompt_quit_and_find_it_again(terminal, tmp_path):
    app = terminal()
    app.wait_for("No runs yet")
    app.type("n")
    app.wait_for("learning rate")
    app.wait_for("forget_bias")  # a child has asked the plugins for their options
    app.type("\x15", "fables-en", *["\t"] * 5, "\x15", "64")  # the hidden size
    app.type(*["\t"] * 7, "\x15", "0.15")  # the minutes
    app.type("\x13")  # ctrl+s
    app.wait_for("running", "finished")
    assert "lstm-fables-en-1" in app.text
    app.wait_for("validation")
    run = find_run(tmp_path / "runs", "lstm-fables-en-1")
    app.type("q")  # while it trains
    assert app.ended() == 0
    assert app.raw.rindex(b"\x1b[?1049l") > app.raw.rindex(b"\x1b[?1049h"), "the terminal was not given back"

    deadline = time.monotonic() + 60
    while run_state(run).state != "finished":
        assert run_state(run).state in ("starting", "running"), "the run did not outlive the app"
        assert time.monotonic() < deadline
        time.sleep(0.1)

    app = terminal()
    app.wait_for("lstm-fables-en-1")
    app.wait_for("finished")
    app.wait_for("best")
    app.type("\r")  # prompt this run
    app.wait_for("ready", seconds=60)
    app.type("The fox ", "\r")
    app.wait_for("longest copy", seconds=60)
    assert "The fox " in app.text
    assert "next token" in app.text
    app.type("\x1b")
    app.type("q")
    assert app.ended() == 0


def test_without_a_terminal_it_says_what_to_do(tmp_path):
    said, code = pexpect.run(
        f"{sys.executable} -m rnn_tui",
        cwd=str(tmp_path),
        env=os.environ | {"TERM": "dumb"},
        withexitstatus=True,
    )
    assert code == 2
    assert b"the app needs a terminal" in said
    assert b"Traceback" not in said
