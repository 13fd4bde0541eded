"""Numbers as a person reads them: short, of steady width, and never hiding a NaN."""

import math
from collections.abc import Sequence

from rnn_tui.safetext import safe_text

_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.-~=+*#"


def count(value: float | None) -> str:
    """Whole numbers with thousands marks: 12,345."""
    return "-" if value is None else f"{int(value):,}" if math.isfinite(value) else str(value)


def short(value: float | None) -> str:
    """Three digits and a letter: 41.2k, 1.25M; from a million million on an exponent: 4.48e36."""
    if value is None or not math.isfinite(value):
        return "-" if value is None else str(value)
    if abs(value) >= 9.995e11:
        return rate(value)
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit * 0.9995:
            return f"{_three(value / limit)}{letter}"
    return _three(value)


def coarse(value: float | None) -> str:
    """Two digits and a letter: 41k, 1.2M. For what wavers, since each digit that changes is sent to the terminal."""
    if value is None or not math.isfinite(value) or not value:
        return short(value)
    step: float = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    return short(round(value / step) * step)


def _three(value: float) -> str:
    size = abs(value)
    text = f"{value:.0f}" if size >= 99.95 else f"{value:.1f}" if size >= 9.995 else f"{value:.2f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def loss(value: float | None) -> str:
    """A loss or a ratio in four digits; `nan` and `inf` as they are."""
    if value is None:
        return "-"
    if not math.isfinite(value):
        return str(value)
    return f"{value:.3f}" if abs(value) < 1000 else short(value)


def rate(value: float | None) -> str:
    """A learning rate: 4.00e-3."""
    if value is None:
        return "-"
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def duration(seconds: float | None) -> str:
    """0:42, 12:05, 3h07, 2d04h."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    whole = max(0, round(seconds))
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def about(seconds: float | None) -> str:
    """A duration to come, which nobody knows to the second: to 5 s below two minutes, else to about a twentieth."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    step = next((step for limit, step in _STEPS if seconds < limit), 3600)
    return duration(round(seconds / step) * step)


_STEPS = ((120, 5), (600, 15), (3600, 60), (14400, 300), (86400, 900))


def ago(seconds: float) -> str:
    """How long since: now, 12 s, 5 min, 3 h, 2 d; coarse, so that a table changes seldom."""
    if seconds < 10:
        return "now"
    for limit, unit, name in ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // unit) if unit > 1 else int(seconds // 10 * 10)} {name}"
    return f"{int(seconds // 86400)} d"


def size(amount: int) -> str:
    """Bytes: 812 B, 3.4 MB."""
    return (
        f"{amount} B"
        if amount < 1000
        else f"{short(amount)}B".replace("kB", " kB").replace("MB", " MB").replace("GB", " GB")
    )


def sparkline(values: Sequence[float], width: int, *, ascii: bool = False) -> str:
    """Return all values as at most `width` bars, each the mean of an equal number of them; NaN is `×`.

    That number is a power of two and bars begin at its multiples, so that a new value changes the last bar only.
    """
    n = len(values)
    if not n or width < 1:
        return ""
    import numpy as np

    size = 1
    while n > width * size:
        size *= 2
    starts = np.arange(0, n, size)
    with np.errstate(invalid="ignore"):  # infinities of either sign
        sums = np.add.reduceat(np.array(values, dtype=np.float64), starts)
    means = sums / np.minimum(size, n - starts)
    known, bad = np.isfinite(means), "!" if ascii else "×"
    bars = _ASCII_BARS if ascii else _BARS
    if not known.any():
        return bad * len(means)
    low, high = float(means[known].min()), float(means[known].max())
    if high == low:
        return "".join(bars[3] if one else bad for one in known.tolist())
    heights = np.minimum(7, np.where(known, means - low, 0.0) / (high - low) * 8).astype(int)
    return "".join(bars[h] if one else bad for h, one in zip(heights.tolist(), known.tolist(), strict=True))


def bar(share: float, width: int, *, ascii: bool = False) -> tuple[str, str]:
    """Return the done and the open part of a progress bar of `width` cells."""
    done = round(min(max(share, 0.0), 1.0) * width)
    return ("#" if ascii else "━") * done, ("-" if ascii else "─") * (width - done)


def one_line(text: object, limit: int = 400) -> str:
    """Text from outside as one safe line."""
    return safe_text(text, limit=limit)
