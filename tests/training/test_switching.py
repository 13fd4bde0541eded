"""A run that switches its way over time or its threads, and one that resumes it: the same weights, bit for bit."""

import dataclasses
import random
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rnn_tui.cli.runs import gather
from rnn_tui.model.recurrence import Unroll, unrolled
from rnn_tui.model.recurrence.loop import run_loop
from rnn_tui.model.recurrence.native.toolchain import NoCompiler
from rnn_tui.runs.status import read_status
from rnn_tui.training import checkpoint, pace, switching, worker
from rnn_tui.training.loop import Trainer
from rnn_tui.training.switching import SOON, Ahead, Switching, Watch

LATER = 300.0
"""Seconds after which threads are timed without a sign, as long as these tests need; a run takes fewer."""

EVERY_TEN = {"every_steps": 10}


@pytest.fixture(autouse=True)
def a_compiled_rung(monkeypatch):
    """One that is there at once and computes what the loop does, so that its bits are not those of the eager rung."""

    def run(plan, cell, xs, state, reset, ids=None):
        return run_loop(cell, xs if ids is None else xs[ids], state, reset)

    monkeypatch.setattr(unrolled.compiled, "run", run)
    monkeypatch.setattr(Unroll, "_compile_plans", lambda self, cell: {True: None, False: None})


@pytest.fixture
def times(monkeypatch):
    """Seconds as a test wants them, in the place of measured ones; `at` is the step at which something is due."""
    said = SimpleNamespace(at=None, race=(2.0, 1.0), threads={1: 1.0, 2: 0.4})

    def best(step):
        threads = min(said.threads, key=said.threads.get)
        torch.set_num_threads(threads)
        return threads, said.threads[threads]

    def race(step, first, second):
        for way in (first, second):
            way()
            step()
        first()
        return said.race

    def timed(step):
        for threads in said.threads:
            torch.set_num_threads(threads)
            step()
        return said.threads

    class At(Ahead):
        """A thread that is done when the trainer looks for the first time."""

        @property
        def done(self):
            self.join()
            return super().done

    monkeypatch.setattr(switching, "race", race)
    monkeypatch.setattr(switching, "best_threads", best)
    monkeypatch.setattr(switching, "time_threads", timed)
    monkeypatch.setattr(switching, "Ahead", At)
    monkeypatch.setattr(pace, "race", lambda *_: (1.0, 2.0))
    monkeypatch.setattr(pace, "best_threads", lambda step: (torch.set_num_threads(1), (1, 1.0))[1])
    # the thread is looked at before the update after that in which it was started
    monkeypatch.setattr(Switching, "_worth_compiling", lambda self: self.trainer.progress.step + 1 == said.at)
    return said


@pytest.fixture
def due(monkeypatch, times):
    """Threads are to be timed at step `times.at`; nothing is compiled."""
    real = Switching.consider

    def consider(self):
        steps = times.at if isinstance(times.at, range) else [times.at]
        self._watch.due = lambda: "a test says so" if self.trainer.progress.step in steps else ""
        real(self)

    monkeypatch.setattr(Switching, "_worth_compiling", lambda self: False)
    monkeypatch.setattr(Switching, "consider", consider)


@pytest.fixture
def kill_at(monkeypatch):
    """Have the next worker die before the update after step `step`."""

    def patch(step):
        real = Trainer._update

        def update(self):
            if self.progress.step == step:
                monkeypatch.setattr(Trainer, "_update", real)
                raise KeyboardInterrupt
            return real(self)

        monkeypatch.setattr(Trainer, "_update", update)

    return patch


@pytest.fixture
def automatic(make, text):
    def made(name, **more):
        runtime = {"threads": 0, "engine": "auto"} | more.pop("runtime", {})
        model = {
            "arch": "rnn",
            "hidden_size": 16,
            "num_layers": 1,
            "dropout": 0.2,
        }  # a layer is traced at each start
        return make(name, text, runtime=runtime, checkpoint=EVERY_TEN, model=model, **more)

    return made


def switches(run, kind="engine"):
    return [(e.attempt, e.step, e.data["from"], e.data["to"]) for e in run.events() if e.kind == kind]


def paces(run):
    return {found.step: found.load()[1]["pace"] for found in checkpoint.find(run.checkpoints)}


