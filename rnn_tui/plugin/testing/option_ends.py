"""The values of an option that are worth trying. Free of torch."""

import math
from collections.abc import Iterator
from typing import Any

from rnn_tui.plugin.options import OptionInfo


def ends(info: OptionInfo) -> Iterator[Any]:
    """Yield the values of an option that are worth trying: all of a few, the least and the greatest of many."""
    if info.type == "choice":
        yield from info.choices
    elif info.type == "choices":
        yield from ((choice,) for choice in info.choices)
        yield info.choices
    elif info.type == "bool":
        yield from (False, True)
    elif info.type in ("int", "float"):
        for bound, is_open in ((info.minimum, info.above_minimum), (info.maximum, info.below_maximum)):
            if bound is not None and math.isfinite(bound):
                value = _inside(info, bound) if is_open else bound
                value = int(value) if info.type == "int" else float(value)
                yield (value,) if info.many else value


def _inside(info: OptionInfo, bound: float) -> float:
    """Return a value that is just allowed, where the bound itself is not."""
    if info.type == "int":
        return bound + 1 if bound == info.minimum else bound - 1
    inner = info.default[0] if info.many and info.default else info.default
    return bound + (float(inner or 0.0) - bound) / 1000 if inner != bound else bound
