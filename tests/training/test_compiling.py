"""Runs on the compiled rung, with the compiler that is there."""

import shutil
from functools import partial

import pytest

from rnn_tui.training import pace, switching
from rnn_tui.training.loop import Trainer
from rnn_tui.training.switching import Switching

pytestmark = pytest.mark.skipif(
    not (shutil.which("gcc") or shutil.which("clang")), reason="there is no compiler"
)

SMALL = {"arch": "rnn", "hidden_size": 16, "num_layers": 1, "dropout": 0.2}


def test_stopped_and_resumed_equals_undisturbed(make, text):
    runtime = {"exact": True, "engine": "compiled", "threads": 1}
    data = {"seq_len": 12, "seq_len_min": 5, "batch_size": 8}
    whole, parts = (make(name, text, runtime=runtime, data=data, model=SMALL) for name in ("whole", "parts"))
    assert whole.train() == 0
    for step in (7, 18, None):
        if step:
            parts.stop_at(step)
        assert parts.train() == 0
    assert parts.fingerprint() == whole.fingerprint()
    assert [e.data["engine"] for e in parts.events() if e.kind in ("start", "resume")] == ["compiled"] * 3
    assert not [e for e in parts.events() if e.kind in ("warning", "note")]


def test_compiling_beside_training_changes_nothing(make, text, monkeypatch):
    """The thread traces, compiles and compares while updates draw for their dropout; then it loses the race."""
    plain = make("plain", text, runtime={"engine": "eager"}, model=SMALL, budget={"steps": 200})
    assert plain.train() == 0
    told = []
    monkeypatch.setattr(pace, "race", lambda *_: (1.0, 2.0))
    monkeypatch.setattr(switching, "race", lambda *_: (1.0, 2.0))
    monkeypatch.setattr(Switching, "_worth_compiling", lambda self: self.trainer.progress.step == 2)
    compiled = Switching._compiled
    monkeypatch.setattr(
        Switching, "_compiled", lambda self, problem: (told.append(problem), compiled(self, problem))
    )
    update = Trainer._update

    def waited(self):  # the last updates come when it is done
        if self.progress.step == 150:
            self.switching._ahead and self.switching._ahead.join()
        return update(self)

    monkeypatch.setattr(Trainer, "_update", waited)
    beside = make("beside", text, runtime={"engine": "auto"}, model=SMALL, budget={"steps": 200})
    assert beside.train() == 0
    assert told == [None]
    assert beside.fingerprint() == plain.fingerprint()
    assert not [e for e in beside.events() if e.kind == "engine"]


def test_a_worker_switches_while_it_trains(make, text, wait_for):
    """And is killed after it, before a checkpoint has the switch; the next one makes it again at its step."""
    run = make(
        "a",
        text,
        runtime={"engine": "compiled", "threads": 0},
        model=SMALL,
        budget={"steps": 10**6},
        watch={"log_every": 4, "validate_every": 10**6, "sample_length": 0},
    )

    def switches():
        return [(e.attempt, e.step, e.data["to"]) for e in run.events() if e.kind == "engine"]

    def far(attempt):
        [step, *_] = [at for _, at, _ in switches()] or [10**6]
        return any(e.kind == "train" and e.attempt == attempt and e.step > step + 20 for e in run.events())

    for attempt in (1, 2):
        process = run.start()
        try:
            wait_for(partial(far, attempt))
        finally:
            process.kill()
            process.wait()
    step = switches()[0][1]
    assert switches() == [(1, step, "compiled"), (2, step, "compiled")]
    losses = {
        attempt: {e.step: e.data["loss"] for e in run.events() if e.kind == "train" and e.attempt == attempt}
        for attempt in (1, 2)
    }
    both = losses[1].keys() & losses[2].keys()
    assert max(both) > step + 20
    assert {s: losses[1][s] for s in both} == {s: losses[2][s] for s in both}
