"""One writer for a run: starters that race, die, fork and lie, with `flock` and without."""

import errno
import fcntl
import os
import random
import signal
import tempfile
import time
from pathlib import Path

import msgspec
import pytest

from rnn_tui.errors import BusyError, DiskError, InputError, RnnTuiError
from rnn_tui.runs import lock as lock_module
from rnn_tui.runs import lockfile, process
from rnn_tui.runs.folder import check_writable, create_run
from rnn_tui.runs.lock import RunLock, held, read_owner
from rnn_tui.runs.process import identify

CONFIG = {"model": {"arch": "lstm"}}


@pytest.fixture(params=["flock", "no flock"])
def kind(request, monkeypatch):
    """Both ways to hold a run."""
    if request.param == "no flock":
        without_flock(monkeypatch)
    return request.param


def without_flock(monkeypatch):
    def flock(fd, kind):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.fixture
def run(tmp_path):
    return create_run(tmp_path / "runs", "one", CONFIG)


@pytest.fixture
def forks():
    """Fork a process that runs a function and ends; all are killed at the end."""
    pids = []

    def fork(call):
        pid = os.fork()
        if pid == 0:
            try:
                call()
            finally:
                os._exit(0)
        pids.append(pid)
        return pid

    yield fork
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            continue


# ---- starters at once ----


def race(run, count, forks):
    """Let `count` processes try at the same moment; return the pids of those who hold the run, and those told that."""
    gate, opener = os.pipe()
    answers, answer = os.pipe()

    def starter():
        os.close(opener)
        os.read(gate, 1)  # until it is closed
        try:
            lock = RunLock.acquire(run)
        except BusyError as error:
            os.write(answer, f"busy {os.getpid()} {error}\n".encode())
            return
        os.write(answer, f"holds {os.getpid()} {lock.current()}\n".encode())
        signal.pause()

    for _ in range(count):
        forks(starter)
    os.close(gate)
    os.close(opener)
    text = b""
    while text.count(b"\n") < count:
        text += os.read(answers, 65536)
    os.close(answers)
    os.close(answer)
    lines = text.decode().splitlines()
    holders = [int(line.split()[1]) for line in lines if line.startswith("holds")]
    told = [line for line in lines if any(f"process {pid} on" in line for pid in holders)]
    return holders, told


def races(run, count, rounds, forks):
    """Race, kill the winner, and race again; return what is wrong."""
    faults = []
    for number in range(rounds):
        holders, told = race(run, count, forks)
        if len(holders) != 1 or len(told) != count - 1:
            faults.append(f"round {number}: {len(holders)} hold the run, {len(told)} were told who does")
        if not held(run):
            faults.append(f"round {number}: the run is held, and it cannot be seen")
        for pid in holders:
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # dead, and for now a zombie
        if held(run):
            faults.append(f"round {number}: a dead process holds the run")
        if number % 2:
            for pid in holders:
                os.waitpid(pid, 0)
    return faults


def test_of_racing_starters_one_wins_and_after_its_death_again_one(run, kind, forks, amount, figures):
    count, rounds = amount((12, 3), (50, 10))
    assert races(run, count, rounds, forks) == []
    figures(
        "lock",
        f"{kind}: {rounds} rounds of {count} racing starters, the winner killed each time: one held it",
    )


def crowd(run, count, seconds, forks, dice):
    """Have `count` processes take the run and let go again, some of them killed; return how often, and two at a time.

    Whoever holds the run puts his pid into a file, and must not find that of another living process there.
    """
    inside = run.path / "inside"
    answers, answer = os.pipe()

    def member():
        until = time.monotonic() + seconds
        own = random.Random(os.getpid())
        while time.monotonic() < until:
            try:
                lock = RunLock.acquire(run)
            except BusyError:
                time.sleep(own.uniform(0, 0.002))
                continue
            other = inside.read_text() if inside.exists() else ""
            found = b"2" if other and other != str(os.getpid()) and process.start_ticks(int(other)) else b"1"
            inside.write_text(str(os.getpid()))
            time.sleep(own.uniform(0, 0.002))
            if inside.read_text() != str(os.getpid()):
                found = b"2"
            inside.write_text("")
            os.write(answer, found)
            lock.release()

    pids = [forks(member) for _ in range(count)]
    for pid in pids[: count // 2]:
        time.sleep(dice.uniform(0, 1.2 * seconds / count))
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)
    os.close(answer)
    text = b""
    while part := os.read(answers, 65536):
        text += part
    os.close(answers)
    return len(text), text.count(b"2")


