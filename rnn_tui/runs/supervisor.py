"""Starting, following and ending workers.

A worker leads a session of its own and touches no terminal, so it outlives the app, the shell and the SSH
line that started it. Its own lock, not its parent, says that it lives.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from rnn_tui.errors import BusyError, DiskError, InputError, PluginError, RnnTuiError, UsageError
from rnn_tui.files import disk_error
from rnn_tui.runs.events import Event, EventReader, last_event
from rnn_tui.runs.folder import check_writable
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.lock import held, holder, read_owner
from rnn_tui.runs.process import Identity, identify, is_alive, is_here, limit_reached, send_signal
from rnn_tui.runs.records import open_plain, read_record, write_record
from rnn_tui.runs.status import ENDED, Launch, RunView, run_state

FOREGROUND = "RNN_TUI_FOREGROUND"
"""The pid of the starter, in the environment of a worker that must end with it; the worker asks the kernel for that."""

SPIN = {"GOMP_SPINCOUNT": "10000"}
"""How long a thread of the OpenMP runtime turns at a barrier before it sleeps; its own default is 30 times as long.

Where another process wants a core, the thread that is waited for has to get one: turning threads keep it away. Four
threads on four cores beside one busy process were measured about 7 times as fast with this (docs/log.md). Who sets
the variable, or OMP_WAIT_POLICY, is obeyed.
"""

REFUSALS = (UsageError.exit_code, InputError.exit_code, DiskError.exit_code, PluginError.exit_code)
"""A run that could not begin for such a reason holds nothing worth keeping."""

_LAST_WORD = 5.0
"""Seconds that a worker may take to go, lock and all, after it said that it ends."""


def worker_command(run: RunFolder, *, accept_data: bool = False) -> list[str]:
    """Return the command line of a run's worker.

    `-P`: Python would look for modules in the current folder first, which may be a stranger's run.
    """
    command = [sys.executable, "-P", "-m", "rnn_tui.training.worker", str(run.path)]
    return [*command, "--accept-data"] if accept_data else command


def check_unfinished(run: RunFolder) -> None:
    """Make sure that a run has something left to do: it is not complete, or has been given another budget since.

    Raises:
        UsageError: when there is nothing left.
        InputError: when config.toml cannot be read.
    """
    last = last_event(run.events_path)
    if last is None or last.kind != "end" or last.data.get("reason") not in ("finished", "early-stop"):
        return
    spent, now = last.data.get("budget"), run.read_config().get("budget", {})
    if isinstance(spent, dict) and any(now.get(key, value) != value for key, value in spent.items()):
        return
    raise UsageError(
        f"run {run.name} is complete already; rnn-tui resume {run.name} --steps N (or --epochs, --minutes) gives it "
        "more to do"
    )


def start_worker(
    run: RunFolder, *, resume: bool = False, foreground: bool = False, accept_data: bool = False
) -> "subprocess.Popen[bytes]":
    """Start the worker of a run and return at once; `wait_until_running` waits for it.

    Its output is appended to worker.log. It is reaped when it ends, however long this process lives.

    Args:
        resume: The run has been started before. The worker finds its newest checkpoint by itself.
        foreground: Stay in this session, so that the worker gets the terminal's signals, and end with this
            process.
        accept_data: Go on even if the corpus is not what the run began with.

    Raises:
        BusyError: when a worker is alive or being started, or the run was started before and `resume` is not
            set.
        InputError: when the run folder is damaged, or a symbolic link stands in the place of a part of it.
        UsageError: when the run is complete.
        DiskError: when the folder or worker.log cannot be written.
    """
    view = run_state(run)
    deadline = time.monotonic() + _LAST_WORD
    while view.alive and view.state in ENDED and time.monotonic() < deadline:
        time.sleep(0.02)
        view = run_state(run)
    if view.alive or view.state == "starting":
        raise BusyError(f"run {run.name} is {view.state} already{holder(run)}")
    if view.state == "damaged":
        raise InputError(f"run {run.name} cannot be started: {view.message}")
    if view.state == "finished":
        check_unfinished(run)
    if view.state != "created" and not resume:
        raise BusyError(f"run {run.name} was started before; resume it instead")
    check_writable(run)
    environment = {key: value for key, value in os.environ.items() if key != FOREGROUND} | {
        "PYTHONUNBUFFERED": "1"
    }
    if "OMP_WAIT_POLICY" not in environment:
        environment = SPIN | environment
    if foreground:
        environment[FOREGROUND] = str(os.getpid())
    try:
        log = open_plain(run.log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    except OSError as error:
        raise disk_error(error, f"could not open worker.log of run {run.name}; it was not started") from error
    try:
        child = subprocess.Popen(
            worker_command(run, accept_data=accept_data),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=not foreground,
        )
    except OSError as error:
        why = limit_reached(error) or error.strerror
        raise RnnTuiError(f"could not start the worker of run {run.name}: {why}") from error
    finally:
        os.close(log)
    launch = Launch(identify(child.pid), time.time())
    _write_launch(run, launch)
    # without a thread to spare it stays a zombie until this process ends, which nobody takes for alive
    with contextlib.suppress(RuntimeError):
        threading.Thread(
            target=_reap, args=(run, child, launch), name=f"reap-{run.name}", daemon=True
        ).start()
    return child


def _reap(run: RunFolder, child: "subprocess.Popen[bytes]", launch: Launch) -> None:
    """Wait for the child, so that it does not stay a zombie, and note how it ended, which only its parent learns."""
    launch.exit_code = child.wait()
    current = read_record(run.launch_path, Launch)
    if current is not None and current.identity == launch.identity:
        _write_launch(run, launch)


def _write_launch(run: RunFolder, launch: Launch) -> None:
    try:
        write_record(run.launch_path, launch, durable=False)
    except DiskError:
        return  # it serves messages only; the lock tells the truth without it


def resume_run(run: RunFolder) -> None:
    """Start the worker of a run that was started before. Raises what `start_worker` raises."""
    start_worker(run, resume=True)


def wait_until_running(run: RunFolder, timeout: float) -> RunView:
    """Wait until the worker has begun, or has ended or died instead; return what is true then or after `timeout` s."""
    deadline = time.monotonic() + timeout
    while True:
        view = run_state(run)
        if view.state not in ("created", "starting") or time.monotonic() > deadline:
            return view
        time.sleep(0.05)


def follow(run: RunFolder, *, poll: float = 0.1) -> Iterator[Event]:
    """Yield every event of a run, old ones first, until its worker has ended or is found dead.

    What became of it says `run_state` afterwards.

    Args:
        poll: Seconds between looks at the log.
    """
    reader = EventReader(run.events_path)
    ended_at: float | None = None
    while True:
        # the state before the log: what a worker wrote before it went is still to come
        view = run_state(run)
        here = view.alive or view.state == "starting"
        events = reader.poll(1 << 20)
        yield from events
        if events:
            ended_at = time.monotonic() if events[-1].kind == "end" else None
            continue
        if not here or (
            ended_at is not None and time.monotonic() - ended_at > _LAST_WORD and view.state != "starting"
        ):
            return
        time.sleep(poll)


def terminate(run: RunFolder, number: signal.Signals = signal.SIGTERM) -> bool:
    """Signal the worker of a run, and no other process; False when there is none.

    SIGTERM makes it save and exit, a second one exit at once.

    Raises:
        InputError: when the worker runs on another machine or in another container, or cannot be identified.
    """
    who = _worker(run)
    return who is not None and send_signal(who, number)


def stop_worker(run: RunFolder, *, timeout: float = 30.0, kill: bool = False) -> bool:
    """End the worker with SIGTERM, so that it saves first, and wait until it is gone; True when it is.

    Args:
        timeout: Seconds to wait.
        kill: After `timeout`, SIGKILL: what was done since the last checkpoint is lost.
    """
    if not terminate(run) or _wait_gone(run, timeout):
        return True
    if not kill:
        return False
    terminate(run, signal.SIGKILL)
    return _wait_gone(run, 10.0)


def _wait_gone(run: RunFolder, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while _worker(run) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _worker(run: RunFolder) -> Identity | None:
    """Return the process that holds the lock, or is about to take it."""
    if not held(run):
        launch = read_record(run.launch_path, Launch)
        return launch.identity if launch and is_alive(launch.identity) else None
    owner = read_owner(run)
    if owner is None:
        raise InputError(
            f"the worker of run {run.name} cannot be identified from its lock, so it is not signalled"
        )
    if not is_here(owner.identity):
        raise InputError(
            f"the worker of run {run.name} is on {owner.identity.host}; use `rnn-tui stop {run.name}`"
        )
    return owner.identity
