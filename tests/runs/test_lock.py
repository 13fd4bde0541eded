import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from rnn_tui.errors import BusyError, DiskError, InputError
from rnn_tui.runs import lock as lock_module
from rnn_tui.runs import process
from rnn_tui.runs.folder import RunFolder
from rnn_tui.runs.lock import Owner, RunLock, held, read_owner
from rnn_tui.runs.process import Identity, identify, is_alive, send_signal

HOLDER = """
import sys, time
from pathlib import Path
from rnn_tui.errors import BusyError
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.lock import RunLock
run = RunFolder(Path(sys.argv[1]))
sys.stdin.readline()
try:
    lock = RunLock.acquire(run)
except BusyError as error:
    print("busy", error, flush=True)
else:
    print("won", flush=True)
    sys.stdin.readline()
"""


def start_holder(run: RunFolder) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def say(child: "subprocess.Popen[str]") -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def answer(child: "subprocess.Popen[str]") -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def test_the_second_writer_is_refused_with_who_and_since_when(run: RunFolder) -> None:
    with RunLock.acquire(run):
        assert held(run)
        assert RunLock.held(run)
        with pytest.raises(BusyError) as caught:
            RunLock.acquire(run)
    assert re.fullmatch(
        rf"run one is in use by process {os.getpid()} on \S+ since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d",
        str(caught.value),
    )
    assert not held(run)
    RunLock.acquire(run).release()


def test_of_twenty_racing_processes_one_wins(run: RunFolder) -> None:
    children = [start_holder(run) for _ in range(20)]
    try:
        time.sleep(0.2)
        for child in children:
            say(child)
        answers = [answer(child) for child in children]
        winner = children[answers.index("won")]
        assert answers.count("won") == 1
        assert sum(f"by process {winner.pid} on" in text for text in answers) == 19
        winner.kill()  # the lock goes with its holder, without any cleaning up
        winner.wait()
        assert not held(run)
        owner = read_owner(run)
        assert owner is not None
        assert owner.identity.pid == winner.pid
    finally:
        for child in children:
            child.kill()
            child.communicate()


def test_a_stale_owner_record_stops_nobody(run: RunFolder) -> None:
    run.lock_path.write_bytes(
        msgspec.json.encode(Owner(Identity(1, 5, "another boot", "elsewhere"), 0.0, "x"))
    )
    assert not held(run)
    with RunLock.acquire(run):
        owner = read_owner(run)
        assert owner is not None
        assert owner.identity == identify(os.getpid())


def test_a_child_that_outlives_the_worker_does_not_keep_its_run_alive(run: RunFolder) -> None:
    program = """
import os, sys, time
from pathlib import Path
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.lock import RunLock
lock = RunLock.acquire(RunFolder(Path(sys.argv[1])))
forked = os.fork()
if forked == 0:
    time.sleep(30)
    os._exit(0)
import subprocess
spawned = subprocess.Popen(["sleep", "30"], close_fds=False)
print(forked, spawned.pid, flush=True)
time.sleep(30)
"""
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program, str(run.path)], stdout=subprocess.PIPE, text=True
    )
    orphans = [int(word) for word in answer(child).split()]
    try:
        assert len(orphans) == 2
        assert held(run)
        child.kill()
        child.wait()
        for pid in orphans:
            os.kill(pid, 0)  # they live on
        assert not held(run)
    finally:
        for pid in orphans:
            os.kill(pid, signal.SIGKILL)
        child.communicate()


def test_a_probe_disturbs_neither_a_starting_worker_nor_another_probe(run: RunFolder) -> None:
    """A probe holds a shared lock for microseconds; here it is stretched to a tenth of a second."""
    fd = os.open(run.lock_path, os.O_CREAT | os.O_RDONLY, 0o600)
    fcntl.flock(fd, fcntl.LOCK_SH)
    assert not held(run)
    threading.Timer(0.1, os.close, [fd]).start()
    with RunLock.acquire(run):
        assert held(run)


def test_a_probe_writes_nothing_and_makes_no_file(run: RunFolder) -> None:
    before = sorted(os.listdir(run.path))
    assert not held(run)
    assert sorted(os.listdir(run.path)) == before


def test_a_lock_file_that_was_replaced_is_not_a_lock(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody removes run.lock between our open and our lock: we must end up with the file others will see."""
    real, done = fcntl.flock, []

    def flock(fd: int, kind: int) -> None:
        real(fd, kind)
        if not done:
            done.append(run.lock_path.stat().st_ino)
            run.lock_path.unlink()

    monkeypatch.setattr(lock_module.fcntl, "flock", flock)
    with RunLock.acquire(run):
        assert held(run)
        assert read_owner(run) is not None


def test_a_link_in_place_of_the_lock_is_not_followed(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("keep")
    run.lock_path.symlink_to(tmp_path / "victim")
    with pytest.raises(DiskError, match="could not open the lock of run one"):
        RunLock.acquire(run)
    assert (tmp_path / "victim").read_text() == "keep"


def test_a_removed_run(run: RunFolder) -> None:
    missing = RunFolder(run.path.with_name("gone"))
    assert not held(missing)
    with pytest.raises(InputError, match="was the run removed or moved"):
        RunLock.acquire(missing)


def test_a_lock_that_fails_for_another_reason_is_told(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a disk that fails nobody may conclude that the run is free."""

    def flock(fd: int, kind: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    run.lock_path.touch()
    monkeypatch.setattr(lock_module.fcntl, "flock", flock)
    with pytest.raises(DiskError, match="could not lock the run"):
        RunLock.acquire(run)
    with pytest.raises(DiskError, match="could not lock the run"):
        held(run)


def test_no_room_for_the_owner_record_gives_the_lock_back(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pwrite(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(lock_module.os, "pwrite", pwrite)
        with pytest.raises(DiskError, match="no space left"):
            RunLock.acquire(run)
    assert not held(run)


@pytest.fixture
def sleeper():
    child = subprocess.Popen(["sleep", "60"])
    yield child
    child.kill()
    child.wait()


def test_a_zombie_counts_as_dead(sleeper: "subprocess.Popen[bytes]") -> None:
    who = identify(sleeper.pid)
    assert is_alive(who)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # dead, and not reaped
    os.kill(sleeper.pid, 0)  # which this check calls alive
    assert not is_alive(who)
    assert not send_signal(who, signal.SIGTERM)


@pytest.mark.parametrize("pidfd", [True, False])
def test_a_reused_pid_is_not_signalled(
    sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch, pidfd: bool
) -> None:
    if not pidfd:
        monkeypatch.delattr(process.os, "pidfd_open")
    who = identify(sleeper.pid)
    for stranger in (
        msgspec.structs.replace(who, start_ticks=who.start_ticks - 1),
        msgspec.structs.replace(who, boot_id="another boot"),
        msgspec.structs.replace(who, pid_namespace="pid:[1]"),
    ):
        assert not is_alive(stranger)
        assert not send_signal(stranger, signal.SIGKILL)
    assert sleeper.poll() is None
    assert send_signal(who, signal.SIGTERM)
    assert sleeper.wait(60) == -signal.SIGTERM
    assert not send_signal(who, signal.SIGTERM)


def test_start_ticks_are_those_of_the_kernel() -> None:
    # a name with spaces and parentheses must not shift the fields
    child = subprocess.Popen(
        [sys.executable, "-c", "open('/proc/self/comm','w').write('a) R 1 (b'); print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.readline()
    seconds = process.start_ticks(child.pid) / os.sysconf("SC_CLK_TCK")  # type: ignore[operator]
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    child.kill()
    child.communicate()
    assert 0 <= uptime - seconds < 30
