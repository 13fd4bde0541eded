"""What a task of the scorecard is, and what several of them need."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.plugin.core import State
from rnn_tui.score.wire import Measure
from rnn_tui.tasks.cross_entropy import cross_entropy
from rnn_tui.tasks.task import Batch

ROWS = 32
"""Sequences of one update."""
TESTED = 256
"""Sequences of one figure: the standard error of an accuracy of a half is 0.03 with one symbol in each."""


class ScoreTask(Protocol):
    """Something to learn, with batches without end.

    Attributes:
        name: of the group of tasks that it belongs to, in which all have the same inputs.
        version: raised when anything of it changes that changes its figures.
        updates: how many are taken.
        rate: the learning rate at its highest.
        inputs: what `build_model` is to be told of inputs and outputs: `vocab_size` or `columns`.
    """

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def updates(self) -> int: ...
    @property
    def rate(self) -> float: ...
    @property
    def inputs(self) -> dict[str, int]: ...

    def batch(self, draw: np.random.Generator) -> Batch:
        """Return the next batch to train on."""
        ...

    def loss(self, model: RecurrentModel, batch: Batch, state: State) -> tuple[Tensor, int, State]:
        """Return the mean loss of a batch, over how many predictions, and the state after it."""
        ...

    def untrained(self, model: RecurrentModel) -> tuple[Measure, ...]:
        """Return what is measured of a model that has not learnt yet."""
        ...

    def measure(self, model: RecurrentModel, draw: np.random.Generator) -> tuple[Measure, ...]:
        """Return what a trained model is capable of. It is in evaluation mode, without autograd."""
        ...


def corrected(accuracy: float, chance: float) -> float:
    """Return an accuracy on the scale on which guessing is 0 and no mistake is 1; below chance is 0, too."""
    return max(0.0, (accuracy - chance) / (1 - chance))


def answers(model: RecurrentModel, inputs: Tensor) -> Tensor:
    """Run inputs (B, T) or (B, T, C) from a fresh state; return the outputs (B, T, V)."""
    features, _ = model(inputs, model.initial_state(len(inputs)))
    return model.outputs(features)


def token_loss(model: RecurrentModel, batch: Batch, state: State) -> tuple[Tensor, int, State]:
    """As `ScoreTask.loss`, for ids: the cross-entropy in nats of the targets that count."""
    features, state = model(batch.inputs, state)
    return cross_entropy(model, features, batch.targets), int((batch.targets >= 0).sum()), state


def log_uniform(draw: np.random.Generator, low: int, high: int) -> int:
    """Draw a whole number from `low` to `high`, each doubling as likely as another."""
    return int(np.floor(np.exp(draw.uniform(np.log(low), np.log(high + 1)))))


def as_batch(inputs: np.ndarray, targets: np.ndarray) -> Batch:
    """Return a batch of two arrays of the same shape."""
    return Batch(torch.from_numpy(inputs), torch.from_numpy(targets))