def test_a_switch_is_an_event_and_in_force_afterwards(automatic, times):
    times.at = 12
    run = automatic("a")
    assert run.train() == 0
    log = run.events()
    start, switch = log[0].data, next(e for e in log if e.kind == "engine")
    assert (start["engine"], start["threads"]) == ("eager", 1)
    assert switch.step == 12
    assert {key: switch.data[key] for key in ("from", "to", "threads", "reason", "before", "after")} == {
        "from": "eager",
        "to": "compiled",
        "threads": 2,
        "reason": unrolled.COMPILED_REASON,
        "before": 2.0,
        "after": 0.4,
    }
    assert [(step, found["engine"], found["threads"]) for step, found in sorted(paces(run).items())] == [
        (10, "eager", 1),
        (20, "compiled", 2),
        (30, "compiled", 2),
    ]
    manifest = checkpoint.find(run.checkpoints)[0].manifest
    assert (manifest["environment"]["engine"], manifest["environment"]["threads"]) == ("compiled", 2)
    status = read_status(run)
    assert (status.engine, status.threads) == ("compiled", 2)
    shown = gather(run)["start"]
    assert (shown["engine"], shown["engine_reason"], shown["threads"]) == (
        "compiled",
        unrolled.COMPILED_REASON,
        2,
    )
    assert shown["parameters"] == start["parameters"]


@pytest.mark.parametrize(
    "killed",
    [
        (12,),
        (15, 14, 27),
        pytest.param((15,), marks=pytest.mark.slow),
        pytest.param((25,), marks=pytest.mark.slow),
    ],
)
def test_resumed_from_before_or_after_a_switch(automatic, times, kill_at, killed):
    times.at = 12
    whole, parts = automatic("whole"), automatic("parts")
    assert whole.train() == 0
    for step in killed:
        kill_at(step)
        with pytest.raises(KeyboardInterrupt):
            parts.train()
        times.at = None  # what is done again is done because it is in the log
    assert parts.train() == 0
    assert parts.fingerprint() == whole.fingerprint()
    assert parts.curve() == whole.curve()
    assert switches(whole) == [(1, 12, "eager", "compiled")]
    again = [(attempt, 12, "eager", "compiled") for attempt in (1, 2, 3) if attempt == 1 or killed[0] < 20]
    assert switches(parts) == again[: 3 if len(killed) > 1 else 2]
    assert len({e.data["id"] for e in parts.events() if e.kind == "engine"}) == 1
    assert not [e for e in parts.events() if e.kind == "warning"]
    assert gather(parts)["start"]["engine"] == "compiled"


def test_a_switch_is_in_the_weights(automatic, times):
    """Else equal ones would say nothing of a resumed run."""
    found = []
    for times.at in (None, 12, 13):
        run = automatic(f"at-{times.at}")
        assert run.train() == 0
        found.append(run.fingerprint())
    assert found[0] != found[1] != found[2] != found[0]


def test_resumed_where_it_cannot_be_compiled(automatic, times, kill_at, monkeypatch):
    times.at = 12
    run = automatic("a")
    kill_at(15)
    with pytest.raises(KeyboardInterrupt):
        run.train()

    def compile_plans(self, cell):
        raise NoCompiler("there is no C compiler")

    monkeypatch.setattr(Unroll, "_compile_plans", compile_plans)
    assert run.train() == 0
    warnings = [(e.step, e.data["message"]) for e in run.events() if e.kind == "warning"]
    assert [step for step, _ in warnings] == [12]
    assert "resuming is not bit-exact: engine compiled is now eager" in warnings[0][1]
    assert "there is no C compiler" in warnings[0][1]
    assert read_status(run).engine == "eager"


def test_what_is_in_force_is_what_is_told(automatic, times, monkeypatch):
    """Also where the way over time that stands in the checkpoint is not to be had any more."""
    times.at = 5
    run = automatic("a")
    run.stop_at(12)
    assert run.train() == 0

    def compile_plans(self, cell):
        raise NoCompiler("there is no C compiler")

    monkeypatch.setattr(Unroll, "_compile_plans", compile_plans)
    assert run.train() == 0
    assert [e.data["engine"] for e in run.events() if e.kind == "resume"] == ["eager"]
    warnings = [e.data["message"] for e in run.events() if e.kind == "warning"]
    assert warnings == ["resuming is not bit-exact: engine compiled is now eager"]
    assert read_status(run).engine == paces(run)[30]["engine"] == "eager"


def test_threads_are_switched_and_replayed(automatic, times, due, kill_at):
    times.at = 12
    whole, parts = automatic("whole"), automatic("parts")
    assert whole.train() == 0
    kill_at(15)
    with pytest.raises(KeyboardInterrupt):
        parts.train()
    times.at = None
    torch.set_num_threads(1)
    threads = {}
    update = Trainer._update

    def noted(self):
        threads[self.progress.step] = torch.get_num_threads()
        return update(self)

    Trainer._update = noted
    try:
        assert parts.train() == 0
    finally:
        Trainer._update = update
    assert [threads[step] for step in (10, 11, 12, 29)] == [1, 1, 2, 2]
    assert switches(parts, "threads") == [(1, 12, 1, 2), (2, 12, 1, 2)]
    event = next(e for e in whole.events() if e.kind == "threads")
    assert (event.data["reason"], event.data["before"], event.data["after"]) == ("a test says so", 1.0, 0.4)
    assert {step: found["threads"] for step, found in paces(whole).items()} == {10: 1, 20: 2, 30: 2}
    assert parts.fingerprint() == whole.fingerprint()
    assert gather(parts)["start"]["threads"] == read_status(parts).threads == 2


