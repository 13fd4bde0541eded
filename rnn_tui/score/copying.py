"""The copying task: keep symbols over a stretch in which nothing happens, and give them back in order.

Source: S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 9 (1997), in the form of
M. Arjovsky, A. Shah and Y. Bengio, "Unitary evolution recurrent neural networks" (2016, arXiv 1511.06464), section 4.1.

    position   1 … K      K+1 … K+T-1   K+T         K+T+1 … 2K+T
    input      a_1 … a_K  blank         delimiter   blank
    target                                          a_1 … a_K

Deviations: K is `SYMBOLS` and not 10, so that a small model can hold them; only the answers are in the loss and in the
figures, since blanks are learnt by all; and of a training for lag T the lag of each batch is drawn anew from 1 to T,
each doubling as likely as another, since short lags help to find long ones. Each T that is tested is a training of its
own; the last one is tested at a longer lag as well.

Chance: each answer is one of `ALPHABET` symbols, uniform and independent: an accuracy of 1 / `ALPHABET`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.plugin.core import State
from rnn_tui.score.task import ROWS, TESTED, answers, as_batch, corrected, log_uniform, token_loss
from rnn_tui.score.wire import Measure, Point
from rnn_tui.tasks.task import IGNORED, Batch

ALPHABET = 8
BLANK, DELIMITER = ALPHABET, ALPHABET + 1
SYMBOLS = 3

Ids = npt.NDArray[np.int64]


def copying(draw: np.random.Generator, rows: int, symbols: int, lag: int) -> tuple[Ids, Ids]:
    """Draw sequences.

    Args:
        symbols: K.
        lag: T, at least 1: steps from the last symbol to the delimiter.

    Returns:
        Inputs and targets, int64 (rows, 2K + T).
    """
    chosen = draw.integers(ALPHABET, size=(rows, symbols))
    inputs = np.full((rows, 2 * symbols + lag), BLANK)
    targets = np.full_like(inputs, IGNORED)
    inputs[:, :symbols] = targets[:, -symbols:] = chosen
    inputs[:, symbols + lag - 1] = DELIMITER
    return inputs, targets


@dataclass(frozen=True)
class Copying:
    """The task, see above.

    Attributes:
        lag: the longest that is trained, and the one that is tested.
        beyond: lags that are tested as well.
    """

    lag: int
    beyond: tuple[int, ...] = ()
    updates: int = 1500
    rate: float = 8e-3
    name: str = "copy"
    version: int = 1

    @property
    def inputs(self) -> dict[str, int]:
        return {"vocab_size": ALPHABET + 2}

    def batch(self, draw: np.random.Generator) -> Batch:
        return as_batch(*copying(draw, ROWS, SYMBOLS, log_uniform(draw, 1, self.lag)))

    def loss(self, model: RecurrentModel, batch: Batch, state: State) -> tuple[Tensor, int, State]:
        return token_loss(model, batch, state)

    def untrained(self, model: RecurrentModel) -> tuple[Measure, ...]:
        return ()

    def measure(self, model: RecurrentModel, draw: np.random.Generator) -> tuple[Measure, ...]:
        points = []
        for lag in (self.lag, *self.beyond):
            inputs, targets = map(torch.from_numpy, copying(draw, TESTED, SYMBOLS, lag))
            found = answers(model, inputs)[:, -SYMBOLS:].argmax(-1)
            accuracy = float((found == targets[:, -SYMBOLS:]).double().mean())
            score = corrected(accuracy, 1 / ALPHABET)
            points.append(Point(at=lag, value=accuracy, score=score, beyond=lag > self.lag))
        return (
            Measure(name=self.name, axis="lag", unit="accuracy", chance=1 / ALPHABET, points=tuple(points)),
        )
