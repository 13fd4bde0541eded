import errno
import os
import re
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rnn_tui.errors import BusyError, DiskError, InputError, RnnTuiError, UsageError
from rnn_tui.runs import supervisor
from rnn_tui.runs.control import send, wait_for_answer
from rnn_tui.runs.events import EventReader
from rnn_tui.runs.folder import RunFolder, create_run, remove_run
from rnn_tui.runs.lock import RunLock, held, read_owner
from rnn_tui.runs.process import Identity, identify, is_alive
from rnn_tui.runs.status import Liveness, my_status, run_state, write_status
from rnn_tui.runs.supervisor import (
    follow,
    resume_run,
    start_worker,
    stop_worker,
    terminate,
    wait_until_running,
)

SetWorker = Callable[..., None]
CONFIG = {"corpus": {"source": "a.txt"}, "model": {"arch": "lstm"}}


@pytest.fixture(autouse=True)
def _no_worker_survives(tmp_path: Path):
    yield
    runs = tmp_path / "runs"
    for path in runs.iterdir() if runs.exists() else ():
        if not path.name.startswith("."):
            stop_worker(RunFolder(path), timeout=0, kill=True)


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_command_is_this_python_and_the_worker_module(run: RunFolder) -> None:
    command = [sys.executable, "-P", "-m", "rnn_tui.training.worker", str(run.path)]
    assert supervisor.worker_command(run) == command
    assert supervisor.worker_command(run, accept_data=True) == [*command, "--accept-data"]
    assert run.path.is_absolute()


def test_a_worker_is_started_followed_and_reaped(tmp_path: Path, fake_worker: SetWorker) -> None:
    run = create_run(tmp_path / "runs", None, CONFIG)
    start_worker(run)
    assert run.name == "lstm-a-1"
    assert run_state(run).state in ("starting", "running")
    events = list(follow(run, poll=0.02))
    assert [event.kind for event in events] == ["start", "train", "train", "train", "end"]
    assert [event.seq for event in events] == [1, 2, 3, 4, 5]
    assert run_state(run).state == "finished"
    assert run.log_path.read_text() == "hello None 1\n"
    owner = read_owner(run)
    assert owner is not None
    wait_for(lambda: not os.path.exists(f"/proc/{owner.identity.pid}"))  # reaped: not even a zombie is left


def test_a_detached_worker_leads_its_own_session_without_a_terminal(
    run: RunFolder, fake_worker: SetWorker
) -> None:
    fake_worker(steps=1000)
    child = start_worker(run)
    assert os.getsid(child.pid) == child.pid
    assert os.readlink(f"/proc/{child.pid}/fd/0") == "/dev/null"
    assert (
        os.readlink(f"/proc/{child.pid}/fd/1") == os.readlink(f"/proc/{child.pid}/fd/2") == str(run.log_path)
    )


