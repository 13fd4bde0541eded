"""A worker in a process of its own: commands, signals, the lock."""

import os
import signal
import subprocess
import time
from types import SimpleNamespace

import pytest

from rnn_tui.runs.control import send
from rnn_tui.runs.lock import RunLock
from rnn_tui.runs.status import read_status
from rnn_tui.training.config import resolve
from rnn_tui.training.obeying import Orders


def test_commands_while_it_runs(make, wait_for, text):
    run = make("a", text, budget={"steps": 100_000})
    process = run.start()

    def kinds(kind):
        return [e for e in run.events() if e.kind == kind]

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
    assert process.wait(60) == 0
    assert run.events()[-1].data["reason"] == "stopped"
    assert read_status(run).state == "stopped"


def test_a_second_worker_is_refused(make, text):
    run = make("a", text)
    with RunLock.acquire(run):
        process = run.start(subprocess.PIPE)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 4
    assert f"process {os.getpid()}".encode() in said


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
