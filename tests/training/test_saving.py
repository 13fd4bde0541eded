"""Checkpoints that are written beside training."""

import os
import random
import signal
import threading
import time

import pytest
import safetensors.torch
import torch

from rnn_tui.errors import DiskError
from rnn_tui.model.file import weights
from rnn_tui.model.header import read_header
from rnn_tui.runs.events import effective
from rnn_tui.training import checkpoint, obeying
from rnn_tui.training.snapshot import tensors_of


@pytest.fixture
def gate(monkeypatch):
    """The writing of a checkpoint waits where this is not set."""
    gate, real = threading.Event(), checkpoint.save
    gate.set()

    def save(*args, **more):
        assert gate.wait(60)
        return real(*args, **more)

    monkeypatch.setattr(checkpoint, "save", save)
    return gate


def end(trainer):
    """As a kill would, but that the thread of this process is waited for."""
    raise KeyboardInterrupt


def told(run, kind="checkpoint"):
    key = {"checkpoint": "reason", "warning": "message"}[kind]
    return [(e.step, e.data[key]) for e in run.events() if e.kind == kind]


def refuse(monkeypatch, steps, error):
    real = checkpoint.save

    def save(folder, step, files, **more):
        if step in steps:
            raise error
        return real(folder, step, files, **more)

    monkeypatch.setattr(checkpoint, "save", save)


def test_the_copy_sees_nothing_of_what_comes_after(make, text, gate):
    run, then = make("a", text), {}

    def save(trainer):
        gate.clear()
        then["model"] = {name: tensor.clone() for name, tensor in weights(trainer.model).items()}
        then["train"] = {name: tensor.clone() for name, tensor in tensors_of(trainer).items()}
        assert trainer.save("steps") is None
        trainer.progress.tokens = -1
        with torch.no_grad():
            for tensor in (*weights(trainer.model).values(), *tensors_of(trainer).values()):
                tensor.zero_()
        torch.manual_seed(99)
        random.seed(99)
        assert trainer.saving.busy
        gate.set()
        trainer.collect(wait=True)
        end(trainer)

    run.at(step_6=save)
    with pytest.raises(KeyboardInterrupt):
        run.train()
    newest = checkpoint.find(run.checkpoints)[0]
    newest.verify()
    tensors, values = newest.load()
    model = safetensors.torch.load(newest.model_path.read_bytes())
    assert (newest.step, values["progress"]["tokens"]) == (6, 6 * 8 * 12)
    for wanted, found in ((then["model"], model), (then["train"], tensors)):
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert {"rng.torch", "carry.0", "optim.0.exp_avg"} <= tensors.keys()
    assert any(tensor.any() for tensor in model.values())


def test_resumed_from_one_that_was_written_while_training_went_on(make, text, gate):
    more = {"checkpoint": {"every_steps": 6}, "watch": {"log_every": 1, "validate_every": 15}}
    whole, parts = make("whole", text, **more), make("parts", text, **more)
    assert whole.train() == 0

    def written(trainer):
        gate.set()
        while trainer.saving.busy:
            time.sleep(0.01)

    parts.at(step_4=lambda _: gate.clear(), step_8=written, step_10=end)
    with pytest.raises(KeyboardInterrupt):
        parts.train()
    log = [(e.kind, e.step) for e in parts.events() if e.kind in ("train", "checkpoint")]
    before = [("train", step) for step in range(1, 10)]
    assert log == [("checkpoint", 0), *before, ("checkpoint", 6), ("train", 10)]
    assert parts.train() == 0
    assert parts.fingerprint() == whole.fingerprint()
    assert parts.curve() == whole.curve()
    log = [(e.kind, e.step) for e in effective(parts.events())]
    assert [step for kind, step in log if kind == "train"] == list(range(1, 31))
    steps = [step for kind, step in log if kind == "checkpoint"]
    assert steps == [0, 6, 12, 15, 18, 24, 30, 30]
    assert [e.seq for e in parts.events()] == list(range(1, len(parts.events()) + 1))


def test_one_that_is_awaited_comes_after_the_one_on_its_way(make, text, gate):
    run, seen = make("a", text), []

    def ask(trainer):
        gate.clear()
        trainer.save("steps")
        threading.Timer(0.2, gate.set).start()
        assert trainer.save("request") is None
        seen.extend(told(run))
        seen.append(checkpoint.find(run.checkpoints)[0].step)
        end(trainer)

    run.at(step_3=ask)
    with pytest.raises(KeyboardInterrupt):
        run.train()
    assert seen == [(0, "start"), (3, "steps"), (3, "request"), 3]


def test_one_that_is_due_by_the_clock_only_waits_until_the_thread_is_free(make, text, gate):
    run = make("a", text, checkpoint={"every_minutes": 1e-9})

    def close(trainer):
        trainer.collect(wait=True)
        gate.clear()

    def written(trainer):
        gate.set()
        while trainer.saving.busy:
            time.sleep(0.01)

    def look(trainer):
        trainer.collect(wait=True)
        end(trainer)

    run.at(step_2=close, step_6=written, step_7=look)
    with pytest.raises(KeyboardInterrupt):
        run.train()
    assert [step for step, _ in told(run) if step > 2] == [3, 7]


