"""A run that was stopped, killed or damaged goes on as if nothing had happened, or says why not."""

import os
import signal

import pytest
from msgspec import structs

from rnn_tui.errors import BusyError, DiskError
from rnn_tui.runs.status import read_status, run_state, write_status
from rnn_tui.training import checkpoint, obeying, pace, work, worker


@pytest.mark.parametrize(
    ("arch", "engine", "precision", "sampling"),
    [
        pytest.param("lstm", "loop", "fp32", "sequential", marks=pytest.mark.slow),
        ("lstm", "eager", "fp32", "random"),
        ("nn-gru", "auto", "fp32", "sequential"),
        pytest.param("gru", "loop", "bf16", "random", marks=pytest.mark.slow),
        ("nn-lstm", "auto", "bf16", "sequential"),
    ],
)
def test_stopped_and_resumed_equals_undisturbed(make, text, arch, engine, precision, sampling):
    more = {
        # one layer where each start traces and checks it anew
        "model": {
            "arch": arch,
            "hidden_size": 16,
            "dropout": 0.2,
            "num_layers": 1 if engine == "eager" else 2,
        },
        "data": {"seq_len": 12, "seq_len_min": 5, "batch_size": 8, "sampling": sampling},
        "runtime": {"threads": 1, "device": "cpu", "engine": engine, "precision": precision},
    }
    whole, parts = make("whole", text, **more), make("parts", text, **more)
    assert whole.train() == 0
    parts.stop_at(7)
    assert parts.train() == 0
    parts.stop_at(18)
    assert parts.train() == 0
    assert parts.events()[-1].data["reason"] == "stopped"
    assert parts.train() == 0
    assert parts.fingerprint() == whole.fingerprint()
    assert parts.curve() == whole.curve()
    announced = [e.data["engine"] for e in parts.events() if e.kind in ("start", "resume")]
    assert announced == ["own" if arch.startswith("nn-") else engine] * 3
    assert not [e for e in parts.events() if e.kind == "warning"]


def test_the_way_over_time_is_chosen_once(make, text, monkeypatch):
    """By a race at the start; a resumed run takes the one it began with, and says so where it cannot."""
    from rnn_tui.model.recurrence import unrolled

    one = {"runtime": {"engine": "auto"}, "model": {"hidden_size": 16, "num_layers": 1}}
    run = make("a", text, **one)
    monkeypatch.setattr(pace, "race", lambda *_: (2.0, 1.0))  # the loop wins
    run.stop_at(5)
    run.train()
    start = run.events()[0].data
    assert start["engine"] == "loop"
    assert "which was faster" in start["engine_reason"]
    other = make("b", text, **one)
    monkeypatch.setattr(pace, "race", lambda *_: (1.0, 2.0))
    run.stop_at(10)
    run.train()
    assert run.events()[-1].data["reason"] == "stopped"
    assert [e.data["engine"] for e in run.events() if e.kind == "resume"] == ["loop"]
    other.stop_at(5)
    other.train()
    assert other.events()[0].data["engine"] == "eager"
    monkeypatch.setattr(unrolled, "_checked", lambda *_: ({}, "a test says so"))
    assert other.train() == 0
    resume = next(e for e in other.events() if e.kind == "resume").data
    assert (resume["engine"], "a test says so" in resume["engine_reason"]) == ("loop", True)
    warnings = [e.data["message"] for e in other.events() if e.kind == "warning"]
    assert warnings == ["resuming is not bit-exact: engine eager is now loop"]


def test_a_complete_run_is_not_begun_again(make, text, capsys):
    run = make("a", text)
    run.train()
    before = run.fingerprint()
    assert run.train() == 2
    assert "is complete" in capsys.readouterr().err
    assert run.fingerprint() == before
    assert run_state(run).state == "finished"


@pytest.mark.parametrize("moment", ["sample_text", "conclude", "_report"])
def test_killed_after_its_last_step_a_run_is_brought_to_its_end(make, text, monkeypatch, moment):
    """Between the checkpoint of the last step and the last event: there is nothing left to train."""
    whole, run = make("whole", text), make("a", text)
    whole.train()
    module = worker if moment == "_report" else work
    real = getattr(module, moment)

    def killed(*args):
        if moment == "sample_text" and args[3].seed != 1_000_003 + 30:  # the seed of step 30
            return real(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, moment, killed)
    with pytest.raises(KeyboardInterrupt):
        run.train()
    monkeypatch.undo()
    assert run.events()[-1].kind != "end"
    assert run.train() == 0
    assert run.fingerprint() == whole.fingerprint()
    assert run.curve() == whole.curve()
    assert read_status(run).state == "finished"


