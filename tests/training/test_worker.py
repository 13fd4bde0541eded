"""The worker on real run folders: in this process where that is enough, as a process of its own where it matters."""

import errno
import math
import os
import random
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch
from msgspec import structs

from rnn_tui.corpus.baselines import baselines
from rnn_tui.errors import BusyError, DiskError, DivergedError, InputError, UsageError
from rnn_tui.model.file import load_model, load_series, read_header
from rnn_tui.runs.control import send
from rnn_tui.runs.events import EventReader, effective, number
from rnn_tui.runs.lock import RunLock
from rnn_tui.runs.status import read_status, run_state, write_status
from rnn_tui.tasks.windows import plan_epoch
from rnn_tui.training import checkpoint, session, work, worker
from rnn_tui.training.config import resolve
from rnn_tui.training.data import prepare_data
from rnn_tui.training.launch import create, prepare_run_config
from rnn_tui.training.obeying import Orders
from rnn_tui.training.setup import Pace


@pytest.fixture(autouse=True)
def steady():
    """The worker sets signal handlers and the thread count of its process, which here is pytest's."""
    handlers = {n: signal.getsignal(n) for n in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)}
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    for number_, handler in handlers.items():
        signal.signal(number_, handler)


@pytest.fixture
def text(tmp_path):
    words = "the cat sat on the mat and the dog lay by the door of the old red house\n".split(" ")
    generator = random.Random(0)
    path = tmp_path / "words.txt"
    path.write_text(" ".join(generator.choice(words) for _ in range(4000)))
    return path


def settings(text, **more):
    base = {
        "corpus": {"source": str(text)},
        "model": {"hidden_size": 16, "dropout": 0.2, "num_layers": 2},
        "data": {"seq_len": 12, "batch_size": 8},
        "optim": {"warmup_steps": 3},
        "budget": {"steps": 30},
        "watch": {"log_every": 4, "validate_every": 10, "sample_length": 20},
        # no race: on a loaded machine two runs may choose differently, and then differ in the last bits
        "runtime": {"threads": 1, "device": "cpu", "engine": "loop"},
    }
    return {section: base.get(section, {}) | more.get(section, {}) for section in base | more}


def make(tmp_path, name, text, **more):
    return create(tmp_path / "runs", name, prepare_run_config([("test", settings(text, **more))]).config)


def train(run):
    return worker.main(str(run.path))


def events(run):
    return EventReader(run.events_path).poll()


def fingerprint(run):
    """Everything that a continued run depends on, from its newest checkpoint."""
    newest = checkpoint.find(run.checkpoints)[0]
    newest.verify()
    tensors, values = newest.load()
    weights = safetensors.torch.load(newest.model_path.read_bytes())
    all_of_it = tensors | weights
    progress = {k: v for k, v in values["progress"].items() if k not in ("elapsed", "applied")}
    return (
        newest.step,
        {k: (t.float() if t.dtype == torch.bfloat16 else t).numpy().tobytes() for k, t in all_of_it.items()},
        progress,
        values["python_rng"],
    )


def curve(run):
    """What was measured, times left out."""
    keep = {
        "train": ("loss", "grad_norm", "clipped", "lr", "tokens"),
        "validation": ("loss", "best"),
        "sample": ("text",),
    }
    return [
        (e.kind, e.step, *(e.data[k] for k in keep[e.kind])) for e in effective(events(run)) if e.kind in keep
    ]


def test_a_run_from_start_to_end(tmp_path, text):
    run = make(tmp_path, "a", text)
    assert train(run) == 0
    kinds = [e.kind for e in events(run)]
    assert kinds[0] == "start"
    assert kinds[-1] == "end"
    end = events(run)[-1].data
    assert end["reason"] == "finished"
    assert end["steps"] == 30
    losses = [number(e.data["loss"]) for e in events(run) if e.kind == "validation"]
    assert losses[-1] < losses[0]
    assert end["best_loss"] == min(losses)
    assert [e.step for e in events(run) if e.kind == "validation"] == [10, 20, 30]
    assert [e.step for e in events(run) if e.kind == "train"] == [4, 8, 12, 16, 20, 24, 28, 30]
    status = read_status(run)
    assert (status.state, status.step, status.best_loss) == ("finished", 30, min(losses))
    assert run.model_path.exists()
    assert not run_state(run).alive


