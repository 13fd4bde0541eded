"""From logits to a token: the rules, and a stream of noise that a seed fixes.

The rules act in this order, each on the distribution that the one before left: temperature, top-k, top-p, min-p.
Among equal probabilities the lower id counts as the more probable, so that exactly k tokens survive top-k.

A token is drawn by the Gumbel-max rule: the largest of log p + g, with g = -log(-log(u)) and u uniform in (0, 1),
has the distribution p. The stream of u is `torch.rand` in float64 from a CPU generator with that seed, one row of
vocabulary size for each token drawn, in order. So it is the same on every device and for every setting but the
seed: two temperatures see the same noise, and greedy draws none.
"""

import math
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Annotated, Any, get_type_hints

import msgspec
import torch
from msgspec import Meta
from torch import Tensor

from rnn_tui.errors import DivergedError, UsageError, nearest


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How a continuation is drawn. Values out of bounds raise UsageError, naming the setting."""

    temperature: Annotated[
        float, Meta(ge=0, le=100, description="Divides the logits: below 1 safer, above 1 wilder; 0: greedy.")
    ] = 0.8
    top_k: Annotated[int, Meta(ge=0, le=2**31, description="Only the k most probable tokens; 0: all.")] = 0
    top_p: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="Only the fewest most probable tokens that reach this probability; 1: all.",
        ),
    ] = 1.0
    min_p: Annotated[
        float,
        Meta(ge=0, le=1, description="Only tokens at least this share as probable as the best one; 0: all."),
    ] = 0.0
    greedy: Annotated[bool, Meta(description="Always the most probable token.")] = False
    seed: (
        Annotated[int, Meta(ge=0, lt=2**62, description="Fixes the draws; none: different each time.")] | None
    ) = None
    length: Annotated[int, Meta(ge=0, le=10_000_000, description="Tokens to draw.")] = 200
    stop: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        Meta(max_length=64, description="Texts that end the continuation; they are not part of it."),
    ] = ()

    def __post_init__(self) -> None:
        for name, kind in _kinds().items():
            _check(name, getattr(self, name), kind)

    @property
    def deterministic(self) -> bool:
        """Whether no noise is drawn."""
        return self.greedy or self.temperature == 0


@cache
def _kinds() -> dict[str, Any]:
    return get_type_hints(SamplingConfig, include_extras=True)


def _check(name: str, value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"sampling setting {name}: {error}, not {value!r}") from None


def sampling_config(items: Mapping[str, Any], base: SamplingConfig | None = None) -> SamplingConfig:
    """Return `base` with `items` over it.

    Raises:
        UsageError: for an unknown name (with the nearest one) or a value out of bounds.
    """
    kinds = _kinds()
    for name in items:
        if name not in kinds:
            raise UsageError(f"there is no sampling setting {name!r}{nearest(name, kinds)}")
    values = {name: _check(name, value, kinds[name]) for name, value in items.items()}
    return SamplingConfig(**(asdict(base or SamplingConfig()) | values))


def filtered_logits(logits: Tensor, config: SamplingConfig) -> Tensor:
    """Return logits of the distribution that is drawn from; -inf where a rule took a token out.

    Args:
        logits: (..., V), any float type; -inf marks tokens that must not be drawn. Not for greedy settings.

    Returns:
        float64 (..., V) on the CPU, the largest 0.

    Raises:
        DivergedError: when the logits are NaN, or all of them -inf.
    """
    # clamped so that +inf does not become inf - inf; float64, because MPS has none, is the CPU's work
    scaled = logits.cpu().double().clamp(max=1e300)
    largest = scaled.amax(-1, keepdim=True)
    if not torch.isfinite(largest).all():
        raise DivergedError(
            "the model's output is not a number: its weights have diverged; use an earlier checkpoint"
        )
    # the largest is taken off before dividing: exp of the quotient then cannot overflow at any temperature
    scaled = (scaled - largest) / config.temperature
    vocab_size = scaled.shape[-1]
    if 0 < config.top_k < vocab_size:
        order = scaled.argsort(dim=-1, descending=True, stable=True)  # (..., V)
        scaled = scaled.scatter(-1, order[..., config.top_k :], -math.inf)
    if config.top_p < 1:
        probabilities, order = scaled.softmax(-1).sort(dim=-1, descending=True, stable=True)
        before = probabilities.cumsum(-1) - probabilities  # what the more probable ones hold together
        reached = torch.empty_like(before, dtype=torch.bool).scatter(-1, order, before >= config.top_p)
        scaled = scaled.masked_fill(reached, -math.inf)
    if config.min_p:
        # the largest logit is 0, so a token's share of the best one's probability is exp of its logit
        scaled = scaled.masked_fill(scaled.exp() < config.min_p, -math.inf)
    return scaled


def filtered_probabilities(logits: Tensor, config: SamplingConfig) -> Tensor:
    """Return the distribution that is drawn from, float64 (..., V) on the CPU; greedy is one-hot.

    Args:
        logits: (..., V).
    """
    if config.deterministic:
        best = choose(logits, config, None)
        return torch.nn.functional.one_hot(best, logits.shape[-1]).double()
    return filtered_logits(logits, config).softmax(-1)


def choose(logits: Tensor, config: SamplingConfig, gumbel: Tensor | None) -> Tensor:
    """Draw one token for each row: (..., V) → int64 (...).

    Args:
        gumbel: float64 (..., V), see `gumbel_rows`; None where `config.deterministic`.
    """
    if config.deterministic or gumbel is None:
        if logits.isnan().any():
            raise DivergedError("the model's output is not a number: its weights have diverged")
        return logits.cpu().argmax(-1)
    return (filtered_logits(logits, config) + gumbel).argmax(-1)


def gumbel_rows(vocab_size: int, seed: int) -> Iterator[Tensor]:
    """Yield rows of Gumbel noise, float64 (V,) each, for ever; equal for equal seeds, whatever torch's own seed."""
    generator = torch.Generator().manual_seed(seed)
    # drawing ahead gives the same numbers as row by row and costs a twentieth; 2^16 numbers are half a megabyte
    rows = max(1, min(64, 2**16 // vocab_size))
    while True:
        uniform = torch.rand(rows, vocab_size, generator=generator, dtype=torch.float64)
        yield from uniform.clamp_(min=2.0**-54).log_().neg_().log_().neg_().unbind(0)


def fresh_seed() -> int:
    """Return a seed for a continuation that was asked for without one; short enough to be typed again."""
    return secrets.randbelow(2**31)
