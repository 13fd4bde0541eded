"""Small plots as text, at most 80 columns wide; ASCII where standard output cannot write more."""

import math
import sys
from collections.abc import Sequence

from rnn_tui.cli.output import count, figure, out

_WIDTH = 60
_HEIGHT = 10


def ascii_only() -> bool:
    """Whether standard output can write no blocks and lines."""
    try:
        "█▏•│└─".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return True
    return False


def bar(share: float, width: int = 20) -> str:
    """A bar of blocks, eighths at its end; what is not zero shows at least a sliver."""
    if ascii_only():
        return "#" * max(round(share * width), share > 0)
    whole, eighths = divmod(max(round(share * width * 8), share > 0), 8)
    return "█" * whole + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths]


def bars(title: str, rows: Sequence[tuple[str, int]]) -> None:
    """Write a line for each label and count; the longest bar is the largest count."""
    most = max((number for _, number in rows), default=0) or 1
    labels = max((len(label) for label, _ in rows), default=0)
    counts = max((len(count(number)) for _, number in rows), default=0)
    out(title)
    for label, number in rows:
        out(f"{label:>{labels}}  {count(number):>{counts}}  {bar(number / most, 40)}".rstrip())


def curve(
    title: str, xs: Sequence[float], ys: Sequence[float], *, log: bool = False, digits: int = 0
) -> None:
    """Write points on a grid, with the ends of both axes as numbers.

    Args:
        log: Both axes are logarithmic, and all values above 0.
        digits: After the point of the numbers at the y axis.
    """
    across, up = [[math.log(value) for value in axis] if log else list(axis) for axis in (xs, ys)]
    point, side, corner, line = ("*", "|", "+", "-") if ascii_only() else ("•", "│", "└", "─")
    grid = [[" "] * _WIDTH for _ in range(_HEIGHT)]
    for x, y in zip(_cells(across, _WIDTH), _cells(up, _HEIGHT), strict=True):
        grid[_HEIGHT - 1 - y][x] = point
    ends = [figure(max(ys), digits) if digits else count(max(ys))]
    ends += [""] * (_HEIGHT - 2) + [figure(min(ys), digits) if digits else count(min(ys))]
    width = max(map(len, ends))
    out(title)
    for label, cells in zip(ends, grid, strict=True):
        out(f"{label:>{width}} {side}{''.join(cells)}".rstrip())
    out(f"{'':{width}} {corner}{line * _WIDTH}")
    first, last = count(min(xs)), count(max(xs))
    out(f"{'':{width}}  {first}{last:>{_WIDTH - len(first)}}")


def _cells(values: Sequence[float], size: int) -> list[int]:
    low, high = min(values), max(values)
    return [round((value - low) / ((high - low) or 1) * (size - 1)) for value in values]
