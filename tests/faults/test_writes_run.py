"""Each operation on the files of a whole run fails once, or is the last of its worker: the run finishes with the bits
of an undisturbed one, or says why not and does so when it is resumed."""

import json
import os
import random
import shutil
import signal

import pytest
from fault_runs import differences, events, server, small_run, undisturbed, write_text

from rnn_tui.runs.layout import RunFolder
from rnn_tui.training import checkpoint

SETTINGS = {
    "model": {"hidden_size": 4, "dropout": 0.2, "num_layers": 1},
    "budget": {"steps": 9},
    "watch": {"log_every": 2, "validate_every": 4, "sample_length": 4},
    "checkpoint": {"every_steps": 2, "keep": 2},
}
FAULTS = ("ENOSPC", "EIO", "EACCES", "KILL")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing disturbed; and the same before its start."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNN_TUI_CACHE_DIR", str(folder / "cache"))
        source = write_text(folder)
        fresh = small_run(folder / "fresh", "one", source, **SETTINGS)
        yield undisturbed(folder, "one", source, **SETTINGS), fresh


def begin(folder, fresh, at, fault, **more):
    """Start a run whose `at`-th operation fails; return it, its process and where it says what failed."""
    place = folder / f"{fault}-{at}"
    shutil.copytree(fresh.path, place / "one")
    run = RunFolder(place / "one")
    said = place / "struck"
    return run, server().fork("faulty", run, at=at, fault=fault, result=str(said), **more), said


def operations(folder, fresh):
    """What an undisturbed run does with its files, one after the other."""
    run, child, said = begin(folder, fresh, 0, "none")
    assert child.wait() == 0, run.log_path.read_text()
    return json.loads(said.read_text())["names"]


def wrong_with(run, child, said, fault, whole):
    """Name what is wrong with a run that was disturbed, and resume it where it did not finish."""
    code = child.wait()
    found, log = [], run.log_path.read_text()
    if fault == "KILL":
        if code not in (0, -signal.SIGKILL):
            found.append(f"exit code {code}")
        struck = None
    else:
        struck = json.loads(said.read_text())["struck"]
        if code not in (0, 3, 5):
            found.append(f"exit code {code}")
        if code and "rnn-tui: error: " not in log:
            found.append("nothing in worker.log")
    if "Traceback" in log:
        found.append(f"a traceback: {log[-300:]}")
    told = [event for event in events(run) if event.kind == "warning"]
    if struck and not code and not told and not unharmed(struck):
        found.append("not told")
    acknowledged = [event.step for event in events(run) if event.kind == "checkpoint"]
    newest = checkpoint.newest_valid(run.checkpoints, found.append)
    if acknowledged and (newest is None or newest.step < max(acknowledged)):
        found.append(f"a checkpoint was lost: {max(acknowledged)}")
    if code:
        code = server().fork("train", run).wait()
        if (
            code == 2 and events(run)[-1].kind == "end"
        ):  # it was complete: killed between its last event and its end
            return found
        if code:
            found.append(f"resumed, exit code {code}: {run.log_path.read_text()[-300:]}")
            return found
    unlike = differences(run, whole)
    if told:  # the best may have been the one that could not be saved
        unlike = [what for what in unlike if not what.startswith("model file")]
    if any("status.json" in event.data["message"] for event in told):
        unlike = [what for what in unlike if not what.startswith("status")]
    numbers = [event.seq for event in events(run)]
    if numbers != list(range(1, len(numbers) + 1)):
        found.append("a gap in the log")
    swept = () if told else (".del-",)
    left = [path for path in run.checkpoints.iterdir() if path.name.startswith((".tmp-", "damaged-", *swept))]
    return found + unlike + [f"left behind: {path.name}" for path in left]


def unharmed(struck):
    """Whether nothing comes of a fault, so that it need not be told: events wait in memory until they can be written,
    a lock is free without its close, a model that cannot be linked is copied, what is left is swept later."""
    name, path = struck
    return (
        path == "events.jsonl"
        or path.startswith(("checkpoints/.del-", "checkpoints/.tmp-probe"))
        or (name, path) in (("close", "run.lock"), ("link", ".tmp-model.safetensors"))
    )


def test_each_operation_of_a_run(tmp_path, whole, amount, seed, figures):
    done, fresh = whole
    count = len(operations(tmp_path, fresh))
    assert count > 100
    dice = random.Random(seed)
    first = dice.randrange(len(FAULTS))
    cases = [(at, FAULTS[(first + at) % len(FAULTS)]) for at in range(1, count + 1)]
    cases = sorted(dice.sample(cases, amount(16, count)))
    wrong, running = [], []

    def finish(at, fault, *started):
        wrong.extend((at, fault, what) for what in wrong_with(*started, fault, done))
        shutil.rmtree(tmp_path / f"{fault}-{at}")

    for at, fault in cases:
        running.append((at, fault, *begin(tmp_path, fresh, at, fault)))
        if len(running) == (os.cpu_count() or 1):
            finish(*running.pop(0))
    for started in running:
        finish(*started)
    assert not wrong, "\n".join(map(str, wrong))
    figures("writes", f"a run of {count} operations: {len(cases)} faults, 0 lost, 0 differ, each told")


def test_broken_code_is_found(tmp_path, whole, figures):
    done, fresh = whole
    started = begin(tmp_path, fresh, 1, "EIO", only=["fsync", "events.jsonl"], careless=True)
    wrong = wrong_with(*started, "EIO", done)
    assert wrong
    figures("writes", f"broken on purpose: a run that a fault of its log ends: {wrong[0]}")


@pytest.mark.parametrize("fault", ["EIO", "KILL"])
def test_a_model_that_could_not_be_published_is_published_with_the_next_checkpoint(tmp_path, whole, fault):
    done, fresh = whole
    only = ["rename", "model.safetensors"]
    run, child, _ = begin(tmp_path, fresh, 2, fault, only=only)  # the first is that of the start
    code = child.wait()
    assert code == {"EIO": 0, "KILL": -signal.SIGKILL}[fault]
    if code:
        assert server().fork("train", run).wait() == 0
    else:
        assert "could not publish" in next(e.data["message"] for e in events(run) if e.kind == "warning")
    assert differences(run, done) == []
