"""A small text, character by character, and how far back gradients reach in it before and after training.

The text is the built-in corpus `fables-en` (MIT, written for this project, 53 kB): the first nine tenths are learnt in
windows of `LENGTH` characters at random places, always the same number of updates, the rest is measured.

- `text`: bits per character of the rest, read as one stream with the state carried. Chance: log2 of the vocabulary.
- `reach to 1/2` and `reach to 1/100`, `trained` and `untrained`: the distance in steps from which on the norm of the
  gradient of a character's loss with respect to the state stays below that share of what it is at distance 0, a mean
  over characters of the rest; see `rnn_tui.inference.reach` and Y. Bengio, P. Simard and P. Frasconi, "Learning
  long-term dependencies with gradient descent is difficult" (1994). It says how far back training can reach, not what
  is kept: a cell that forgets nothing has a long one with any weights. It is `FARTHEST` where the norm is not below for
  good in so many steps.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from rnn_tui.inference.reach import gradient_reach
from rnn_tui.inference.trace import read_trace, strands_of
from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.plugin.core import State
from rnn_tui.plugin.registry import load_plugin
from rnn_tui.plugin.tokenizer import Tokenizer
from rnn_tui.score.task import ROWS, as_batch, token_loss
from rnn_tui.score.wire import Measure, Point
from rnn_tui.tasks.evaluation import evaluate
from rnn_tui.tasks.task import Batch
from rnn_tui.training.config import TokenizerConfig

LENGTH = 64
FARTHEST = 200
SHARES = (2, 100)
READ = 456
"""Characters whose gradients are looked at: `FARTHEST`, and 256 losses behind them."""


@dataclass(frozen=True)
class Text:
    """The task, see above.

    Attributes:
        farthest: distances beyond are not looked at.
    """

    updates: int = 1000
    farthest: int = FARTHEST
    rate: float = 1.6e-2
    name: str = "text"
    version: int = 1

    @cached_property
    def _text(self) -> tuple[str, str]:
        whole = (resources.files("rnn_tui.corpus") / "data" / "fables_en.txt").read_text("utf-8")
        cut = len(whole) * 9 // 10
        return whole[:cut], whole[cut:]

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Of the default kind, trained on what is learnt. Raises RnnTuiError when it is not installed."""
        plugin: Any = load_plugin("tokenizer", TokenizerConfig().name)
        trained: Tokenizer = plugin.train([self._text[0]], None)
        return trained

    @cached_property
    def _ids(self) -> npt.NDArray[np.int64]:
        return self.tokenizer.encode(self._text[0]).astype(np.int64)

    @property
    def inputs(self) -> dict[str, int]:
        return {"vocab_size": self.tokenizer.vocab_size}

    def batch(self, draw: np.random.Generator) -> Batch:
        begins = draw.integers(len(self._ids) - LENGTH, size=(ROWS, 1))
        windows = self._ids[begins + np.arange(LENGTH + 1)]  # (B, T + 1)
        return as_batch(windows[:, :-1].copy(), windows[:, 1:].copy())

    def loss(self, model: RecurrentModel, batch: Batch, state: State) -> tuple[Tensor, int, State]:
        return token_loss(model, batch, state)

    def untrained(self, model: RecurrentModel) -> tuple[Measure, ...]:
        return self._reach(model, "untrained")

    def measure(self, model: RecurrentModel, draw: np.random.Generator) -> tuple[Measure, ...]:
        rest = self.tokenizer.encode(self._text[1])
        bits = evaluate(model, rest).mean / math.log(2)
        uniform = math.log2(self.tokenizer.vocab_size)
        text = Measure(
            name="text", unit="bits per character", chance=uniform, better="low", points=(Point(value=bits),)
        )
        return text, *self._reach(model, "trained")

    def _reach(self, model: RecurrentModel, when: str) -> tuple[Measure, ...]:
        trace = read_trace(model, strands_of(model), self.tokenizer, self._text[1][:READ])
        reach = gradient_reach(model, trace, self.farthest)
        measures = []
        for part in SHARES:
            distance = reach.below(1 / part)
            point = Point(
                value=self.farthest if distance is None else distance,
                beyond=distance is None,
            )
            measures.append(
                Measure(name=f"reach to 1/{part}, {when}", unit="steps", better="", points=(point,))
            )
        return tuple(measures)
