import math
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from rnn_tui.errors import DiskError
from rnn_tui.runs import records
from rnn_tui.runs.events import EventWriter
from rnn_tui.runs.folder import RunFolder
from rnn_tui.runs.listing import summarise
from rnn_tui.runs.lock import Owner, RunLock
from rnn_tui.runs.process import Identity, identify
from rnn_tui.runs.records import write_record
from rnn_tui.runs.status import Launch, Liveness, my_status, read_status, run_state, write_status


@pytest.fixture
def dead() -> Identity:
    """Return the identity of a process that is gone."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    who = identify(child.pid)
    child.communicate()
    return who


def launched(run: RunFolder, who: Identity, time: float, exit_code: int | None = None) -> None:
    write_record(run.launch_path, Launch(who, time, exit_code), durable=False)


def test_a_status_comes_back_as_it_was_written(run: RunFolder) -> None:
    status = my_status("running", attempt=2, step=30)
    status.train_loss, status.validation_loss, status.best_loss = math.inf, -math.inf, 1.25
    status.message = "nan"  # a word here, and no number
    write_status(run, status)
    assert read_status(run) == status
    status.train_loss = math.nan
    write_status(run, status)
    assert b'"train_loss":"nan"' in run.status_path.read_bytes()
    again = read_status(run)
    assert again is not None
    assert math.isnan(again.train_loss or 0)
    assert again.message == "nan"
    assert sorted(os.listdir(run.path)) == ["checkpoints", "config.toml", "control", "status.json"]


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b'{"step": 3}', b'{"state": 1}', b"\xff", b"[" * 60_000, b" " * 70_000 + b"{}"],
)
def test_a_damaged_status_is_none(run: RunFolder, damage: bytes) -> None:
    run.status_path.write_bytes(damage)
    assert read_status(run) is None


def test_a_status_that_cannot_be_written_leaves_the_old_one(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = my_status("running", attempt=1, step=1)
    write_status(run, old)

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskError, match="no space left"):
        write_status(run, my_status("running", attempt=1, step=2))
    assert read_status(run) == old


def test_only_the_last_word_is_synced(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(records.os, "fsync", synced.append)
    write_status(run, my_status("running", attempt=1))
    assert synced == []
    write_status(run, my_status("finished", attempt=1))
    assert len(synced) == 2  # the file, and the folder that names it


def test_a_new_run_is_created(run: RunFolder) -> None:
    assert (run_state(run).state, run_state(run).alive) == ("created", False)
    run.config_path.unlink()
    assert run_state(run).state == "damaged"


@pytest.mark.parametrize("state", ["starting", "running", "paused", "stopping"])
def test_alive_means_that_the_lock_is_held(run: RunFolder, state: str) -> None:
    with RunLock.acquire(run):
        write_status(run, my_status(state, attempt=1, step=5))
        view = run_state(run)
        assert (view.state, view.alive) == (state, True)
    view = run_state(run)
    assert (view.state, view.alive) == ("crashed", False)
    assert "died without a word at step 5" in view.message
    assert "`rnn-tui resume one` starts it anew" in view.message


def test_a_crash_says_where_a_resume_goes_on(run: RunFolder) -> None:
    write_status(run, my_status("running", attempt=1, step=950))
    (run.checkpoints / "step-00000900").mkdir()
    (run.checkpoints / "step-00000900" / "manifest.json").write_text("{}")
    assert "`rnn-tui resume one` goes on from step 900" in run_state(run).message


@pytest.mark.parametrize("state", ["finished", "stopped", "failed", "diverged"])
def test_an_end_is_an_end(run: RunFolder, state: str) -> None:
    status = my_status(state, attempt=1)
    status.message = "as the worker said"
    write_status(run, status)
    assert run_state(run) == (view := run_state(run))
    assert (view.state, view.alive, view.message) == (state, False, "as the worker said")


def test_a_worker_that_holds_the_lock_but_has_not_spoken_is_starting(run: RunFolder) -> None:
    old = my_status("finished", attempt=1, step=9)
    old.start_ticks -= 1  # an earlier process
    write_status(run, old)
    with RunLock.acquire(run):
        view = run_state(run)
        assert (view.state, view.alive) == ("starting", True)
        assert view.status == old  # the old figures stay on the screen


def test_a_lost_status_of_a_run_that_was_at_work_is_a_crash(run: RunFolder) -> None:
    with EventWriter(run.events_path, 1) as log:
        log.write("start", 0)
    view = run_state(run)
    assert view.state == "crashed"
    assert "status.json is missing or damaged" in view.message


def test_a_launched_worker_without_lock_is_starting_while_it_lives(run: RunFolder, dead: Identity) -> None:
    launched(run, identify(os.getpid()), 10.0)
    assert run_state(run).state == "starting"
    launched(run, dead, 10.0, exit_code=3)
    run.log_path.write_text("Traceback\nthe corpus has changed\n\n")
    view = run_state(run)
    assert view.state == "crashed"
    assert (
        view.message
        == "the worker ended with exit code 3 before it began; see worker.log: the corpus has changed"
    )


def test_a_launch_of_a_resume_hides_the_old_end(run: RunFolder, dead: Identity) -> None:
    old = my_status("stopped", attempt=1)
    old.pid, old.start_ticks, old.time = dead.pid, dead.start_ticks, 10.0
    write_status(run, old)
    launched(run, identify(os.getpid()), 5.0)  # the clock went back in between
    assert run_state(run).state == "starting"
    launched(
        run, msgspec.structs.replace(dead, start_ticks=1), 20.0, exit_code=2
    )  # it refused: nothing changed
    view = run_state(run)
    assert (view.state, view.message) == (
        "stopped",
        "the worker ended with exit code 2 before it began; see worker.log",
    )
    old.state = "running"
    write_status(run, old)
    assert run_state(run).state == "crashed"
    old.state = "stopped"
    write_status(run, old)
    launched(run, msgspec.structs.replace(dead, start_ticks=1), 5.0)  # an old launch; later a worker by hand
    assert run_state(run).state == "stopped"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-9, "was killed by SIGKILL (9, probably for want of memory) at step 7"),
        (-11, "was killed by SIGSEGV (11) at step 7"),
        (1, "ended with exit code 1 at step 7"),
        (None, "died without a word at step 7"),
    ],
)
def test_a_crash_says_how(run: RunFolder, dead: Identity, code: int | None, words: str) -> None:
    status = my_status("running", attempt=1, step=7)
    status.pid, status.start_ticks = dead.pid, dead.start_ticks
    write_status(run, status)
    launched(run, dead, 0.0, exit_code=code)
    assert words in run_state(run).message


def test_a_worker_on_another_machine_has_half_a_minute_to_appear(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = Identity(5, 5, "another boot", "elsewhere")
    launched(run, far, 1000.0)
    for now, state in ((1010.0, "starting"), (1031.0, "crashed"), (900.0, "crashed")):
        monkeypatch.setattr("rnn_tui.runs.status.time.time", lambda now=now: now)
        assert run_state(run).state == state


def test_a_read_only_copy_can_be_looked_at(run: RunFolder) -> None:
    with RunLock.acquire(run):
        write_status(run, my_status("finished", attempt=1))
    for path in [run.path, *run.path.rglob("*")]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    before = sorted(run.path.rglob("*"))
    assert run_state(run).state == "finished"
    assert sorted(run.path.rglob("*")) == before


def test_a_heartbeat_that_stands_still_is_a_stall(run: RunFolder) -> None:
    clock = [0.0]
    liveness = Liveness(lambda: clock[0])
    with RunLock.acquire(run):
        status = my_status("running", attempt=1, step=10)
        status.elapsed = 1.0

        def look(now: float, heartbeat: int) -> str:
            clock[0], status.heartbeat = now, heartbeat
            write_status(run, status)
            return liveness.view(run).state

        assert [look(0, 1), look(59, 1), look(61, 1), look(62, 2), look(121, 2), look(123, 2), look(124, 3)] == [
            "running", "running", "stalled", "running", "running", "stalled", "running",
        ]  # fmt: skip
        clock[0] = 300.0
        view = liveness.view(run)
        assert view.alive
        assert view.message == "no sign of life for 176 s; the process still exists"
        status.elapsed = 1000.0  # a hundred seconds for a step: ten steps are the measure then
        assert [look(400, 4), look(1399, 4), look(1401, 4)] == ["running", "running", "stalled"]
    assert liveness.view(run).state == "crashed"


def test_a_resumed_worker_is_not_blamed_for_the_old_heartbeat(run: RunFolder) -> None:
    clock = [0.0]
    liveness = Liveness(lambda: clock[0])
    with RunLock.acquire(run):
        write_status(run, my_status("running", attempt=1))
        assert liveness.view(run).state == "running"
    assert liveness.view(run).state == "crashed"
    clock[0] = 100.0
    with RunLock.acquire(run):
        write_status(run, my_status("running", attempt=2))
        assert liveness.view(run).state == "running"


def test_the_lock_is_asked_before_the_status(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that starts between the two looks must not be seen as a crash."""
    from rnn_tui.runs import status as status_module

    write_status(run, my_status("stopped", attempt=1))
    locks: list[RunLock] = []
    real = read_status

    def start_then_read(run: RunFolder):
        if not locks:
            locks.append(RunLock.acquire(run))
            write_status(run, my_status("running", attempt=2))
        return real(run)

    monkeypatch.setattr(status_module, "read_status", start_then_read)
    assert run_state(run).state == "running"
    locks[0].release()