@pytest.mark.parametrize("sampling", ["sequential", "random"])
@pytest.mark.parametrize(
    ("arch", "engine", "precision"),
    [
        ("lstm", "loop", "fp32"),
        ("lstm", "eager", "fp32"),
        ("nn-gru", "auto", "fp32"),
        ("gru", "loop", "bf16"),
        ("nn-lstm", "auto", "bf16"),
    ],
)
def test_stopped_and_resumed_equals_undisturbed(tmp_path, text, arch, engine, precision, sampling):
    more = {
        "model": {"arch": arch, "hidden_size": 16, "dropout": 0.2, "num_layers": 2},
        "data": {"seq_len": 12, "seq_len_min": 5, "batch_size": 8, "sampling": sampling},
        "runtime": {"threads": 1, "device": "cpu", "engine": engine, "precision": precision},
    }
    whole, parts = make(tmp_path, "whole", text, **more), make(tmp_path, "parts", text, **more)
    assert train(whole) == 0
    stop_at(parts, 7)
    assert train(parts) == 0
    stop_at(parts, 18)
    assert train(parts) == 0
    assert events(parts)[-1].data["reason"] == "stopped"
    assert train(parts) == 0
    assert fingerprint(parts) == fingerprint(whole)
    assert curve(parts) == curve(whole)
    announced = [e.data["engine"] for e in events(parts) if e.kind in ("start", "resume")]
    assert announced == ["own" if arch.startswith("nn-") else engine] * 3
    assert not [e for e in events(parts) if e.kind == "warning"]


@pytest.fixture
def pairs(tmp_path):
    """Lines of 3 to 9 letters, each labelled with the letter before it."""
    generator = random.Random(1)
    words = ["".join(generator.choices("abcd", k=generator.randint(3, 9))) for _ in range(60)]
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{word}\t{word[-1]}{word[:-1]}\n" for word in words))
    return path


@pytest.fixture
def numbers(tmp_path):
    generator = random.Random(2)
    path = tmp_path / "numbers.csv"
    path.write_text("a,b\n" + "".join(f"{math.sin(t / 5)},{generator.gauss(3, 2)}\n" for t in range(400)))
    return path


TASKS = {
    "aligned": {
        "task": {"name": "aligned"},
        "model": {"arch": "lstm", "hidden_size": 8, "bidirectional": True},
    },
    "series": {"task": {"name": "series", "horizons": [1, 4]}, "model": {"arch": "gru", "hidden_size": 8}},
}


@pytest.mark.parametrize("task", list(TASKS))
def test_every_task_resumes_as_if_undisturbed(tmp_path, pairs, numbers, task):
    """The loop and the checkpoint know none of them; what a run shows is of its task."""
    source = pairs if task == "aligned" else numbers
    more = TASKS[task]
    whole, parts = make(tmp_path, "whole", source, **more), make(tmp_path, "parts", source, **more)
    assert train(whole) == 0
    stop_at(parts, 7)
    assert train(parts) == 0
    stop_at(parts, 18)
    assert train(parts) == 0
    assert train(parts) == 0
    assert fingerprint(parts) == fingerprint(whole)
    assert curve(parts) == curve(whole)
    start = events(whole)[0].data
    unit, measures = {
        "aligned": ("nats per label", ["accuracy", "exact"]),
        "series": ("squared error", ["mse", "rmse"]),
    }[task]
    assert (start["task"], start["unit"], start["measures"]) == (task, unit, measures)
    shown = {"aligned": "transcription", "series": "forecast"}[task]
    assert {e.kind for e in events(whole)} >= {shown, "validation", "train", "checkpoint"}
    assert not {e.kind for e in events(whole)} & {"sample", "warning", "error"}
    check = [e.data for e in events(whole) if e.kind == "validation"][-1]
    assert all(number(check[name]) >= 0 for name in measures)


def test_a_model_file_holds_what_its_task_reads(tmp_path, pairs, numbers):
    for task, source in (("aligned", pairs), ("series", numbers)):
        run = make(tmp_path, task, source, **TASKS[task])
        assert train(run) == 0
        header = read_header(run.model_path)
        assert header.task == task
        assert (header.tokenizer is None, header.scaling is None) == (task == "series", task == "aligned")
    model, scaling, _ = load_series(run.model_path)
    rows = np.loadtxt(numbers, delimiter=",", skiprows=1)[:360]
    assert scaling.columns == ("a", "b")
    np.testing.assert_allclose(scaling.mean, rows.mean(0), rtol=1e-6)
    assert model.output_size == 2
    with pytest.raises(UsageError, match="series of numbers"):
        load_model(run.model_path)
    with pytest.raises(UsageError, match="trained on tokens"):
        load_series((tmp_path / "runs" / "aligned") / "model.safetensors")


