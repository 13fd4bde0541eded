"""The training loop: updates and checkpoints, with a look at the model and at the mailbox between them.

Everything that changes while training is in `Progress`, the weights, the optimiser, the carried state and the
random generators: a checkpoint holds these and nothing else decides what comes next. Which task is trained, the
loop does not know: a `Task` gives it batches and their loss.
"""

import time
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import nn

from rnn_tui.errors import DiskError, DivergedError
from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.plugin.core import State
from rnn_tui.tasks.task import Task
from rnn_tui.training.config import RunConfig
from rnn_tui.training.divergence import Divergence, GoBack
from rnn_tui.training.looking import Look, Observer
from rnn_tui.training.obeying import Orders, Requests
from rnn_tui.training.pace import Pace
from rnn_tui.training.progress import Ending, Progress, Replay, planned_steps
from rnn_tui.training.saving import AWAITED, Saving
from rnn_tui.training.schedule import factor
from rnn_tui.training.switching import Switching
from rnn_tui.training.update import PlainUpdate, Update

FAULTS_BEFORE_PAUSE = 3
COMPLETE = ("finished", "early-stop")


class Journal(Protocol):
    """Where the loop reports: events, and the status file."""

    def event(self, kind: str, step: int, *, durable: bool = False, **data: Any) -> bool: ...

    def status(self, state: str, trainer: "Trainer", *, force: bool = False, message: str = "") -> None: ...


