"""The training loop: updates, measurements, checkpoints, and obedience to the control inbox.

Everything that changes while training is in `Progress`, the weights, the optimiser, the carried state and the
random generators: a checkpoint holds these and nothing else decides what comes next. Looking (validation,
samples, logging) draws from generators of its own and leaves all of it as it was.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from rnn_tui.errors import DiskError
from rnn_tui.model.language_model import LanguageModel
from rnn_tui.model.state import detach
from rnn_tui.plugin.core import State
from rnn_tui.tasks.metrics import perplexity
from rnn_tui.tasks.next_token import evaluate, sequence_loss
from rnn_tui.tasks.windows import Plan, plan_epoch
from rnn_tui.training.config import RunConfig
from rnn_tui.training.optim import clip_gradients, set_rate
from rnn_tui.training.progress import Data, Ending, Progress, Replayed, planned_steps
from rnn_tui.training.schedule import factor
from rnn_tui.training.setup import Pace

SKIPS_BEFORE_DIVERGED = 3
DISK_FAILURES_BEFORE_PAUSE = 3


class Journal(Protocol):
    """Where the loop reports: events, and the status file."""

    def event(self, kind: str, step: int, *, durable: bool = False, **data: Any) -> None: ...

    def status(self, state: str, trainer: "Trainer", *, force: bool = False) -> None: ...


class Requests(Protocol):
    """What the loop is asked from outside."""

    rejected: list[Any]

    def poll(self) -> list[Any]: ...

    def done(self, command: Any) -> None: ...


class Trainer:
    """One run in one process."""

    def __init__(
        self,
        config: RunConfig,
        model: LanguageModel,
        optimizer: torch.optim.Optimizer,
        data: Data,
        pace: Pace,
        progress: Progress,
        *,
        journal: Journal,
        requests: Requests,
        signalled: Callable[[], int | None],
        replay: Sequence[Replayed] = (),
        save: Callable[["Trainer", str], None],
        sample: Callable[["Trainer"], str] | None,
    ) -> None:
        self.config = config
        self.model = model
        self.optimizer = optimizer
        self.data = data
        self.pace = pace
        self.progress = progress
        self.state: State = None  # carried from window to window; None: starts fresh
        self.journal = journal
        self.requests = requests
        self.signalled = signalled
        self.replay = list(replay)
        self.save = save
        self.sample = sample
        self.parameters: list[nn.Parameter] = list(model.parameters())
        self.plan = self._plan(progress.epoch)
        self.total_steps = planned_steps(config, len(self._plan(0)))  # epochs differ a little in length
        self.tokens_per_second = 0.0
        self._sampled_at = -1
        self._paused = False
        self._stop: Ending | None = None
        self._disk_failures = 0
        self._clock = time.monotonic()
        self._logged = (self._clock, progress.tokens)
        self._saved_at = self._clock

    # -- what the budget says -----------------------------------------------------------------------------------

    @property
    def epochs(self) -> float:
        """Passes over the training split so far, as a fraction."""
        return self.progress.epoch + self.progress.window / len(self.plan)

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
        self._clock = time.monotonic()
        self._logged = (self._clock, self.progress.tokens)
        ending = None
        while ending is None:
            ending = self._obey() or self._complete()
            if ending is None:
                ending = self._update()
                self._tick()
            if ending is None:
                ending = self._measure()
        if ending.reason in ("finished", "early-stop"):
            if self.progress.validated_at != self.progress.step:
                self.validate()
            if self._sampled_at != self.progress.step:
                self._sample()
            self._log()
        if ending.reason != "diverged":
            fault = self._save("end" if ending.reason in ("finished", "early-stop") else "stop")
            if (
                fault is not None
            ):  # the run is not what it was to be: it can be resumed from an earlier checkpoint
                return Ending("failed", str(fault), fault.exit_code)
        return ending

    def _complete(self) -> Ending | None:
        return Ending("finished", "the budget is used", 0) if self.used >= 1 else None

    def _tick(self) -> None:
        now = time.monotonic()
        self.progress.elapsed += now - self._clock
        self._clock = now

    def _plan(self, epoch: int) -> Plan:
        data = self.config.data
        return plan_epoch(
            len(self.data.train),
            sampling=data.sampling,
            batch_size=data.batch_size,
            seq_len=data.seq_len,
            seq_len_min=data.seq_len_min,
            seed=self.config.runtime.seed,
            epoch=epoch,
        )

    def batch(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets (B, T) of one window of this epoch, on the device."""
        ids, targets = self.plan.window(self.data.train, index)
        device = self.model.device
        return torch.from_numpy(np.ascontiguousarray(ids)).to(device), torch.from_numpy(
            np.ascontiguousarray(targets)
        ).to(device)

    def loss(self, index: int, state: State | None) -> tuple[torch.Tensor, State]:
        """The loss of one window, from `state` or a fresh one."""
        ids, targets = self.batch(index)
        if state is None:
            state = self.model.initial_state(len(ids))
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=self.config.runtime.precision == "bf16"):
            return sequence_loss(self.model, ids, targets, state, loss_on=self.config.data.loss_on)

    def _update(self) -> Ending | None:
        progress, optim = self.progress, self.config.optim
        length = int(self.plan.lengths[progress.window])
        loss, state = self.loss(progress.window, self.state)
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
            predicted = self.config.data.batch_size * (length if self.config.data.loss_on == "all" else 1)
            progress.loss_sum += value * predicted
            progress.predicted += predicted
            progress.norm_sum += norm
            progress.clipped += clipped
            progress.summed += 1
        else:  # before the optimiser sees it: one infinite gradient turns every weight into NaN
            self.state = None
            progress.skipped += 1
            self.journal.event(
                "train",
                progress.step + 1,
                loss=value,
                grad_norm=norm,
                clipped=1.0,
                lr=self.rate,
                tokens_per_second=self.tokens_per_second,
                epoch=self.epochs,
                tokens=progress.tokens,
                elapsed=progress.elapsed,
                eta=self.eta,
            )
            self.journal.event(
                "warning",
                progress.step + 1,
                message=f"the loss or its gradient is not finite "
                f"(loss {value}, gradient norm {norm}); this update was left out",
            )
        progress.step += 1
        progress.tokens += length * self.config.data.batch_size
        progress.window += 1
        if progress.window == len(self.plan):
            progress.epoch, progress.window = progress.epoch + 1, 0
            self.plan = self._plan(progress.epoch)
        if progress.window == 0 or not self.plan.carried:
            self.state = None
        if progress.skipped >= SKIPS_BEFORE_DIVERGED:
            return Ending(
                "diverged",
                f"the loss was not finite for {progress.skipped} updates in a row, at step {progress.step}; the last "
                "checkpoint is from before; try a lower lr or a smaller clip",
                6,
            )
        return None

    @property
    def _first_look(self) -> int:
        """The step of one early validation, where intervals are automatic: soon there is a model worth prompting."""
        return 0 if self.config.watch.validate_every else self.pace.validate_every // 8

    @property
    def rate(self) -> float:
        """The learning rate of the last update."""
        return float(self.optimizer.param_groups[0]["lr"])

    # -- looking ------------------------------------------------------------------------------------------------

    def _measure(self) -> Ending | None:
        progress, checkpoint = self.progress, self.config.checkpoint
        if progress.step % self.pace.log_every == 0:
            self._log()
        self.journal.status("running", self)
        due = None
        looking = progress.step % self.pace.validate_every == 0 or progress.step == self._first_look
        if self.data.validation is not None and looking:
            best = self.validate()
            self._sample()
            due = "best" if best else None
        elif self.data.validation is None and looking:
            self._sample()
        minutes = (time.monotonic() - self._saved_at) / 60
        if checkpoint.every_steps and progress.step % checkpoint.every_steps == 0:
            due = due or "steps"
        elif not checkpoint.every_steps and checkpoint.every_minutes and minutes >= checkpoint.every_minutes:
            due = due or "time"
        if due:
            self._save(due)
        patience = self.config.budget.patience
        if patience and progress.stale >= patience:
            return Ending("early-stop", f"no improvement in {patience} validations", 0)
        return None

    def _log(self) -> None:
        progress = self.progress
        if not progress.summed:
            return
        now = time.monotonic()
        then, tokens = self._logged
        if now > then:
            self.tokens_per_second = (progress.tokens - tokens) / (now - then)
        self._logged = (now, progress.tokens)
        progress.train_loss = progress.loss_sum / progress.predicted
        self.journal.event(
            "train",
            progress.step,
            loss=progress.train_loss,
            grad_norm=progress.norm_sum / progress.summed,
            clipped=progress.clipped / progress.summed,
            lr=self.rate,
            tokens_per_second=self.tokens_per_second,
            epoch=self.epochs,
            tokens=progress.tokens,
            elapsed=progress.elapsed,
            eta=self.eta,
        )
        progress.loss_sum = progress.norm_sum = 0.0
        progress.clipped = progress.summed = progress.predicted = 0

    def validate(self) -> bool:
        """Measure the validation split, write the event, and return whether it is the best so far."""
        ids = self.data.validation
        if ids is None:
            return False
        progress, optim = self.progress, self.config.optim
        begin = time.monotonic()
        result = evaluate(self.model, ids)
        loss = result.mean
        best = math.isfinite(loss) and (progress.best_loss is None or loss < progress.best_loss)
        progress.validation_loss, progress.validated_at = loss, progress.step
        if best:
            progress.best_loss, progress.best_step, progress.stale, progress.plateau_bad = (
                loss,
                progress.step,
                0,
                0,
            )
        else:
            progress.stale += 1
            progress.plateau_bad += 1
            if optim.schedule == "plateau" and progress.plateau_bad > optim.plateau_patience:
                progress.plateau, progress.plateau_bad = progress.plateau * optim.factor, 0
        self.journal.event(
            "validation",
            progress.step,
            loss=loss,
            perplexity=perplexity(loss),
            bpc=loss / self.data.chars_per_token / math.log(2),
            bpb=loss / self.data.bytes_per_token / math.log(2),
            tokens=result.tokens,
            best=best,
            seconds=time.monotonic() - begin,
        )
        self._off_the_clock(begin)
        return best

    def _sample(self) -> None:
        watch = self.config.watch
        if self.sample is None or not watch.sample_length:
            return
        begin = time.monotonic()
        self._sampled_at = self.progress.step
        self.journal.event(
            "sample",
            self.progress.step,
            prompt=watch.sample_prompt,
            text=self.sample(self),
            temperature=watch.sample_temperature,
        )
        self._off_the_clock(begin)

    def _off_the_clock(self, begin: float) -> None:
        """Leave the time since `begin` out of tokens per second; it still counts as time of the run."""
        then, tokens = self._logged
        self._logged = (then + time.monotonic() - begin, tokens)

    def _save(self, reason: str) -> DiskError | None:
        """Write a checkpoint; return what hindered it. A full disk in between is no reason to end the run."""
        fault = None
        begin = self._saved_at = time.monotonic()
        try:
            self.save(self, reason)
        except DiskError as error:
            fault = error
            self._disk_failures += 1
            self.journal.event("warning", self.progress.step, message=str(error))
            if self._disk_failures >= DISK_FAILURES_BEFORE_PAUSE and self._stop is None:
                self._paused = True
                self.journal.event(
                    "warning",
                    self.progress.step,
                    message=f"pausing: {self._disk_failures} checkpoints in a row could not be written; make room on "
                    "the disk, then resume the run, or stop it",
                )
        else:
            self._disk_failures = 0
        self._off_the_clock(begin)
        return fault

    # -- obeying ------------------------------------------------------------------------------------------------

    def _obey(self) -> Ending | None:
        """Apply what was asked since the last step; stay here while paused."""
        while self.replay and self.replay[0].step <= self.progress.step:
            change = self.replay.pop(0)
            self.progress.applied = [*self.progress.applied[-99:], change.id]
            self.set_rate_now(change.rate)
        self._take_commands()
        if self._paused and self._stop is None:
            self._save("pause")
            self.journal.event("state", self.progress.step, state="paused", durable=True)
            while self._paused and self._stop is None and self.signalled() is None:
                self.journal.status("paused", self)
                time.sleep(0.05)
                self._take_commands()
            self._clock = time.monotonic()
            self._logged = (self._clock, self.progress.tokens)
            if self._stop is None and self.signalled() is None:
                self.journal.event("state", self.progress.step, state="running", durable=True)
                self.journal.status("running", self, force=True)
        if (number := self.signalled()) is not None:
            self._stop = Ending("preempted", "asked by a signal", 128 + number)
        if self._stop is not None:
            self.journal.event("state", self.progress.step, state="stopping")
            self.journal.status("stopping", self, force=True)
        return self._stop

    def _take_commands(self) -> None:
        progress = self.progress
        for command in self.requests.poll():
            if command.id in progress.applied:
                self.requests.done(command)
                continue
            # on disk before it takes effect: a crash neither loses nor doubles it
            self.journal.event(
                "command",
                progress.step,
                durable=True,
                id=command.id,
                command=command.command,
                args=command.args,
                origin=command.origin,
            )
            progress.applied = [*progress.applied[-99:], command.id]
            match command.command:
                case "pause":
                    self._paused = True
                case "resume":
                    self._paused = False
                case "stop":
                    self._stop = Ending("stopped", "stopped on request", 0)
                case "checkpoint":
                    self._save("request")
                case "set":
                    self.set_rate_now(float(command.args["lr"]))
            self.requests.done(command)
        for refused in self.requests.rejected:
            self.journal.event(
                "warning", progress.step, message=f"a request was refused: {refused.name}: {refused.reason}"
            )

    def set_rate_now(self, rate: float) -> None:
        """Make `rate` the learning rate of the next update, or during the warm-up its end; the schedule falls from
        there as it would have."""
        progress, optim = self.progress, self.config.optim
        scale = factor(optim, step=progress.step, progress=self.used, plateau=progress.plateau)
        if progress.step < optim.warmup_steps or not scale:  # a schedule without a floor ends at 0
            scale = 1.0
        progress.base_lr = rate / scale
