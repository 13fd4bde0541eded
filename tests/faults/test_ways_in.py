"""No way in: no sockets, files for the user alone, links not followed, nothing of the environment written down."""

import functools
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import fault_terminal
import psutil
import pytest

from rnn_tui.errors import DiskError, InputError, RnnTuiError
from rnn_tui.runs import supervisor
from rnn_tui.runs.events import EventReader, EventWriter
from rnn_tui.runs.folder import create_run, find_run
from rnn_tui.runs.listing import list_runs
from rnn_tui.runs.lock import RunLock
from rnn_tui.runs.status import my_status, read_status, run_state, write_status
from rnn_tui.training.saving import publish

CALLS = "socket,connect,bind,listen"
SECRET = "hunter2-not-in-any-run-folder"
BAIT = ("json", "torch", "numpy", "msgspec", "rnn_tui", "rnn_tui_scratch", "sitecustomize", "click")
"""Modules that stand in the current folder, as they might in a run folder that somebody sent."""


def environment(folder, cache):
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    kept |= {f"RNN_TUI_{name}_DIR": str(folder / name.lower()) for name in ("STATE", "CONFIG", "DATA")}
    # with a name in the environment the C library asks no service who we are
    return kept | {
        "RNN_TUI_CACHE_DIR": str(cache),
        "USER": "somebody",
        "OMP_NUM_THREADS": "1",
        "API_TOKEN": SECRET,
    }


@functools.cache
def traceable():
    """Whether strace is here and may be used, which a container may forbid."""
    command = watched(["true"], os.devnull)
    return bool(shutil.which("strace")) and not subprocess.run(command, stderr=subprocess.DEVNULL).returncode


def watched(command, log):
    """The command that runs `command` and writes each call on a socket, of it and its children, into `log`."""
    return ["strace", "-f", "--seccomp-bpf", "-o", str(log), "-e", f"trace={CALLS}", *command]


def sockets(log):
    """The calls in the log of `watched`; a pair of pipes of one's own (socketpair) is none of them."""
    return [
        line for line in log.read_text().splitlines() if any(f"{call}(" in line for call in CALLS.split(","))
    ]


def sockets_of(process):
    """Where there is no strace: the sockets with an address that the processes have open at this moment."""
    found = []
    for each in [process, *process.children(recursive=True)]:
        try:
            found += [str(one) for one in each.net_connections("all") if one.laddr or one.raddr]
        except psutil.Error:
            continue
    return found


