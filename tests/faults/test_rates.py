"""Learning rates that are set while the worker is killed again and again: each takes effect once, in order."""

import copy
import os
import random
import shutil
import time
from types import SimpleNamespace

import fault_runs as runs
import pytest

from rnn_tui.errors import InputError
from rnn_tui.runs.control import Inbox, send
from rnn_tui.runs.events import EventReader, EventWriter, effective
from rnn_tui.runs.folder import create_run
from rnn_tui.runs.lock import RunLock, held
from rnn_tui.training import resuming
from rnn_tui.training.config import resolve
from rnn_tui.training.obeying import Orders
from rnn_tui.training.progress import Progress, Replay

# ---- at random moments, a real worker ----


def faults_of_changes(run, sent, base):
    """Name what is wrong with the changes that a run was asked for: `sent` are pairs of id and rate, in their order."""
    log = EventReader(run.events_path).poll()
    commands = [event for event in log if event.kind == "command" and event.data["command"] == "set"]
    found = []
    if [event.data["id"] for event in commands] != [identity for identity, _ in sent]:
        found.append(f"{len(commands)} events for {len(sent)} changes, or in another order")
    if [event.data["args"]["lr"] for event in commands] != [rate for _, rate in sent]:
        found.append("other rates than were asked for")
    trained = {event.step: event.data["lr"] for event in effective(log) if event.kind == "train"}
    if sorted(trained) != list(range(1, len(trained) + 1)):
        found.append("the curve has a gap or goes back")
    for step, rate in trained.items():
        asked = [event.data["args"]["lr"] for event in commands if event.step < step]
        if rate != pytest.approx((asked or [base])[-1], rel=1e-9):
            found.append(f"step {step} was made with {rate}, not with {(asked or [base])[-1]}")
    return found


def set_while_killed(folder, changes, dice):
    """Train a run, set its rate again and again and kill its worker at random; return the run, what was sent, kills."""
    run = runs.small_run(
        folder / "runs",
        "killed",
        runs.write_text(folder),
        optim={"lr": 0.001, "schedule": "constant", "warmup_steps": 0},
        budget={"steps": 1_000_000},
        watch={"log_every": 1, "validate_every": 1_000_000, "line_every": 1_000_000, "sample_length": 4},
        checkpoint={"every_steps": 40},
    )
    sent, kills = [], 0
    child = runs.server().fork("train", run)
    while len(sent) < changes:
        while not held(run) and not child.ended(0.002):
            pass
        for _ in range(min(dice.randrange(1, 4), changes - len(sent))):
            rate = round(dice.uniform(0.0005, 0.005), 6)
            try:
                sent.append((send(run, "set", {"lr": rate}), rate))
            except InputError:  # it was killed just now: nothing is queued
                break
            child.ended(dice.uniform(0, 0.06))
        if dice.random() < 0.5:
            runs.wait_for_growth(run.events_path, child)
        child.ended(dice.uniform(0, 0.15))
        code = child.kill()
        assert code == -9, run.log_path.read_text()[-500:]
        kills += 1
        child = runs.server().fork("train", run)
    deadline = time.monotonic() + 60
    while os.listdir(run.inbox) or not held(run):
        assert not child.ended(0.02), run.log_path.read_text()[-500:]
        assert time.monotonic() < deadline
    send(run, "stop")
    assert child.wait() == 0, run.log_path.read_text()[-500:]
    return run, sent, kills


def test_each_rate_is_set_once_however_often_the_worker_is_killed(tmp_path, amount, seed, figures):
    """And the run ends with the bits of one that was left alone and had the rates set at the same steps."""
    changes = amount(8, 200)
    begin = time.monotonic()
    run, sent, kills = set_while_killed(tmp_path, changes, random.Random(seed))
    assert faults_of_changes(run, sent, 0.001) == [], f"seed {seed}"
    log = EventReader(run.events_path).poll()
    assert {event.data["origin"] for event in log if event.kind == "command"} == {"cli"}
    rates = [
        (event.step, event.data["args"]["lr"])
        for event in log
        if event.kind == "command" and event.data["args"]
    ]
    config = run.read_config()
    config.pop("about")
    alone = create_run(tmp_path / "runs", "alone", config)
    child = runs.server().fork("train", alone, rates=rates, stop=log[-1].step)
    assert child.wait() == 0, alone.log_path.read_text()
    assert runs.differences(run, alone) == [], f"seed {seed}"
    figures(
        "requests",
        f"{changes} rates set, {kills} kill -9 meanwhile: each applied once, in order, at the step of its event; "
        f"{log[-1].step} steps equal to those of a run left alone ({time.monotonic() - begin:.0f} s)",
    )


# ---- the same, killed at each operation in turn ----


class Killed(BaseException):
    """Stands in for kill -9: nothing after it happens."""


