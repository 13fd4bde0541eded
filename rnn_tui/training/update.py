"""One update: a batch in, other weights out, and what the loop wants to know of it as plain numbers.

The loop knows an `Update` only. The plain one is here; where one can be recorded as a CUDA graph, that of `graphed`
takes its place.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from rnn_tui.model.precision import autocast, loss_scale
from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.model.state import detach
from rnn_tui.plugin.core import State
from rnn_tui.tasks.task import Batch, Task
from rnn_tui.training.config import RunConfig
from rnn_tui.training.optim import clip_gradients, set_rate


@dataclass(frozen=True)
class Outcome:
    """What came of one update.

    Attributes:
        loss: the mean over what was predicted, before the update.
        predicted: how many predictions that is.
        norm: of the gradient, before it was clipped.
        clipped: whether it was too large.
    """

    loss: float
    predicted: int
    norm: float
    clipped: bool

    @property
    def finite(self) -> bool:
        """Whether the weights were changed."""
        return math.isfinite(self.loss) and math.isfinite(self.norm)


class Update(Protocol):
    """Takes updates of one model."""

    def __call__(self, batch: Batch, state: State | None, rate: float) -> State | None:
        """Change the weights, unless loss or gradient is not finite: one infinite gradient turns every weight into NaN.

        Args:
            state: before the batch; None: fresh.
            rate: the learning rate.

        Returns:
            The state after the batch, detached; a fresh one or None when the weights were not changed.
        """
        ...

    @property
    def full(self) -> bool:
        """Whether `outcomes` has to be called before the next update."""
        ...

    def outcomes(self) -> list[Outcome]:
        """Return what came of the updates since the last call, in order; may wait for the device."""
        ...

    def engine(self) -> tuple[str, str]:
        """Return the way over time in use, by its name in the settings, or `own`, and why."""
        ...

    def rehearse(self, batch: Batch) -> None:
        """Take as much time as an update of `batch` would, and leave weights, optimiser and state as they are.

        Gradients and random generators may be others afterwards.
        """
        ...


class PlainUpdate:
    """Forward, backward, clipping and optimiser, one after the other."""

    full = True  # what came of an update is known at once

    def __init__(
        self, config: RunConfig, model: RecurrentModel, optimizer: torch.optim.Optimizer, task: Task
    ) -> None:
        self.config = config
        self.model = model
        self.optimizer = optimizer
        self.task = task
        self.parameters: list[nn.Parameter] = list(model.parameters())
        self._scale = loss_scale(config.runtime.precision)
        self._outcomes: list[Outcome] = []

    def engine(self) -> tuple[str, str]:
        return self.model.engine()

    def loss(self, batch: Batch, state: State | None) -> tuple[Tensor, int, State]:
        """Return the loss of a batch from `state` or a fresh one, over how many predictions, and the state after it."""
        batch = batch.to(self.model.device)
        if state is None:
            state = self.model.initial_state(len(batch.inputs))
        with autocast(self.config.runtime.precision, self.model.device):
            return self.task.loss(self.model, batch, state)

    def __call__(self, batch: Batch, state: State | None, rate: float) -> State | None:
        loss, predicted, state = self.loss(batch, state)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss * self._scale if self._scale != 1 else loss)
        value = loss.item()
        norm, clipped = clip_gradients(self.parameters, self.config.optim.clip, self._scale)
        outcome = Outcome(value, predicted, norm, clipped)
        self._outcomes.append(outcome)
        if not outcome.finite:
            return None
        set_rate(self.optimizer, rate)
        self.optimizer.step()
        return detach(state)

    def outcomes(self) -> list[Outcome]:
        found, self._outcomes = self._outcomes, []
        return found

    def rehearse(self, batch: Batch) -> None:
        loss, *_ = self.loss(batch, None)
        torch.autograd.backward(loss)
        loss.item()  # waits for the device
        self.model.zero_grad(set_to_none=True)