def test_small_files_are_read_with_care(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 11)
    (tmp_path / "right").write_bytes(b"x" * 10)
    (tmp_path / "link").symlink_to(tmp_path / "right")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    assert records.read_small(tmp_path / "right", 10) == b"x" * 10
    before = len(os.listdir("/proc/self/fd"))
    for path, reason in {
        tmp_path / "big": "larger than 10 bytes",
        tmp_path / "link": "symbolic links",
        tmp_path / "folder": "not a regular file",
        tmp_path / "fifo": "not a regular file",
        tmp_path / "absent": "No such file",
        Path("/dev/zero"): "not a regular file",
    }.items():
        with pytest.raises(OSError, match=reason):
            records.read_small(path, 10)
    assert len(os.listdir("/proc/self/fd")) == before


# ---- clocks, and files that are seen late ----


def test_a_clock_that_jumps_makes_no_dead_worker_run_and_no_living_one_crash(run: RunFolder) -> None:
    for moment in (0.0, 5e8, 4e9, 1e300, -1.0):
        with RunLock.acquire(run):
            status = my_status("running", attempt=1, step=5)
            status.time = moment
            write_status(run, status)
            launched(run, identify(os.getpid()), moment / 2)
            assert (run_state(run).state, run_state(run).alive) == ("running", True)
        assert (run_state(run).state, run_state(run).alive) == ("crashed", False)


