"""Axes and ticks: the arithmetic of a chart, without a widget in sight."""

import math
from dataclasses import dataclass
from itertools import pairwise

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

    def edges(self, columns: int) -> Floats:
        """Return the values at which one of `columns` dots ends and the next begins, (columns + 1,), first and last
        half a dot beyond the axis; a dot's middle is where `place` is a multiple of 1 / (columns - 1)."""
        fractions = (np.arange(columns + 1) - 0.5) / max(columns - 1, 1)
        if self.log:
            low = math.log(self.low)
            with np.errstate(over="ignore"):
                return np.exp(low + fractions * (math.log(self.high) - low))
        return self.low + fractions * (self.high - self.low)


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

    Without a known total: the smallest 100 × 1.5^k that holds `last`, below 100 halved instead. With one: the total
    halved while it still holds `last`, so that at least half of the width is in use and the axis ends at the total.
    """
    if total and last <= total:
        return _halved(float(total), last)
    if last <= 0:
        return 100.0
    if last <= 100:
        return _halved(100.0, last)
    return float(100 * 1.5 ** math.ceil(math.log(last / 100, 1.5) - 1e-9))


def _halved(limit: float, last: float) -> float:
    least = limit / 4096
    while limit / 2 >= max(last, least):
        limit /= 2
    return limit


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


def finite_range(values: Floats, *, trim: float = 0.0) -> tuple[float, float] | None:
    """Return the smallest and largest value, or None; `trim` leaves out that share at either end."""
    if not len(values):
        return None
    low, high = np.quantile(values, (trim, 1 - trim)) if trim else (values.min(), values.max())
    return float(low), float(high)
