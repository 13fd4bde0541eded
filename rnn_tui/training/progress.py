"""Where a run is, what it works on, when it is complete and why it ended: plain data."""

import math
from dataclasses import dataclass, field
from typing import Any

from rnn_tui.training.config import RunConfig


@dataclass
class Progress:
    """Where a run is. JSON values only; the order of the data follows from (seed, epoch, window)."""

    step: int = 0
    tokens: int = 0
    epoch: int = 0
    window: int = 0
    elapsed: float = 0.0
    base_lr: float = 0.0
    plateau: float = 1.0
    plateau_bad: int = 0
    train_loss: float | None = None
    validation_loss: float | None = None
    validated_at: int = -1
    best_loss: float | None = None
    best_step: int | None = None
    stale: int = 0
    # divergence
    skipped: int = 0  # updates in a row that were left out
    first_loss: float | None = None  # of the points of the curve
    lowest_loss: float | None = None
    high: int = 0  # steps for which the loss has been far above the lowest
    rollbacks: int = 0
    went_back_to: int | None = None
    # since the last point of the curve
    loss_sum: float = 0.0  # nats
    predicted: int = 0  # tokens that these nats are the loss of
    norm_sum: float = 0.0
    clipped: int = 0
    summed: int = 0  # updates
    applied: list[str] = field(default_factory=list)  # ids of the changes that took effect, the newest 1,000

    def took_effect(self, id: str) -> None:
        """Remember a change, so that it is not made twice."""
        self.applied = [*self.applied[-999:], id]


@dataclass(frozen=True)
class Change:
    """What changes the updates from `step` on: an event, in the log before it takes effect.

    Attributes:
        kind: `command` (the learning rate is set), `engine` or `threads` (`rnn_tui.training.switching`).
        data: of the event; its `id` is unique in the run.
    """

    step: int
    kind: str
    data: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.data["id"])


@dataclass(frozen=True)
class Replay:
    """What an earlier attempt did after the checkpoint that a run goes on from.

    Attributes:
        changes: each takes effect again at its step; sorted by it.
        until: the furthest step that is in the log. Up to it nothing else is switched, so that the weights are those
            that its curve was measured on.
        looked: whether what the model does at the step of the checkpoint is in the log.
    """

    changes: tuple[Change, ...] = ()
    until: int = 0
    looked: bool = False


@dataclass(frozen=True)
class Ending:
    """Why the loop returned."""

    reason: str
    message: str
    exit_code: int


def planned_steps(config: RunConfig, steps_per_epoch: int) -> int | None:
    """The number of updates at which the budget ends, or None where only minutes limit it."""
    budget = config.budget
    limits = []
    if budget.steps:
        limits.append(budget.steps)
    if budget.epochs:
        limits.append(max(1, math.ceil(budget.epochs * steps_per_epoch)))
    if not limits and not budget.minutes:
        limits.append(10 * steps_per_epoch)
    return min(limits) if limits else None
