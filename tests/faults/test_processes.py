"""The commands that a user gives, whole processes and all: a run whose worker is killed and that is resumed again."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import fault_runs as runs

from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.lock import held, read_owner
from rnn_tui.runs.process import is_alive
from rnn_tui.runs.status import run_state
from rnn_tui.runs.supervisor import wait_until_running

STEPS, LAST_KILL = 150, 90


def command(*arguments):
    """Give a command and return what it says, a JSON document."""
    done = subprocess.run(
        [sys.executable, "-m", "rnn_tui", *map(str, arguments), "--detach", "--json"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=runs.TIMEOUT,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def wait_for_step(run, step):
    """Wait until the log tells of `step` or the worker has ended."""
    deadline = time.monotonic() + runs.TIMEOUT
    while not any(event.step >= step for event in runs.events(run)):
        assert time.monotonic() < deadline
        if not run_state(run).alive and run_state(run).state != "starting":
            return
        time.sleep(0.01)


def kill_worker(run):
    """Kill the worker that the lock names; return whether there was one."""
    owner = read_owner(run)
    if not held(run) or owner is None or not is_alive(owner.identity):
        return False
    os.kill(owner.identity.pid, signal.SIGKILL)
    while held(run):
        time.sleep(0.005)
    return True


def killed_and_resumed(whole, name, times, generator):
    """Train as `whole` was trained, by commands, killed at so many random steps; return the run and the kills."""
    folder = whole.path.parent
    run = RunFolder(folder / name)
    told = command("train", "--config", whole.config_path, "--name", name, "--runs-dir", folder)
    kills = 0
    for step in sorted(generator.sample(range(LAST_KILL), times)):
        assert wait_until_running(run, runs.TIMEOUT).alive
        assert told["pid"] == read_owner(run).identity.pid
        wait_for_step(run, step)
        time.sleep(generator.uniform(0.0, 0.1))
        kills += kill_worker(run)
        assert run_state(run).state == "crashed", run_state(run)
        told = command("resume", name, "--runs-dir", folder)
    deadline = time.monotonic() + runs.TIMEOUT
    while run_state(run).state != "finished" or held(run):
        assert time.monotonic() < deadline, run_state(run)
        time.sleep(0.05)
    return run, kills


def test_killed_and_resumed_by_commands_equals_undisturbed(tmp_path, amount, seed, figures):
    """The undisturbed run is of a forked process: whether a process is forked or new makes no difference either."""
    whole = runs.undisturbed(tmp_path, "whole", runs.write_text(tmp_path), budget={"steps": STEPS})
    generator, finished, kills = random.Random(seed), 0, 0
    while kills < amount(2, 20):
        run, one = killed_and_resumed(whole, f"real-{finished}", amount(2, 4), generator)
        assert runs.differences(run, whole) + runs.faults_of_log(run) == []
        finished, kills = finished + 1, kills + one
    figures(
        "processes", f"0 of {finished} runs differ after {kills} kills of workers that commands had started"
    )
