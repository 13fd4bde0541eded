"""The whole path in a real pseudo-terminal: start the app, train from the form, watch, quit, find it again, prompt,
look inside, filter, ask for help, change a setting.
"""

import os
import sys
import time

import pexpect
import pyte
import pytest

from rnn_tui.paths import settings_file
from rnn_tui.runs.folder import find_run
from rnn_tui.runs.status import run_state
from rnn_tui.toml import parse_toml

COLUMNS, LINES = 80, 24
ESCAPE, CTRL_G, CTRL_S, CTRL_U, F9, ALT_4 = "\x1b", "\x07", "\x13", "\x15", "\x1b[20~", "\x1b4"


class Terminal:
    """An app behind a pseudo-terminal, and the screen that a terminal would show."""

    def __init__(self, folder, *words):
        self.screen = pyte.Screen(COLUMNS, LINES)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TMUX", "SSH_CONNECTION")}
        environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "OMP_NUM_THREADS": "1"}
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

    def wait_for(self, *words, seconds=60):
        self.wait_until(lambda: any(word in self.text for word in words), f"{words} never appeared", seconds)

    def wait_until(self, condition, complaint, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            self.read()
            if condition():
                return
            if time.monotonic() > deadline or not self.process.isalive():
                raise AssertionError(f"{complaint}; the screen:\n{self.text}")

    def ended(self, seconds=60):
        """Read to the end; return the exit status."""
        deadline = time.monotonic() + seconds
        while self.process.isalive() and time.monotonic() < deadline:
            self.read()
        self.read()
        self.process.close()
        return self.process.exitstatus

    def fill(self, label, value):
        """Write into the row with the cursor, step by step: letters may overtake a key while the app is busy."""

        def words():
            rows = (line.lstrip(" │") for line in self.text.splitlines())
            return next((row for row in rows if row.startswith(label)), "").removeprefix(label).split()

        before = words()
        self.type(CTRL_U)
        self.wait_until(lambda: words() != before, f"{label} was never emptied")
        self.type(value)
        self.wait_until(lambda: words()[:1] == [value], f"{label} is never {value}")

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


def test_a_newcomer_goes_through_the_app(terminal, tmp_path):
    app = terminal()
    app.wait_for("No runs yet")
    app.type("n")
    app.wait_for("learning rate")
    app.wait_for("forget_bias")  # a child has asked the plugins for their options
    app.wait_for("max_vocabulary")
    app.fill("corpus", "fables-en")
    app.type(*["\t"] * 5)
    app.fill("hidden size", "64")
    app.type(*["\t"] * 7)
    app.fill("minutes", "0.15")
    app.type(CTRL_S)
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
    app.wait_for("ready")
    app.type("The fox ", "\r")
    app.wait_for("longest copy")
    assert "The fox " in app.text
    assert "next token" in app.text
    jump_to_the_model(app)
    look_inside(app)
    filter_the_runs(app)
    read_the_help(app)
    change_a_setting(app)
    app.type("q")
    assert app.ended() == 0

    app = terminal()
    app.wait_for("1 run")  # in the pane where it was left
    app.type("2")
    app.wait_for("smoothing 0.9")
    app.type("q")
    assert app.ended() == 0


def jump_to_the_model(app):
    """From the line that is typed into to the list of models above it, and into that list."""
    app.type(CTRL_G)
    app.wait_for(" a ")
    app.type("a", "\r")
    app.wait_for("other file")
    app.type(ESCAPE)
    app.wait_until(lambda: "other file" not in app.text, "the list never closed")


def look_inside(app):
    app.type(ALT_4)  # the line has the focus: a digit would be typed into it
    app.wait_for(" of 64 ", seconds=60)  # the unit of the best known pattern
    app.type("o", "1 c:7", "\r")
    app.wait_for("unit 7 of 64")
    assert "layer 1 c" in app.text


def filter_the_runs(app):
    app.type("5")
    app.wait_for("1 run")
    app.type("/", "arch:gru")
    app.wait_for("Escape shows all")
    assert "lstm-fables-en-1" not in app.text
    app.type(ESCAPE)
    app.wait_for("lstm-fables-en-1")


def read_the_help(app):
    """The keys of the pane that is in front come first."""
    app.type("?")
    app.wait_for("Watch this run in the Train pane")
    app.type("q")
    app.wait_until(lambda: "Watch this run" not in app.text, "the help never closed")


def change_a_setting(app):
    """The sixth field, how smooth curves are drawn; the file has it and nothing else."""
    app.type(F9)
    app.wait_for("Settings of the app")
    app.type(*["\t"] * 5)
    app.fill("smoothing", "0.9")
    app.type(CTRL_S)
    app.wait_for("Kept")
    assert parse_toml(settings_file().read_bytes()) == {"app": {"smoothing": 0.9}}


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