@pytest.mark.parametrize(
    "found",
    [
        {1: 1.0, 2: 0.95},
        *(pytest.param(found, marks=pytest.mark.slow) for found in ({1: 1.0}, {1: 1.0, 2: 3.0})),
    ],
)
def test_steps_that_are_only_timed_leave_no_trace(automatic, times, due, found):
    """At every step of a run with dropout, whose numbers come from the same generators."""
    times.threads = found
    quiet, timed = automatic("quiet"), automatic("timed")
    assert quiet.train() == 0
    times.at = range(30)
    assert timed.train() == 0
    assert timed.fingerprint() == quiet.fingerprint()
    assert timed.curve() == quiet.curve()
    assert switches(timed, "threads") == []


def test_what_free_steps_put_back(automatic, times):
    run = automatic("a")
    seen = []
    real = worker.open_session

    def opened(*args):
        trainer, work = real(*args)
        trainer._update()
        gradients = [p.grad.clone() for p in trainer.parameters]
        weights = [p.detach().clone() for p in trainer.parameters]
        carried = trainer.state
        progress = dataclasses.replace(trainer.progress)
        states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
        with pace.free_steps(trainer) as probe:
            trainer.model.select_engine("compiled")
            torch.set_num_threads(2)
            probe()
            random.random()
            np.random.random()
            assert all(p.grad is None for p in trainer.parameters)
            assert not torch.equal(torch.get_rng_state(), states[0])  # dropout drew
        assert torch.equal(torch.get_rng_state(), states[0])
        assert (random.getstate(), np.random.get_state()[1].tolist()) == states[1:]
        assert all(torch.equal(p.grad, g) for p, g in zip(trainer.parameters, gradients, strict=True))
        assert all(torch.equal(p, w) for p, w in zip(trainer.parameters, weights, strict=True))
        assert trainer.state is carried
        assert trainer.progress == progress
        assert trainer.model.engine()[0] == "eager"
        assert torch.get_num_threads() == 1
        seen.append(True)
        return trainer, work

    worker.open_session = opened
    try:
        run.train()
    finally:
        worker.open_session = real
    assert seen


def test_an_earlier_attempt_is_followed_as_far_as_it_went(automatic, times, kill_at):
    """What this one would decide itself waits until then: the curve up to there was measured on those weights."""
    run = automatic("a", watch={"log_every": 1, "validate_every": 10, "sample_length": 0})
    kill_at(16)
    with pytest.raises(KeyboardInterrupt):
        run.train()
    times.at = 13
    assert run.train() == 0
    assert switches(run) == []
    later = automatic("b", watch={"log_every": 1, "validate_every": 10, "sample_length": 0})
    times.at = None
    kill_at(16)
    with pytest.raises(KeyboardInterrupt):
        later.train()
    times.at = 18
    assert later.train() == 0
    assert switches(later) == [(2, 18, "eager", "compiled")]


def test_the_slower_way_is_not_taken(automatic, times):
    times.at, times.race = 12, (1.0, 0.99)
    run = automatic("a")
    assert run.train() == 0
    assert switches(run) == []
    notes = [e.data["message"] for e in run.events() if e.kind == "note"]
    assert notes == ["the step is not run compiled: 990.0 ms a step against 1000.0 ms are not faster"]
    asked = automatic("b", runtime={"engine": "compiled"})
    assert asked.train() == 0
    assert switches(asked) == [(1, 12, "eager", "compiled")]


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (NoCompiler("there is no C compiler"), "there is no C compiler"),
        (RuntimeError("a stranger's step\nfailed"), "RuntimeError: a stranger's step"),
    ],
)
def test_what_cannot_be_compiled_goes_on(automatic, times, monkeypatch, raised, told):
    def compile_plans(self, cell):
        raise raised

    times.at = 12
    monkeypatch.setattr(Unroll, "_compile_plans", compile_plans)
    run = automatic("a")
    assert run.train() == 0
    notes = [e.data["message"] for e in run.events() if e.kind == "note"]
    assert notes == [f"the step is not run compiled: {told}"]
    assert (read_status(run).state, read_status(run).engine) == ("finished", "eager")


