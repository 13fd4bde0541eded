"""From logits to a token: the rules, and a stream of noise that a seed fixes. Free of torch.

The rules act in this order, each on the distribution that the one before left: temperature, top-k, top-p, min-p.
Among equal probabilities the lower id counts as the more probable, so that exactly k tokens survive top-k.

A token is drawn by the Gumbel-max rule: the largest of log p + g, with g = -log(-log(u)) and u uniform in (0, 1),
has the distribution p. The stream of u is `torch.rand` in float64 from a CPU generator with that seed, one row of
vocabulary size for each token drawn, in order. So it is the same on every device and for every setting but the
seed: two temperatures see the same noise, and greedy draws none. Of several completions drawn side by side with seed s,
completion j (from 0) has the stream of seed s + j: it is the text that this seed gives alone, up to rounding.
"""

import secrets
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_tui.errors import DivergedError
from rnn_tui.inference.config import SamplingConfig

Logits = npt.NDArray[np.floating[Any]]
Doubles = npt.NDArray[np.float64]

SORTED_WHOLE = 1024
"""Up to this vocabulary top-p sorts all of it; beyond, the most probable `SORTED_FIRST` and more only if needed."""
SORTED_FIRST = 256

DIVERGED = "the model's output is not a number: its weights have diverged; use an earlier checkpoint"


