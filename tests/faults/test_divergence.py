"""A loss that is not finite or explodes: told, left out, and gone back from, to the same bits wherever it is killed."""

import math
import random
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from fault_runs import write_text

from rnn_tui.runs.events import EventReader, effective, number
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.status import read_status
from rnn_tui.training import checkpoint, divergence, loop, snapshot, storing, worker
from rnn_tui.training.config import DivergenceConfig
from rnn_tui.training.launch import create, prepare_run_config

BAD = """
import math
from rnn_tui.training import loop

class Bad:
    '''Losses are multiplied by `factor` while the rate is above `rate`, from step `first` on.'''

    def __init__(self, factor, rate, first):
        self.factor, self.rate, self.first, self.trainers = factor, rate, first, []

    def install(self):
        begin = loop.Trainer.__init__

        def made(trainer, *args, **more):
            begin(trainer, *args, **more)
            loss = trainer.plain.loss

            def bad(batch, state):
                value, predicted, after = loss(batch, state)
                if trainer.rate > self.rate and trainer.progress.step >= self.first:
                    value = value * self.factor
                return value, predicted, after

            trainer.plain.loss = bad

        loop.Trainer.__init__ = made
"""
exec(BAD)  # here and in the processes that are killed


@pytest.fixture
def bad(monkeypatch):
    """`bad(factor, rate, first)`: from now on losses are as `Bad` says."""
    monkeypatch.setattr(loop.Trainer, "__init__", loop.Trainer.__init__)
    return lambda *words: Bad(*words).install()  # noqa: F821


@pytest.fixture
def make(tmp_path):
    text = write_text(tmp_path)

    def made(name, **more):
        settings = {
            "corpus": {"source": str(text)},
            "model": {"hidden_size": 8, "dropout": 0.1},
            "data": {"seq_len": 6, "batch_size": 4},
            "optim": {"lr": 0.01, "warmup_steps": 0, "schedule": "constant"},
            "budget": {"steps": 60},
            "watch": {"log_every": 5, "validate_every": 20, "sample_length": 5},
            "checkpoint": {"every_steps": 10},
            "runtime": {"threads": 1, "device": "cpu", "engine": "loop"},
        }
        for section, values in more.items():
            settings[section] = settings.get(section, {}) | values
        config = prepare_run_config([("test", settings)]).config
        return create(tmp_path / "runs", name, config)

    before = {n: signal.getsignal(n) for n in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)}
    yield made
    for number_, handler in before.items():  # the worker sets those of its process, which here is pytest's
        signal.signal(number_, handler)


def train(run):
    return worker.main(str(run.path))


def events(run, *kinds):
    return [e for e in EventReader(run.events_path).poll() if not kinds or e.kind in kinds]


def outcome(run):
    """Weights, optimiser, carried state and generators, and the curve, in bytes and plain values."""
    newest = checkpoint.find(run.checkpoints)[0]
    newest.verify()
    tensors, values = newest.load()
    curve = [
        (e.kind, e.step, e.data.get("loss"), e.data.get("lr"), e.data.get("text"))
        for e in effective(events(run))
        if e.kind in ("train", "validation", "sample")
    ]
    kept = {k: v for k, v in values["progress"].items() if k not in ("elapsed", "applied")}
    return (
        newest.step,
        {name: tensor.numpy().tobytes() for name, tensor in tensors.items()},
        newest.model_path.read_bytes().rpartition(b"}")[2],
        kept,
        curve,
    )


def halved_at(monkeypatch, step, factor=0.5):
    """Have the next worker lower its rate at a step, as a person would."""
    go_on = loop.Trainer._go_on

    def lowered(trainer):
        if trainer.progress.step == step:
            trainer.progress.base_lr *= factor
        return go_on(trainer)

    monkeypatch.setattr(loop.Trainer, "_go_on", lowered)


COUNTERS = ("rollbacks", "went_back_to", "lowest_loss", "first_loss", "high")


def same_training(one, other):
    """Whether two runs came to the same, but for the counters of divergence."""
    counters = [{k: v for k, v in found[3].items() if k not in COUNTERS} for found in (one, other)]
    return (one[:3], counters[0], one[4]) == (other[:3], counters[1], other[4])