class Life:
    """One worker of a run whose updates do nothing: real lock, log, inbox, orders and replay.

    Args:
        saved: the newest checkpoint, changed in place as it is saved.
        kill_at: the operation on files, counted from 1, before which it dies.
        asks: what is sent when a step is first reached.
        sent: what was sent, in its order.
    """

    def __init__(self, run, saved, kill_at, asks, sent):
        self.run, self.saved, self.asks, self.sent = run, saved, asks, sent
        self.kill_at, self.done = kill_at, 0
        self.config = resolve([("a test", {"optim": {"schedule": "constant", "warmup_steps": 0}})]).config
        self.used = 0.0
        self.switching = None

    def work(self, monkeypatch, steps=14):
        """Train to `steps`; return whether it got there."""
        with RunLock.acquire(self.run), monkeypatch.context() as patch:
            for name in ("write", "fsync", "rename"):
                patch.setattr(os, name, self._dying(getattr(os, name)))
            try:
                self._work(steps)
            except Killed:
                return False
        return True

    def _dying(self, real):
        def call(*args, **more):
            if not self.quiet:
                self.done += 1
                if self.done == self.kill_at:
                    raise Killed
            return real(*args, **more)

        return call

    def _work(self, steps):
        self.quiet = False
        self.progress = copy.deepcopy(self.saved.setdefault("progress", Progress(base_lr=1.0)))
        log = EventWriter(self.run.events_path, self.saved["attempt"])
        self.saved["attempt"] += 1
        self.journal = SimpleNamespace(event=log.write)
        replay = resuming.journalled(self.run, self.progress) if log._seq else Replay()
        log.write(
            "resume" if log._seq else "start", self.progress.step, durable=True, from_step=self.progress.step
        )
        inbox = Inbox(self.run)
        orders = Orders(self, inbox, lambda: None, replay.changes)
        while self.progress.step < steps:
            self.quiet = True
            for rate in self.asks.pop(self.progress.step, ()):
                self.sent.append((send(self.run, "set", {"lr": rate}), rate))
            self.quiet = False
            inbox._next_scan = 0.0
            orders.obey()
            self.progress.step += 1
            log.write("train", self.progress.step, lr=self.progress.base_lr)
            if self.progress.step % 5 == 0:
                self.saved["progress"] = copy.deepcopy(self.progress)
        os.close(log._fd)


ASKS = {2: [0.5], 3: [0.25, 0.125], 6: [0.75], 9: [0.375]}


def killed_at_each(folder, monkeypatch, second=lambda point: [3 + point % 9]):
    """Kill a run at each operation on files and resume it; return the faults of its changes, and how many there are.

    Args:
        second: at which operations the worker that catches up dies too, given where the first one did.
    """
    faults, point, deaths = [], 0, 0
    while True:
        point += 1
        for then in second(point):
            run = create_run(folder, None, {"model": {"arch": "lstm"}})
            saved, asks, sent = {"attempt": 1}, copy.deepcopy(ASKS), []
            complete = Life(run, saved, point, asks, sent).work(monkeypatch)
            if not complete and not Life(run, saved, then, asks, sent).work(monkeypatch):
                assert Life(run, saved, 0, asks, sent).work(monkeypatch)
            deaths += 1
            found = faults_of_changes(run, sent, 1.0) + [
                f"{name} is left in the inbox" for name in os.listdir(run.inbox)
            ]
            if sum(map(len, ASKS.values())) != len(sent):
                found.append(f"only {len(sent)} were sent")
            faults += [f"killed at operations {point} and {then}: {fault}" for fault in found]
            shutil.rmtree(run.path)
        if complete:
            return faults, point - 1, deaths


def test_killed_at_any_operation_a_rate_is_neither_lost_nor_set_twice(tmp_path, monkeypatch, amount, figures):
    every = amount(None, lambda point: range(1, 25))
    faults, points, deaths = killed_at_each(tmp_path, monkeypatch, *[every] * bool(every))
    assert faults == []
    assert points > 25
    figures(
        "requests",
        f"killed at each of {points} operations, and again catching up, {deaths} runs: every rate set once",
    )


def filed_first(self):
    """`Orders._take`, but a request is filed away before it is in the log."""
    for command in self._requests.poll():
        self._requests.done(command)
        self.trainer.journal.event(
            "command",
            self.trainer.progress.step,
            durable=True,
            id=command.id,
            command="set",
            args=command.args,
        )
        self.trainer.progress.took_effect(command.id)
        self.set_rate(command.args["lr"])


def logged_afterwards(self):
    """`Orders._take`, but a change is in the log only when an update was made with it."""
    for command, step in self.__dict__.pop("untold", []):
        self.trainer.journal.event(
            "command", step, durable=True, id=command.id, command="set", args=command.args
        )
        self._requests.done(command)
    self.untold = []
    for command in self._requests.poll():
        if command.id in self.trainer.progress.applied:
            self._requests.done(command)
            continue
        self.trainer.progress.took_effect(command.id)
        self.set_rate(command.args["lr"])
        self.untold.append((command, self.trainer.progress.step))


@pytest.mark.parametrize(
    "broken", ["filed away before it is logged", "logged after it is applied", "ids not remembered"]
)
def test_an_order_of_things_that_is_wrong_is_noticed(tmp_path, monkeypatch, figures, broken):
    if broken == "filed away before it is logged":
        monkeypatch.setattr(Orders, "_take", filed_first)
    elif broken == "logged after it is applied":
        monkeypatch.setattr(Orders, "_take", logged_afterwards)
    else:
        real = Inbox.__init__

        def forgetful(self, run):
            real(self, run)
            self._logged = set()

        monkeypatch.setattr(Inbox, "__init__", forgetful)
        monkeypatch.setattr(Progress, "took_effect", lambda self, id: None)
    faults, points, _ = killed_at_each(tmp_path, monkeypatch)
    assert faults
    figures("requests", f"broken on purpose: {broken}: {len(faults)} faults at {points} operations")