def test_a_foreground_worker_stays_in_our_session(
    run: RunFolder, fake_worker: SetWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_worker(ending="stopped")
    child = start_worker(run, foreground=True)
    assert os.getpgid(child.pid) == os.getpgrp()
    assert child.wait(60) == 0
    assert run.log_path.read_text() == f"hello {os.getpid()} 1\n"
    # and a detached one started from within it does not take itself for one
    monkeypatch.setenv(supervisor.FOREGROUND, "1")
    assert start_worker(run, resume=True).wait(60) == 0
    assert run.log_path.read_text() == f"hello {os.getpid()} 1\nhello None 1\n"


def test_a_resumed_run_is_followed_through_to_its_new_end(run: RunFolder, fake_worker: SetWorker) -> None:
    fake_worker(ending="stopped")
    start_worker(run)
    first = list(follow(run, poll=0.02))
    resume_run(run)
    events = list(follow(run, poll=0.02))
    assert events[: len(first)] == first
    assert [event.kind for event in events[len(first) :]] == ["resume", "train", "train", "train", "end"]
    assert [event.seq for event in events] == list(range(1, 11))
    assert events[-1].attempt == 2
    # a watcher of a run that is over sees all of it and is not kept waiting
    begun = time.monotonic()
    assert list(follow(run, poll=60)) == events
    assert time.monotonic() - begun < 30


def test_a_complete_run_is_not_begun_again(run: RunFolder, fake_worker: SetWorker) -> None:
    start_worker(run)
    wait_for(lambda: run_state(run).state == "finished")
    with pytest.raises(UsageError, match="run one is complete"):
        resume_run(run)


def test_a_worker_that_is_killed_is_found_dead(run: RunFolder, fake_worker: SetWorker) -> None:
    fake_worker(steps=50, ending="die")
    child = start_worker(run)
    events = list(follow(run, poll=0.02))
    assert [event.kind for event in events] == ["start", "train", "train"]
    assert child.wait(60) == -signal.SIGKILL
    wait_for(lambda: "SIGKILL" in run_state(run).message)
    view = run_state(run)
    assert view.state == "crashed"
    assert "the worker was killed by SIGKILL (9, probably for want of memory) at step 2" in view.message


def test_a_worker_that_refuses_is_a_crash_with_its_last_words(run: RunFolder, fake_worker: SetWorker) -> None:
    fake_worker(ending="refuse")
    start_worker(run)
    view = wait_until_running(run, 60)
    assert view.state == "crashed"
    assert list(follow(run, poll=0.02)) == []
    wait_for(lambda: "exit code 1" in run_state(run).message)
    assert "see worker.log: the corpus has changed" in run_state(run).message


def test_a_second_worker_is_refused(run: RunFolder, fake_worker: SetWorker) -> None:
    fake_worker(steps=1000)
    start_worker(run)
    with pytest.raises(BusyError, match="run one is starting already"):
        start_worker(run)
    assert wait_until_running(run, 60).state == "running"
    with pytest.raises(BusyError, match="run one is running already"):
        resume_run(run)
    with pytest.raises(BusyError, match="stop it first"):
        remove_run(run)
    assert stop_worker(run)
    with pytest.raises(BusyError, match="resume it instead"):
        start_worker(run)


def test_racing_resumes_give_one_writer(run: RunFolder, fake_worker: SetWorker) -> None:
    """Even when several get past the first look, the lock lets one through."""
    gate, children = threading.Barrier(5), []

    def start() -> None:
        gate.wait()
        try:
            children.append(start_worker(run, resume=True))
        except BusyError:
            return

    threads = [threading.Thread(target=start) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    codes = [child.wait(60) for child in children]
    assert codes.count(0) >= 1
    seqs = [event.seq for event in EventReader(run.events_path).poll()]
    assert seqs == list(range(1, 5 * codes.count(0) + 1))  # whole attempts, one after the other


def test_a_stop_by_command_is_answered(run: RunFolder, fake_worker: SetWorker) -> None:
    fake_worker(steps=1000)
    start_worker(run)
    assert wait_until_running(run, 60).alive
    answer = wait_for_answer(run, send(run, "stop"), timeout=60)
    assert answer is not None
    assert answer.data["command"] == "stop"
    wait_for(lambda: run_state(run).state == "finished")
    assert sorted(os.listdir(run.inbox)) == []


def test_a_stop_by_signal(run: RunFolder, fake_worker: SetWorker) -> None:
    fake_worker(steps=1000)
    child = start_worker(run)
    wait_until_running(run, 60)
    assert stop_worker(run, timeout=60)
    assert child.wait(60) == -signal.SIGTERM  # the stand-in has no handler
    assert not held(run)
    assert not terminate(run)
    assert stop_worker(run)


def test_a_deaf_worker_is_killed_only_when_asked(run: RunFolder, fake_worker: SetWorker) -> None:
    fake_worker(steps=1000, ending="deaf")
    child = start_worker(run)
    wait_until_running(run, 60)
    assert not stop_worker(run, timeout=0.3)
    assert held(run)
    assert stop_worker(run, timeout=0.1, kill=True)
    assert child.wait(60) == -signal.SIGKILL


def test_a_worker_that_is_still_loading_can_be_ended(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "worker_command", lambda run, **_: ["sleep", "60"])
    child = start_worker(run)
    assert run_state(run).state == "starting"
    assert stop_worker(run, timeout=60)
    assert child.wait(60) == -signal.SIGTERM


def test_a_worker_on_another_machine_is_not_signalled(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rnn_tui.runs import lock

    monkeypatch.setattr(lock, "identify", lambda pid: Identity(pid, 1, "another boot", "far"))
    with RunLock.acquire(run), pytest.raises(InputError, match="is on far; use `rnn-tui stop one`"):
        terminate(run)


def test_a_damaged_lock_signals_nobody(run: RunFolder) -> None:
    with RunLock.acquire(run):
        run.lock_path.write_bytes(b"garbage")
        with pytest.raises(InputError, match="not signalled"):
            terminate(run)


def test_a_worker_that_cannot_be_started_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create_run(tmp_path / "runs", "a", CONFIG)
    monkeypatch.setattr(supervisor, "worker_command", lambda run, **_: ["/no/such/python"])
    with pytest.raises(RnnTuiError, match="could not start the worker of run a: No such file"):
        start_worker(run)
    assert run_state(run).state == "created"


def test_a_linked_log_is_not_written(run: RunFolder, tmp_path: Path, fake_worker: SetWorker) -> None:
    (tmp_path / "victim").write_text("keep")
    run.log_path.symlink_to(tmp_path / "victim")
    with pytest.raises(DiskError, match=r"could not open worker\.log"):
        start_worker(run)
    assert (tmp_path / "victim").read_text() == "keep"


def test_a_damaged_run_is_not_started(run: RunFolder, fake_worker: SetWorker) -> None:
    run.config_path.unlink()
    with pytest.raises(InputError, match=r"config\.toml is missing"):
        start_worker(run)


def test_a_worker_outlives_its_starter_and_the_hang_up_of_its_session(
    run: RunFolder, worker_script: Path
) -> None:
    """The whole process group of the starter is hung up and killed, as when an SSH line drops; training goes on."""
    starter = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from rnn_tui.runs import supervisor
        from rnn_tui.runs.layout import RunFolder
        run = RunFolder(Path(sys.argv[1]))
        supervisor.worker_command = lambda run, **_: [sys.executable, sys.argv[2], str(run.path), "1000", "finish"]
        supervisor.start_worker(run)
        supervisor.wait_until_running(run, 60)
        print("running", flush=True)
        time.sleep(60)
    """)
    parent = subprocess.Popen(
        [sys.executable, "-c", starter, str(run.path), str(worker_script)],
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "running\n"
    os.killpg(parent.pid, signal.SIGHUP)
    assert parent.wait(60) == -signal.SIGHUP
    parent.communicate()
    assert held(run)
    step = run_state(run).status.step
    wait_for(lambda: run_state(run).status.step > step)
    send(run, "stop")
    assert [event.kind for event in follow(run, poll=0.02)][-1] == "end"
    assert run_state(run).state == "finished"


def test_a_zombie_worker_counts_as_dead(run: RunFolder, fake_worker: SetWorker) -> None:
    """Where nobody reaps, as under many containers' first process, the pid stays; the run must not."""
    fake_worker(steps=10000)
    child = subprocess.Popen(supervisor.worker_command(run), env=os.environ | {"PYTHONUNBUFFERED": "1"})
    who = identify(child.pid)
    assert wait_until_running(run, 60).state == "running"
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert os.path.exists(f"/proc/{child.pid}")
    assert not is_alive(who)
    assert run_state(run).state == "crashed"
    assert not terminate(run)
    child.wait()


def test_who_holds_a_run_is_named_when_a_second_start_is_refused(run: RunFolder) -> None:
    with RunLock.acquire(run):
        write_status(run, my_status("running", attempt=1))
        with pytest.raises(BusyError) as caught:
            start_worker(run, resume=True)
    said = (
        rf"run one is running already, by process {os.getpid()} on \S+ since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d"
    )
    assert re.fullmatch(said, str(caught.value))
    assert BusyError.exit_code == 4


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EMFILE, r"this process may open no more than \d+ files \(ulimit -n\)"),
        (errno.ENFILE, "the whole system may open no more files"),
        (errno.EAGAIN, r"no more than (\d+|its share of) processes and threads \(ulimit -u\)"),
        (errno.ENOMEM, "no memory left for another process"),
    ],
)
def test_a_limit_that_is_reached_is_named(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def full(*args: object, **more: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(supervisor.subprocess, "Popen", full)
    with pytest.raises(RnnTuiError, match=f"could not start the worker of run one: .*{words}"):
        start_worker(run)
    assert run_state(run).state == "created"


def test_a_real_limit_of_open_files_is_named(run: RunFolder) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(8)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 3, hard))
    try:
        with pytest.raises(RnnTuiError, match=rf"could not start .*no more than {max(taken) + 3} files"):
            start_worker(run)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in taken:
            os.close(fd)


