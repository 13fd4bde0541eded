"""What is measured between updates: the curve, the validation split, samples. None of it changes what comes next."""

import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnn_tui.training.loop import Trainer

Look = Callable[["Trainer"], Iterator[tuple[str, dict[str, Any]]]]
"""Gives events, kind and data, that show what the model does now: samples of a text, a forecast. It draws from
generators of its own."""


class Observer:
    """Measures one trainer and journals what it finds.

    Attributes:
        looked_at: the step at which it last showed what the model does.
        tokens_per_second: in the updates up to the last point of the curve, since the one before.
    """

    def __init__(self, trainer: "Trainer", look: Look) -> None:
        self.trainer = trainer
        self.look = look
        self.tokens_per_second = 0.0
        self._taken, self._spent = 0, 0.0  # tokens, and seconds of their updates, up to the last point
        self.looked_at = -1
        self.restart_clock()

    @property
    def mean_tokens_per_second(self) -> float:
        """Over all updates up to the last point of the curve, what is done between them left out."""
        return self._taken / self._spent if self._spent else 0.0

    def restart_clock(self) -> None:
        """Begin to count tokens per second anew."""
        self._logged = (time.monotonic(), self.trainer.progress.tokens)

    def off_the_clock(self, begin: float) -> None:
        """Leave the time since `begin` out of tokens per second; it still counts as time of the run."""
        then, tokens = self._logged
        self._logged = (then + time.monotonic() - begin, tokens)

    def after_update(self) -> bool:
        """Do what is due after this step; return whether the model is the best so far."""
        trainer = self.trainer
        if trainer.progress.step % trainer.pace.log_every == 0:
            self.log()
        if not self._due():
            return False
        best = self.validate()
        self.show()
        return best

    def _due(self) -> bool:
        progress, watch, pace = self.trainer.progress, self.trainer.config.watch, self.trainer.pace
        if watch.every_epochs:
            return progress.window == 0 and progress.epoch % watch.every_epochs == 0
        # where intervals are automatic one look is early: soon there is a model worth prompting
        first = 0 if watch.validate_every else pace.validate_every // 8
        return progress.step % pace.validate_every == 0 or progress.step == first

    def finish(self) -> None:
        """Measure what has not been measured at the last step."""
        progress = self.trainer.progress
        if progress.validated_at != progress.step:
            self.validate()
        if self.looked_at != progress.step:
            self.show()
        self.log()

    def log(self) -> None:
        """Write a point of the curve: the mean over the updates since the last one."""
        trainer, progress = self.trainer, self.trainer.progress
        if not progress.summed or progress.skipped:  # an update that was left out has a point of its own
            return
        now = time.monotonic()
        then, tokens = self._logged
        if now > then:
            self.tokens_per_second = (progress.tokens - tokens) / (now - then)
            self._taken, self._spent = self._taken + progress.tokens - tokens, self._spent + now - then
        self._logged = (now, progress.tokens)
        progress.train_loss = progress.loss_sum / progress.predicted
        self.point(
            progress.step,
            loss=progress.train_loss,
            grad_norm=progress.norm_sum / progress.summed,
            clipped=progress.clipped / progress.summed,
        )
        trainer.divergence.point(progress.train_loss, progress.summed)
        progress.loss_sum = progress.norm_sum = 0.0
        progress.clipped = progress.summed = progress.predicted = 0

    def point(self, step: int, *, loss: float, grad_norm: float, clipped: float) -> None:
        """Write a `train` event."""
        trainer, progress = self.trainer, self.trainer.progress
        trainer.journal.event(
            "train",
            step,
            loss=loss,
            grad_norm=grad_norm,
            clipped=clipped,
            lr=trainer.rate,
            tokens_per_second=self.tokens_per_second,
            epoch=trainer.epochs,
            tokens=progress.tokens,
            elapsed=progress.elapsed,
            eta=trainer.eta,
        )

    def validate(self) -> bool:
        """Measure the validation split, write the event, and return whether it is the best so far."""
        trainer, progress, optim = self.trainer, self.trainer.progress, self.trainer.config.optim
        begin = time.monotonic()
        measured = trainer.task.validate(trainer.model)
        if measured is None:
            return False
        figures: dict[str, Any] = dict(measured.figures)
        loss = measured.loss
        best = math.isfinite(loss) and (progress.best_loss is None or loss < progress.best_loss)
        progress.validation_loss, progress.validated_at = loss, progress.step
        if best:
            progress.best_loss, progress.best_step = loss, progress.step
            progress.stale = progress.plateau_bad = 0
        else:
            progress.stale += 1
            progress.plateau_bad += 1
            if optim.schedule == "plateau" and progress.plateau_bad > optim.plateau_patience:
                progress.plateau, progress.plateau_bad = progress.plateau * optim.factor, 0
        trainer.journal.event(
            "validation",
            progress.step,
            loss=loss,
            tokens=measured.count,
            best=best,
            seconds=time.monotonic() - begin,
            **figures,
        )
        self.off_the_clock(begin)
        return best

    def show(self) -> None:
        """Write what the model does now."""
        begin = time.monotonic()
        self.looked_at = self.trainer.progress.step
        for kind, data in self.look(self.trainer):
            self.trainer.journal.event(kind, self.trainer.progress.step, **data)
        self.off_the_clock(begin)