@pytest.mark.parametrize("jump", [-1e9, -3600.0, 0.0, 3600.0, 1e9])
def test_a_resume_after_a_jump_of_the_clock(run: RunFolder, dead: Identity, jump: float) -> None:
    """The worker before ended well at one time of the clock; the next was launched at another, and lives or died."""
    old = my_status("stopped", attempt=1)
    old.pid, old.start_ticks, old.time = 1, 1, 1e9
    write_status(run, old)
    launched(run, identify(os.getpid()), 1e9 + jump)
    assert run_state(run).state == "starting"
    launched(run, dead, 1e9 + jump, exit_code=1)
    assert run_state(run).state == "stopped"
    old.state = "running"
    write_status(run, old)
    assert run_state(run).state == "crashed"


def test_a_pid_that_another_process_has_now_is_not_the_worker(run: RunFolder) -> None:
    """The owner, the launch and the status name this very pid, at another start."""
    me = identify(os.getpid())
    other = msgspec.structs.replace(me, start_ticks=me.start_ticks - 1)
    status = my_status("running", attempt=1, step=5)
    status.start_ticks = other.start_ticks
    write_status(run, status)
    run.lock_path.write_bytes(msgspec.json.encode(Owner(other, 0.0, "x")))
    launched(run, other, status.time)
    assert run_state(run).state == "crashed"
    run.status_path.unlink()
    assert run_state(run).state == "crashed"  # launched, never heard of


