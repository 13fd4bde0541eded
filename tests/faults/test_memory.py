"""Memory that runs out: one line with what to lower, and a run that goes on where there is more."""

import signal
import subprocess
import sys

import pytest
from fault_runs import write_text

from rnn_tui.runs.events import EventReader, effective
from rnn_tui.runs.status import run_state
from rnn_tui.training import checkpoint, worker
from rnn_tui.training.launch import create, prepare_run_config

TIGHT = """
import resource, sys
from rnn_tui.training import loop, worker

update = loop.Trainer._update

def short_of_memory(trainer):
    if trainer.progress.step == 7:  # what is taken already may stay
        taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + 1_000_000, -1))
        trainer.model.encoder.forward = lambda *_: __import__("torch").empty(1 << 28)
    return update(trainer)

loop.Trainer._update = short_of_memory
sys.exit(worker.main(sys.argv[1]))
"""


@pytest.fixture(autouse=True)
def handlers():
    """The worker sets signal handlers of its process, which here is pytest's."""
    before = {n: signal.getsignal(n) for n in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_a_step_that_does_not_fit(tmp_path, figures):
    text = write_text(tmp_path)

    def made(name):
        settings = {
            "corpus": {"source": str(text)},
            "model": {"hidden_size": 8},
            "data": {"seq_len": 6, "batch_size": 4},
            "budget": {"steps": 20},
            "watch": {"log_every": 5, "validate_every": 10, "sample_length": 5},
            "checkpoint": {"every_steps": 3},
            "runtime": {"threads": 1, "device": "cpu", "engine": "loop"},
        }
        return create(tmp_path / "runs", name, prepare_run_config([("test", settings)]).config)

    run, whole = made("a"), made("whole")
    command = [sys.executable, "-c", TIGHT, str(run.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 7
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith(
        "rnn-tui: error: out of memory at step 7 on cpu; the checkpoint of step 6 is whole: resume it with more "
        "memory, or with a smaller batch_size or seq_len under [data] in its config.toml, or start a new run with a "
        "smaller hidden_size ("
    )
    assert done.stderr.count("\n") == 1
    view = run_state(run)
    assert (view.state, view.status.step) == ("failed", 7)
    assert checkpoint.newest_valid(run.checkpoints, pytest.fail).step == 6
    assert [worker.main(str(each.path)) for each in (run, whole)] == [0, 0]
    ends = [checkpoint.find(each.checkpoints)[0].load()[0] for each in (run, whole)]
    assert all(ends[0][name].equal(ends[1][name]) for name in ends[1])
    curves = [
        [
            (e.step, e.data["loss"])
            for e in effective(EventReader(each.events_path).poll())
            if e.kind == "train"
        ]
        for each in (run, whole)
    ]
    assert curves[0] == curves[1]
    figures(
        "memory", "a step that finds none ends the run with 7 and one line; resumed, it ends in the same bits"
    )
