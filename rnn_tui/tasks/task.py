"""What the training loop knows of a task: batches, a loss, and a figure to watch.

Which task a run has is known where it is put together (`rnn_tui.training.work`) and where its results are shown; the
loop, the checkpoint, the run folder and the monitor see only what is here.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.plugin.core import State

IGNORED = -100
"""A target that nothing is asked about: padding."""


@dataclass(frozen=True)
class Batch:
    """What one update reads.

    Attributes:
        inputs: ids, int64 (B, T), or numbers, float32 (B, T, C).
        targets: of the same shape; `IGNORED` where a row of ids has ended.
        lengths: int64 (B,), where the rows end, if they differ; stays on the CPU, where it is counted.
    """

    inputs: Tensor
    targets: Tensor
    lengths: Tensor | None = None

    @property
    def positions(self) -> int:
        """How many inputs are read, padding left out."""
        if self.lengths is not None:
            return int(self.lengths.sum())
        return self.inputs.shape[0] * self.inputs.shape[1]

    def to(self, device: torch.device) -> "Batch":
        """Return it on `device`."""
        if device.type == "cpu":
            return self
        return Batch(self.inputs.to(device), self.targets.to(device), self.lengths)


class Epoch(Protocol):
    """The batches of one pass over the training split: a pure function of (seed, epoch).

    Attributes:
        carried: whether each batch goes on where the one before ended, so that the state is carried from one to the
            next. The first batch of an epoch always starts fresh.
    """

    @property
    def carried(self) -> bool: ...
    def __len__(self) -> int: ...
    def batch(self, index: int) -> Batch: ...


@dataclass(frozen=True)
class Measured:
    """The loss of the validation split.

    Attributes:
        loss: the mean over all that was predicted, in the unit of the task.
        count: how many predictions that is.
        figures: what else is shown beside it, by name; the names are `Task.measures`.
    """

    loss: float
    count: int
    figures: dict[str, float] = field(default_factory=dict)


class Task(Protocol):
    """What a model learns from one corpus.

    Attributes:
        unit: of the loss, as it is shown: "nats per token", "squared error".
        measures: the names of the figures that come with a validation.
        validation_positions: how many inputs a validation reads; 0 where there is no validation split.
    """

    @property
    def unit(self) -> str: ...
    @property
    def measures(self) -> tuple[str, ...]: ...
    @property
    def validation_positions(self) -> int: ...

    def epoch(self, number: int) -> Epoch:
        """Return the batches of one epoch."""
        ...

    def loss(self, model: RecurrentModel, batch: Batch, state: State) -> tuple[Tensor, int, State]:
        """Return the mean loss of a batch, over how many predictions, and the state after it."""
        ...

    def validate(self, model: RecurrentModel) -> Measured | None:
        """Measure the validation split; None where there is none. The model's mode is left as it was."""
        ...

    def facts(self) -> dict[str, Any]:
        """Return what the start of a run tells of its data: sizes, and `baselines`, name to loss."""
        ...