def went_back(make, bad, monkeypatch):
    """A run whose loss is NaN at the full rate from step 23 on, beside one whose rate is halved by hand at step 20."""
    with monkeypatch.context() as patch:
        halved_at(patch, 20)
        expected = make("expected")
        assert train(expected) == 0
    bad(math.nan, 0.007, 23)
    run = make("run")
    code = train(run)
    return run, code, same_training(outcome(run), outcome(expected)) if code == 0 else False


def test_going_back_is_what_lowering_the_rate_by_hand_would_have_been(make, bad, monkeypatch, figures):
    run, code, same = went_back(make, bad, monkeypatch)
    assert (code, same) == (0, True)
    told = [(e.kind, e.step) for e in events(run, "divergence", "rollback")]
    assert told == [
        ("divergence", 24),
        ("divergence", 25),
        ("rollback", 26),
    ]  # the third is told by what is done
    back = events(run, "rollback")[0].data
    assert (back["to_step"], back["lr"], back["number"]) == (20, 0.005, 1)
    assert (
        back["message"]
        == "went back from step 26 to step-00000020, the learning rate is now 0.005 (1 of 2 times)"
    )
    # the points that led nowhere are in the log, in order, and do not count
    left_out = [e for e in events(run, "train") if not math.isfinite(number(e.data["loss"]))]
    assert [e.step for e in left_out] == [24, 25, 26]
    counted = [e.step for e in effective(events(run)) if e.kind == "train"]
    assert counted == list(range(5, 61, 5))
    assert [e.seq for e in events(run)] == list(range(1, len(events(run)) + 1))
    assert read_status(run).state == "finished"
    figures(
        "divergence", "gone back from NaN: bit for bit as if the rate had been halved by hand at that step"
    )


@pytest.mark.parametrize("broken", ["rate", "weights", "optimiser", "carried state"])
def test_a_way_back_that_forgets_something_is_noticed(make, bad, monkeypatch, figures, broken):
    real = storing.take_back

    def forgetful(trainer, saved, **more):
        part = {"optimiser": "optim.", "carried state": "carry."}[broken]
        tensors = {name: tensor for name, tensor in saved.tensors.items() if not name.startswith(part)}
        empty = {"optim_values": {}} if broken == "optimiser" else {"carried": False}
        real(trainer, replace(saved, tensors=tensors, values=saved.values | empty), **more)

    with monkeypatch.context() as patch:
        match broken:
            case "rate":
                keep = divergence.Divergence._carry_over

                def carry_over(self, before, after):
                    keep(self, before, after)
                    after.base_lr *= 0.9

                patch.setattr(divergence.Divergence, "_carry_over", carry_over)
            case "weights":
                patch.setattr(snapshot, "load_weights", lambda *_: None)
            case _:
                patch.setattr(storing, "take_back", forgetful)
        try:
            same = went_back(make, bad, patch)[2]
        except Exception:
            same = False
    assert not same
    figures("divergence", f"broken on purpose ({broken}): found")


def test_weights_that_became_nan_are_not_gone_back_to(make, bad, monkeypatch):
    """Were no update left out, the sample at step 40 would tell, and the checkpoint of step 30 be refused."""
    monkeypatch.setattr("rnn_tui.training.update.Outcome.finite", property(lambda _: True))
    run, code, same = went_back(make, bad, monkeypatch)
    assert (code, same) == (0, True)
    assert [(e.step, e.data["to_step"]) for e in events(run, "rollback")] == [(40, 20)]
    assert any(
        "step-00000030" in e.data["message"] and "NaN" in e.data["message"] for e in events(run, "warning")
    )


def test_it_stops_where_that_is_the_policy_or_going_back_does_not_help(make, bad):
    bad(math.nan, 0.0, 23)
    stopped, tried = make("stopped", divergence={"policy": "stop"}), make("tried")
    assert (train(stopped), train(tried)) == (6, 6)
    assert not events(stopped, "rollback")
    # the second time from one checkpoint further back
    assert [e.data["to_step"] for e in events(tried, "rollback")] == [20, 10]
    assert [e.data["lr"] for e in events(tried, "rollback")] == [0.005, 0.0025]
    for run in (stopped, tried):
        end = events(run, "end")[0].data
        assert (end["reason"], end["exit_code"], read_status(run).state) == ("diverged", 6, "diverged")
        tried_before = ", having gone back 2 times" if run == tried else ""
        assert end["message"] == (
            f"at step 26{tried_before}, the loss was not finite for 3 updates in a row; the last checkpoint is from "
            "before; try a lower lr or clip"
        )
        assert checkpoint.newest_valid(run.checkpoints, pytest.fail).step == 20


