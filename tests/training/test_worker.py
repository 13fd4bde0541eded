"""The worker on real run folders: how runs begin, end and fail."""

import errno
import os
import sys
import threading
import time

import numpy as np
import pytest
import torch

from rnn_tui.errors import DivergedError, InputError, UsageError
from rnn_tui.runs.events import number
from rnn_tui.runs.status import read_status, run_state
from rnn_tui.training import checkpoint, obeying, work


def test_a_run_from_start_to_end(make, text):
    run = make("a", text)
    assert run.train() == 0
    kinds = [e.kind for e in run.events()]
    assert kinds[0] == "start"
    assert kinds[-1] == "end"
    end = run.events()[-1].data
    assert end["reason"] == "finished"
    assert end["steps"] == 30
    losses = [number(e.data["loss"]) for e in run.events() if e.kind == "validation"]
    assert losses[-1] < losses[0]
    assert end["best_loss"] == min(losses)
    assert [e.step for e in run.events() if e.kind == "validation"] == [10, 20, 30]
    assert [e.step for e in run.events() if e.kind == "train"] == [4, 8, 12, 16, 20, 24, 28, 30]
    status = read_status(run)
    assert (status.state, status.step, status.best_loss) == ("finished", 30, min(losses))
    points = [e.data for e in run.events() if e.kind == "train"]
    tokens = np.diff([0, *(point["tokens"] for point in points)])
    seconds = tokens / [point["tokens_per_second"] for point in points]
    assert status.tokens_per_second == pytest.approx(tokens.sum() / seconds.sum())
    assert run.model_path.exists()
    assert not run_state(run).alive


def test_where_there_are_no_hard_links_the_model_is_copied(make, text, monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    run = make("a", text)
    assert run.train() == 0
    best = next(
        c.model_path for c in checkpoint.find(run.checkpoints) if c.step == read_status(run).best_step
    )
    assert run.model_path.read_bytes() == best.read_bytes()
    assert run.model_path.stat().st_ino != best.stat().st_ino
    assert not list(run.path.glob(".tmp-*"))


def test_a_loss_that_is_not_finite_ends_the_run(make, text):
    run = make(
        "a",
        text,
        optim={"optimizer": "sgd", "lr": 1e6, "clip": 0.0, "warmup_steps": 0},
        model={"arch": "nn-rnn", "options": {"nonlinearity": "relu"}, "hidden_size": 16, "num_layers": 2},
    )
    code = run.train()
    end = run.events()[-1].data
    assert (code, end["reason"], end["exit_code"]) == (6, "diverged", 6)
    assert read_status(run).state == "diverged"
    assert checkpoint.newest_valid(run.checkpoints, pytest.fail) is not None


OPTIMISERS, SCHEDULES = ("sgd", "adam", "adamw", "rmsprop"), ("constant", "cosine", "step", "plateau")


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        pytest.param(one, other, marks=() if i == j else pytest.mark.slow)
        for i, one in enumerate(OPTIMISERS)
        for j, other in enumerate(SCHEDULES)
    ],
)
def test_every_optimiser_and_schedule_trains(make, text, optimizer, schedule):
    rate = {"sgd": 1.0, "rmsprop": 0.005}.get(optimizer, 0.01)
    run = make(
        "a",
        text,
        optim={"optimizer": optimizer, "schedule": schedule, "lr": rate, "warmup_steps": 3},
    )
    assert run.train() == 0
    losses = [e.data["loss"] for e in run.events() if e.kind == "validation"]
    assert losses[-1] < losses[0]


def test_early_stopping(make, text):
    run = make(
        "a",
        text,
        optim={"lr": 1e-9},
        budget={"steps": 500, "patience": 2},
        watch={"log_every": 4, "validate_every": 3, "sample_length": 0},
    )
    run.train()
    end = run.events()[-1].data
    # at such a rate nothing improves by more than rounding
    assert end["reason"] == "early-stop"
    assert end["steps"] < 500


def test_minutes_are_a_budget(make, text):
    run = make("a", text, budget={"steps": 0, "minutes": 0.02})
    begin = time.monotonic()
    assert run.train() == 0
    assert time.monotonic() - begin < 60
    end = run.events()[-1].data
    assert end["elapsed"] >= 1.2
    assert checkpoint.find(run.checkpoints)[0].step == end["steps"]


