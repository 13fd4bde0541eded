"""The embedded Reber grammar: read strings of a small automaton, and remember one symbol from before them to after.

Source: A. S. Reber, "Implicit learning of artificial grammars" (1967); embedded by A. Cleeremans, D. Servan-Schreiber
and J. L. McClelland, "Finite state automata and simple recurrent networks", Neural Computation 1 (1989), and as
experiment 1 of S. Hochreiter and J. Schmidhuber (1997). A string is B, then T or P, then a string of the grammar
below, then the same of T and P again, then E. Of the two ways that lead on, each is as likely.

    B  start ─T─► 2, ─P─► 3
       2 ─S─► 2, ─X─► 4        3 ─T─► 3, ─V─► 5
       4 ─X─► 3, ─S─► end      5 ─P─► 4, ─V─► end      end ─E

Trained as next-symbol prediction on all positions, on strings as they come; two kinds of figures:

- `reber memory`: the share of strings whose second-but-last symbol (T or P, which only the second symbol tells) has the
  highest probability: of strings as they come (at 0), and of those whose inner string has at least so many symbols,
  drawn with a preference for the ways that do not end it. Chance: one who knows the grammar and remembers nothing has
  1/2.
- `reber legal`: the share of all positions at which the symbols that may follow have the highest probabilities, all of
  them, as Hochreiter and Schmidhuber count. Chance: with k of 7 legal, 1 / (7 choose k) for an arbitrary order.
"""

import math
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

SYMBOLS = "BTPSXVE"
LONG = (30, 300)
"""Least lengths of long inner strings, B and E among them; up to half more. As they come, fewer than one string in a
thousand has 30."""

END = 6
WAYS = {  # state -> two ways on, each a symbol and the next state; the second is the one to the end, where there is one
    1: (("T", 2), ("P", 3)),
    2: (("S", 2), ("X", 4)),
    3: (("T", 3), ("V", 5)),
    4: (("X", 3), ("S", END)),
    5: (("P", 4), ("V", END)),
}

Ids = npt.NDArray[np.int64]


def inner(draw: np.random.Generator, onward: float = 0.5) -> tuple[str, list[str]]:
    """Draw a string of the grammar.

    Args:
        onward: where a way leads to the end, the probability of the other one; elsewhere both are as likely.

    Returns:
        The string, and for each symbol those that may follow it; after E, which ends it, none.
    """
    state, text, legal = 1, "B", ["TP"]
    while state != END:
        first = draw.random() < (onward if WAYS[state][1][1] == END else 0.5)
        symbol, state = WAYS[state][0 if first else 1]
        text += symbol
        legal.append("".join(way[0] for way in WAYS[state]) if state != END else "E")
    return text + "E", [*legal, ""]


def embedded(
    draw: np.random.Generator, onward: float = 0.5, lengths: range | None = None
) -> tuple[str, list[str]]:
    """Draw a string of the embedded grammar, its inner string as long as `lengths` allows; return as `inner` does."""
    text, legal = inner(draw, onward)
    while lengths is not None and len(text) not in lengths:
        text, legal = inner(draw, onward)
    kept = "TP"[draw.integers(2)]
    return f"B{kept}{text}{kept}E", ["TP", "B", *legal[:-1], kept, "E", ""]


def encode(strings: list[str]) -> tuple[Ids, Ids]:
    """Return inputs and targets (strings, longest - 1), padded at their ends."""
    longest = max(map(len, strings)) - 1
    inputs = np.zeros((len(strings), longest), np.int64)
    targets = np.full_like(inputs, IGNORED)
    for row, text in enumerate(strings):
        ids = [SYMBOLS.index(symbol) for symbol in text]
        inputs[row, : len(ids) - 1], targets[row, : len(ids) - 1] = ids[:-1], ids[1:]
    return inputs, targets


@dataclass(frozen=True)
class Reber:
    """The task, see above."""

    updates: int = 600
    rate: float = 4e-3
    name: str = "reber"
    version: int = 1

    @property
    def inputs(self) -> dict[str, int]:
        return {"vocab_size": len(SYMBOLS)}

    def batch(self, draw: np.random.Generator) -> Batch:
        return as_batch(*encode([embedded(draw)[0] for _ in range(ROWS)]))

    def loss(self, model: RecurrentModel, batch: Batch, state: State) -> tuple[Tensor, int, State]:
        return token_loss(model, batch, state)

    def untrained(self, model: RecurrentModel) -> tuple[Measure, ...]:
        return ()

    def measure(self, model: RecurrentModel, draw: np.random.Generator) -> tuple[Measure, ...]:
        memory, legal, chance = judge(model, [embedded(draw) for _ in range(TESTED)])
        points = [Point(value=memory, score=corrected(memory, 0.5))]
        for least in LONG:
            lengths = range(least, least + least // 2 + 1)
            share, _, _ = judge(model, [embedded(draw, 1 - 2 / least, lengths) for _ in range(TESTED)])
            points.append(Point(at=least, value=share, score=corrected(share, 0.5), beyond=True))
        return (
            Measure(name="reber memory", axis="length", unit="accuracy", chance=0.5, points=tuple(points)),
            Measure(
                name="reber legal",
                unit="accuracy",
                chance=chance,
                points=(Point(value=legal, score=corrected(legal, chance)),),
            ),
        )


def judge(model: RecurrentModel, strings: list[tuple[str, list[str]]]) -> tuple[float, float, float]:
    """Return, of strings with what may follow each symbol, the share whose second-but-last symbol is predicted, the
    share of positions whose legal symbols are all preferred, and what the second is for an arbitrary order."""
    inputs, _ = encode([text for text, _ in strings])
    order = answers(model, torch.from_numpy(inputs)).argsort(-1, descending=True).numpy()  # (B, T, 7)
    remembered, right, chances = [], [], []
    for row, (text, legal) in zip(order, strings, strict=True):
        remembered.append(SYMBOLS[row[len(text) - 3][0]] == text[-2])
        for ranks, may in zip(row, legal[:-1], strict=False):
            right.append({SYMBOLS[index] for index in ranks[: len(may)]} == set(may))
            chances.append(1 / math.comb(len(SYMBOLS), len(may)))
    return float(np.mean(remembered)), float(np.mean(right)), float(np.mean(chances))
