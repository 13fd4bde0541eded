"""Holding a run where the file system has no `flock`."""

import errno
import fcntl
import os
import subprocess
import sys
import time

import msgspec
import pytest

from rnn_tui.errors import BusyError, DiskError
from rnn_tui.runs import lockfile, supervisor
from rnn_tui.runs.folder import RunFolder, remove_run
from rnn_tui.runs.lock import RunLock, held, read_owner
from rnn_tui.runs.lockfile import Owner
from rnn_tui.runs.process import Identity, identify
from rnn_tui.runs.status import my_status, run_state, write_status

FAR = Identity(77, 5, "another boot", "far")


@pytest.fixture(autouse=True)
def no_flock(monkeypatch):
    def flock(fd, kind):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(lockfile, "BEAT", 0.05)
    monkeypatch.setattr(lockfile, "_WATCH", 0.3)


def leave(run, number, who, beat=b"000000000007", record=None):
    """Leave what a holder leaves."""
    content = msgspec.json.encode(Owner(who, 1_700_000_000.0, "n")) if record is None else record
    run.lock_path.write_bytes(content)
    path = run.path / f"run.lock.{number}"
    path.write_bytes(content + b"\n" + beat)
    return path


def locks(run):
    return sorted(name for name in os.listdir(run.path) if name.startswith("run.lock"))


def test_held_and_let_go(run: RunFolder) -> None:
    with RunLock.acquire(run) as lock:
        assert held(run)
        assert lock.current()
        assert locks(run) == ["run.lock", "run.lock.1"]
        owner = read_owner(run)
        assert owner is not None
        assert owner.identity == identify(os.getpid())
        with pytest.raises(BusyError, match=f"run one is in use by process {os.getpid()} on"):
            RunLock.acquire(run)
    assert not held(run)
    assert (run.path / "run.lock.1").read_bytes().endswith(b"\nreleased    ")
    # the number is not used again: somebody may have looked at it before
    with RunLock.acquire(run):
        assert locks(run) == ["run.lock", "run.lock.2"]
    assert [path.stat().st_mode & 0o777 for path in run.path.glob("run.lock*")] == [0o600, 0o600]


def test_the_heart_beats(run: RunFolder) -> None:
    with RunLock.acquire(run):
        path = run.path / "run.lock.1"
        deadline = time.monotonic() + 60
        while path.read_bytes().split(b"\n")[1] < b"000000000003":
            assert time.monotonic() < deadline
            time.sleep(0.005)
        owner, _ = lockfile._read(path)
    assert owner is not None
    assert owner.identity.pid == os.getpid()


def test_a_holder_that_died_here_is_taken_over(run: RunFolder) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    who = identify(child.pid)
    leave(run, 4, who)
    assert held(run)
    child.communicate()
    assert not held(run)
    with RunLock.acquire(run):
        assert locks(run) == ["run.lock", "run.lock.5"]


def test_a_holder_on_another_machine_is_never_taken_over(run: RunFolder) -> None:
    path = leave(run, 2, FAR)
    assert held(run)
    with pytest.raises(BusyError) as caught:
        RunLock.acquire(run)
    said = str(caught.value)
    assert said.startswith("run one is in use by process 77 on far since 2023-11-1")
    assert "though no heartbeat was seen for 0.3 s" in said
    assert said.endswith(f"if you are sure that it does not, remove {path}")
    assert path.exists()
    # the starter says it too, and so does who wants to remove the run
    write_status(run, my_status("running", attempt=1))
    with pytest.raises(
        BusyError, match=rf"is starting already, by process 77 on far since .*, remove {path}"
    ):
        supervisor.start_worker(run, resume=True)
    with pytest.raises(BusyError):
        remove_run(run)
    path.unlink()
    with RunLock.acquire(run):
        assert locks(run) == ["run.lock", "run.lock.1"]


def test_a_heart_that_beats_elsewhere_is_seen(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    path = leave(run, 2, FAR)
    beats = iter(range(100))
    real = time.sleep
    monkeypatch.setattr(
        lockfile.time, "sleep", lambda s: (leave(run, 2, FAR, b"%012d" % next(beats)), real(s))
    )
    with pytest.raises(BusyError, match=r"on far since .*, whose heartbeat is seen to go on$"):
        RunLock.acquire(run)
    assert path.exists()


def test_what_another_machine_let_go_is_free(run: RunFolder) -> None:
    leave(run, 2, FAR, b"released    ")
    assert not held(run)
    with RunLock.acquire(run):
        assert locks(run) == ["run.lock", "run.lock.3"]


def test_one_that_lets_go_while_it_is_watched(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(run, 2, FAR)
    monkeypatch.setattr(lockfile.time, "sleep", lambda s: leave(run, 2, FAR, b"released    "))
    RunLock.acquire(run).release()


@pytest.mark.parametrize("record", [b"", b"{", b"[" * 60_000, b"\0" * 100])
def test_a_damaged_one_is_held_until_it_is_removed(run: RunFolder, record: bytes) -> None:
    path = leave(run, 2, FAR, record=record)
    assert held(run)
    with pytest.raises(BusyError, match=rf"in use by another process, though no heartbeat .* remove {path}"):
        RunLock.acquire(run)


def test_one_whose_start_is_unknown_cannot_be_judged(run: RunFolder) -> None:
    me = identify(os.getpid())
    leave(run, 2, Identity(2**22 + 1, 0, me.boot_id, me.host, me.pid_namespace))
    assert held(run)


def test_no_room_for_it_is_said_and_leaves_nothing(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(lockfile, "write_all", full)
    with pytest.raises(DiskError, match="could not lock run one; it was not started: no space left"):
        RunLock.acquire(run)
    assert locks(run) == ["run.lock"]


def test_no_room_for_the_owner_gives_it_back(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", full)
        with pytest.raises(DiskError, match="no space left"):
            RunLock.acquire(run)
    assert not held(run)


def test_a_slow_starter_does_not_take_a_number_that_was_used(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked at 2, which is free; before it makes 3 another has had 3 and holds 4."""
    leave(run, 2, FAR, b"released    ")
    real, others = lockfile._refusal, []

    def look(run, number):
        found = real(run, number)
        if not others:
            others.append(None)
            RunLock.acquire(run).release()
            others[0] = RunLock.acquire(run)
        return found

    monkeypatch.setattr(lockfile, "_refusal", look)
    with pytest.raises(BusyError, match=f"process {os.getpid()}"):
        RunLock.acquire(run)
    assert locks(run) == ["run.lock", "run.lock.4"]
    assert others[0].current()
    others[0].release()


def test_names_that_are_no_numbers_are_passed_over(run: RunFolder) -> None:
    for name in ("run.lock.x", "run.lock.", "run.lock.²", "run.lock.99999999999999999999", "run.lock.-1"):
        (run.path / name).write_bytes(b"")
    assert not held(run)
    with RunLock.acquire(run) as lock:
        assert lock._path.name == "run.lock.1"


def test_the_state_of_a_run_is_told_as_with_flock(run: RunFolder) -> None:
    with RunLock.acquire(run):
        write_status(run, my_status("running", attempt=1))
        assert (run_state(run).state, run_state(run).alive) == ("running", True)
    assert (run_state(run).state, run_state(run).alive) == ("crashed", False)
