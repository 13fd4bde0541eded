"""What a run is asked while it trains: pause, resume, stop, checkpoint, set; the signals; and waiting for the disk."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from rnn_tui.errors import DiskError
from rnn_tui.runs.events import number
from rnn_tui.training.progress import Change, Ending
from rnn_tui.training.schedule import factor

if TYPE_CHECKING:
    from rnn_tui.training.loop import Trainer

RETRY_SECONDS = 5.0
"""How often a run that waits for its disk tries to write again."""


class Requests(Protocol):
    """The mailbox of a run."""

    rejected: list[Any]

    def poll(self) -> list[Any]: ...

    def done(self, command: Any) -> None: ...


class Orders:
    """Applies what was asked to one trainer, between two updates.

    Attributes:
        unsaved: why checkpoints cannot be written; the run then waits until they can, so that nothing is lost.
    """

    def __init__(
        self,
        trainer: "Trainer",
        requests: Requests,
        signalled: Callable[[], int | None],
        replay: Sequence[Change],
    ) -> None:
        """Take orders for `trainer`.

        Args:
            signalled: the number of the signal that asked the process to end, if one did.
            replay: changes that an earlier attempt journalled after the checkpoint that this one goes on from; each
                takes effect again at its step.
        """
        self.trainer = trainer
        self.paused = False
        self.unsaved: DiskError | None = None
        self._next_try = 0.0
        self._requests = requests
        self._signalled = signalled
        self._replay = list(replay)
        self._waiting: list[Any] = []
        self._stop: Ending | None = None

    def obey(self) -> Ending | None:
        """Apply what was asked since the last step; stay here while paused."""
        trainer, step = self.trainer, self.trainer.progress.step
        while self._replay and self._replay[0].step <= step:
            change = self._replay.pop(0)
            if change.kind == "command":
                trainer.progress.took_effect(change.id)
                self.set_rate(number(change.data["args"].get("lr")))
            else:
                trainer.switching.switch(change)
        self._take()
        if self.paused and not self._ending:
            trainer.save("pause")
            self._stay(lambda: self.paused)
        if self.unsaved is not None:
            self.wait_for_disk(self.unsaved, "pause")
        if (signal := self._signalled()) is not None:
            self._stop = Ending("preempted", "asked by a signal", 128 + signal)
        if self._stop is not None:
            trainer.journal.event("state", step, state="stopping")
            trainer.journal.status("stopping", trainer, force=True)
        return self._stop

    @property
    def _ending(self) -> bool:
        return self._stop is not None or self._signalled() is not None

    def _stay(self, meanwhile: Callable[[], bool], message: str = "") -> None:
        """Stay here as long as `meanwhile` says, unless the run is asked to end."""
        trainer, step = self.trainer, self.trainer.progress.step
        trainer.journal.event("state", step, state="paused", message=message, durable=True)
        while not self._ending and meanwhile():
            trainer.journal.status("paused", trainer, message=message)
            time.sleep(0.05)
            self._take()
        trainer.restart_clock()
        if not self._ending:
            trainer.journal.event("state", step, state="running", durable=True)
            trainer.journal.status("running", trainer, force=True)

    def wait_for_disk(self, fault: DiskError, reason: str) -> DiskError | None:
        """Wait until a checkpoint can be written, for `reason`, and write it; return what hindered it where the run is
        asked to end before that."""
        self.unsaved = fault
        self._next_try = time.monotonic() + RETRY_SECONDS

        def hindered() -> bool:
            if time.monotonic() >= self._next_try:
                self.unsaved = self.trainer.save(reason)
                self._next_try = time.monotonic() + RETRY_SECONDS
            return self.unsaved is not None

        self._stay(hindered, f"waiting for the disk: {fault}")
        left, self.unsaved = self.unsaved, None
        return left

    def _take(self) -> None:
        journal, progress = self.trainer.journal, self.trainer.progress
        asked, self._waiting = [*self._waiting, *self._requests.poll()], []
        for command in asked:
            if command.id in progress.applied:
                self._requests.done(command)
                continue
            # not before those are set which an earlier attempt set later than now
            if command.command == "set" and any(change.kind == "command" for change in self._replay):
                self._waiting.append(command)
                continue
            # on disk before it takes effect: a crash neither loses nor doubles it
            logged = journal.event(
                "command",
                progress.step,
                durable=True,
                id=command.id,
                command=command.command,
                args=command.args,
                origin=command.origin,
            )
            progress.took_effect(command.id)
            match command.command:
                case "pause":
                    self.paused = True
                case "resume":
                    self.paused, self._next_try = False, 0.0
                case "stop":
                    self._stop = Ending("stopped", "stopped on request", 0)
                case "checkpoint":
                    self.trainer.save("request")
                case "set":
                    self.set_rate(float(command.args["lr"]))
            # else it stays in the inbox, where the next worker finds it if this one dies before it is logged
            if logged:
                self._requests.done(command)
        for refused in self._requests.rejected:
            message = f"a request was refused: {refused.name}: {refused.reason}"
            journal.event("warning", progress.step, message=message)

    def set_rate(self, rate: float) -> None:
        """Make `rate` the learning rate of the next update, or during the warm-up its end; the schedule falls from
        there as it would have."""
        trainer, progress, optim = self.trainer, self.trainer.progress, self.trainer.config.optim
        scale = factor(optim, step=progress.step, progress=trainer.used, plateau=progress.plateau)
        if progress.step < optim.warmup_steps or not scale:  # a schedule without a floor ends at 0
            scale = 1.0
        progress.base_lr = rate / scale
