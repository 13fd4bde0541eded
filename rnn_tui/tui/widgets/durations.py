"""Durations on an axis: steps that a clock has, and labels such as 0:30, 5:00, 1h30 and 2d."""

import math
from itertools import pairwise

from rnn_tui.tui.widgets.scales import Axis, nice_step

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STEPS = (
    1, 2, 5, 10, 15, 30,
    *(m * _MINUTE for m in (1, 2, 5, 10, 15, 30)),
    *(h * _HOUR for h in (1, 2, 3, 6, 12)), _DAY,
)  # fmt: skip
_LOG = (0.001, 0.01, 0.1, 1, 10, _MINUTE, 10 * _MINUTE, _HOUR, 10 * _HOUR, 4 * _DAY, 40 * _DAY, 400 * _DAY)
"""About a factor of ten apart."""


def clock_step(span: float, parts: int) -> float:
    """Return the smallest step of a clock that cuts `span` seconds into at most `parts` pieces."""
    raw = span / max(parts, 1)
    if raw < 1:
        return nice_step(span, parts)
    for step in _STEPS:
        if step >= raw * (1 - 1e-9):
            return step
    return _DAY * nice_step(span / _DAY, parts)


def duration_ticks(axis: Axis, parts: int) -> list[float]:
    """Return about `parts` round durations on an axis of seconds, at least two."""
    if axis.log and axis.high / axis.low >= 20:
        inside = [tick for tick in _LOG if axis.low <= tick <= axis.high]
        every = max(1, math.ceil(len(inside) / max(parts, 2)))
        if len(inside[::every]) >= 2:
            return list(inside[::every])
    found: list[float] = []
    for wanted in range(parts, parts + 6):
        step = clock_step(axis.high - axis.low, wanted)
        first, last = math.ceil(axis.low / step - 1e-9), math.floor(axis.high / step + 1e-9)
        found = [k * step for k in range(first, last + 1)]
        if len(found) >= 2:
            break
    return found


def duration_labels(values: list[float], *, log: bool = False) -> list[str]:
    """Return a label for each tick, as fine as tells them apart."""
    steps = [b - a for a, b in pairwise(values)]
    if log or not steps:
        return [duration(value, value) for value in values]
    return [duration(value, min(steps)) for value in values]


def duration(seconds: float, step: float) -> str:
    """Return 0:30, 5:00, 1h30, 2d06 or the like; in full seconds or finer only where `step` (in seconds) is so small.

    From an hour on minutes stand behind the h, from a day on hours behind the d, seconds where they are called for.
    """
    if not math.isfinite(seconds):
        return "-"
    sign, size = ("-", -seconds) if seconds < 0 else ("", seconds)
    if size == 0:
        return "0"
    digits = max(0, min(3, -math.floor(math.log10(step) + 1e-9))) if 0 < step < 1 else 0
    size = round(size, digits)
    whole = int(size)
    part = f"{size - whole:.{digits}f}"[1:] if digits else ""
    minutes, rest = divmod(whole, _MINUTE)
    hours, days = minutes // 60, whole // _DAY
    if hours < 1:
        return f"{sign}{minutes}:{rest:02d}{part}"
    fine = f":{rest:02d}{part}" if step < _MINUTE else ""
    if days < 1:
        exact = minutes % 60 == 0 and step >= _HOUR
        return f"{sign}{hours}h" if exact else f"{sign}{hours}h{minutes % 60:02d}{fine}"
    if step < _HOUR:
        return f"{sign}{days}d{hours % 24:02d}:{minutes % 60:02d}{fine}"
    return f"{sign}{days}d" if step >= _DAY or whole % _DAY == 0 else f"{sign}{days}d{hours % 24:02d}"
