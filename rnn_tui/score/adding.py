"""The adding problem: find the two marked numbers of a long row and give their sum at its end.

Source: S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 9 (1997), experiment 4, in the
form of M. Arjovsky, A. Shah and Y. Bengio (2016, arXiv 1511.06464), section 4.2: of each step's two numbers the first
is uniform in [0, 1), the second 1 at one step of the first half and at one of the second, and 0 elsewhere.

Deviations: of a training for length T the length of each batch is drawn anew from `SHORTEST` to T, each doubling as
likely as another, and each T that is tested is a training of its own, as in the copying task. The second output is left
out of the loss.

Chance: the sum of two such numbers has mean 1 and variance 1/12 + 1/12, so one who always says 1 has a mean squared
error of 1/6. The score is 1 - 6 x the mean squared error, 0 where that is below 0.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.plugin.core import State
from rnn_tui.score.task import ROWS, TESTED, answers, as_batch, log_uniform
from rnn_tui.score.wire import Measure, Point
from rnn_tui.tasks.task import Batch

CHANCE = 1 / 6
SHORTEST = 4

Rows = npt.NDArray[np.float32]


def adding(draw: np.random.Generator, rows: int, length: int) -> tuple[Rows, Rows]:
    """Draw sequences of at least two steps.

    Returns:
        Inputs, float32 (rows, length, 2): number and mark; and the sum of those marked, (rows,).
    """
    inputs = np.zeros((rows, length, 2), np.float32)
    inputs[:, :, 0] = draw.random((rows, length), dtype=np.float32)
    each, half = np.arange(rows), length // 2
    first, second = draw.integers(half, size=rows), draw.integers(half, length, size=rows)
    inputs[each, first, 1] = inputs[each, second, 1] = 1
    return inputs, inputs[each, first, 0] + inputs[each, second, 0]


@dataclass(frozen=True)
class Adding:
    """The task, see above.

    Attributes:
        length: the greatest that is trained, and the one that is tested.
        beyond: lengths that are tested as well.
    """

    length: int
    beyond: tuple[int, ...] = ()
    updates: int = 1000
    rate: float = 8e-3
    name: str = "adding"
    version: int = 1

    @property
    def inputs(self) -> dict[str, int]:
        return {"columns": 2}

    def batch(self, draw: np.random.Generator) -> Batch:
        return as_batch(*adding(draw, ROWS, log_uniform(draw, SHORTEST, self.length)))

    def loss(self, model: RecurrentModel, batch: Batch, state: State) -> tuple[Tensor, int, State]:
        features, state = model(batch.inputs, state)  # (B, T, O)
        said = model.outputs(features[:, -1])[:, 0]  # (B,)
        return functional.mse_loss(said, batch.targets), len(said), state

    def untrained(self, model: RecurrentModel) -> tuple[Measure, ...]:
        return ()

    def measure(self, model: RecurrentModel, draw: np.random.Generator) -> tuple[Measure, ...]:
        points = []
        for length in (self.length, *self.beyond):
            inputs, sums = map(torch.from_numpy, adding(draw, TESTED, length))
            error = float((answers(model, inputs)[:, -1, 0] - sums).double().square().mean())
            score = max(0.0, 1 - error / CHANCE)
            points.append(Point(at=length, value=error, score=score, beyond=length > self.length))
        return (
            Measure(
                name=self.name,
                axis="length",
                unit="squared error",
                chance=CHANCE,
                better="low",
                points=tuple(points),
            ),
        )