@pytest.fixture
def slow(monkeypatch):
    """A pause after a look at the lock file, so that another comes between the look and what follows from it."""
    real = lockfile._free

    def free(*args):
        found = real(*args)
        time.sleep(random.uniform(0, 0.004))
        return found

    monkeypatch.setattr(lockfile, "_free", free)


def test_a_crowd_never_holds_it_two_at_a_time(run, kind, forks, slow, amount, seed, figures):
    times, double = crowd(run, 8, amount(1.0, 10.0), forks, random.Random(seed))
    assert times > 20
    assert double == 0
    figures("lock", f"{kind}: held {times} times by a crowd of 8, half of them killed: never by two")


def naive(run, owner):
    """`Claim.take` as it is often written: one name, removed when its owner is seen to be dead, made anew."""
    path = lockfile._path(run, 1)
    while True:
        if path.exists():
            if not lockfile._free(*lockfile._read(path)):
                raise BusyError("held")
            path.unlink(missing_ok=True)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        record = msgspec.json.encode(owner) + b"\n"
        os.write(fd, record + b"%012d" % 0)
        return lockfile.Claim(path, fd, len(record))


def test_a_stale_lock_that_is_simply_removed_is_noticed(run, forks, slow, monkeypatch, figures):
    without_flock(monkeypatch)
    monkeypatch.setattr(lockfile.Claim, "take", staticmethod(naive))
    times, double = crowd(run, 8, 1.0, forks, random.Random(1))
    assert double
    figures(
        "lock",
        f"broken on purpose: stale lock removed and made anew: two at a time {double} of {times} times",
    )


# ---- a file that is not what was locked ----


def exchanged(run, monkeypatch):
    """Remove run.lock between the open and the lock of one starter, and let another in; return whether both hold it."""
    real, others = fcntl.flock, []

    def flock(fd, kind):
        real(fd, kind)
        if not others:
            others.append(None)
            run.lock_path.unlink()
            others[0] = RunLock.acquire(run)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", flock)
        try:
            RunLock.acquire(run).release()
        except BusyError:
            both = False
        else:
            both = True
    others[0].release()
    return both


def test_a_lock_file_removed_while_somebody_locks_it_lets_no_second_in(run, monkeypatch, figures):
    assert not exchanged(run, monkeypatch)
    monkeypatch.setattr(lock_module, "_is_current", lambda path, fd: True)
    assert exchanged(run, monkeypatch)
    figures("lock", "broken on purpose: locked file not compared with the named one: two hold it")


def test_of_a_held_lock_whose_file_is_removed_the_holder_knows(run, kind):
    """Nothing can keep a user from removing it; but never are there two who may write."""
    with RunLock.acquire(run) as first:
        assert first.current()
        for path in run.path.glob("run.lock*"):
            path.unlink()
        assert not first.current()
        with RunLock.acquire(run) as second:
            assert second.current()
            assert not first.current()
    assert not second.current()


@pytest.mark.parametrize("thing", ["link", "link to nothing", "FIFO", "folder", "socket of a stranger"])
def test_what_is_no_lock_file_is_refused_at_once(run, kind, tmp_path, thing):
    (tmp_path / "victim").write_text("keep")
    if thing == "link":
        run.lock_path.symlink_to(tmp_path / "victim")
    elif thing == "link to nothing":
        run.lock_path.symlink_to(tmp_path / "absent")
    elif thing == "FIFO":
        os.mkfifo(run.lock_path)
    elif thing == "folder":
        run.lock_path.mkdir()
    else:
        os.mknod(run.lock_path, 0o600 | 0o140000)
    begin = time.monotonic()
    with pytest.raises(DiskError, match="could not open the lock of run one"):
        RunLock.acquire(run)
    with pytest.raises(DiskError, match="could not open the lock of run one"):
        held(run)
    assert time.monotonic() - begin < 20  # and not for ever, as a pipe that is opened
    assert (tmp_path / "victim").read_text() == "keep"
    assert not (tmp_path / "absent").exists()