def test_it_goes_on_where_that_is_the_policy(make, bad):
    bad(math.inf, 0.0, 23)
    run = make("a", divergence={"policy": "ignore"})
    assert train(run) == 0
    assert [e.step for e in events(run, "divergence")] == [24, 25, 27, 31, 39, 55]  # ever more seldom
    last, before = (checkpoint.find(run.checkpoints)[i].model_path.read_bytes()[-400:] for i in (0, 1))
    assert last == before  # no update was taken
    assert [e.step for e in events(run, "train") if e.step > 23] == list(range(24, 61))


def test_an_explosion_is_told_once_and_gone_back_from_where_that_is_wanted(make, bad, monkeypatch, figures):
    explosion = {"explosion_steps": 15}
    bad(10.0, 0.007, 31)
    told, back = (
        make("told", divergence=explosion),
        make("b", divergence=explosion | {"on_explosion": "rollback"}),
    )
    assert (train(told), train(back)) == (0, 0)
    (event,) = events(told, "divergence")
    # points of 5 steps: those of 31 to 35 hold four high updates of five, then 10 and 15 steps
    assert (event.step, event.data["what"]) == (45, "exploding")
    assert "times its lowest, and has been as high for 15 steps" in event.data["message"]
    assert not events(told, "rollback")
    (event,) = events(back, "rollback")
    assert (event.step, event.data["to_step"], event.data["lr"]) == (45, 30, 0.005)
    assert max(number(e.data["loss"]) for e in effective(events(back)) if e.kind == "train") < 4
    stop = make("s", divergence=explosion | {"on_explosion": "stop"})
    assert train(stop) == 6
    assert "at step 45, the training loss is" in events(stop, "end")[0].data["message"]
    figures("divergence", "exploding for 15 steps: told once, gone back from, stopped, as asked for")


def test_a_small_loss_that_trebles_does_not_explode():
    told = []
    trainer = SimpleNamespace(
        progress=loop.Progress(),
        config=SimpleNamespace(divergence=DivergenceConfig(explosion_steps=1)),
        journal=SimpleNamespace(event=lambda kind, step, **data: told.append(data["what"])),
    )
    watch = divergence.Divergence(trainer, None)
    for loss in (4.0, 0.01, 0.04, 1.9):  # far more than three times the lowest, but not half the first
        watch.point(loss, 10)
    assert (told, trainer.progress.high) == ([], 0)
    watch.point(2.1, 10)
    assert (told, trainer.progress.high) == (["exploding"], 10)


SCRIPT = textwrap.dedent(BAD) + textwrap.dedent("""
import sys, time
from rnn_tui.training import worker
Bad(math.nan, 0.007, 23).install()
go_on = loop.Trainer._go_on
loop.Trainer._go_on = lambda trainer: (time.sleep(0.01), go_on(trainer))[1]
sys.exit(worker.main(sys.argv[1]))
""")


def killed_on_the_way(run, kills, generator):
    """Kill the run at random moments until it ends; return how often, and how often after it went back."""
    after = count = 0
    while True:
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(run.path)], stderr=subprocess.DEVNULL)
        if count < kills:
            seen = len(events(run))
            deadline = time.monotonic() + 60
            while len(events(run)) <= seen and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.002)
            time.sleep(generator.random() * 0.6)
            process.kill()
        code = process.wait()
        if events(run, "end"):
            return count, after
        assert code == -signal.SIGKILL
        count += 1
        after += bool(events(run, "rollback"))


def test_killed_at_random_around_the_way_back(make, bad, monkeypatch, amount, seed, figures):
    bad(math.nan, 0.007, 23)
    whole = make("whole")
    assert train(whole) == 0
    kills = afters = 0
    for repeat in range(amount(1, 6)):
        run = make(f"killed-{repeat}")
        count, after = killed_on_the_way(RunFolder(run.path), amount(2, 6), random.Random(seed + repeat))
        assert outcome(run) == outcome(whole)
        kills, afters = kills + count, afters + after
    figures(
        "divergence",
        f"0 of {amount(1, 6)} runs differ after {kills} kills, {afters} of them after it went back",
    )
