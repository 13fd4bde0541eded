"""How far back a model's loss reaches: the norm of its gradient with respect to the states before it.

For a token t and the loss L of what follows it, the state with which the model reads t is at distance 0, the one with
which it reads t - k at distance k. The norm of dL/dstate at distance k is a mean over tokens t spread over the text,
and is told relative to that at distance 0: how fast gradients vanish or explode (Y. Bengio, P. Simard and P. Frasconi,
"Learning long-term dependencies with gradient descent is difficult", IEEE Transactions on Neural Networks 5, 1994).
Each t has a window of its own that begins with the true state; several windows are rows of one batch, stepped under
autograd in float32, and one backward pass gives all distances of all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from rnn_tui.errors import UsageError
from rnn_tui.inference.trace import Progress, Trace
from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.model.state import detach, map_state
from rnn_tui.plugin.core import State
from rnn_tui.plugin.state import leaves
from rnn_tui.tasks.evaluation import evaluation_mode

Doubles = npt.NDArray[np.float64]

ROWS = 16
"""Windows in a batch: what autograd keeps of 200 steps of 2x512 is 140 MB."""
POSITIONS = 256
"""Tokens whose loss is looked at, at most."""
PRODUCTS = 5e10
"""Multiplications that all windows may take, roughly: 2x512 is looked at from 38 tokens, in three seconds. At least one
batch is."""


@dataclass(frozen=True, eq=False)
class Reach:
    """The norm of the gradient by distance.

    Attributes:
        whole: (distance + 1,), of the state of all layers, relative to distance 0; all 0 where nothing arrives there.
        layers: the same of each layer's state, relative to its own distance 0.
        positions: over how many tokens it is a mean.
    """

    whole: Doubles
    layers: tuple[Doubles, ...]
    positions: int

    @property
    def distance(self) -> int:
        return len(self.whole) - 1

    def below(self, share: float) -> int | None:
        """Return the first distance from which on the norm stays below a share of that at distance 0; None where it is
        not below at the end."""
        above = np.flatnonzero(~(self.whole < share))
        first = int(above[-1]) + 1 if len(above) else 0
        return first if first <= self.distance else None

    @property
    def note(self) -> str:
        """What is to be said about it, if anything."""
        return "" if self.whole[0] > 0 else "no gradient reaches the state: the loss does not depend on it"


def gradient_reach(
    model: RecurrentModel, trace: Trace, distance: int, *, progress: Progress | None = None
) -> Reach:
    """Measure how far gradients reach back in a text that was read.

    The loss is that of the next token; of a model of labels, that of the label it finds most probable.

    Args:
        distance: how far back to look; no farther than the text goes.

    Raises:
        UsageError: when the model reads in both directions, or the text has fewer than two tokens.
    """
    if any(strand.backwards for strand in trace.strands):
        raise UsageError(
            "a model that reads in both directions has no distance in one; its other views are there"
        )
    last = len(trace) - (1 if trace.labels else 2)  # the last token that something follows
    if last < 0 or distance < 1:
        raise UsageError(
            "the reach of gradients needs a text of two tokens or more, and a distance of 1 or more"
        )
    distance = min(distance, last)
    ends = _ends(distance, last, _affordable(model, distance))
    sums = np.zeros((1 + len(trace.strands), distance + 1))
    with evaluation_mode(model), torch.inference_mode(False), torch.enable_grad():
        for first in range(0, len(ends), ROWS):

            def check(first: int = first) -> None:
                if progress:
                    progress("gradients", first, len(ends))

            squares = _squares(model, trace, ends[first : first + ROWS], distance, check)  # (layers, k, rows)
            sums[1:] += np.sqrt(squares).sum(-1)
            sums[0] += np.sqrt(squares.sum(0)).sum(-1)
    start = sums[:, :1]
    relative = sums / np.where(start > 0, start, 1)
    return Reach(relative[0], tuple(relative[1:]), len(ends))


def _affordable(model: RecurrentModel, distance: int) -> int:
    """How many tokens to look at: each takes a multiplication forward and one back for each weight and step."""
    weights = sum(parameter.numel() for parameter in model.core.parameters())
    return int(np.clip(PRODUCTS / (2 * max(1, weights) * (distance + 1)), ROWS, POSITIONS))


def _ends(distance: int, last: int, most: int) -> npt.NDArray[np.int64]:
    """At most so many tokens from `distance` to `last`, evenly spread."""
    return np.unique(np.linspace(distance, last, min(most, last - distance + 1)).round().astype(np.int64))


def _squares(
    model: RecurrentModel,
    trace: Trace,
    ends: npt.NDArray[np.int64],
    distance: int,
    check: Callable[[], None],
) -> Doubles:
    """Return the squared norms of the gradient for each layer, distance and window (layers, distance + 1, rows)."""
    device, begins = model.device, ends - distance
    windows = begins[:, None] + np.arange(distance + 1)
    ids = torch.from_numpy(trace.ids[windows]).to(device)  # (rows, distance + 1)
    state: State = tuple(
        map_state(_watched, detach(trace.state_before(number, begins, device)))
        for number in range(len(trace.strands))
    )
    passed, logits = [], torch.empty(0)
    for step in range(distance + 1):
        check()
        # a step may give the same tensor as output and as state; only what goes through the state shall count
        state = map_state(lambda leaf: leaf.view_as(leaf), state)
        passed.append(state)
        logits, state = model.step(ids[:, step], state)
    following = logits.argmax(-1) if trace.labels else torch.from_numpy(trace.ids[ends + 1]).to(device)
    # rows do not meet: what a row of a state gets from the sum is of its own loss
    loss = functional.cross_entropy(logits.float(), following, reduction="sum")
    places: list[tuple[int, int]] = []
    seen: list[Tensor] = []
    for k, states in enumerate(reversed(passed)):
        for layer, inner in enumerate(states):
            for leaf in leaves(inner):
                if leaf.requires_grad:
                    places.append((layer, k))
                    seen.append(leaf)
    squares = np.zeros((len(trace.strands), distance + 1, len(ends)))
    gradients: tuple[Any, ...] = (
        torch.autograd.grad(loss, seen, allow_unused=True) if loss.requires_grad else ()
    )
    for (layer, k), gradient in zip(places, gradients, strict=bool(gradients)):
        if gradient is not None:
            squares[layer, k] += gradient.flatten(1).double().square().sum(1).cpu().numpy()
    return squares


def _watched(leaf: Tensor) -> Tensor:
    return leaf.clone().requires_grad_() if leaf.is_floating_point() else leaf