@pytest.mark.parametrize(
    ("runtime", "engines", "threads"),
    [
        ({"exact": True, "threads": 0}, [], []),
        ({"threads": 2}, [(1, 12, "eager", "compiled")], []),
        ({"engine": "eager"}, [], []),
    ],
)
def test_where_nothing_is_switched(automatic, times, runtime, engines, threads):
    times.at = 12
    run = automatic("a", runtime=runtime)
    assert run.train() == 0
    assert (switches(run), switches(run, "threads")) == (engines, threads)
    last = paces(run)[30]
    assert last["threads"] == runtime["threads"] if runtime.get("threads") else True


def test_exact_takes_the_compiled_form_from_the_first_step(automatic, times, kill_at):
    runtime = {"exact": True, "engine": "compiled", "threads": 1}
    whole, parts = automatic("whole", runtime=runtime), automatic("parts", runtime=runtime)
    assert whole.train() == 0
    kill_at(15)
    with pytest.raises(KeyboardInterrupt):
        parts.train()
    assert parts.train() == 0
    assert parts.fingerprint() == whole.fingerprint()
    assert [e.data["engine"] for e in parts.events() if e.kind in ("start", "resume")] == ["compiled"] * 2


def test_a_long_run_is_worth_compiling(monkeypatch):
    def worth(step, eta, engine="auto", now="eager"):
        trainer = SimpleNamespace(
            config=SimpleNamespace(
                runtime=SimpleNamespace(engine=engine, exact=False, precision="fp32", threads=0)
            ),
            model=SimpleNamespace(device=torch.device("cpu")),
            progress=SimpleNamespace(step=step),
            pace=SimpleNamespace(engine=now),
            eta=eta,
        )
        return Switching(trainer, 0)._worth_compiling()

    assert worth(3, 61.0)
    assert not worth(3, 59.0)
    assert not worth(2, 1e6)  # what the first updates took says little
    assert not worth(0, None)
    assert worth(0, None, engine="compiled")
    assert not worth(3, 1e6, now="own")
    assert not worth(3, 1e6, now="compiled")


@pytest.fixture
def now(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("rnn_tui.training.switching.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(switching, "LATER", LATER)
    return clock


def watched(watch, now, seconds, total, positions=10):
    """Take updates of so many seconds until `total` have passed; return why threads are to be timed, if ever."""
    end = now[0] + total
    while now[0] < end:
        now[0] += seconds
        watch.took(seconds, positions)
        if reason := watch.due():
            return reason
    return ""


def test_threads_are_timed_when_the_pace_has_halved(now):
    watch = Watch()
    assert watched(watch, now, 0.1, SOON) == ""
    assert watched(watch, now, 0.19, 30) == ""
    assert watched(watch, now, 0.25, 30) == "updates took 2.5 times as long as before"
    watch.timed(changed=False)
    assert watched(watch, now, 0.25, 120) == ""  # that is the pace now
    assert watched(watch, now, 0.6, 30) == "updates took 2.4 times as long as before"
    watch.timed(changed=True)
    assert watched(watch, now, 0.1, 30) == ""
    assert watched(watch, now, 0.6, 25) == ""  # not twice in a minute
    assert watched(watch, now, 0.6, 30) == "updates took 6.0 times as long as before"


def test_a_shorter_window_is_no_faster_update(now):
    watch = Watch()
    assert watched(watch, now, 0.1, 70, positions=10) == ""
    assert watched(watch, now, 0.4, 100, positions=40) == ""


def test_one_slow_update_says_nothing(now):
    watch = Watch()
    watched(watch, now, 0.1, 70)
    now[0] += 50
    watch.took(50, 10)
    assert watched(watch, now, 0.1, 100) == ""


def test_threads_are_timed_now_and_then_and_ever_more_seldom(now):
    watch, waited = Watch(), []
    for _ in range(6):
        begin = now[0]
        assert watched(watch, now, 0.1, 10_000) == "to see whether cores have become free"
        waited.append((now[0] - begin) / LATER)
        watch.timed(changed=False)
    assert waited == pytest.approx([1, 2, 4, 8, 12, 12], rel=0.02)
    watch.timed(changed=True)
    begin = now[0]
    watched(watch, now, 0.1, 10_000)
    assert now[0] - begin == pytest.approx(LATER, rel=0.02)


def test_the_thread_that_compiles_is_waited_for():
    ends, begun = threading.Event(), threading.Event()

    def compile_ahead():
        begun.set()
        ends.wait(60)
        return "half a sentence"

    ahead = Ahead(SimpleNamespace(compile_ahead=compile_ahead))
    assert begun.wait(60)
    assert not ahead.done
    ends.set()
    ahead.join()
    assert (ahead.done, ahead.problem) == (True, "half a sentence")
