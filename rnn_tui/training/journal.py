"""What the worker tells the world: lines in the event log, and the status file."""

import time
from typing import Any

from rnn_tui.errors import DiskError
from rnn_tui.runs.events import EventWriter
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.lock import RunLock
from rnn_tui.runs.status import ENDED, Status, my_status, read_status, write_status
from rnn_tui.training.loop import Trainer

STATUS_SECONDS = 0.5
"""How often status.json is replaced; a dead worker is seen by its lock, not by a late heartbeat."""

FIGURES = (
    "step",
    "total_steps",
    "epoch",
    "elapsed",
    "train_loss",
    "validation_loss",
    "best_loss",
    "best_step",
)
"""What the status says of the training done; it stands until the next attempt has figures of its own."""


class RunJournal:
    """Writes events.jsonl and status.json of one run; the caller holds its lock."""

    def __init__(self, run: RunFolder, lock: RunLock, attempt: int) -> None:
        self.run = run
        self._lock = lock
        self.writer = EventWriter(run.events_path, attempt)
        earlier = read_status(run)
        self._status = my_status("starting", attempt=attempt)
        if earlier is not None:
            # an attempt that cannot begin, for want of its corpus say, takes none of it back
            for name in FIGURES:
                setattr(self._status, name, getattr(earlier, name))
        self._written = 0.0
        self._failed = False

    def event(self, kind: str, step: int, *, durable: bool = False, **data: Any) -> bool:
        """Append one event; whether it is in the log (on the disk, if `durable`), and not only in memory."""
        return self.writer.write(kind, step, durable=durable, **data)

    def status(self, state: str, trainer: Trainer | None, *, force: bool = False, message: str = "") -> None:
        """Replace status.json, at most every `STATUS_SECONDS` unless forced. A full disk is no reason to stop."""
        now = time.monotonic()
        if not force and now - self._written < STATUS_SECONDS:
            return
        self._written = now
        status = self._status
        status.state, status.time = state, time.time()
        status.heartbeat += 1
        self.figures(trainer)
        if self.writer.pending:
            self.writer.sync()
        status.message = message or self.writer.fault  # the disk's, when the log can't be written
        try:
            self.check_place()
            write_status(self.run, status)
            self._failed = False
        except DiskError as error:
            if not self._failed:  # once for each fault: the ring that holds events meanwhile is bounded
                self.event("warning", status.step, message=str(error))
            self._failed = True

    def check_place(self) -> None:
        """Raise DiskError when the folder is not where it was: another run may have its name by now."""
        if not self._lock.current():
            raise DiskError(
                f"the folder of run {self.run.name} was moved or removed, so nothing more can be saved; put it back at "
                f"{self.run.path}, or stop the run and resume it where it is now"
            )

    def figures(self, trainer: Trainer | None) -> Status:
        """Return the status with the trainer's figures; without a trainer, those of the attempt before."""
        status = self._status
        if trainer is not None:
            progress = trainer.progress
            status.step, status.total_steps, status.epoch = progress.step, trainer.total_steps, trainer.epochs
            status.elapsed, status.eta = progress.elapsed, trainer.eta
            status.train_loss, status.validation_loss = progress.train_loss, progress.validation_loss
            status.best_loss, status.best_step = progress.best_loss, progress.best_step
            observer, ended = trainer.observer, status.state in ENDED
            status.tokens_per_second = (
                observer.mean_tokens_per_second if ended else observer.tokens_per_second
            )
            status.engine, status.threads = trainer.pace.engine, trainer.pace.threads
        return status

    def close(self) -> None:
        """Flush the log."""
        self.writer.close()
