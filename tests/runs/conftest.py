"""A run folder to work on, and a worker that stands in for the one that trains."""

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnn_tui.runs import supervisor
from rnn_tui.runs.folder import RunFolder, create_run

CONFIG: dict[str, Any] = {
    "corpus": {"source": "texts/tinyshakespeare.txt"},
    "tokenizer": {"name": "char", "options": {}},
    "model": {"arch": "lstm"},
    "about": {"created": 1_700_000_000.0},
}

# Three steps a tenth of a second apart unless told otherwise; obeys stop, dies as it is told.
WORKER = textwrap.dedent("""
    import os, signal, sys, time
    from pathlib import Path
    from rnn_tui.runs.control import Inbox
    from rnn_tui.runs.events import EventWriter, last_event
    from rnn_tui.runs.layout import RunFolder
    from rnn_tui.runs.lock import RunLock
    from rnn_tui.runs.status import my_status, write_status

    run, steps, ending = RunFolder(Path(sys.argv[1])), int(sys.argv[2]), sys.argv[3]
    if ending == "refuse":
        sys.exit("the corpus has changed")
    print("hello", os.environ.get("RNN_TUI_FOREGROUND"), os.environ["PYTHONUNBUFFERED"])
    if ending == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with RunLock.acquire(run):
        last = last_event(run.events_path)
        attempt, begun = (last.attempt + 1, last.step) if last else (1, 0)
        status = my_status("running", attempt=attempt, step=begun)
        with EventWriter(run.events_path, attempt) as log:
            log.write("resume" if last else "start", begun, durable=True, from_step=begun, parameters=1234)
            write_status(run, status)
            inbox = Inbox(run)
            for step in range(begun + 1, begun + 1 + steps):
                time.sleep(0.1)
                log.write("train", step, loss=1.0 / step)
                status.step, status.heartbeat = step, step
                write_status(run, status)
                stop = False
                for command in inbox.poll():
                    log.write("command", step, durable=True, id=command.id, command=command.command)
                    inbox.done(command)
                    stop = stop or command.command == "stop"
                if stop:
                    break
                if ending == "die" and step == begun + 2:
                    os.kill(os.getpid(), signal.SIGKILL)
            status.state = "stopped" if ending == "stopped" else "finished"
            log.write("end", step, durable=True, reason=status.state)
            write_status(run, status)
""")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return create_run(tmp_path / "runs", "one", CONFIG)


@pytest.fixture
def worker_script(tmp_path: Path) -> Path:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    return script


@pytest.fixture
def fake_worker(worker_script: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that sets how many steps later workers make and how they end."""

    def set_worker(steps: int = 3, ending: str = "finish") -> None:
        monkeypatch.setattr(
            supervisor,
            "worker_command",
            lambda run, **_: [sys.executable, str(worker_script), str(run.path), str(steps), ending],
        )

    set_worker()
    return set_worker