def run_and_watch(command, folder, **more):
    """Run a command to its end; return what it did with sockets."""
    log = folder / "calls"
    if traceable():
        done = subprocess.run(watched(command, log), timeout=300, **more)
        assert done.returncode == 0, (folder / "said").read_text()
        return sockets(log)
    found, process = [], subprocess.Popen(command, **more)
    while process.poll() is None:
        found += sockets_of(psutil.Process(process.pid))
        time.sleep(0.02)
    assert process.returncode == 0
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that the command line and its worker made: from standard input, by a user who lets others do anything, in a
    folder with hostile modules; and what both did with sockets."""
    folder = tmp_path_factory.mktemp("ways")
    (folder / "here").mkdir()
    for name in BAIT:
        (folder / "here" / f"{name}.py").write_text(
            f"open({str(folder / 'bitten')!r}, 'a').write({name!r})\n"
        )
    command = [
        str(Path(sys.executable).with_name("rnn-tui")),
        "train",
        "-",
        "--runs-dir",
        str(folder / "runs"),
    ]
    command += (
        "--name a --hidden-size 4 --steps 4 --engine loop --threads 1 --device cpu --foreground".split()
    )
    (folder / "text").write_text("the cat sat on the mat and the dog lay by the old door\n" * 60)
    with open(folder / "said", "wb") as said, open(folder / "text", "rb") as text:
        seen = run_and_watch(
            command,
            folder,
            cwd=folder / "here",
            stdin=text,
            env=environment(folder, tmp_path_factory.getbasetemp() / "cache"),
            stdout=said,
            stderr=subprocess.STDOUT,
            umask=0,
        )
    return folder, seen


# ---- sockets ----


def test_training_opens_no_socket(trained, tmp_path, figures):
    folder, seen = trained
    assert seen == []
    assert EventReader(folder / "runs" / "a" / "events.jsonl").poll()[-1].data["reason"] == "finished"
    listener = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); import time; time.sleep(0.3)"
    opened = run_and_watch([sys.executable, "-c", listener], tmp_path)
    assert opened
    figures(
        "ways in",
        f"command line and worker: no socket; broken on purpose: a listener is seen in {len(opened)} calls",
    )


def test_the_app_and_its_engine_open_no_socket(trained, tmp_path, amount, figures):
    if not traceable():
        pytest.skip("what the app does cannot be seen without strace")
    folder, _ = trained
    log = tmp_path / "calls"
    program = [sys.executable, "-c", fault_terminal.APP, str(folder / "runs")]
    start = f"import os; os.execvp('strace', {watched(program, log)!r})"
    terminal = fault_terminal.Terminal(tmp_path, ["-c", start], USER="somebody")
    terminal.wait_for("finished")
    terminal.settle()
    terminal.send("\x11")  # ctrl+q
    deadline = time.monotonic() + 60
    while terminal.alive and time.monotonic() < deadline:
        terminal.read(0.1)
    assert not terminal.alive
    assert "exited with 0" in log.read_text()
    assert sockets(log) == []
    engines = amount((), ("torch", "numpy"))
    for backend in engines:
        model = str(folder / "runs" / "a" / "model.safetensors")
        command = [
            sys.executable,
            "-P",
            "-m",
            "rnn_tui",
            "prompt",
            model,
            "the cat",
            "--length",
            "20",
            "--backend",
            backend,
        ]
        with open(tmp_path / "said", "wb") as said:
            assert (
                run_and_watch(
                    command, tmp_path, env=environment(tmp_path, tmp_path / "c"), stdout=said, stderr=said
                )
                == []
            )
    figures("ways in", f"the app{' and prompts with ' + ' and '.join(engines) if engines else ''}: no socket")


# ---- who may read ----


def open_to_others(folder):
    """What below a folder, itself included, others may read or enter; files 0600, folders 0700."""
    wrong = []
    for path in [folder, *folder.rglob("*")]:
        wanted = 0o700 if path.is_dir() else 0o600
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode != wanted or path.lstat().st_uid != os.geteuid():
            wrong.append(f"{path.relative_to(folder.parent)}: {mode:o}")
    return wrong


def test_all_that_a_run_is_made_of_is_the_users_alone(trained, figures):
    """Though the umask let everybody do everything."""
    runs = trained[0] / "runs"
    assert open_to_others(runs) == []
    names = {path.name for path in runs.rglob("*")}
    assert names >= {
        "config.toml", "events.jsonl", "status.json", "run.lock", "worker.log", "model.safetensors", "corpus.txt",
        "launch.json", "inbox", "done", "rejected", "checkpoints", "manifest.json", "train.safetensors", "state.json",
    }  # fmt: skip
    figures(
        "ways in", f"{len(list(runs.rglob('*')))} files and folders of a run under umask 0: 0600 and 0700"
    )


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_what_is_written_later_is_the_users_alone_too(tmp_path, umask, monkeypatch):
    before = os.umask(umask)
    try:
        run = create_run(tmp_path / "runs", "a", {"model": {"arch": "lstm"}})
        with RunLock.acquire(run), EventWriter(run.events_path, 1) as log:
            log.write("start", 0)
            write_status(run, my_status("running", attempt=1))
        assert open_to_others(tmp_path / "runs") == []
        real = os.open  # as if the mode were left out
        monkeypatch.setattr(
            os, "open", lambda path, flags, mode=0o777, **more: real(path, flags, 0o666, **more)
        )
        write_status(run, my_status("stopped", attempt=1))
    finally:
        os.umask(before)
    assert open_to_others(tmp_path / "runs") == (
        [f"runs/a/status.json: {0o666 & ~umask:o}"] if umask != 0o077 else []
    )


# ---- what must not get out ----


def holding(folder, secret):
    """The files below a folder that hold a text."""
    return [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_nothing_of_the_environment_is_written_down(trained, figures):
    folder, _ = trained
    assert holding(folder, SECRET) == []
    assert holding(folder.parent / "cache", SECRET) == []
    (folder / "planted").write_text(repr(environment(folder, folder)))  # as a dump of it would be
    assert holding(folder, SECRET) == [folder / "planted"]
    (folder / "planted").unlink()
    figures("ways in", "a secret of the environment: in no file of the run, the cache, the state")


def test_modules_in_the_current_folder_are_not_imported(trained, tmp_path, figures):
    folder, _ = trained
    assert not (folder / "bitten").exists()
    # they would be: by a program that is started as workers often are
    here = folder / "here"
    subprocess.run([sys.executable, "-c", "import json"], cwd=here, check=True)
    assert (folder / "bitten").read_text() == "json"
    (folder / "bitten").unlink()
    figures(
        "ways in",
        f"{len(BAIT)} hostile modules in the current folder: none imported by command line, worker or probes",
    )


# ---- links ----


def linked(run, outside, part):
    """Put a link to something outside in the place of a part of a run; return that."""
    path = run.path / part
    target = outside / Path(part).name
    if path.is_dir():
        path.rename(target)
    else:
        path.unlink(missing_ok=True)
        target.write_text("precious")
    path.symlink_to(target)
    return target


def contents(folder):
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


WRITERS = {
    "status.json": lambda run: write_status(run, my_status("running", attempt=1)),
    ".tmp-status.json": lambda run: write_status(run, my_status("running", attempt=1)),
    "events.jsonl": lambda run: EventWriter(run.events_path, 1),
    "run.lock": lambda run: RunLock.acquire(run),
    "worker.log": supervisor.start_worker,
    "checkpoints": supervisor.start_worker,
    "control": supervisor.start_worker,
    "control/inbox": supervisor.start_worker,
    "control/done": supervisor.start_worker,
    "control/rejected": supervisor.start_worker,
    "model.safetensors": lambda run: publish(run.config_path, run.model_path),
    ".tmp-model.safetensors": lambda run: publish(run.config_path, run.model_path),
}
"""What writes each part; all but those that replace a file by rename refuse a link."""

REPLACE = {"status.json", ".tmp-status.json", "model.safetensors", ".tmp-model.safetensors"}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "worker_command", lambda run, **_: ["touch", str(run.path / "started")])
    return create_run(tmp_path / "runs", "a", {"model": {"arch": "lstm"}})


@pytest.mark.parametrize("part", WRITERS)
def test_a_link_in_the_place_of_a_part_is_not_written_through(run, tmp_path, part):
    (tmp_path / "outside").mkdir()
    linked(run, tmp_path / "outside", part)
    before = contents(tmp_path / "outside")
    if part in REPLACE:
        WRITERS[part](run)
        assert not (run.path / part).is_symlink()
    else:
        with pytest.raises(RnnTuiError):
            WRITERS[part](run)
    assert contents(tmp_path / "outside") == before
    assert not (run.path / "started").exists()


@pytest.mark.parametrize(
    "part", [".tmp-status.json", "worker.log", "status.json", "events.jsonl", "config.toml"]
)
def test_a_fifo_in_the_place_of_a_part_makes_nobody_wait(run, part):
    (run.path / part).unlink(missing_ok=True)
    os.mkfifo(run.path / part)
    signal.alarm(20)
    try:
        assert run_state(run).state in ("created", "crashed", "damaged")
        assert [row.name for row in list_runs(run.path.parent)] == ["a"]
        assert read_status(run) is None
        assert EventReader(run.events_path).poll() == []
        if part == ".tmp-status.json":
            write_status(run, my_status("running", attempt=1))
        elif part == "worker.log":
            with pytest.raises(DiskError, match=r"worker\.log"):
                supervisor.start_worker(run)
    finally:
        signal.alarm(0)


def test_a_run_that_is_a_link_is_neither_found_nor_started(run, tmp_path):
    moved = tmp_path / "elsewhere"
    run.path.rename(moved)
    run.path.symlink_to(moved)
    before = contents(moved)
    with pytest.raises(InputError, match="symbolic link"):
        find_run(run.path.parent, "a")
    with pytest.raises(InputError, match="symbolic link"):
        supervisor.start_worker(run)
    assert contents(moved) == before
    assert [row.state for row in list_runs(run.path.parent)] == ["damaged"]