def test_a_zombie_that_was_launched_is_dead(run: RunFolder) -> None:
    child = subprocess.Popen(["sleep", "60"])
    launched(run, identify(child.pid), 1e9)
    assert run_state(run).state == "starting"
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert run_state(run).state == "crashed"
    child.wait()


PARTS = ("config.toml", "events.jsonl", "status.json", "run.lock", "control/launch.json")


def test_whatever_is_seen_late_a_dead_run_never_runs_and_a_living_one_never_crashes(
    run: RunFolder, dead: Identity
) -> None:
    """Each of the 32 sets of files that may be seen first, as over NFS, of a run that lives and of one that died."""
    hidden = run.path.parent / "hidden"
    hidden.mkdir()

    def states(who: Identity) -> dict[tuple[str, ...], str]:
        status = my_status("running", attempt=1, step=5)
        status.pid, status.start_ticks = who.pid, who.start_ticks
        write_status(run, status)
        launched(run, who, status.time)
        with EventWriter(run.events_path, 1) as log:
            log.write("start", 0)
        found = {}
        for mask in range(32):
            missing = tuple(part for bit, part in enumerate(PARTS) if mask >> bit & 1)
            for part in missing:
                (run.path / part).rename(hidden / part.replace("/", "-"))
            found[missing] = run_state(run).state
            assert summarise(run).state in (found[missing], "damaged")
            for part in missing:
                (hidden / part.replace("/", "-")).rename(run.path / part)
        return found

    with RunLock.acquire(run):
        living = states(identify(os.getpid()))
    assert run_state(run).state == "crashed"
    # what cannot be seen: nothing but the folder, or the settings only, which is a run that was never started
    unknown = [missing for missing, state in living.items() if state in ("crashed", "damaged", "created")]
    # the lock is there from the first moment on: without it nobody can tell that a worker which has spoken lives
    assert all("run.lock" in missing for missing in unknown)
    assert {state for missing, state in living.items() if missing not in unknown} <= {"running", "starting"}
    died = states(dead)
    assert set(died.values()) <= {"crashed", "damaged", "created"}


def test_a_worker_whose_lock_is_not_seen_here_is_alive_while_it_is_heard_of(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a network file system that keeps its locks to each machine."""
    status = my_status("running", attempt=1, step=5)
    status.boot_id, status.host, status.time = "another boot", "far", 1000.0
    write_status(run, status)
    monkeypatch.setattr("rnn_tui.runs.status.network_kind", lambda path: "nfs4")
    for now, alive in ((1010.0, True), (971.0, True), (1031.0, False), (900.0, False)):
        monkeypatch.setattr("rnn_tui.runs.status.time.time", lambda now=now: now)
        view = run_state(run)
        assert (view.state, view.alive) == (("running", True) if alive else ("crashed", False))
        assert ("on far; its lock is not seen here" in view.message) == alive
    monkeypatch.setattr("rnn_tui.runs.status.time.time", lambda: 1010.0)
    monkeypatch.setattr("rnn_tui.runs.status.network_kind", lambda path: "")
    assert run_state(run).state == "crashed"  # here a free lock is the truth


def test_a_lock_that_cannot_be_read_is_told_and_raises_nothing(run: RunFolder) -> None:
    write_status(run, my_status("running", attempt=1))
    run.lock_path.symlink_to("/dev/zero")
    view = run_state(run)
    assert (view.state, view.alive) == ("damaged", False)
    assert "could not open the lock" in view.message
    assert Liveness().view(run) == view


def test_numbers_that_no_float_can_hold_are_a_damaged_status(run: RunFolder) -> None:
    write_status(run, my_status("running", attempt=1))
    text = run.status_path.read_text()
    for name in ("step", "heartbeat", "best_step"):
        run.status_path.write_text(re.sub(rf'"{name}":(null|\d+)', f'"{name}":{"9" * 400}', text))
        assert read_status(run) is None