def test_validation_by_epochs_and_a_sample_for_each_prompt_and_temperature(tmp_path, text):
    watch = {
        "every_epochs": 2,
        "sample_prompts": ["the ", "a"],
        "sample_temperatures": [0.0, 1.0],
        "sample_length": 10,
    }
    run = make(tmp_path, "a", text, watch=watch, budget={"steps": 0, "epochs": 4}, data={"seq_len": 32})
    assert train(run) == 0
    log = events(run)
    per_epoch = log[0].data["steps_per_epoch"]
    checks = [e for e in log if e.kind == "validation"]
    assert [round(e.step / per_epoch) for e in checks] == [2, 4]
    samples = [(e.step, e.data["prompt"], e.data["temperature"]) for e in log if e.kind == "sample"]
    wanted = [(prompt, heat) for prompt in ("the ", "a") for heat in (0.0, 1.0)]
    assert samples == [(e.step, *one) for e in checks for one in wanted]
    meter = next(e.data for e in log if e.kind == "sample")
    assert 0 <= meter["novel"] <= 1
    assert meter["longest"] <= 10


def test_the_last_word_of_a_complete_run_is_its_evaluation(tmp_path, text):
    run = make(tmp_path, "a", text)
    assert train(run) == 0
    told = [e for e in events(run) if e.kind == "evaluation"]
    assert [e.step for e in told] == [30]
    figures = told[0].data
    last = [e.data["loss"] for e in events(run) if e.kind == "validation"][-1]
    assert figures["warm"]["loss"] == pytest.approx(last, rel=1e-6)
    assert figures["cold"]["loss"] != figures["warm"]["loss"]
    assert figures["window"] == 12
    stopped = make(tmp_path, "b", text)
    stop_at(stopped, 5)
    train(stopped)
    assert not [e for e in events(stopped) if e.kind == "evaluation"]


def test_the_way_over_time_is_chosen_once(tmp_path, text, monkeypatch):
    """By a race at the start; a resumed run takes the one it began with, and says so where it cannot."""
    from rnn_tui.model.recurrence import unrolled

    run = make(tmp_path, "a", text, runtime={"engine": "auto"})
    monkeypatch.setattr(session, "race", lambda *_: (2.0, 1.0))  # the loop wins
    stop_at(run, 5)
    train(run)
    start = events(run)[0].data
    assert start["engine"] == "loop"
    assert "which was faster" in start["engine_reason"]
    other = make(tmp_path, "b", text, runtime={"engine": "auto"})
    monkeypatch.setattr(session, "race", lambda *_: (1.0, 2.0))
    stop_at(run, 10)
    train(run)
    assert events(run)[-1].data["reason"] == "stopped"
    assert [e.data["engine"] for e in events(run) if e.kind == "resume"] == ["loop"]
    stop_at(other, 5)
    train(other)
    assert events(other)[0].data["engine"] == "eager"
    monkeypatch.setattr(unrolled, "_verified_plans", lambda *_: ({}, "a test says so"))
    assert train(other) == 0
    resume = next(e for e in events(other) if e.kind == "resume").data
    assert (resume["engine"], "a test says so" in resume["engine_reason"]) == ("loop", True)
    warnings = [e.data["message"] for e in events(other) if e.kind == "warning"]
    assert warnings == ["resuming is not bit-exact: engine eager is now loop"]


def stop_at(run, step):
    """Have the next worker stop when it reaches `step`: a signal that arrives after so many looks."""
    real = worker.open_session

    def opened(*args):
        worker.open_session = real
        trainer, work = real(*args)
        obey = trainer.orders.obey

        def when_there():
            if trainer.progress.step == step:
                trainer.orders._stop = worker.Ending("stopped", "test", 0)
            return obey()

        trainer.orders.obey = when_there
        return trainer, work

    worker.open_session = opened


