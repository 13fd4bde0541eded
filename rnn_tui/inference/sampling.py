"""From logits to a token: the rules, and a stream of noise that a seed fixes. Free of torch.

The rules act in this order, each on the distribution that the one before left: temperature, top-k, top-p, min-p.
Among equal probabilities the lower id counts as the more probable, so that exactly k tokens survive top-k.

A token is drawn by the Gumbel-max rule: the largest of log p + g, with g = -log(-log(u)) and u uniform in (0, 1),
has the distribution p. The stream of u is `torch.rand` in float64 from a CPU generator with that seed, one row of
vocabulary size for each token drawn, in order. So it is the same on every device and for every setting but the
seed: two temperatures see the same noise, and greedy draws none.
"""

import secrets
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_tui.errors import DivergedError
from rnn_tui.inference.config import SamplingConfig

Logits = npt.NDArray[np.floating[Any]]
Doubles = npt.NDArray[np.float64]

DIVERGED = "the model's output is not a number: its weights have diverged; use an earlier checkpoint"


def log_probabilities(logits: Logits) -> Doubles:
    """Return the logarithms of the probabilities, float64 (..., V); NaN in a row that is no distribution."""
    shifted = _shifted(logits)
    with np.errstate(divide="ignore", invalid="ignore"):  # a row of -inf
        result: Doubles = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


def filtered_logits(logits: Logits, config: SamplingConfig) -> Doubles:
    """Return logits of the distribution that is drawn from; -inf where a rule took a token out.

    Args:
        logits: (..., V), any float type; -inf marks tokens that must not be drawn. Not for greedy settings.

    Returns:
        float64 (..., V), the largest 0; an array of its own.

    Raises:
        DivergedError: when the logits are NaN, or all of them -inf.
    """
    scaled = _shifted(logits)
    if not np.isfinite(scaled.max(-1)).all():
        raise DivergedError(DIVERGED)
    with np.errstate(over="ignore"):  # towards -inf, where a tiny temperature means to send it
        # the largest was taken off before dividing: exp of the quotient cannot overflow at any temperature
        scaled /= config.temperature
    if 0 < config.top_k < scaled.shape[-1]:
        order = np.argsort(-scaled, axis=-1, kind="stable")  # (..., V)
        np.put_along_axis(scaled, order[..., config.top_k :], -np.inf, -1)
    if config.top_p < 1:
        probabilities = _softmax(scaled)
        order = np.argsort(-probabilities, axis=-1, kind="stable")
        ranked = np.take_along_axis(probabilities, order, -1)
        before = ranked.cumsum(-1) - ranked  # what the more probable ones hold together
        reached = np.empty(scaled.shape, bool)
        np.put_along_axis(reached, order, before >= config.top_p, -1)
        scaled[reached] = -np.inf
    if config.min_p:
        # the largest logit is 0, so a token's share of the best one's probability is exp of its logit
        scaled[np.exp(scaled) < config.min_p] = -np.inf
    return scaled


def filtered_probabilities(logits: Logits, config: SamplingConfig) -> Doubles:
    """Return the distribution that is drawn from, float64 (..., V); greedy is one-hot.

    Args:
        logits: (..., V).
    """
    if config.deterministic:
        best = choose(logits, config, None)
        return np.asarray(np.arange(logits.shape[-1]) == best[..., None], np.float64)
    return _softmax(filtered_logits(logits, config))


def choose(logits: Logits, config: SamplingConfig, gumbel: Doubles | None) -> npt.NDArray[np.int64]:
    """Draw one token for each row: (..., V) → int64 (...).

    Args:
        gumbel: float64 (..., V), see `gumbel_rows`; None where `config.deterministic`.

    Raises:
        DivergedError: as `filtered_logits`.
    """
    if config.deterministic or gumbel is None:
        if np.isnan(logits).any():
            raise DivergedError(DIVERGED)
        return np.asarray(logits.argmax(-1))
    return np.asarray((filtered_logits(logits, config) + gumbel).argmax(-1))


def gumbel_rows(vocab_size: int, seed: int) -> Iterator[Doubles]:
    """Yield rows of Gumbel noise, float64 (V,) each, for ever."""
    # torch's generator is this one too; it takes the lower half of a seed, and for a float64 two draws, the first above
    # the second, of which it keeps 53 bits
    generator = np.random.MT19937()
    state: Any = np.random.RandomState(seed & 0xFFFFFFFF).get_state(legacy=False)
    generator.state = state
    # drawing ahead gives the same numbers as row by row and costs less; 2^16 numbers are half a megabyte
    rows = max(1, min(64, 2**16 // vocab_size))
    while True:
        high, low = np.moveaxis(generator.random_raw((rows, vocab_size, 2)), -1, 0)
        uniform = ((high << np.uint64(32) | low) & np.uint64(2**53 - 1)) * 2.0**-53
        yield from -np.log(-np.log(np.maximum(uniform, 2.0**-54)))


def fresh_seed() -> int:
    """Return a seed for a continuation that was asked for without one; short enough to be typed again."""
    return secrets.randbelow(2**31)


def _shifted(logits: Logits) -> Doubles:
    """Return float64 logits of the same distribution, the largest of each row 0."""
    # clamped so that no infinity is taken off an infinity
    doubles = np.minimum(logits.astype(np.float64), 1e300)
    result: Doubles = doubles - np.maximum(doubles.max(-1, keepdims=True), -1e300)
    return result


def _softmax(logits: Doubles) -> Doubles:
    """Softmax of logits whose largest is 0."""
    powers = np.exp(logits)
    result: Doubles = powers / powers.sum(-1, keepdims=True)
    return result