class Trainer:
    """One run in one process."""

    def __init__(
        self,
        config: RunConfig,
        model: RecurrentModel,
        optimizer: torch.optim.Optimizer,
        task: Task,
        pace: Pace,
        progress: Progress,
        *,
        journal: Journal,
        requests: Requests,
        signalled: Callable[[], int | None],
        replay: Replay,
        saving: Saving,
        look: Look,
        go_back: GoBack,
    ) -> None:
        self.config = config
        self.model = model
        self.optimizer = optimizer
        self.task = task
        self.pace = pace
        self.progress = progress
        self.state: State = None  # carried from batch to batch; None: starts fresh
        self.rate = progress.base_lr  # of the last update
        self.journal = journal
        self.saving = saving
        self.parameters: list[nn.Parameter] = list(model.parameters())
        self.batches = task.epoch(progress.epoch)
        first = self.batches if progress.epoch == 0 else task.epoch(0)  # epochs differ a little in length
        self.total_steps = planned_steps(config, len(first))
        self.plain = PlainUpdate(config, model, optimizer, task)
        self.update: Update = self.plain
        self.observer = Observer(self, look)
        self.divergence = Divergence(self, go_back)
        self.orders = Orders(self, requests, signalled, replay.changes)
        self.switching = Switching(self, replay.until)
        self._faults, self._told, self._note = 0, "", ""
        self._clock = self._saved_at = time.monotonic()

    # -- what the budget says -----------------------------------------------------------------------------------

    @property
    def epochs(self) -> float:
        """Passes over the training split so far, as a fraction."""
        return self.progress.epoch + self.progress.window / len(self.batches)

    @property
    def used(self) -> float:
        """The share of the budget that is used: the largest over its limits."""
        budget, progress = self.config.budget, self.progress
        shares = [0.0]
        if self.total_steps:
            shares.append(progress.step / self.total_steps)
        if budget.minutes:
            shares.append(progress.elapsed / (60 * budget.minutes))
        return max(shares)

    @property
    def eta(self) -> float | None:
        """Seconds left at the pace so far."""
        used = self.used
        return self.progress.elapsed * (1 - min(used, 1.0)) / used if used > 0 else None

    # -- the loop -----------------------------------------------------------------------------------------------

    def train(self) -> Ending:
        """Train until the budget is used or something ends it. The caller writes the last event."""
        try:
            return self._train()
        finally:
            self.switching.close()
            self.collect(wait=True)  # whatever ended it, no thread writes into a run that is let go

    def _train(self) -> Ending:
        self.restart_clock()
        ending = None
        while ending is None:
            ending = self._go_on()
            if ending is not None:
                self.settle()
                ending = self.divergence.ending() or ending
                if ending.reason == "diverged" and self._went_back():
                    ending = None
        if ending.reason in COMPLETE:
            self.observer.finish()
        if ending.reason != "diverged":
            fault = self._save_last("end" if ending.reason in COMPLETE else "stop")
            if fault is not None:  # not what it was to be: it can be resumed from an earlier checkpoint
                return Ending("failed", str(fault), fault.exit_code)
        return ending

    def _go_on(self) -> Ending | None:
        """Take one update, with what is due before and after it; return how the run ends when it does."""
        try:
            self.collect()
            ending = self.orders.obey() or self.divergence.ending()
            if ending is None and self.used >= 1:
                ending = Ending("finished", "the budget is used", 0)
            if ending is None:
                self.switching.consider()
                ending = self._update()
                self._tick()
            return ending or self._between()
        except DivergedError as error:  # a sample from outputs that are no numbers
            return self.divergence.no_numbers(error)

    def _went_back(self) -> bool:
        """Go on from an earlier checkpoint after a divergence, if that is the policy; return whether it was done."""
        if not self.divergence.go_back():
            return False
        self.save("rollback")
        self.restart_clock()
        return True

    def _save_last(self, reason: str) -> DiskError | None:
        """Save before the run ends; wait until that succeeds, unless somebody waits for the end."""
        fault = self.save(reason)
        return fault if fault is None or reason == "stop" else self.orders.wait_for_disk(fault, reason)

    def put_back(self, progress: Progress) -> None:
        """Go on from `progress`; whoever calls this puts weights, optimiser, carried state and generators back."""
        self.update.outcomes()  # of updates that are undone
        self.progress = progress
        self.batches = self.task.epoch(progress.epoch)

    def restart_clock(self) -> None:
        """Leave what has passed since the last update out of the time of the run."""
        self._clock = time.monotonic()
        self.observer.restart_clock()

    def _tick(self) -> None:
        now = time.monotonic()
        self.progress.elapsed += now - self._clock
        self._clock = now

    def _update(self) -> Ending | None:
        progress, optim = self.progress, self.config.optim
        batch = self.batches.batch(progress.window)
        positions = batch.positions
        scale = factor(optim, step=progress.step, progress=self.used, plateau=progress.plateau)
        self.rate = progress.base_lr * scale
        begin = time.perf_counter()
        self.state = self.update(batch, self.state, self.rate)
        self.switching.took(time.perf_counter() - begin, positions)
        progress.step += 1
        progress.tokens += positions
        progress.window += 1
        if progress.window == len(self.batches):
            progress.epoch, progress.window = progress.epoch + 1, 0
            self.batches = self.task.epoch(progress.epoch)
        if progress.window == 0 or not self.batches.carried:
            self.state = None
        if self.update.full or progress.step % self.pace.log_every == 0:
            self.settle()
        return self.divergence.ending()

    def settle(self) -> None:
        """Count what came of the updates since the last time."""
        progress = self.progress
        outcomes = self.update.outcomes()
        for step, outcome in enumerate(outcomes, progress.step + 1 - len(outcomes)):
            if self.divergence.in_a_row:
                return
            if outcome.finite:
                progress.skipped = 0
                progress.loss_sum += outcome.loss * outcome.predicted
                progress.predicted += outcome.predicted
                progress.norm_sum += outcome.norm
                progress.clipped += outcome.clipped
                progress.summed += 1
            else:
                self.divergence.left_out(step, outcome)

    def _between(self) -> Ending | None:
        """Look and save as far as that is due after this update."""
        checkpoint, patience = self.config.checkpoint, self.config.budget.patience
        due = "best" if self.observer.after_update() else None
        self.journal.status("running", self)
        minutes = (time.monotonic() - self._saved_at) / 60
        if checkpoint.every_steps and self.progress.step % checkpoint.every_steps == 0:
            due = due or "steps"
        elif not checkpoint.every_steps and checkpoint.every_minutes and minutes >= checkpoint.every_minutes:
            due = due or (None if self.saving.busy else "time")
        if due:
            self.save(due)
        if patience and self.progress.stale >= patience:
            return Ending("early-stop", f"no improvement in {patience} validations", 0)
        return self.divergence.ending()

    def save(self, reason: str) -> DiskError | None:
        """Have a checkpoint written; where that is awaited, return what hindered it, else `collect` tells."""
        self.settle()  # what is counted stands in the checkpoint
        if self.divergence.in_a_row:
            return None
        begin = self._saved_at = time.monotonic()
        self.collect(wait=True)  # the one before
        self.saving.begin(self, reason)
        fault = self.collect(wait=True) if reason in AWAITED else None
        self.observer.off_the_clock(begin)
        return fault

    def collect(self, *, wait: bool = False) -> DiskError | None:
        """Tell what became of a checkpoint once that is known; return what hindered it.

        A full disk in between is no reason to end the run.
        """
        written = self.saving.collect(wait=wait)
        if written is None:
            return None
        if written.fault is None:
            self._faults, self._told = 0, ""
            self.journal.event(
                "checkpoint",
                written.step,
                durable=True,
                name=written.name,
                reason=written.reason,
                seconds=written.seconds,
            )
            if written.note and written.note != self._note:
                self.journal.event("warning", written.step, message=written.note)
            self._note = written.note
            return None
        self._faults += 1
        # told once, however often it is tried again; but who asked for one waits for an answer
        if str(written.fault) != self._told or written.reason == "request":
            self._told = str(written.fault)
            self.journal.event("warning", self.progress.step, message=self._told, unsaved=written.reason)
        if self._faults >= FAULTS_BEFORE_PAUSE:
            self.orders.unsaved = written.fault
        return written.fault
