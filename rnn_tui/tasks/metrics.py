"""Figures made from a loss. Free of torch, so that the faces use the same ones."""

import math


def perplexity(nats_per_token: float) -> float:
    """exp of the loss; infinity where that overflows."""
    return math.exp(nats_per_token) if nats_per_token < 709 else math.inf if nats_per_token > 0 else math.nan
