"""Dynamic evaluation: the weights adapt to the text as it is read.

Krause, Kahembwe, Murray, Renals, "Dynamic evaluation of neural sequence models", ICML 2018, the RMS rule with decay
towards the trained weights. The text is cut into segments; each is predicted and counted first, then learned from:

    theta <- theta - eta * g / (sqrt(MS) + eps) + lambda * R * (theta_0 - theta)

g is the gradient of the segment's mean loss, MS the mean square of the gradients over batches of the training text,
and R = sqrt(MS) / mean(sqrt(MS)), not above 1 / lambda, so that no weight is pulled beyond where it was. As in the
authors' program (github.com/benkrause/dynamic-evaluation) that mean is the mean of the tensors' means, and a batch of
the training text is 100 rows of one segment, read on with the state carried.

What comes out is a figure of the model and the rule together. It is not the model's loss.
"""

import copy
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rnn_tui.errors import InputError
from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.model.state import detach
from rnn_tui.tasks.next_token import sequence_loss

ROWS = 100
"""Rows of a batch of the training text. The mean over more rows has smaller gradients: eta is made for this many."""

BATCHES = 200
"""Batches of the training text that are read at most: 400,000 characters in segments of 20."""

Ids = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class DynamicConfig:
    """The settings of the rule.

    Attributes:
        segment: tokens from one update to the next.
        lr: eta.
        decay: lambda.
        epsilon: keeps a weight that had no gradient in training from running away.
    """

    segment: int
    lr: float
    decay: float
    epsilon: float = 2e-5


def dynamic_config(
    chars_per_token: float,
    *,
    segment: int | None = None,
    lr: float | None = None,
    decay: float | None = None,
) -> DynamicConfig:
    """Return the settings, with usual ones in the place of None.

    For words (tokens of two characters or more) those of the authors' program, 5 tokens with eta 5e-5 and lambda 2e-3.
    For characters 20 tokens, eta 1e-4, near the 1.2e-4 which they name for that many, and lambda 8e-3. Measured with an
    LSTM of 256 after 4,000 steps, on 30,000 held-out characters of tiny Shakespeare (1.491 nats without): 1.400 for eta
    5e-5, 1.389 for 1e-4, 1.415 for 2e-4, 1.525 for 4e-4; lambda 2e-3 and 2e-2 give 1.391 and 1.395.
    Both grow with the segment.
    """
    usual, eta, pull = (20, 1e-4, 8e-3) if chars_per_token < 2 else (5, 5e-5, 2e-3)
    segment = segment or usual
    return DynamicConfig(
        segment=segment,
        lr=eta * segment / usual if lr is None else lr,
        decay=pull * segment / usual if decay is None else decay,
    )


@dataclass(frozen=True)
class DynamicEvaluation:
    """The loss of a stretch of tokens while the weights adapt to it, as a sum."""

    nats: float
    tokens: int

    @property
    def mean(self) -> float:
        """Nats per token."""
        return self.nats / self.tokens if self.tokens else math.nan


def evaluate_dynamic(
    model: RecurrentModel,
    ids: Ids,
    train_ids: Ids,
    config: DynamicConfig,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> DynamicEvaluation:
    """Return the loss of every token of `ids` but the first, as one stream with the state carried.

    Args:
        model: left as it is; a copy of it adapts, without dropout.
        ids: one-dimensional; may be a memory map.
        train_ids: likewise, what the model was trained on.
        progress: called with tokens done and tokens in all, those of the training text included.

    Raises:
        InputError: when the training text is shorter than a segment.
    """
    total = max(0, len(ids) - 1)
    model = copy.deepcopy(model).eval()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    nats = 0.0
    # cuDNN has no backward in evaluation mode
    with torch.backends.cudnn.flags(enabled=False) if model.device.type == "cuda" else nullcontext():
        rms, before = _gradient_rms(model, weights, train_ids, config.segment, total, progress)
        mean = torch.stack([value.mean() for value in rms]).mean()
        pull = [(config.decay * value / mean).clamp(max=1.0) for value in rms]
        trained = [weight.detach().clone() for weight in weights]
        state = model.initial_state(1)
        for begin in range(0, total, config.segment):
            end = min(begin + config.segment, total)
            window = torch.from_numpy(ids[begin : end + 1].astype("int64"))[None].to(
                model.device
            )  # (1, T + 1)
            loss, state = sequence_loss(model, window[:, :-1], window[:, 1:], detach(state))
            nats += loss.item() * (end - begin)
            gradients = _gradients(loss, weights)
            with torch.no_grad():
                for weight, gradient, scale, home, back in zip(
                    weights, gradients, rms, trained, pull, strict=True
                ):
                    weight.add_(back * (home - weight) - config.lr * gradient / (scale + config.epsilon))
            if progress:
                progress(before + end, before + total)
    return DynamicEvaluation(nats, total)


def _gradient_rms(
    model: RecurrentModel,
    weights: Sequence[Tensor],
    ids: Ids,
    segment: int,
    after: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[list[Tensor], int]:
    """Return sqrt(MS) for each of the weights, and how many tokens were read for it."""
    rows = min(ROWS, (len(ids) - 1) // segment)
    if rows < 1:
        raise InputError(
            f"dynamic evaluation reads the training split in segments of {segment} tokens, and it has only "
            f"{len(ids):,}; take a shorter segment"
        )
    lane = (len(ids) - 1) // rows
    batches = min(BATCHES, lane // segment)
    squares = [torch.zeros_like(weight) for weight in weights]
    state = model.initial_state(rows)
    for index in range(batches):
        begins = index * segment + lane * np.arange(rows)[:, None]  # (B, 1)
        window = _tokens(model, ids[begins + np.arange(segment + 1)])
        loss, state = sequence_loss(model, window[:, :-1], window[:, 1:], detach(state))
        for square, gradient in zip(squares, _gradients(loss, weights), strict=True):
            square += gradient.square()
        if progress:
            progress((index + 1) * rows * segment, batches * rows * segment + after)
    return [(square / batches).sqrt() for square in squares], batches * rows * segment


def _tokens(model: RecurrentModel, ids: Ids) -> Tensor:
    """Return a window and the token after it: int64 (B, T + 1)."""
    return torch.from_numpy(ids.astype(np.int64)).to(model.device)


def _gradients(loss: Tensor, weights: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the gradient of each weight; zeros for one that took no part."""
    gradients: tuple[Tensor, ...] = torch.autograd.grad(loss, weights, materialize_grads=True)
    return gradients