def test_without_a_thread_to_spare_the_worker_goes_on(
    run: RunFolder, fake_worker: SetWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        child = start_worker(run)
    assert [event.kind for event in follow(run, poll=0.02)][-1] == "end"
    assert run_state(run).state == "finished"
    assert child.wait(60) == 0


def test_a_worker_that_is_halted_is_stalled_and_goes_on_afterwards(
    run: RunFolder, fake_worker: SetWorker
) -> None:
    """As a laptop that sleeps; it holds its lock all the while."""
    fake_worker(steps=10000)
    clock = [0.0]
    liveness = Liveness(lambda: clock[0])
    child = start_worker(run)
    assert wait_until_running(run, 60).state == "running"
    child.send_signal(signal.SIGSTOP)
    time.sleep(0.15)
    assert liveness.view(run).state == "running"
    clock[0] = 3600.0
    view = liveness.view(run)
    assert (view.state, view.alive) == ("stalled", True)
    with pytest.raises(BusyError):
        start_worker(run, resume=True)
    child.send_signal(signal.SIGCONT)
    wait_for(lambda: liveness.view(run).state == "running")
    assert stop_worker(run, timeout=60)


def test_a_foreground_worker_ends_with_its_starter_even_if_that_died_first(run: RunFolder) -> None:
    """Loading takes seconds: a starter that was killed meanwhile can only be known by its pid."""
    program = "import sys; from rnn_tui.runs.process import die_with_parent; print(die_with_parent(int(sys.argv[1])))"
    for parent, alive in ((os.getpid(), "True"), (os.getppid(), "False")):
        done = subprocess.run(
            [sys.executable, "-c", program, str(parent)], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == alive
