"""Brackets of several kinds: which one is to be closed? The memory that this takes is a stack.

Source: the languages Dyck-(k, m), well-nested brackets of k kinds no deeper than m: J. Hewitt et al., "RNNs can
generate bounded hierarchical languages with optimal memory" (2020, arXiv 2010.07515), which asks for the closing
bracket, too.

A string goes up with probability `UP` and down otherwise, but up from 0, down from its greatest depth, and down where
what is left is needed to close all. Wherever the next symbol closes a bracket, its kind is to be predicted; nothing
else is in the loss. Trained on strings of up to `longest` symbols and a depth of up to `deepest`.

- `brackets`: by the greatest depth of a string, which it reaches; those deeper than trained show whether it is a stack
  or a table. What counts are the closing brackets whose opening one is not the symbol just before: that one needs no
  memory.
- `brackets, long`: strings of the greatest depth that was trained, four times as long as the longest.

Chance: the kinds are uniform and independent: an accuracy of 1 / `KINDS`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.plugin.core import State
from rnn_tui.score.task import ROWS, TESTED, answers, as_batch, corrected, token_loss
from rnn_tui.score.wire import Measure, Point
from rnn_tui.tasks.task import IGNORED, Batch

KINDS = 4
UP = 0.6

Ids = npt.NDArray[np.int64]


def brackets(draw: np.random.Generator, rows: int, length: int, depth: int) -> Ids:
    """Draw strings that reach `depth` and go no deeper, an even `length` of at least twice that.

    Returns:
        int64 (rows, length): kinds 0 to `KINDS` - 1 open, the same + `KINDS` close.
    """
    kept: list[Ids] = []
    while len(kept) < rows:
        walks = _walks(draw, rows, length, depth)
        heights = walks.cumsum(1)
        kept += list(walks[heights.max(1) == depth])
    ups = np.array(kept[:rows])
    ids = draw.integers(KINDS, size=ups.shape)
    stack = np.zeros((rows, depth), np.int64)
    each, height = np.arange(rows), np.zeros(rows, np.int64)
    for step in range(length):
        up = ups[:, step] > 0
        stack[each[up], height[up]] = ids[up, step]
        ids[~up, step] = stack[each[~up], height[~up] - 1] + KINDS
        height += ups[:, step]
    return ids


def _walks(draw: np.random.Generator, rows: int, length: int, depth: int) -> Ids:
    """Draw the ways up and down, +1 and -1."""
    wish = draw.random((rows, length)) < UP
    steps = np.empty((rows, length), np.int64)
    height = np.zeros(rows, np.int64)
    for step in range(length):
        may = (height < depth) & (height < length - step)
        steps[:, step] = np.where((height == 0) | (wish[:, step] & may), 1, -1)
        height += steps[:, step]
    return steps


def questions(ids: Ids, *, memory: bool = False) -> tuple[Ids, Ids]:
    """Return inputs and targets (rows, length - 1): what closes next, and nothing where a bracket opens.

    Args:
        memory: leave out those that close the bracket just before.
    """
    inputs, following = ids[:, :-1], ids[:, 1:]
    asked = following >= KINDS
    if memory:
        asked &= inputs >= KINDS
    return np.ascontiguousarray(inputs), np.where(asked, following, IGNORED)


@dataclass(frozen=True)
class Brackets:
    """The task, see above.

    Attributes:
        depths: those that are tested, in strings of 8 symbols for each level; training goes up to `deepest`.
        longest: symbols of a training string.
    """

    updates: int = 1500
    deepest: int = 5
    depths: tuple[int, ...] = (2, 3, 4, 5, 6, 8, 10)
    longest: int = 48
    rate: float = 8e-3
    name: str = "brackets"
    version: int = 1

    @property
    def inputs(self) -> dict[str, int]:
        return {"vocab_size": 2 * KINDS}

    def batch(self, draw: np.random.Generator) -> Batch:
        depth = int(draw.integers(2, self.deepest + 1))
        length = 2 * int(draw.integers(depth, self.longest // 2 + 1))
        return as_batch(*questions(brackets(draw, ROWS, length, depth)))

    def loss(self, model: RecurrentModel, batch: Batch, state: State) -> tuple[Tensor, int, State]:
        return token_loss(model, batch, state)

    def untrained(self, model: RecurrentModel) -> tuple[Measure, ...]:
        return ()

    def measure(self, model: RecurrentModel, draw: np.random.Generator) -> tuple[Measure, ...]:
        points = [
            self._point(model, brackets(draw, TESTED, 8 * depth, depth), depth, beyond=depth > self.deepest)
            for depth in self.depths
        ]
        long = brackets(draw, TESTED // 4, 4 * self.longest, self.deepest)
        return (
            Measure(name="brackets", axis="depth", unit="accuracy", chance=1 / KINDS, points=tuple(points)),
            Measure(
                name="brackets, long",
                unit="accuracy",
                chance=1 / KINDS,
                points=(self._point(model, long, 0, beyond=True),),
            ),
        )

    def _point(self, model: RecurrentModel, ids: Ids, at: int, *, beyond: bool) -> Point:
        inputs, targets = map(torch.from_numpy, questions(ids, memory=True))
        asked = targets >= 0
        said = answers(model, inputs)[..., KINDS:].argmax(-1) + KINDS  # that one closes is given
        accuracy = float((said == targets)[asked].double().mean())
        return Point(at=at, value=accuracy, score=corrected(accuracy, 1 / KINDS), beyond=beyond)