def test_patience_needs_something_to_validate_on(make, tmp_path, text):
    with pytest.raises(InputError, match=r"too little is held out.*corpus\.validation"):
        make("a", text, corpus={"source": str(text), "validation": 1e-5}, budget={"patience": 2})
    assert not (tmp_path / "runs" / "a").exists()


def test_weights_that_are_no_numbers_are_a_divergence(make, text, monkeypatch):
    def spoiled(*_):
        raise DivergedError("the model's output is not a number")

    monkeypatch.setattr(work, "sample_text", spoiled)
    run = make("a", text)
    assert run.train() == 6
    assert run.events()[-1].data["reason"] == read_status(run).state == "diverged"


def test_a_log_that_cannot_be_written_does_not_change_the_exit_code(make, text, monkeypatch):
    class Full:
        written = 0

        def write(self, _):
            self.written += 1
            raise OSError(errno.ENOSPC, "No space left on device")

    run = make("a", text)
    text.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", Full())
        code = run.train()
        assert sys.stderr.written == 1
    assert code == 3
    assert read_status(run).state == "failed"


def test_what_stands_in_the_log_drives_no_terminal(make, text, capsys):
    run = make("a", text)

    def fail(_):
        raise ValueError("\x1b]52;c;aGVsbG8=\x07\x9b2J")

    run.at(step_3=fail)
    assert run.train() == 1
    said = capsys.readouterr().err
    assert "ValueError: ␛]52;c;aGVsbG8=␇" in said
    assert not set(said) & {"\x1b", "\x07", "\x9b"}


def test_a_device_that_is_not_here_is_refused_before_anything_is_written(make, tmp_path, text):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(UsageError, match=r"device cuda is not here.*finds cpu"):
        make("a", text, runtime={"device": "cuda"})
    with pytest.raises(UsageError, match=r"engine graph exists on cuda only, and there is none here"):
        make("a", text, runtime={"device": "auto", "engine": "graph"})
    assert not (tmp_path / "runs").exists()


def test_a_device_that_fails_is_named_and_the_run_goes_on_elsewhere(make, text):
    run = make("a", text, checkpoint={"every_steps": 5})

    def lost(trainer):
        raise torch.AcceleratorError("CUDA error: unspecified launch failure\nCUDA kernel errors might be…")

    run.at(step_7=lost)
    assert run.train() == 1
    assert run.events()[-1].data["message"] == (
        "the device failed at step 7 on cpu (CUDA error: unspecified launch failure); the checkpoint of step 5 is "
        'whole: resume it when the device is back, or with device = "cpu" under [runtime] in its config.toml'
    )
    assert run.train() == 0


def test_a_run_whose_folder_is_moved_leaves_its_place_alone_and_waits(make, text, tmp_path, monkeypatch):
    monkeypatch.setattr(obeying, "RETRY_SECONDS", 0.1)
    whole, run = (
        make("whole", text, checkpoint={"every_steps": 4}),
        make("a", text, checkpoint={"every_steps": 4}),
    )
    moved, seen = type(run)(tmp_path / "elsewhere"), {}

    def files():
        return {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}

    def move(trainer):
        trainer.collect(wait=True)
        run.path.rename(moved.path)
        make("a", text)  # another run takes the name
        seen.update(files())
        threading.Thread(target=put_back).start()

    def put_back():
        while not any(e.kind == "state" for e in moved.events()):
            time.sleep(0.01)
        time.sleep(0.3)
        assert files() == seen
        run.path.rename(tmp_path / "other")
        moved.path.rename(run.path)

    run.at(step_9=move)
    assert run.train() == whole.train() == 0
    (warning,) = [e.data["message"] for e in run.events() if e.kind == "warning" and "unsaved" in e.data]
    assert warning.startswith(
        "the folder of run a was moved or removed, so nothing more can be saved; put it back at"
    )
    assert [e.data["state"] for e in run.events() if e.kind == "state"] == ["paused", "running"]
    assert run.fingerprint() == whole.fingerprint()
