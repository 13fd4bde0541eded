"""Figures made from a loss. Free of torch, so that the faces and the model in NumPy use the same ones."""

import math
from dataclasses import dataclass

MOST_LANES = 4096
"""Stretches that are read side by side at most: each needs a state and a row of logits."""


@dataclass(frozen=True)
class Evaluation:
    """The loss of a stretch of tokens, as a sum, so that parts can be added exactly."""

    nats: float
    tokens: int
    lanes: int

    @property
    def mean(self) -> float:
        """Nats per token."""
        return self.nats / self.tokens if self.tokens else math.nan


def default_lanes(tokens: int) -> int:
    """How many lanes a stream is evaluated in: at least 1,024 tokens each, at most 64."""
    return min(64, max(1, tokens // 1024))


def perplexity(nats_per_token: float) -> float:
    """exp of the loss; infinity where that overflows."""
    return math.exp(nats_per_token) if nats_per_token < 709 else math.inf if nats_per_token > 0 else math.nan