@pytest.mark.parametrize("omitted", ["rng.torch", "optim", "carry", "cursor", "base_lr", "sums"])
def test_the_comparison_notices_any_part_that_is_not_restored(tmp_path, text, omitted, monkeypatch):
    whole, parts = make(tmp_path, "whole", text), make(tmp_path, "parts", text)
    train(whole)
    stop_at(parts, 6)
    train(parts)
    real = checkpoint.Checkpoint.load

    def load(self):
        tensors, values = real(self)
        progress = values["progress"]
        match omitted:
            case "rng.torch":
                tensors["rng.torch"] = torch.Generator().manual_seed(99).get_state()
            case "optim":
                tensors = {k: torch.zeros_like(t) if k.startswith("optim") else t for k, t in tensors.items()}
            case "carry":
                values["carried"] = False
            case "cursor":
                progress["window"] += 1
            case "base_lr":
                progress["base_lr"] *= 1.5
            case "sums":
                progress["loss_sum"] = 0.0
        return tensors, values

    monkeypatch.setattr(checkpoint.Checkpoint, "load", load)
    train(parts)
    monkeypatch.undo()
    same_weights = fingerprint(parts)[1] == fingerprint(whole)[1]
    assert same_weights == (omitted == "sums")
    assert curve(parts) != curve(whole)


