"""Commands whose pipes close, whose streams are not there, that are interrupted, and whose terminals go away."""

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fault_terminal import Terminal, given_back

from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.status import my_status, run_state

STREAMS = [  # command, how its streams are, exit codes that are right
    ("rnn-tui config show --json", "| head -1", {0, 1}),
    ("rnn-tui config show", "| true", {0, 1}),
    ("rnn-tui stats fox.txt --no-estimate", "| true", {0, 1}),
    ("rnn-tui recipes list --json", ">&-", {0}),
    ("rnn-tui recipes list", ">/dev/full", {5}),
    ("rnn-tui runs show nothing", "2>&-", {3}),
    ("rnn-tui nothing", "2>/dev/full", {2}),
    ("rnn-tui runs list", "<&- >&- 2>&-", {0}),
    ("rnn-tui", "</dev/null", {2}),
    ("LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 rnn-tui recipes list", "", {0}),
    ("TERM=dumb rnn-tui", "", {2}),
]


@pytest.fixture(scope="module")
def fox(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fox")
    chosen, words = random.Random(1), "the quick brown fox jumps over a lazy dog".split()
    (folder / "fox.txt").write_text("".join(" ".join(chosen.choices(words, k=8)) + "\n" for _ in range(400)))
    return folder


def test_pipes_that_close_and_streams_that_are_not_there(fox, amount, figures):
    found = []
    lines = STREAMS if amount(0, 1) else STREAMS[1::2] + STREAMS[:1]
    program = f'set -o pipefail; rnn-tui() {{ {sys.executable} -m rnn_tui "$@"; }}; '
    for command, streams, right in lines:
        done = subprocess.run(
            ["bash", "-c", f"{program}{command} {streams}; echo $? >code"], cwd=fox, capture_output=True, timeout=60
        )  # fmt: skip
        code = int((fox / "code").read_text())
        said = done.stdout + done.stderr
        found += [f"{command} {streams}: exit code {code}"] if code not in right else []
        found += (
            [f"{command} {streams}: {said[-200:]!r}"]
            if b"Traceback" in said or b"Exception ignored" in said
            else []
        )
    figures(
        "signals",
        f"{len(lines)} commands with pipes that close and streams that are not there: {len(found)} findings",
    )
    assert found == []


def test_closed_streams_do_not_end_up_in_files(tmp_path):
    """With standard output closed the next file would get its number, and what a library writes there."""
    from rnn_tui.cli import root

    program = f"import os, sys; sys.path.insert(0, {str(Path(root.__file__).parents[2])!r})\n"
    program += "import rnn_tui.cli.root as root\n{broken}\nopened = []\n"
    program += "root.run = lambda _: (opened.append(open('taken', 'w')), os.write(1, b'mark'), 0)[-1]\n"
    program += "sys.argv = ['x']\nroot.main()"
    for broken, expected in (("", ""), ("root._fill_gaps = lambda: None", "mark")):
        words = ["bash", "-c", 'exec "$0" -c "$1" >&-', sys.executable, program.format(broken=broken)]
        subprocess.run(words, cwd=tmp_path, timeout=60)
        assert (tmp_path / "taken").read_text() == expected


TINY = ["--hidden-size", "8", "--batch-size", "4", "--seq-len", "16", "--threads", "1"]


def steps_of(run):
    return (run_state(run).status or my_status("", attempt=1, step=0)).step


def goes_on(run, seconds=60):
    """Whether the worker of a run lives and gets further."""
    begin, deadline = steps_of(run), time.monotonic() + seconds
    while time.monotonic() < deadline:
        if run_state(run).alive and steps_of(run) > begin:
            return True
        time.sleep(0.1)
    return False


def command(folder, *words):
    return Terminal(folder, ["-m", "rnn_tui", *words], RNN_TUI_PLUGINS="rnn-tui")


def test_a_followed_run_goes_on_whatever_happens_to_who_follows(fox, figures):
    """Two Ctrl-C, a terminal that closes, tmux that is killed: the worker of the one run outlives them all."""
    run = RunFolder(fox / "runs" / "long")
    environment = {f"RNN_TUI_{n}_DIR": str(fox / n.lower()) for n in ("STATE", "CACHE", "CONFIG", "DATA")}
    environment |= {"RNN_TUI_PLUGINS": "rnn-tui", "OMP_NUM_THREADS": "1"}
    words = ["train", "fox.txt", "--name", "long", "--minutes", "10", *TINY]
    survived = []
    if shutil.which("tmux"):
        tmux = ["tmux", "-S", str(fox / "tmux"), "-f", "/dev/null"]
        started = [
            *tmux,
            "new-session",
            "-d",
            "-x",
            "80",
            "-y",
            "24",
            *(f"-e{n}={v}" for n, v in environment.items()),
        ]
        subprocess.run([*started, sys.executable, "-m", "rnn_tui", *words], cwd=fox, check=True, timeout=60)
        wait_for_run(run)
        subprocess.run([*tmux, "kill-server"], check=True, timeout=60)
        assert goes_on(run)
        survived.append("tmux kill-server")
        follower = command(fox, "watch", "long")
    else:
        follower = command(fox, *words)
        wait_for_run(run)
    try:
        follower.wait_for("loss")
        follower.send("\x03")
        follower.send("\x03")
        code = follower.end()
        assert code == 130
        assert given_back(follower.raw) == []
        assert b"Traceback" not in follower.raw
        follower.close()
        assert goes_on(run)
        survived.append("two Ctrl-C")
        follower = command(fox, "watch", "long")
        follower.wait_for("loss")
        follower.child.ptyproc.fileobj.close()
        deadline = time.monotonic() + 60
        while follower.alive and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not follower.alive
        assert goes_on(run)
        survived.append("a closed terminal")
    finally:
        follower.close()
        stopped = command(fox, "stop", "long")
        assert stopped.end(30) == 0
        stopped.close()
    figures("signals", f"a followed run goes on after {', '.join(survived)}")


def wait_for_run(run):
    deadline = time.monotonic() + 60
    while not (run_state(run).alive and steps_of(run) > 0):
        assert time.monotonic() < deadline, run_state(run) if run.path.exists() else "no run"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_foreground_run_ends_with_its_terminal(fox, figures):
    """The terminal is closed under it: it writes a checkpoint and ends, and so does the command."""
    run = RunFolder(fox / "runs" / "tied")
    terminal = command(fox, "train", "fox.txt", "--name", "tied", "--minutes", "10", "--foreground", *TINY)
    try:
        terminal.wait_for("loss", seconds=60)
        terminal.child.ptyproc.fileobj.close()
        deadline = time.monotonic() + 60
        while (terminal.alive or run_state(run).alive) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not terminal.alive
        seen = run_state(run)
        assert (seen.state, seen.alive) == ("stopped", False)
        assert run.newest_checkpoint_step() == seen.status.step > 0
    finally:
        terminal.close()
    figures("signals", "a foreground run whose terminal is closed ends with a checkpoint of its last step")


def test_ctrl_c_while_a_model_writes_and_is_measured(fox, amount):
    """One line break, exit code 130, no traceback."""
    trained = command(fox, "train", "fox.txt", "--name", "done", "--steps", "5", "--foreground", *TINY)
    try:
        assert trained.end(60) == 0
    finally:
        trained.close()
    for words, seen in (
        (["prompt", "done", "the ", "--length", "100000"], "\n"),
        (["eval", "done", "--dynamic", "--dynamic-segment", "1"], "\x1b[?25l"),
        (["prompt", "done"], "> "),
    )[: amount(2, None)]:
        terminal = command(fox, *words)
        try:
            terminal.wait_for(seen, seconds=60)
            terminal.send("\x03")
            assert terminal.end() == 130, terminal.text()
            assert terminal.raw.endswith(b"\n"), words
            assert b"Traceback" not in terminal.raw
            assert given_back(terminal.raw.replace(b"\x1b[?2004h", b"")) == []
        finally:
            terminal.close()
