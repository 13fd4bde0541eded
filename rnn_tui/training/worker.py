"""The worker process: `python -m rnn_tui.training.worker RUN` starts or resumes the run in that folder.

It leads a session of its own and ignores SIGHUP, so that it outlives the terminal. SIGTERM and SIGINT checkpoint
and end with 143 and 130; a second one ends at once. It holds the run's lock while it lives and is the only writer
of the folder.
"""

import contextlib
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType

from rnn_tui.errors import DivergedError, OutOfMemoryError, RnnTuiError, UsageError, is_out_of_memory
from rnn_tui.runs.events import last_event
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.lock import RunLock
from rnn_tui.runs.process import die_with_parent
from rnn_tui.runs.supervisor import FOREGROUND
from rnn_tui.training.config import from_dict
from rnn_tui.training.journal import RunJournal
from rnn_tui.training.loop import COMPLETE, Trainer
from rnn_tui.training.progress import Ending
from rnn_tui.training.session import open_session

SAME_PRESS = 1.0
"""Seconds. One Ctrl-C reaches a worker in the foreground twice: from the terminal, and from the command it serves."""


class Signals:
    """Remembers the first SIGTERM or SIGINT; the second one ends the process."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._first = 0.0
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._take)
        signal.signal(signal.SIGINT, self._take)

    def _take(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.number is None:
            self.number, self._first = number, now
        elif now - self._first > SAME_PRESS:
            os._exit(128 + number)

    def __call__(self) -> int | None:
        return self.number


def main(path: str) -> int:
    """Train the run at `path` until it ends; return the exit code."""
    signals = Signals()
    # a run in the foreground ends with its command
    if os.environ.get(FOREGROUND) == "1" and not die_with_parent():
        os.kill(os.getpid(), signal.SIGTERM)
    run = RunFolder(Path(path))
    try:
        with RunLock.acquire(run):
            return _work(run, signals)
    except RnnTuiError as error:
        _say(error)
        return error.exit_code


def _work(run: RunFolder, signals: Signals) -> int:
    last = last_event(run.events_path)
    if last and last.kind == "end" and last.data.get("reason") in ("finished", "early-stop"):
        raise UsageError(f"run {run.name} is complete; start a new run to train longer")
    journal = RunJournal(run, attempt=last.attempt + 1 if last else 1)
    trainer: Trainer | None = None
    try:
        journal.status("starting", None, force=True)
        config = from_dict(
            {k: v for k, v in run.read_config().items() if k != "about"}, f"run {run.name}: config.toml"
        )
        trainer, work = open_session(run, config, journal, signals)
        ending = trainer.train()
        if ending.reason in COMPLETE and (figures := work.conclude(trainer.model)):
            journal.event("evaluation", trainer.progress.step, **figures)
    except DivergedError as error:  # a sample from weights that are no numbers
        ending = Ending("diverged", str(error), error.exit_code)
    except RnnTuiError as error:
        ending = Ending("failed", str(error), error.exit_code)
    except Exception as error:
        if is_out_of_memory(error):
            ending = _out_of_memory(error)
        else:
            traceback.print_exc()  # into worker.log
            ending = Ending("failed", f"{type(error).__name__}: {error}; the traceback is in worker.log", 1)
    _report(journal, trainer, ending)
    return ending.exit_code


def _say(message: object) -> None:
    """Write into worker.log; on a full disk the exit code has to do."""
    with contextlib.suppress(OSError):
        print(f"rnn-tui: error: {message}", file=sys.stderr)


def _out_of_memory(error: BaseException) -> Ending:
    what = str(error).partition("\n")[0][:200]
    message = f"out of memory; use a smaller batch_size, seq_len or hidden_size ({what})"
    return Ending("failed", message, OutOfMemoryError.exit_code)


def _report(journal: RunJournal, trainer: Trainer | None, ending: Ending) -> None:
    known = journal.figures(trainer)
    if ending.reason == "failed":
        journal.event("error", known.step, message=ending.message)
    journal.event(
        "end",
        known.step,
        durable=True,
        reason=ending.reason,
        message=ending.message,
        train_loss=known.train_loss,
        validation_loss=known.validation_loss,
        best_loss=known.best_loss,
        best_step=known.best_step,
        steps=known.step,
        epochs=known.epoch,
        elapsed=known.elapsed,
        exit_code=ending.exit_code,
    )
    state = {"finished": "finished", "early-stop": "finished", "diverged": "diverged", "failed": "failed"}
    journal.status(state.get(ending.reason, "stopped"), trainer, force=True, message=ending.message)
    journal.close()
    if ending.reason == "failed":
        _say(ending.message)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m rnn_tui.training.worker RUN")
    sys.exit(main(sys.argv[1]))
