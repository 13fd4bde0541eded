"""Equal sizes: the hidden size with which a model of an architecture has as many parameters as another's."""

from collections.abc import Callable

from rnn_tui.errors import PluginError

LARGEST = 8192
"""Hidden sizes beyond are not tried."""
NEIGHBOURS = 16
"""Hidden sizes in a row that an architecture may refuse, where it wants an even one or a multiple of its heads."""


def equal_size(count: Callable[[int], int], wanted: int) -> tuple[int, int]:
    """Return the hidden size whose model has most nearly `wanted` parameters, the smaller of two, and how many it has.

    Found by bisection: the count is taken to grow with the hidden size. One that an architecture refuses, by any
    exception, is passed over for the next larger one.

    Args:
        count: the parameters of a model by its hidden size.

    Raises:
        PluginError: when no model can be built, with what the architecture says of the first that it refuses.
    """
    known: dict[int, int] = {}

    def counted(size: int) -> tuple[int, int]:
        """The first of `size` and its neighbours that can be built, and its parameters."""
        refusal: Exception | None = None
        for near in range(size, size + NEIGHBOURS):
            try:
                known[near] = known.get(near) or count(near)
                return near, known[near]
            except Exception as error:  # a stranger's
                refusal = refusal or error
        raise PluginError(f"it builds no layer of hidden size {size}: {refusal}") from refusal

    low, high = 0, 1  # at `low` there are too few, at `high` enough
    while high < LARGEST and counted(high)[1] < wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        size, found = counted(middle)
        if found >= wanted or size >= high:
            high = middle
        else:
            low = size
    counted(high)
    best = min(known, key=lambda size: (abs(known[size] - wanted), size))
    return best, known[best]
