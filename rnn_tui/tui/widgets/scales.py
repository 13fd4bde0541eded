"""Axes, ticks and smoothing: the arithmetic of a chart, without a widget in sight."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """A closed range of values, placed linearly or by logarithm; `low < high`, and `low > 0` where `log`."""

    low: float
    high: float
    log: bool = False

    def place(self, values: npt.ArrayLike) -> Floats:
        """Return where `values` lie: 0 at `low`, 1 at `high`; what a log axis cannot show becomes NaN."""
        array = np.asarray(values, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            if not self.log:
                return np.asarray((array - self.low) / (self.high - self.low))
            positive = np.where(array > 0, array, np.nan)
            low = math.log(self.low)
            return np.asarray((np.log(positive) - low) / (math.log(self.high) - low))

    def value(self, fraction: float) -> float:
        """Return the value at `fraction` of the way; the inverse of `place`."""
        if self.log:
            return float(math.exp(math.log(self.low) + fraction * (math.log(self.high) - math.log(self.low))))
        return self.low + fraction * (self.high - self.low)


def nice_step(span: float, parts: int) -> float:
    """Return the smallest of 1, 2, 5 × 10^k that cuts `span` into at most `parts` pieces."""
    raw = span / max(parts, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    for factor in (1.0, 2.0, 5.0, 10.0):
        # A hair of slack: 0.3 / 3 is a little more than 0.1 in binary.
        if factor * power >= raw * (1 - 1e-9):
            return factor * power
    return 10.0 * power


def linear_ticks(low: float, high: float, parts: int) -> list[float]:
    """Return the multiples of a nice step inside [low, high]; about `parts`, and at least three where they fit."""
    ticks: list[float] = []
    for wanted in range(parts, parts + 6):
        step = nice_step(high - low, wanted)
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        ticks = [round(k * step, 12) if abs(step) > 1e-9 else k * step for k in range(first, last + 1)]
        if len(ticks) >= 3:
            break
    return ticks


def log_ticks(low: float, high: float, parts: int) -> list[float]:
    """Return ticks for a log axis: 1, 2, 5 of each decade; whole decades if there are many; a nice step below one."""
    decades = math.log10(high / low)
    if decades < 1.3:
        return linear_ticks(low, high, parts)
    every = max(1, math.ceil(decades / max(parts, 2)))
    factors = (1, 2, 5) if decades * 3 <= parts + 1 else (1,)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [factor * 10.0**k for k in exponents if k % every == 0 for factor in factors]
    inside = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
    return inside if len(inside) >= 2 else linear_ticks(low, high, parts)


def ticks(axis: Axis, parts: int) -> list[float]:
    """Return about `parts` round values on `axis`."""
    return log_ticks(axis.low, axis.high, parts) if axis.log else linear_ticks(axis.low, axis.high, parts)


def tick_label(value: float, step: float) -> str:
    """Return a short label; `step` is the distance to the next tick and sets the decimals."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e4:
        for limit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
            if size >= limit:
                digits = max(0, min(3, -math.floor(math.log10(step / limit) + 1e-9)))
                return f"{value / limit:.{digits}f}{letter}"
    if size < 1e-3:
        digits = max(0, math.floor(math.log10(size)) - math.floor(math.log10(step) + 1e-9))
        mantissa, exponent = f"{value:.{min(digits, 3)}e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    digits = max(0, min(4, -math.floor(math.log10(step) + 1e-9)))
    return f"{value:.{digits}f}"


def tick_labels(values: list[float], *, log: bool = False) -> list[str]:
    """Return a label for each tick, all with the decimals that tell them apart."""
    if len(values) < 2:
        return [f"{value:.3g}" for value in values]
    steps = [b - a for a, b in pairwise(values)]
    even = max(steps) - min(steps) <= 1e-6 * max(steps)
    if log and not even:
        return [tick_label(value, 10.0 ** math.floor(math.log10(value))) for value in values]
    return [tick_label(value, min(steps)) for value in values]


def jump_limit(last: float, total: float | None) -> float:
    """Return where the x axis ends, so that it grows in jumps and most redraws touch only the curve's tip.

    Without a known total: the smallest 100 × 1.25^k that holds `last`. With one: the total halved while it still holds
    `last`, so that at least half of the width is in use and the axis ends at the total.
    """
    if total and last <= total:
        limit = float(total)
        while limit / 2 >= max(last, 1.0):
            limit /= 2
        return limit
    if last <= 0:
        return 100.0
    return float(100 * 1.25 ** max(0, math.ceil(math.log(last / 100, 1.25) - 1e-9)))


def value_axis(low: float, high: float, *, log: bool, parts: int) -> Axis:
    """Return a y axis around [low, high] that ends on quarters of a tick, so that small changes leave it alone."""
    if not (math.isfinite(low) and math.isfinite(high)):
        low, high = (0.1, 1.0) if log else (0.0, 1.0)
    if log:
        low, high = max(low, 1e-12), max(high, 1e-12)
        if high <= low * 1.0001:
            low, high = low * 0.9, high * 1.1
        digit_low = 10.0 ** (math.floor(math.log10(low)) - 1)
        digit_high = 10.0 ** (math.floor(math.log10(high)) - 1)
        return Axis(
            math.floor(low / digit_low) * digit_low,
            math.ceil(high / digit_high - 1e-9) * digit_high,
            log=True,
        )
    if high - low <= 1e-9 * max(abs(high), abs(low), 1e-6):
        pad = abs(high) * 0.1 or 1.0
        low, high = low - pad, high + pad
    step = nice_step(high - low, parts) / 4
    return Axis(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step)


_BLOCK = 64


def smooth(values: npt.ArrayLike, weight: float) -> Floats:
    """Return the debiased exponential moving average of `values`.

    `a_t = weight · a_(t-1) + (1 - weight) · v_t` from a_0 = 0, divided by `1 - weight^t`, over finite values only: the
    form TensorBoard draws. Non-finite values stay where they are and do not enter the average.

    Args:
        values: (n,).
        weight: 0 (no smoothing) to below 1.
    """
    array = np.asarray(values, dtype=np.float64)
    if weight <= 0 or not len(array):
        return array.copy()
    finite = np.isfinite(array)
    v = array[finite]
    n = len(v)
    blocks = -(-n // _BLOCK)
    padded = np.zeros(blocks * _BLOCK)
    padded[:n] = v
    # Within a block the recursion is a triangular product; between blocks only the last value is carried, so the
    # Python loop runs once per 64 values.
    lag = np.subtract.outer(np.arange(_BLOCK), np.arange(_BLOCK))
    kernel = np.where(lag >= 0, (1 - weight) * weight ** np.maximum(lag, 0), 0.0)
    inner: Floats = padded.reshape(blocks, _BLOCK) @ kernel.T
    carry = np.empty(blocks)
    last, decay = 0.0, weight**_BLOCK
    for b, end in enumerate(inner[:, -1].tolist()):
        carry[b] = last
        last = last * decay + end
    inner += carry[:, None] * weight ** np.arange(1, _BLOCK + 1)
    result = array.copy()
    result[finite] = inner.reshape(-1)[:n] / -np.expm1(np.arange(1, n + 1) * math.log(weight))
    return result


def finite_range(values: npt.NDArray[Any], *, trim: float = 0.0) -> tuple[float, float] | None:
    """Return the smallest and largest finite value, or None; `trim` leaves out that share at either end."""
    kept = values[np.isfinite(values)]
    if not len(kept):
        return None
    if trim and len(kept) > 20:
        low, high = np.quantile(kept, (trim, 1 - trim))
        return float(low), float(high)
    return float(kept.min()), float(kept.max())
