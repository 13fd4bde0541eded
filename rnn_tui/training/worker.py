"""The worker process: `python -m rnn_tui.training.worker RUN [--accept-data]` starts or resumes the run in that folder.

It leads a session of its own and ignores SIGHUP, so that it outlives the terminal. SIGTERM and SIGINT checkpoint
and end with 143 and 130; a second one ends at once. It holds the run's lock while it lives and is the only writer
of the folder.
"""

import contextlib
import math
import os
import select
import signal
import sys
import threading
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn, Self

import torch

from rnn_tui.errors import DivergedError, OutOfMemoryError, RnnTuiError, is_out_of_memory
from rnn_tui.plugin.loading import blamed, describe_error
from rnn_tui.runs.events import last_event
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.lock import RunLock
from rnn_tui.runs.process import die_with_parent
from rnn_tui.runs.status import state_after
from rnn_tui.runs.supervisor import FOREGROUND, check_unfinished
from rnn_tui.safetext import safe_text
from rnn_tui.training.config import RuntimeConfig
from rnn_tui.training.journal import RunJournal
from rnn_tui.training.loop import COMPLETE, Trainer
from rnn_tui.training.progress import Ending
from rnn_tui.training.session import open_session
from rnn_tui.training.stored import stored_config

SAME_PRESS = 1.0
"""Seconds. One Ctrl-C reaches a worker in the foreground twice: from the terminal, and from the command it serves."""


class Signals:
    """Remembers the first SIGTERM or SIGINT; the second one ends the process, and so does the end of the grace period.

    A thread of its own hears them, so that one is obeyed as well while the main thread is in a long computation or
    waits for the disk. Use it as a context manager.

    Attributes:
        number: of the first signal, None before it.
        grace: seconds from the first signal to the end of the process; 0: no limit.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.grace = RuntimeConfig().grace
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)  # as set_wakeup_fd wants it
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)  # the byte in the pipe is what counts
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._listen, name="signals", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        os.close(self._write)
        self._thread.join()
        os.close(self._read)

    def __call__(self) -> int | None:
        return self.number

    def _listen(self) -> None:
        first = math.inf
        while True:
            left = first + self.grace - time.monotonic() if self.number and self.grace else None
            if not select.select([self._read], [], [], left if left is None else max(0.0, left))[0]:
                self._leave(f"the {self.grace:g} s for a last checkpoint are over")
            numbers = os.read(self._read, 64)
            if not numbers:  # closed
                return
            for number in numbers:
                if number not in (signal.SIGTERM, signal.SIGINT):
                    continue
                if self.number is None:
                    self.number, first = number, time.monotonic()
                elif time.monotonic() - first > SAME_PRESS:
                    self._leave("a second signal ends the run at once")

    def _leave(self, why: str) -> NoReturn:
        _say(f"{why}; what was done since the last checkpoint is lost")
        os._exit(128 + (self.number or 0))


def main(path: str, *, accept_data: bool = False) -> int:
    """Train the run at `path` until it ends; return the exit code.

    Args:
        accept_data: go on even if the corpus is not what the run began with.
    """
    run = RunFolder(Path(path))
    try:
        with Signals() as signals:
            # a run in the foreground ends with its command
            if (parent := os.environ.get(FOREGROUND)) and not die_with_parent(int(parent)):
                os.kill(os.getpid(), signal.SIGTERM)
            with RunLock.acquire(run) as lock:
                return _work(run, lock, signals, accept_data)
    except RnnTuiError as error:
        _say(error)
        return error.exit_code


def _work(run: RunFolder, lock: RunLock, signals: Signals, accept_data: bool) -> int:
    last = last_event(run.events_path)
    check_unfinished(run)
    journal = RunJournal(run, lock, attempt=last.attempt + 1 if last else 1)
    trainer: Trainer | None = None
    try:
        journal.status("starting", None, force=True)
        config = stored_config(run)
        signals.grace = config.runtime.grace
        trainer, work = open_session(run, config, journal, signals, accept_data)
        ending = trainer.train()
        if ending.reason in COMPLETE and work.conclude:
            journal.event("evaluation", trainer.progress.step, **work.conclude(trainer.model))
    except DivergedError as error:  # a sample from weights that are no numbers
        ending = Ending("diverged", str(error), error.exit_code)
    except RnnTuiError as error:
        ending = Ending("failed", str(error), error.exit_code)
    except BaseException as error:
        culprit = blamed(error)
        if not isinstance(error, Exception) and culprit is None:
            raise
        if is_out_of_memory(error):
            ending = _ran_out(error, run, trainer)
        elif isinstance(error, torch.AcceleratorError):
            ending = _device_failed(error, run, trainer)
        else:
            _log(traceback.format_exc())
            message = f"{culprit or describe_error(error)}; the traceback is in worker.log"
            ending = Ending("failed", message, culprit.exit_code if culprit else RnnTuiError.exit_code)
    _report(journal, trainer, ending)
    return ending.exit_code


def _say(message: object) -> None:
    _log(f"rnn-tui: error: {safe_text(message)}\n")


def _log(text: str) -> None:
    """Write into worker.log, which people look at with `cat`; on a full disk the exit code has to do."""
    with contextlib.suppress(OSError):
        sys.stderr.write(safe_text(text, newlines=True))
        sys.stderr.flush()


def _ran_out(error: BaseException, run: RunFolder, trainer: Trainer | None) -> Ending:
    message = (
        f"out of memory {_moment(trainer)}; {_saved(run)}: resume it with more memory, or with a smaller "
        f"batch_size or seq_len under [data] in its config.toml, or start a new run with a smaller hidden_size "
        f"({_first_line(error)})"
    )
    return Ending("failed", message, OutOfMemoryError.exit_code)


def _device_failed(error: BaseException, run: RunFolder, trainer: Trainer | None) -> Ending:
    """The GPU was lost or its driver reset; nothing more can be computed in this process."""
    what = f"the device failed {_moment(trainer)} ({_first_line(error)}); {_saved(run)}"
    message = f'{what}: resume it when the device is back, or with device = "cpu" under [runtime] in its config.toml'
    return Ending("failed", message, RnnTuiError.exit_code)


def _moment(trainer: Trainer | None) -> str:
    return (
        f"at step {trainer.progress.step} on {trainer.model.device.type}"
        if trainer
        else "before the first step"
    )


def _saved(run: RunFolder) -> str:
    step = run.newest_checkpoint_step()
    return "nothing was lost" if step is None else f"the checkpoint of step {step} is whole"


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200]


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
        budget=asdict(trainer.config.budget) if trainer else None,  # whether it is changed later
    )
    journal.status(state_after(ending.reason), trainer, force=True, message=ending.message)
    journal.close()
    if ending.reason == "failed":
        _say(ending.message)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--accept-data"]):
        sys.exit("usage: python -m rnn_tui.training.worker RUN [--accept-data]")
    sys.exit(main(sys.argv[1], accept_data=len(sys.argv) == 3))