def test_another_corpus_is_noticed(make, text, capsys):
    run = make("a", text)
    run.stop_at(5)
    run.train()
    text.write_text(text.read_text().replace("cat", "cow"))
    assert run.train() == 3
    assert "is not what run a began with" in capsys.readouterr().err


def test_a_resume_that_cannot_begin_takes_nothing_back(make, tmp_path, text):
    run = make("a", text)
    run.stop_at(12)
    run.train()
    before, model = read_status(run), run.model_path.read_bytes()
    text.rename(tmp_path / "moved.txt")
    assert run.train() == 3
    status, end = read_status(run), run.events()[-1]
    assert (status.state, status.step, status.elapsed) == ("failed", before.step, before.elapsed)
    assert (status.best_loss, status.best_step) == (before.best_loss, 10)
    assert (end.kind, end.step, end.data["steps"]) == ("end", before.step, before.step)
    # nor may a new run of that name replace it
    (tmp_path / "moved.txt").rename(text)
    with pytest.raises(BusyError, match="already a run named a"):
        make("a", text)
    assert run.model_path.read_bytes() == model
    assert run.train() == 0
    assert read_status(run).step == 30


def test_a_failed_run_with_a_checkpoint_is_not_replaced_whatever_its_status_says(make, text):
    run = make("a", text)
    run.stop_at(5)
    run.train()
    write_status(run, structs.replace(read_status(run), state="failed", step=0))
    with pytest.raises(BusyError, match="already a run named a"):
        make("a", text)
    assert checkpoint.find(run.checkpoints)[0].step > 0


def test_a_damaged_checkpoint_is_set_aside(make, text):
    run = make("a", text, checkpoint={"every_steps": 5})
    run.stop_at(12)
    run.train()
    newest = checkpoint.find(run.checkpoints)[0]
    assert newest.step == 12
    raw = bytearray((newest.path / "train.safetensors").read_bytes())
    raw[-3] ^= 4
    (newest.path / "train.safetensors").write_bytes(raw)
    assert run.train() == 0
    warnings = [e.data["message"] for e in run.events() if e.kind == "warning"]
    assert any("set aside" in message for message in warnings)
    assert next(e for e in run.events() if e.kind == "resume").data["from_step"] == 10


def test_a_last_checkpoint_that_cannot_be_written_is_waited_for(make, text, monkeypatch):
    whole, run = make("whole", text), make("a", text)
    whole.train()
    real, tried = checkpoint.save, []

    def full(folder, step, *args, **more):
        tried.append(step)
        if step == 30 and tried.count(30) < 4:  # the best, the last, and once more
            raise DiskError("could not save step-00000030: no space left on the disk")
        return real(folder, step, *args, **more)

    monkeypatch.setattr(checkpoint, "save", full)
    monkeypatch.setattr(obeying, "RETRY_SECONDS", 0.05)
    assert run.train() == 0
    assert tried.count(30) == 4
    assert run.fingerprint() == whole.fingerprint()
    assert read_status(run).state == "finished"


def test_who_does_not_wait_for_the_last_checkpoint_can_make_up_for_it(make, text, monkeypatch):
    whole, run = make("whole", text), make("a", text)
    whole.train()
    real = checkpoint.save

    def full(folder, step, *args, **more):
        if step == 30:
            os.kill(os.getpid(), signal.SIGTERM)
            raise DiskError("could not save step-00000030: no space left on the disk")
        return real(folder, step, *args, **more)

    monkeypatch.setattr(checkpoint, "save", full)
    assert run.train() == 5
    end = run.events()[-1].data
    assert (end["reason"], end["exit_code"]) == ("failed", 5)
    assert "no space left" in end["message"]
    assert read_status(run).state == "failed"
    monkeypatch.undo()
    assert run.train() == 0
    assert run.fingerprint() == whole.fingerprint()