def log_probabilities(logits: Logits) -> Doubles:
    """Return the logarithms of the probabilities, float64 (..., V); NaN in a row that is no distribution."""
    shifted = shifted_logits(logits)
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
    scaled = shifted_logits(logits)
    if not np.isfinite(scaled.max(-1)).all():
        raise DivergedError(DIVERGED)
    with np.errstate(over="ignore"):  # towards -inf, where a tiny temperature means to send it
        # the largest was taken off before dividing: exp of the quotient cannot overflow at any temperature
        scaled /= config.temperature
    if 0 < config.top_k < scaled.shape[-1]:
        scaled[~_largest(scaled, config.top_k)] = -np.inf
    if config.top_p < 1:
        scaled[~_nucleus(_softmax(scaled), config.top_p)] = -np.inf
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
        gumbel: float64 (..., V), see `Noise`; None where `config.deterministic`.

    Raises:
        DivergedError: as `filtered_logits`.
    """
    if config.deterministic or gumbel is None:
        if np.isnan(logits).any():
            raise DivergedError(DIVERGED)
        return np.asarray(logits.argmax(-1))
    return np.asarray((filtered_logits(logits, config) + gumbel).argmax(-1))


def chooser(config: SamplingConfig, hidden: int | None) -> Callable[[Logits, Doubles | None], int]:
    """Return a function (logits (V,), noise (V,) or None) -> token: what `choose` gives, bit for bit, for one row.

    Without top-k, top-p and min-p it takes 4 µs for 66 tokens, `choose` 20.

    Args:
        hidden: a token that is never drawn, as if its logit were -inf.
    """

    def general(logits: Logits, noise: Doubles | None) -> int:
        if hidden is not None:
            logits = logits.copy()
            logits[hidden] = -np.inf
        return int(choose(logits, config, noise))

    temperature = config.temperature
    # with such a temperature nothing overflows that comes from float32
    if config.deterministic or config.top_k or config.top_p < 1 or config.min_p or temperature < 1e-200:
        return general

    def plain(logits: Logits, noise: Doubles | None) -> int:
        if logits.dtype != np.float32 or noise is None:
            return general(logits, noise)
        scaled = logits.astype(np.float64)
        if hidden is not None:
            scaled[hidden] = -np.inf
        best = scaled[scaled.argmax()]  # NaN where one is among them
        if not -1e300 < best < 1e300:
            return general(logits, noise)
        scaled -= best
        scaled /= temperature
        scaled += noise
        return int(scaled.argmax())

    return plain


class Noise:
    """The rows of Gumbel noise that a seed gives, float64 (V,) each, in order."""

    def __init__(self, vocab_size: int, seed: int) -> None:
        # torch's generator is this one too; it takes the lower half of a seed, and for a float64 two draws, the first
        # above the second, of which it keeps 53 bits
        self._generator = np.random.MT19937()
        state: Any = np.random.RandomState(seed & 0xFFFFFFFF).get_state(legacy=False)
        self._generator.state = state
        self._vocab_size = vocab_size
        self._ahead = np.empty((0, vocab_size))

    def take(self, rows: int) -> Doubles:
        """Return the next so many rows, (rows, V)."""
        if len(self._ahead) < rows:
            # drawing ahead gives the same numbers as row by row and costs less; 2^16 numbers are half a megabyte
            more = max(rows - len(self._ahead), min(64, 2**16 // self._vocab_size))
            self._ahead = np.concatenate([self._ahead, self._draw(more)])
        taken, self._ahead = self._ahead[:rows], self._ahead[rows:]
        return taken

    def _draw(self, rows: int) -> Doubles:
        high, low = np.moveaxis(self._generator.random_raw((rows, self._vocab_size, 2)), -1, 0)
        uniform = ((high << np.uint64(32) | low) & np.uint64(2**53 - 1)) * 2.0**-53
        noise: Doubles = -np.log(-np.log(np.maximum(uniform, 2.0**-54)))
        return noise


def fresh_seed() -> int:
    """Return a seed for a continuation that was asked for without one; short enough to be typed again."""
    return secrets.randbelow(2**31)


def shifted_logits(logits: Logits) -> Doubles:
    """Return float64 logits (..., V) of the same distribution, the largest of each row 0; an array of its own."""
    # clamped so that no infinity is taken off an infinity
    doubles = np.minimum(logits.astype(np.float64), 1e300)
    result: Doubles = doubles - np.maximum(doubles.max(-1, keepdims=True), -1e300)
    return result


def _softmax(logits: Doubles) -> Doubles:
    """Softmax of logits whose largest is 0."""
    powers = np.exp(logits)
    result: Doubles = powers / powers.sum(-1, keepdims=True)
    return result


def _largest(logits: Doubles, k: int) -> npt.NDArray[np.bool_]:
    """Return where the k largest of each row are, (..., V); of equals the lowest ids."""
    last = np.partition(logits, -k, axis=-1)[..., -k, None]  # the k-th largest
    above, equal = logits > last, logits == last
    kept: npt.NDArray[np.bool_] = above | equal & (equal.cumsum(-1) <= k - above.sum(-1, keepdims=True))
    return kept


def _nucleus(probabilities: Doubles, p: float) -> npt.NDArray[np.bool_]:
    """Return where the fewest tokens are whose probabilities reach p, (..., V); of equals the lowest ids."""
    if probabilities.shape[-1] > SORTED_WHOLE:
        rows = probabilities.reshape(-1, probabilities.shape[-1])
        return np.stack([_nucleus_of_many(row, p) for row in rows]).reshape(probabilities.shape)
    order = np.argsort(-probabilities, axis=-1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, -1)
    kept = np.empty(probabilities.shape, bool)
    before = ranked.cumsum(-1) - ranked  # what the more probable ones hold together
    np.put_along_axis(kept, order, before < p, -1)
    return kept


def _nucleus_of_many(probabilities: Doubles, p: float) -> npt.NDArray[np.bool_]:
    """As `_nucleus` for one large row (V,): most of it need not be sorted."""
    first = SORTED_FIRST
    while True:
        first = min(first, len(probabilities))
        last = np.partition(probabilities, -first)[-first]
        tokens = np.flatnonzero(probabilities >= last)  # all equals of the last one too
        tokens = tokens[np.argsort(-probabilities[tokens], kind="stable")]
        ranked = probabilities[tokens]
        inside = ranked.cumsum() - ranked < p
        if not inside[-1] or len(tokens) == len(probabilities):
            kept = np.zeros(len(probabilities), bool)
            kept[tokens[inside]] = True
            return kept
        first *= 8