def start_process(run, stderr=subprocess.DEVNULL):
    return subprocess.Popen(
        [sys.executable, "-m", "rnn_tui.training.worker", str(run.path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
    )


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def test_killed_at_random_and_resumed_equals_undisturbed(tmp_path, text):
    more = {"budget": {"steps": 120}, "checkpoint": {"every_steps": 10}}
    whole, parts = make(tmp_path, "whole", text, **more), make(tmp_path, "parts", text, **more)
    assert start_process(whole).wait(120) == 0
    generator = random.Random(5)
    for _ in range(3):
        process = start_process(parts)
        target = generator.randrange(5, 80)
        seen = [0]

        def reached(target=target, seen=seen, process=process):
            seen[0] = max([seen[0], *(e.step for e in events(parts))])
            return seen[0] >= target or process.poll() is not None

        wait_for(reached)
        time.sleep(generator.random() * 0.1)
        process.kill()
        process.wait()
    assert not run_state(parts).alive
    assert start_process(parts).wait(120) == 0
    assert fingerprint(parts) == fingerprint(whole)
    assert curve(parts) == curve(whole)


def test_commands_while_it_runs(tmp_path, text):
    run = make(tmp_path, "a", text, budget={"steps": 100_000})
    process = start_process(run)

    def kinds(kind):
        return [e for e in events(run) if e.kind == kind]

    wait_for(lambda: kinds("train"))
    send(run, "pause")
    wait_for(lambda: [e for e in kinds("state") if e.data["state"] == "paused"])
    wait_for(lambda: read_status(run).state == "paused")
    step = read_status(run).step
    time.sleep(0.3)
    assert read_status(run).step == step
    send(run, "set", {"lr": 1e-4})
    send(run, "resume")
    wait_for(lambda: [e for e in kinds("train") if e.step > step + 4])
    after = next(e for e in kinds("train") if e.step > step + 4)
    assert after.data["lr"] == pytest.approx(1e-4, rel=1e-2)
    send(run, "checkpoint")
    wait_for(lambda: [e for e in kinds("checkpoint") if e.data["reason"] == "request"])
    (run.inbox / "0000000000000000-00000000.json").write_text("{")
    wait_for(lambda: [e for e in kinds("warning") if "refused" in e.data["message"]])
    os.kill(process.pid, signal.SIGHUP)
    time.sleep(0.2)
    assert process.poll() is None
    send(run, "stop")
    assert process.wait(30) == 0
    assert events(run)[-1].data["reason"] == "stopped"
    assert read_status(run).state == "stopped"


@pytest.mark.parametrize(("number_", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_save_and_end(tmp_path, text, number_, code):
    run = make(tmp_path, "a", text, budget={"steps": 100_000})
    process = start_process(run)
    wait_for(lambda: any(e.kind == "train" for e in events(run)))
    os.kill(process.pid, number_)
    assert process.wait(30) == code
    end = events(run)[-1]
    assert end.data["reason"] == "preempted"
    assert checkpoint.find(run.checkpoints)[0].step == end.step


def test_a_second_worker_is_refused(tmp_path, text):
    run = make(tmp_path, "a", text)
    with RunLock.acquire(run):
        process = start_process(run, subprocess.PIPE)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 4
    assert f"process {os.getpid()}".encode() in said


def test_a_complete_run_is_not_begun_again(tmp_path, text, capsys):
    run = make(tmp_path, "a", text)
    train(run)
    before = fingerprint(run)
    assert train(run) == 2
    assert "is complete" in capsys.readouterr().err
    assert fingerprint(run) == before
    assert run_state(run).state == "finished"


@pytest.mark.parametrize("moment", ["sample_text", "conclude", "_report"])
def test_killed_after_its_last_step_a_run_is_brought_to_its_end(tmp_path, text, monkeypatch, moment):
    """Between the checkpoint of the last step and the last event: there is nothing left to train."""
    whole, run = make(tmp_path, "whole", text), make(tmp_path, "a", text)
    train(whole)
    module = worker if moment == "_report" else work
    real = getattr(module, moment)

    def killed(*args):
        if moment == "sample_text" and args[3].seed != 1_000_003 + 30:  # the seed of step 30
            return real(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, moment, killed)
    with pytest.raises(KeyboardInterrupt):
        train(run)
    monkeypatch.undo()
    assert events(run)[-1].kind != "end"
    assert train(run) == 0
    assert fingerprint(run) == fingerprint(whole)
    assert read_status(run).state == "finished"


def test_where_there_are_no_hard_links_the_model_is_copied(tmp_path, text, monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    run = make(tmp_path, "a", text)
    assert train(run) == 0
    best = run.checkpoints / f"step-{read_status(run).best_step:08d}" / "model.safetensors"
    assert run.model_path.read_bytes() == best.read_bytes()
    assert run.model_path.stat().st_ino != best.stat().st_ino
    assert not list(run.path.glob(".tmp-*"))


def test_another_corpus_is_noticed(tmp_path, text, capsys):
    run = make(tmp_path, "a", text)
    stop_at(run, 5)
    train(run)
    text.write_text(text.read_text().replace("cat", "cow"))
    assert train(run) == 3
    assert "is not what run a began with" in capsys.readouterr().err


def test_a_resume_that_cannot_begin_takes_nothing_back(tmp_path, text):
    run = make(tmp_path, "a", text)
    stop_at(run, 12)
    train(run)
    before, model = read_status(run), run.model_path.read_bytes()
    text.rename(tmp_path / "moved.txt")
    assert train(run) == 3
    status, end = read_status(run), events(run)[-1]
    assert (status.state, status.step, status.elapsed) == ("failed", before.step, before.elapsed)
    assert (status.best_loss, status.best_step) == (before.best_loss, 10)
    assert (end.kind, end.step, end.data["steps"]) == ("end", before.step, before.step)
    # nor may a new run of that name replace it
    (tmp_path / "moved.txt").rename(text)
    with pytest.raises(BusyError, match="already a run named a"):
        make(tmp_path, "a", text)
    assert run.model_path.read_bytes() == model
    assert train(run) == 0
    assert read_status(run).step == 30


def test_a_failed_run_with_a_checkpoint_is_not_replaced_whatever_its_status_says(tmp_path, text):
    run = make(tmp_path, "a", text)
    stop_at(run, 5)
    train(run)
    write_status(run, structs.replace(read_status(run), state="failed", step=0))
    with pytest.raises(BusyError, match="already a run named a"):
        make(tmp_path, "a", text)
    assert checkpoint.find(run.checkpoints)[0].step > 0


def test_before_the_first_validation_the_newest_checkpoint_is_the_model(tmp_path, text):
    run = make(tmp_path, "a", text, watch={"validate_every": 1000})
    stop_at(run, 5)
    train(run)
    step = read_header(run.model_path).training["step"]
    assert step == checkpoint.find(run.checkpoints)[0].step > 0


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path, text):
    run = make(
        tmp_path,
        "a",
        text,
        optim={"optimizer": "sgd", "lr": 1e6, "clip": 0.0, "warmup_steps": 0},
        model={"arch": "nn-rnn", "options": {"nonlinearity": "relu"}, "hidden_size": 16, "num_layers": 2},
    )
    code = train(run)
    end = events(run)[-1].data
    assert (code, end["reason"], end["exit_code"]) == (6, "diverged", 6)
    assert read_status(run).state == "diverged"
    assert checkpoint.newest_valid(run.checkpoints, pytest.fail) is not None


def test_a_damaged_checkpoint_is_set_aside(tmp_path, text):
    run = make(tmp_path, "a", text, checkpoint={"every_steps": 5})
    stop_at(run, 12)
    train(run)
    newest = checkpoint.find(run.checkpoints)[0]
    assert newest.step == 12
    raw = bytearray((newest.path / "train.safetensors").read_bytes())
    raw[-3] ^= 4
    (newest.path / "train.safetensors").write_bytes(raw)
    assert train(run) == 0
    warnings = [e.data["message"] for e in events(run) if e.kind == "warning"]
    assert any("set aside" in message for message in warnings)
    assert next(e for e in events(run) if e.kind == "resume").data["from_step"] == 10


def test_validation_equals_evaluating_the_model_file(tmp_path, text):
    from rnn_tui.corpus.prepare import prepare_with
    from rnn_tui.model.file import load_model
    from rnn_tui.tasks.next_token import evaluate

    run = make(tmp_path, "a", text)
    train(run)
    model, tokenizer, header = load_model(run.model_path)
    config = resolve([("x", settings(text))]).config
    ids = prepare_with(config.corpus, tokenizer).splits["validation"].ids()
    model.select_engine(events(run)[0].data["engine"])  # another way over time differs in the last bits
    assert (
        evaluate(model, ids).mean == header.training["validation_loss"] == events(run)[-1].data["best_loss"]
    )


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step", "plateau"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
def test_every_optimiser_and_schedule_trains(tmp_path, text, optimizer, schedule):
    rate = {"sgd": 1.0, "rmsprop": 0.005}.get(optimizer, 0.01)
    run = make(
        tmp_path,
        "a",
        text,
        optim={"optimizer": optimizer, "schedule": schedule, "lr": rate, "warmup_steps": 3},
    )
    assert train(run) == 0
    losses = [e.data["loss"] for e in events(run) if e.kind == "validation"]
    assert losses[-1] < losses[0]


def test_early_stopping(tmp_path, text):
    run = make(
        tmp_path,
        "a",
        text,
        optim={"lr": 1e-9},
        budget={"steps": 500, "patience": 2},
        watch={"log_every": 4, "validate_every": 3, "sample_length": 0},
    )
    train(run)
    end = events(run)[-1].data
    # at such a rate nothing improves by more than rounding
    assert end["reason"] == "early-stop"
    assert end["steps"] < 500


def test_without_a_validation_split_the_newest_model_is_kept(tmp_path, text):
    run = make(tmp_path, "a", text, corpus={"source": str(text), "validation": 0.0})
    assert train(run) == 0
    assert not [e for e in events(run) if e.kind == "validation"]
    assert read_header(run.model_path).training["step"] == 30


def test_minutes_are_a_budget(tmp_path, text):
    run = make(tmp_path, "a", text, budget={"steps": 0, "minutes": 0.02})
    begin = time.monotonic()
    assert train(run) == 0
    assert time.monotonic() - begin < 20
    end = events(run)[-1].data
    assert end["elapsed"] >= 1.2
    assert checkpoint.find(run.checkpoints)[0].step == end["steps"]


@pytest.mark.parametrize("loss_on", ["all", "last"])
def test_a_point_of_the_curve_is_the_mean_over_tokens(tmp_path, text, loss_on):
    data = {"seq_len": 12, "seq_len_min": 1, "batch_size": 8, "loss_on": loss_on}
    watch = {"validate_every": 100, "sample_length": 0}
    short, long = (
        make(tmp_path, f"every-{n}", text, data=data, budget={"steps": 5}, watch={**watch, "log_every": n})
        for n in (1, 5)
    )
    train(short)
    train(long)
    each = [e.data["loss"] for e in events(short) if e.kind == "train"]
    [point] = [e.data["loss"] for e in events(long) if e.kind == "train"]
    tokens = next(e.data["tokens_train"] for e in events(long) if e.kind == "start")
    plan = plan_epoch(tokens, sampling="sequential", batch_size=8, seq_len=12, seq_len_min=1, seed=1, epoch=0)
    weights = plan.lengths[:5].tolist() if loss_on == "all" else [1] * 5
    assert len(set(plan.lengths[:5].tolist())) > 1
    assert point == pytest.approx(sum(w * x for w, x in zip(weights, each, strict=True)) / sum(weights))


def test_without_a_validation_split_there_is_one_sample_at_the_end(tmp_path, text):
    run = make(tmp_path, "a", text, corpus={"source": str(text), "validation": 0.0})
    train(run)
    assert [e.step for e in events(run) if e.kind == "sample"] == [10, 20, 30]


def test_a_last_checkpoint_that_cannot_be_written_fails_the_run_and_can_be_made_up_for(
    tmp_path, text, monkeypatch
):
    whole, run = make(tmp_path, "whole", text), make(tmp_path, "a", text)
    train(whole)
    real = checkpoint.save

    def full(folder, step, *args, **more):
        if step == 30:
            raise DiskError("could not save step-00000030: no space left on the disk")
        return real(folder, step, *args, **more)

    monkeypatch.setattr(checkpoint, "save", full)
    assert train(run) == 5
    end = events(run)[-1].data
    assert (end["reason"], end["exit_code"]) == ("failed", 5)
    assert "no space left" in end["message"]
    assert read_status(run).state == "failed"
    monkeypatch.undo()
    assert train(run) == 0
    assert fingerprint(run) == fingerprint(whole)


@pytest.mark.parametrize(("step", "used", "base"), [(50, 1.0, 0.5), (50, 0.5, 1.0), (1, 0.0, 0.5)])
def test_a_rate_set_where_the_schedule_has_fallen_to_nothing(step, used, base):
    optim = {"schedule": "cosine", "lr_floor": 0.0, "warmup_steps": 4}
    trainer = SimpleNamespace(
        progress=SimpleNamespace(step=step, plateau=1.0, base_lr=0.0),
        config=resolve([("x", {"optim": optim})]).config,
        used=used,
    )
    Orders.set_rate(SimpleNamespace(trainer=trainer), 0.5)
    assert trainer.progress.base_lr == pytest.approx(base)  # half a cosine is at 1/2 in its middle


def test_baselines_are_of_the_tokens_that_are_validated_on(tmp_path, text):
    watch = {"log_every": 4, "validate_every": 10, "sample_length": 0, "validation_tokens": 200}
    run = make(tmp_path, "a", text, watch=watch)
    train(run)
    corpus = prepare_data(resolve([("x", settings(text))]).config)
    held_out = corpus.splits["validation"].ids()
    expected = baselines(corpus.splits["train"].ids(), held_out[:201], corpus.tokenizer.vocab_size)
    start = events(run)[0].data
    assert (start["tokens_validation"], start["baselines"]["trigram"]) == (201, expected.trigram)
    assert {e.data["tokens"] for e in events(run) if e.kind == "validation"} == {200}
    assert len(held_out) > 1000


def test_patience_needs_something_to_validate_on(tmp_path, text):
    with pytest.raises(InputError, match=r"too little is held out.*corpus\.validation"):
        make(tmp_path, "a", text, corpus={"source": str(text), "validation": 1e-5}, budget={"patience": 2})
    assert not (tmp_path / "runs" / "a").exists()


def test_weights_that_are_no_numbers_are_a_divergence(tmp_path, text, monkeypatch):
    def spoiled(*_):
        raise DivergedError("the model's output is not a number")

    monkeypatch.setattr(work, "sample_text", spoiled)
    run = make(tmp_path, "a", text)
    assert train(run) == 6
    assert events(run)[-1].data["reason"] == read_status(run).state == "diverged"


def test_a_log_that_cannot_be_written_does_not_change_the_exit_code(tmp_path, text, monkeypatch):
    class Full:
        written = 0

        def write(self, _):
            self.written += 1
            raise OSError(errno.ENOSPC, "No space left on device")

    run = make(tmp_path, "a", text)
    text.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", Full())
        code = train(run)
        assert sys.stderr.written == 1
    assert code == 3
    assert read_status(run).state == "failed"


def test_a_device_that_is_not_here_is_refused_before_anything_is_written(tmp_path, text):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(UsageError, match=r"device cuda is not here.*finds cpu"):
        make(tmp_path, "a", text, runtime={"device": "cuda"})
    assert not (tmp_path / "runs").exists()


def test_with_automatic_intervals_the_first_validation_comes_early(tmp_path, text, monkeypatch):
    monkeypatch.setattr("rnn_tui.training.session._paced_engine", lambda trainer: Pace(1, 4, 16))
    run = make(tmp_path, "a", text, watch={"log_every": 0, "validate_every": 0, "sample_length": 0})
    assert train(run) == 0
    assert [e.step for e in events(run) if e.kind == "validation"] == [2, 16, 30]
