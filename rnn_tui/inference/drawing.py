"""Tokens drawn one after another: what a model offers to a prompt. Free of torch.

A `Reader` computes, in whichever way it does. It is asked for several tokens at once, so that what a call costs is paid
once for all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rnn_tui.errors import DivergedError
from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.sampling import Doubles, Logits, chooser

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Drawn:
    """Tokens that were drawn one after another.

    Attributes:
        tokens: int64 (k,).
        logits: (k, V), after each of them: those for the next.
        states: k of them, after each; of one row.
    """

    tokens: Ids
    logits: Logits
    states: Sequence[Any]


class Reader(Protocol):
    """A trained model of tokens in evaluation mode, as a prompt sees it, read from left to right.

    States are opaque and never written to.
    """

    @property
    def output_size(self) -> int:
        """The size of the vocabulary."""
        ...

    def start(self) -> Any:
        """Return the state of one row before the first token."""
        ...

    def read(self, ids: Ids, state: Any, last: int) -> tuple[Logits, Any]:
        """Read ids (T,), T >= 1; return the logits (last, V) after the last so many of them, and the state."""
        ...

    def draw(
        self,
        logits: Logits,
        state: Any,
        count: int,
        noise: Doubles | None,
        config: SamplingConfig,
        hidden: int | None,
    ) -> Drawn:
        """Draw tokens by the rules of `rnn_tui.inference.sampling`, reading each.

        Args:
            logits: (V,), for the first token.
            count: how many; fewer come where the output stops being a number, but never none.
            noise: (count, V), see `Noise`; None where `config.deterministic`.
            hidden: a token that is never drawn.

        Raises:
            DivergedError: when no token can be drawn from `logits`.
        """
        ...

    def advance(self, ids: Ids, state: Any) -> tuple[Logits, Any]:
        """Read one token of each row, ids (B,); return the logits (B, V) for the next, and the state."""
        ...

    def pick(self, state: Any, rows: Ids) -> Any:
        """Return the state of the rows (B,) of a state, in that order; a row may be there more than once."""
        ...


def draw_tokens(
    step: Callable[[int, Any], tuple[Logits, Any]],
    logits: Logits,
    state: Any,
    count: int,
    noise: Doubles | None,
    config: SamplingConfig,
    hidden: int | None,
) -> Drawn:
    """Draw as `Reader.draw`, with `step` to read a token: (token, state) -> (logits (V,), state)."""
    choose = chooser(config, hidden)
    tokens: list[int] = []
    after: list[Logits] = []
    states: list[Any] = []
    for index in range(count):
        try:
            token = choose(logits, None if noise is None else noise[index])
        except DivergedError:
            if not tokens:
                raise
            break
        logits, state = step(token, state)
        tokens.append(token)
        after.append(logits)
        states.append(state)
    return Drawn(np.array(tokens), np.stack(after), states)