def test_a_run_that_is_moved_is_held_where_it_is_now(run, kind):
    """And its old place is nobody's: another run may be made there, and its files are safe from the first worker."""
    with RunLock.acquire(run) as lock:
        moved = type(run)(run.path.with_name("moved"))
        run.path.rename(moved.path)
        assert not lock.current()
        assert held(moved)
        assert not held(run)
        with pytest.raises(BusyError):
            RunLock.acquire(moved)
        other = create_run(run.path.parent, run.name, CONFIG)
        with RunLock.acquire(other) as second:
            assert second.current()
            assert not lock.current()
        other.path.rename(other.path.with_name("away"))
        moved.path.rename(run.path)
        assert lock.current()
    assert not held(run)


def test_a_run_that_is_removed_is_not_held(run, kind):
    with RunLock.acquire(run) as lock:
        for path in [*run.path.glob("run.lock*")]:
            path.rename(run.path.parent / path.name)
        assert not lock.current()
        run.path.rename(run.path.with_name("gone"))
        assert not lock.current()
        assert not held(run)
        with pytest.raises(InputError, match="was the run removed or moved"):
            RunLock.acquire(run)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody whom permissions bind")
def test_a_folder_that_may_not_be_written_is_refused_at_the_start(kind, forks):
    """By whom the permissions bind; looked at by anybody who may read."""
    with tempfile.TemporaryDirectory() as folder:
        run = create_run(Path(folder) / "runs", "one", CONFIG)
        RunLock.acquire(run).release()
        for path in [Path(folder), *Path(folder).rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        answers, answer = os.pipe()

        def stranger():
            os.setuid(54321)
            told = [str(held(run))]
            for call in (check_writable, RunLock.acquire):
                try:
                    call(run)
                    told.append("nothing")
                except RnnTuiError as error:
                    told.append(f"{type(error).__name__}: {error}")
            os.write(answer, "\n".join(told).encode())

        os.waitpid(forks(stranger), 0)
        seen, start, lock = os.read(answers, 4096).decode().splitlines()
    assert seen == "False"
    assert start.startswith(
        f"DiskError: run one was not started: {run.path} cannot be written to: permission denied"
    )
    assert lock.startswith("DiskError: could not open the lock of run one: permission denied")


# ---- who is alive ----


def outlived(run, forks):
    """Kill a holder whose forked child lives on; return whether the run seems held."""
    answers, answer = os.pipe()

    def holder():
        lock = RunLock.acquire(run)
        child = os.fork()
        if child == 0:
            time.sleep(30)
            os._exit(0)
        os.write(answer, b"%d" % child)
        signal.pause()
        lock.release()

    pid = forks(holder)
    child = int(os.read(answers, 100))
    assert held(run)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    try:
        return held(run)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_child_that_outlives_the_worker_holds_nothing(run, kind, forks):
    assert not outlived(run, forks)
    RunLock.acquire(run).release()


def test_a_lock_that_children_inherit_is_noticed(run, forks, monkeypatch, figures):
    class Forgetful(list):
        def add(self, lock):
            pass

    monkeypatch.setattr(lock_module, "_held_here", Forgetful())
    assert outlived(run, forks)
    figures("lock", "broken on purpose: lock not dropped after a fork: a dead worker's run seems held")


def claimed_by(run, identity, number):
    """Leave what a process with this identity leaves behind where there is no flock."""
    owner = lockfile.Owner(identity, time.time(), "n")
    run.lock_path.with_name(f"run.lock.{number}").write_bytes(msgspec.json.encode(owner) + b"\n000000000004")
    run.lock_path.touch()


def reused(run, number):
    """Take a run whose dead holder's pid another process has now; return the refusal, if any."""
    me = identify(os.getpid())
    claimed_by(run, msgspec.structs.replace(me, start_ticks=me.start_ticks - 100), number)
    try:
        with RunLock.acquire(run):
            return ""
    except BusyError as error:
        return str(error)


def test_a_reused_pid_does_not_keep_a_run(run, monkeypatch, figures):
    without_flock(monkeypatch)
    assert reused(run, 5) == ""
    claimed_by(run, identify(os.getpid()), 7)  # the very process
    with pytest.raises(BusyError, match=f"in use by process {os.getpid()} on"):
        RunLock.acquire(run)
    monkeypatch.setattr(lockfile, "is_alive", lambda who: process.start_ticks(who.pid) is not None)
    assert "in use" in reused(run, 8)
    figures("lock", "broken on purpose: pid without its start time: a stranger keeps a dead worker's run")


def test_the_holder_is_named_with_host_and_time(run, kind):
    with RunLock.acquire(run):
        owner = read_owner(run)
        assert owner.identity == identify(os.getpid())
        assert abs(owner.time - time.time()) < 60
