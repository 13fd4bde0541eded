"""A loss that is not finite, or explodes: what is noticed, told and done about it.

An update whose loss or gradient is not finite is left out (`update`), so the weights stay finite. After some in a row
the policy acts: the run stops, goes back to the last good checkpoint with a lower rate, or goes on. A training loss far
above its lowest for long is told; what else is done about it is a setting of its own.

A run that went back writes a checkpoint of where it stands then, and removes those of the way that led nowhere. Killed
before that, a resumed run comes to the same place: from an earlier checkpoint it diverges again, and goes back again.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from rnn_tui.errors import DivergedError
from rnn_tui.training.progress import Ending, Progress
from rnn_tui.training.update import Outcome

if TYPE_CHECKING:
    from rnn_tui.training.loop import Trainer

GoBack = Callable[["Trainer", int, int | None], str | None]
"""Puts a trainer where the newest good checkpoint is whose step is at most the first one given, and returns the
checkpoint's name; None, with nothing changed, where there is none. That of the second step led nowhere before: it is
taken only where there is no other."""


class Divergence:
    """Watches the losses of one trainer and takes it back where that is the policy."""

    def __init__(self, trainer: "Trainer", go_back: GoBack) -> None:
        self.trainer = trainer
        self.config = trainer.config.divergence
        self._go_back = go_back

    # -- what is noticed ------------------------------------------------------------------------------------------

    def left_out(self, step: int, outcome: Outcome) -> None:
        """Count and tell an update that was left out."""
        trainer, progress = self.trainer, self.trainer.progress
        progress.skipped += 1
        trainer.observer.point(step, loss=outcome.loss, grad_norm=outcome.norm, clipped=1.0)
        if progress.skipped & (progress.skipped - 1):  # with the policy `ignore` there may be thousands
            return
        self._tell(
            "not-finite",
            step,
            outcome.loss,
            f"the loss or its gradient is not finite (loss {outcome.loss}, gradient norm {outcome.norm}); this update "
            "was left out",
        )

    def point(self, loss: float, steps: int) -> None:
        """Take note of a point of the curve, the mean loss of the last `steps` updates."""
        progress, config = self.trainer.progress, self.config
        if progress.first_loss is None or progress.lowest_loss is None:
            progress.first_loss = progress.lowest_loss = loss
        progress.lowest_loss = min(loss, progress.lowest_loss)
        # a loss close to 0 multiplies easily: what explodes comes near what the run began with
        high = loss > max(config.explosion * progress.lowest_loss, progress.first_loss / 2)
        before, progress.high = progress.high, progress.high + steps if config.explosion and high else 0
        if before < config.explosion_steps <= progress.high:
            advice = "the best model so far is kept; a lower rate may help: rnn-tui set RUN lr=…"
            self._tell("exploding", progress.step, loss, f"{self._exploding()}; {advice}")

    def _exploding(self) -> str:
        progress = self.trainer.progress
        loss, lowest = progress.train_loss or math.nan, progress.lowest_loss or math.nan
        return (
            f"the training loss is {loss:.4g}, {loss / lowest:.1f} times its lowest, and has been as high for "
            f"{progress.high} steps"
        )

    def _tell(self, what: str, step: int, loss: float, message: str) -> None:
        self.trainer.journal.event("divergence", step, durable=True, what=what, loss=loss, message=message)

    # -- what is done ---------------------------------------------------------------------------------------------

    @property
    def in_a_row(self) -> bool:
        """Whether so many updates were left out that the policy acts."""
        return self.config.policy != "ignore" and self.trainer.progress.skipped >= self.config.skips

    @property
    def _exploded(self) -> bool:
        """Whether more is to be done about an exploding loss than to say so."""
        config = self.config
        return config.on_explosion != "tell" and self.trainer.progress.high >= config.explosion_steps

    def no_numbers(self, error: DivergedError) -> Ending | None:
        """Return how the run ends when what the model gives is no number, though its loss was."""
        self._tell("not-finite", self.trainer.progress.step, math.nan, str(error))
        return None if self.config.policy == "ignore" else self._end("the model's output is not a number")

    def ending(self) -> Ending | None:
        """Return how the run ends if nothing is done about it."""
        progress = self.trainer.progress
        if self.in_a_row:
            return self._end(f"the loss was not finite for {progress.skipped} updates in a row")
        return self._end(self._exploding()) if self._exploded else None

    def _end(self, what: str) -> Ending:
        progress = self.trainer.progress
        tried = f", having gone back {progress.rollbacks} times" if progress.rollbacks else ""
        reason = f"at step {progress.step}{tried}, {what}; the last checkpoint is from before; try a lower lr or clip"
        return Ending("diverged", reason, DivergedError.exit_code)

    def go_back(self) -> bool:
        """Go on from the last good checkpoint with a lower rate, if that is the policy; return whether it was done."""
        trainer, config, before = self.trainer, self.config, self.trainer.progress
        exploded = not self.in_a_row and self._exploded
        policy = config.on_explosion if exploded else config.policy
        if policy != "rollback" or before.rollbacks >= config.rollbacks:
            return False
        trainer.collect(wait=True)
        limit = before.step - (before.high if exploded else max(before.skipped, 1))
        name = self._go_back(trainer, limit, before.went_back_to)
        if name is None:
            return False
        after = trainer.progress
        self._carry_over(before, after)
        trainer.journal.event(
            "rollback",
            before.step,
            durable=True,
            to_step=after.step,
            lr=after.base_lr,
            number=after.rollbacks,
            message=f"went back from step {before.step} to {name}, the learning rate is now {after.base_lr:.4g} "
            f"({after.rollbacks} of {config.rollbacks} times)",
        )
        return True

    def _carry_over(self, before: Progress, after: Progress) -> None:
        """Keep what going back does not undo: time that was spent, commands that were obeyed, the number of times."""
        after.elapsed, after.applied = before.elapsed, before.applied
        after.rollbacks, after.went_back_to = before.rollbacks + 1, after.step
        after.skipped = after.high = 0
        after.base_lr = min(before.base_lr, after.base_lr) * self.config.factor
