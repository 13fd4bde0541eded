"""The training loop: updates and checkpoints, with a look at the model and at the mailbox between them.

Everything that changes while training is in `Progress`, the weights, the optimiser, the carried state and the
random generators: a checkpoint holds these and nothing else decides what comes next. Which task is trained, the
loop does not know: a `Task` gives it batches and their loss.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import nn

from rnn_tui.errors import DiskError
from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.model.state import detach
from rnn_tui.plugin.core import State
from rnn_tui.tasks.task import Task
from rnn_tui.training.config import RunConfig
from rnn_tui.training.looking import Look, Observer
from rnn_tui.training.obeying import Orders, Requests
from rnn_tui.training.optim import clip_gradients, set_rate
from rnn_tui.training.progress import Ending, Progress, Replayed, planned_steps
from rnn_tui.training.schedule import factor
from rnn_tui.training.setup import Pace

SKIPS_BEFORE_DIVERGED = 3
DISK_FAILURES_BEFORE_PAUSE = 3
COMPLETE = ("finished", "early-stop")


class Journal(Protocol):
    """Where the loop reports: events, and the status file."""

    def event(self, kind: str, step: int, *, durable: bool = False, **data: Any) -> None: ...

    def status(self, state: str, trainer: "Trainer", *, force: bool = False) -> None: ...


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
        replay: Sequence[Replayed] = (),
        write_checkpoint: Callable[["Trainer", str], None],
        look: Look,
    ) -> None:
        self.config = config
        self.model = model
        self.optimizer = optimizer
        self.task = task
        self.pace = pace
        self.progress = progress
        self.state: State = None  # carried from batch to batch; None: starts fresh
        self.journal = journal
        self.write_checkpoint = write_checkpoint
        self.parameters: list[nn.Parameter] = list(model.parameters())
        self.batches = task.epoch(progress.epoch)
        first = self.batches if progress.epoch == 0 else task.epoch(0)  # epochs differ a little in length
        self.total_steps = planned_steps(config, len(first))
        self.observer = Observer(self, look)
        self.orders = Orders(self, requests, signalled, replay)
        self._disk_failures = 0
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

    @property
    def rate(self) -> float:
        """The learning rate of the last update."""
        return float(self.optimizer.param_groups[0]["lr"])

    # -- the loop -----------------------------------------------------------------------------------------------

    def train(self) -> Ending:
        """Train until the budget is used or something ends it. The caller writes the last event."""
        self.restart_clock()
        ending = None
        while ending is None:
            ending = self.orders.obey() or self._complete()
            if ending is None:
                ending = self._update()
                self._tick()
            if ending is None:
                ending = self._between()
        if ending.reason in COMPLETE:
            self.observer.finish()
        if ending.reason != "diverged":
            fault = self.save("end" if ending.reason in COMPLETE else "stop")
            if fault is not None:  # not what it was to be: it can be resumed from an earlier checkpoint
                return Ending("failed", str(fault), fault.exit_code)
        return ending

    def _complete(self) -> Ending | None:
        return Ending("finished", "the budget is used", 0) if self.used >= 1 else None

    def restart_clock(self) -> None:
        """Leave what has passed since the last update out of the time of the run."""
        self._clock = time.monotonic()
        self.observer.restart_clock()

    def _tick(self) -> None:
        now = time.monotonic()
        self.progress.elapsed += now - self._clock
        self._clock = now

    def loss(self, index: int, state: State | None) -> tuple[torch.Tensor, int, int, State]:
        """Return the loss of one batch of this epoch from `state` or a fresh one, and the state after it.

        Between the two: how many predictions the loss is the mean of, and how many positions were read.
        """
        batch = self.batches.batch(index)
        positions = batch.positions
        batch = batch.to(self.model.device)
        if state is None:
            state = self.model.initial_state(len(batch.inputs))
        bf16 = self.config.runtime.precision == "bf16"
        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=bf16):
            loss, predicted, state = self.task.loss(self.model, batch, state)
        return loss, predicted, positions, state

    def _update(self) -> Ending | None:
        progress, optim = self.progress, self.config.optim
        loss, predicted, positions, state = self.loss(progress.window, self.state)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        value = loss.item()
        norm, clipped = clip_gradients(self.parameters, optim.clip)
        if math.isfinite(value) and math.isfinite(norm):
            scale = factor(optim, step=progress.step, progress=self.used, plateau=progress.plateau)
            set_rate(self.optimizer, progress.base_lr * scale)
            self.optimizer.step()
            self.state = detach(state)
            progress.skipped = 0
            progress.loss_sum += value * predicted
            progress.predicted += predicted
            progress.norm_sum += norm
            progress.clipped += clipped
            progress.summed += 1
        else:  # before the optimiser sees it: one infinite gradient turns every weight into NaN
            self.state = None
            progress.skipped += 1
            self.observer.point(progress.step + 1, loss=value, grad_norm=norm, clipped=1.0)
            self.journal.event(
                "warning",
                progress.step + 1,
                message=f"the loss or its gradient is not finite "
                f"(loss {value}, gradient norm {norm}); this update was left out",
            )
        progress.step += 1
        progress.tokens += positions
        progress.window += 1
        if progress.window == len(self.batches):
            progress.epoch, progress.window = progress.epoch + 1, 0
            self.batches = self.task.epoch(progress.epoch)
        if progress.window == 0 or not self.batches.carried:
            self.state = None
        if progress.skipped >= SKIPS_BEFORE_DIVERGED:
            return Ending(
                "diverged",
                f"the loss was not finite for {progress.skipped} updates in a row, at step {progress.step}; the last "
                "checkpoint is from before; try a lower lr or a smaller clip",
                6,
            )
        return None

    def _between(self) -> Ending | None:
        """Look and save as far as that is due after this update."""
        checkpoint, patience = self.config.checkpoint, self.config.budget.patience
        due = "best" if self.observer.after_update() else None
        self.journal.status("running", self)
        minutes = (time.monotonic() - self._saved_at) / 60
        if checkpoint.every_steps and self.progress.step % checkpoint.every_steps == 0:
            due = due or "steps"
        elif not checkpoint.every_steps and checkpoint.every_minutes and minutes >= checkpoint.every_minutes:
            due = due or "time"
        if due:
            self.save(due)
        if patience and self.progress.stale >= patience:
            return Ending("early-stop", f"no improvement in {patience} validations", 0)
        return None

    def save(self, reason: str) -> DiskError | None:
        """Write a checkpoint; return what hindered it. A full disk in between is no reason to end the run."""
        fault = None
        begin = self._saved_at = time.monotonic()
        try:
            self.write_checkpoint(self, reason)
        except DiskError as error:
            fault = error
            self._disk_failures += 1
            self.journal.event("warning", self.progress.step, message=str(error))
            if self._disk_failures >= DISK_FAILURES_BEFORE_PAUSE and self.orders.pause():
                self.journal.event(
                    "warning",
                    self.progress.step,
                    message=f"pausing: {self._disk_failures} checkpoints in a row could not be written; make room on "
                    "the disk, then resume the run, or stop it",
                )
        else:
            self._disk_failures = 0
        self.observer.off_the_clock(begin)
        return fault
