"""Checkpoints beside training: training waits for a copy in memory, and one thread takes the copy to the disk.

At 10 million parameters with Adam the copy takes 15 ms, the files 20 times as long. One is written at a time, since the
memory is used again for the next; a save that is due meanwhile waits, but for one that is due by the clock only, which
stays due until the thread is free.

The thread writes files and nothing else. What became of them is collected by the trainer between two updates and told
by it, so the event log has one writer. The event `checkpoint` bears the step of the copy and may follow events of later
steps; it says that the files are on the disk.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnn_tui.errors import DiskError
from rnn_tui.files import disk_error, fsync_directory, write_durable

if TYPE_CHECKING:
    from rnn_tui.training.loop import Trainer

AWAITED = frozenset({"start", "pause", "request", "rollback", "stop", "end"})
"""Reasons for which training goes on only when the checkpoint is on the disk: somebody asked for it, or the process
ends or went back. The others are best, steps and time."""


@dataclass(frozen=True)
class Written:
    """What became of a checkpoint.

    Attributes:
        step: of the copy.
        name: of its folder; empty where there is a `fault`.
        seconds: from the beginning of the copy until it was on the disk.
        note: what hindered the removal of old ones, in a sentence.
    """

    step: int
    reason: str
    name: str
    seconds: float
    fault: DiskError | None = None
    note: str = ""


class Saving:
    """Copies the state of a run and has the copy written."""

    def __init__(self, copy: "Callable[[Trainer], Callable[[], tuple[str, str]]]") -> None:
        """Save by `copy`, which copies the state of a trainer and returns what writes the copy; that gives the name of
        its folder and a note, as in `Written`."""
        self._copy = copy
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[Written] | None = None

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being written at this moment."""
        return self._writing is not None and not self._writing.done()

    def begin(self, trainer: "Trainer", reason: str) -> None:
        """Copy the state and begin to write it; the one before must have been collected."""
        assert self._writing is None
        begin, step = time.monotonic(), trainer.progress.step
        write = self._copy(trainer)

        def written() -> Written:
            name, note, fault = "", "", None
            try:
                name, note = write()
            except DiskError as error:
                fault = error
            return Written(step, reason, name, time.monotonic() - begin, fault, note)

        self._writing = self._thread.submit(written)

    def collect(self, *, wait: bool) -> Written | None:
        """Return what became of the checkpoint that was begun, once; None where there is none, or not yet.

        Raises whatever else than a DiskError ended the writing.
        """
        if self._writing is None or (self.busy and not wait):
            return None
        writing, self._writing = self._writing, None
        return writing.result()


def publish(model: Path, target: Path) -> None:
    """Put a checkpoint's model file in the place of `target`, whole; both are never written to again."""
    temporary = target.with_name(f".tmp-{target.name}")
    try:
        if not (target.exists() and target.samefile(model)):  # else the rename would do nothing
            temporary.unlink(missing_ok=True)
            try:
                os.link(model, temporary)
            except OSError:  # a file system without hard links
                with model.open("rb") as file:
                    write_durable(temporary, iter(lambda: file.read(1 << 20), b""))
            os.rename(temporary, target)
        fsync_directory(target.parent)
    except OSError as error:
        raise disk_error(error, f"could not publish {target.name}; the earlier one is whole") from error