def test_two_that_are_due_at_once_are_one(make, text):
    run = make("a", text, checkpoint={"every_steps": 10})
    assert run.train() == 0
    best = [e.step for e in run.events() if e.kind == "validation" and e.data["best"]]
    assert told(run) == [
        (0, "start"),
        *((step, "best" if step in best else "steps") for step in (10, 20, 30)),
        (30, "end"),
    ]
    assert read_header(run.model_path).training["step"] == best[-1]


def test_a_fault_is_told_and_training_goes_on(make, text, monkeypatch):
    refuse(monkeypatch, {5, 15, 25}, DiskError("could not save: no space left on the disk"))
    run = make("a", text, checkpoint={"every_steps": 5})
    assert run.train() == 0
    assert [message for _, message in told(run, "warning")] == [
        "could not save: no space left on the disk"
    ] * 3
    assert [e.data["unsaved"] for e in run.events() if e.kind == "warning"] == ["steps"] * 3
    assert [step for step, _ in told(run)] == [0, 10, 20, 30, 30]
    assert not [e for e in run.events() if e.kind == "state"]  # three, but not in a row


def test_after_three_faults_in_a_row_the_run_waits_for_the_disk_and_goes_on(make, text, monkeypatch):
    monkeypatch.setattr(obeying, "RETRY_SECONDS", 0.1)
    tries = []
    real = checkpoint.save

    def save(folder, step, *args, **more):
        if folder == run.checkpoints and step >= 9 and len(tries) < 6:  # then somebody makes room
            tries.append(step)
            raise DiskError("could not save: no space left on the disk")
        return real(folder, step, *args, **more)

    monkeypatch.setattr(checkpoint, "save", save)
    more = {"checkpoint": {"every_steps": 3}, "watch": {"log_every": 4, "validate_every": 100}}
    whole, run = make("whole", text, **more), make("a", text, **more)
    assert run.train() == 0
    assert tries[:3] == [9, 12, 15]
    step = tries[3]  # the third fault is known an update or two later
    assert tries[3:] == [step] * 3
    states = [(e.step, e.data["state"]) for e in run.events() if e.kind == "state"]
    assert states == [(step, "paused"), (step, "running")]
    assert (step, "pause") in told(run)
    message = next(e.data["message"] for e in run.events() if e.kind == "state")
    assert message == "waiting for the disk: could not save: no space left on the disk"
    assert len(told(run, "warning")) == 1  # not once for each try
    assert whole.train() == 0
    assert run.fingerprint() == whole.fingerprint()
    assert run.curve() == whole.curve()


@pytest.mark.parametrize("ended", [False, True])
def test_a_complete_run_waits_for_the_disk_too(make, text, monkeypatch, ended):
    monkeypatch.setattr(obeying, "RETRY_SECONDS", 0.1)
    tries = []
    real = checkpoint.save

    def save(folder, step, *args, **more):
        if step == 30:
            tries.append(step)
            if len(tries) == 3 and ended:
                os.kill(os.getpid(), signal.SIGTERM)
            if len(tries) < 4:
                raise DiskError("could not save: no space left on the disk")
        return real(folder, step, *args, **more)

    monkeypatch.setattr(checkpoint, "save", save)
    run = make("a", text, checkpoint={"every_minutes": 0}, watch={"validate_every": 100})
    if ended:
        assert run.train() == 5
        assert (run.events()[-1].data["reason"], len(tries)) == ("failed", 3)
        assert run.train() == 0  # what was not saved is trained again
    else:
        assert run.train() == 0
        assert len(tries) == 4
    assert run.events()[-1].data["reason"] == "finished"
    assert checkpoint.find(run.checkpoints)[0].step == 30


def test_a_start_that_cannot_be_saved_is_the_end(make, text, monkeypatch):
    refuse(monkeypatch, {0}, DiskError("could not save: no space left on the disk"))
    run = make("a", text)
    assert run.train() == 5
    assert run.events()[-1].data["reason"] == "failed"
    assert not [e for e in run.events() if e.kind == "train"]


def test_any_other_error_of_the_thread_ends_the_run(make, text, monkeypatch, capsys):
    refuse(monkeypatch, {5}, ValueError("odd"))
    run = make("a", text, checkpoint={"every_steps": 5})
    assert run.train() == 1
    assert "ValueError: odd" in run.events()[-1].data["message"]
    assert "Traceback" in capsys.readouterr().err


def test_a_run_that_crashes_waits_for_the_thread(make, text, gate, capsys):
    run = make("a", text, checkpoint={"every_steps": 5})

    def crash(trainer):
        assert trainer.saving.busy
        threading.Timer(0.2, gate.set).start()
        raise RuntimeError("boom")

    run.at(step_4=lambda _: gate.clear(), step_6=crash)
    assert run.train() == 1
    assert "boom" in capsys.readouterr().err
    assert [(e.kind, e.step) for e in run.events()][-3:] == [("checkpoint", 5), ("error", 6), ("end", 6)]
    checkpoint.find(run.checkpoints)[0].verify()
