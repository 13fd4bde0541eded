"""Signals to a worker, also while its main thread hears nothing."""

import signal
import subprocess
import sys
import time

import pytest
from fault_runs import write_text

from rnn_tui.runs.events import EventReader
from rnn_tui.runs.status import run_state
from rnn_tui.training import checkpoint
from rnn_tui.training.launch import create, prepare_run_config

SLOW = """
import sys, time
from rnn_tui.training import loop, worker

kind, save, update = sys.argv[2], loop.Trainer.save, loop.Trainer._update

def reached(*_):
    print("slow", flush=True)
    if kind != "none":
        time.sleep(60)

def at_the_end(trainer, reason):
    return reached() if reason == "stop" else save(trainer, reason)

def in_a_step(trainer):
    if trainer.progress.step == 7:
        reached()
    return update(trainer)

class Deaf(worker.Signals):
    def _leave(self, why):
        pass

if kind == "start":
    worker.open_session = reached
elif kind in ("save", "deaf"):
    loop.Trainer.save = at_the_end
else:
    loop.Trainer._update = in_a_step
if kind == "deaf":
    worker.Signals = Deaf
sys.exit(worker.main(sys.argv[1]))
"""


@pytest.fixture
def begin(tmp_path):
    """Start a worker that is slow at one place, and return it when it is there."""
    text, begun = write_text(tmp_path), []

    def begun_at(kind, grace):
        settings = {
            "corpus": {"source": str(text)},
            "model": {"hidden_size": 8},
            "data": {"seq_len": 6, "batch_size": 4},
            "budget": {"steps": 100_000},
            "watch": {"log_every": 5, "validate_every": 10_000, "sample_length": 0},
            "runtime": {"threads": 1, "device": "cpu", "engine": "loop", "grace": grace},
        }
        run = create(tmp_path / "runs", kind, prepare_run_config([("test", settings)]).config)
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW, str(run.path), kind],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        begun.append(process)
        if kind not in ("save", "deaf"):
            assert process.stdout.readline() == "slow\n"
        else:
            while not any(event.kind == "train" for event in EventReader(run.events_path).poll()):
                time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            assert process.stdout.readline() == "slow\n"
        return run, process

    yield begun_at
    for process in begun:
        process.kill()
        process.communicate()


def test_a_first_signal_saves_and_a_hang_up_is_nothing(begin):
    run, process = begin("none", 25.0)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    end = EventReader(run.events_path).poll()[-1]
    assert (end.data["reason"], end.data["exit_code"]) == ("preempted", 143)
    assert checkpoint.newest_valid(run.checkpoints, pytest.fail).step == end.step


def test_a_second_signal_ends_it_at_once_whatever_the_main_thread_does(begin, figures):
    run, process = begin("save", 60.0)
    time.sleep(1.1)  # a second Ctrl-C, not the same one that came twice
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)  # the write it waits for takes a minute
    assert process.returncode == 143
    assert said == (
        "rnn-tui: error: a second signal ends the run at once; what was done since the last checkpoint is lost\n"
    )
    view = run_state(run)
    assert (view.state, "goes on from step 0" in view.message) == ("crashed", True)
    figures("signals", "a second signal ends a worker that is stuck in a save within 2 s, 143")


def test_after_its_grace_a_worker_that_is_stuck_ends(begin, figures):
    _, process = begin("step", 0.5)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert said == (
        "rnn-tui: error: the 0.5 s for a last checkpoint are over; what was done since the last checkpoint is lost\n"
    )
    figures("signals", "a worker that is stuck in a step ends when its grace is over, 143")


def test_a_worker_that_is_stuck_before_its_first_step_ends_by_a_second_signal(begin):
    _, process = begin("start", 25.0)
    process.send_signal(signal.SIGTERM)
    time.sleep(1.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143


def test_one_that_does_not_leave_is_noticed(begin):
    _, process = begin("deaf", 0.5)
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2.5)
