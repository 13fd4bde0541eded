"""The leaves of a model's state, each with a name and its values over time. Free of torch."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from rnn_tui.plugin.core import State

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Part:
    """One leaf of one layer's state over time.

    Attributes:
        name: `layer 1 h`: the layer and the leaf's place in the state (`leaf_names`).
        strand: which of the trace's strands it belongs to.
        values: (T, units), after each token; leaves of more dimensions are laid out flat.
    """

    name: str
    strand: int
    layer: int
    values: Floats

    @property
    def units(self) -> int:
        return int(self.values.shape[1])

    @cached_property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest value."""
        return float(self.values.min()), float(self.values.max())

    @property
    def bounded(self) -> bool:
        """Whether all values lie in -1 to 1, as those of a tanh or a sigmoid do."""
        low, high = self.ends
        return max(-low, high) <= 1

    @cached_property
    def scale(self) -> float:
        """What the values are divided by to be shown: see `scale_of`."""
        return 1.0 if self.bounded else scale_of(self.values)

    @cached_property
    def moments(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Mean and standard deviation of each unit."""
        return self.values.mean(0, dtype=np.float64), self.values.std(0, dtype=np.float64)


def scale_of(values: npt.NDArray[Any]) -> float:
    """Return the 99th percentile of absolute values: a maximum that a few outliers do not move.

    The largest where that is 0, and 1 where all are.
    """
    size = np.abs(values)
    return float(np.percentile(size, 99)) or float(size.max()) or 1.0


def leaf_names(state: "State") -> list[str]:
    """Name the leaves of a state by its structure, in the order of `leaves`.

    A field of a NamedTuple and a key of a dict by its name, an element of a tuple as `state 2`, nested ones with a dot
    between, a state that is one tensor `state`.
    """

    def walk(state: "State") -> Iterator[str]:
        if isinstance(state, dict):
            inside = [(str(key), value) for key, value in state.items()]
        elif isinstance(state, tuple | list):
            keys = getattr(state, "_fields", None) or [f"state {i}" for i in range(1, len(state) + 1)]
            inside = list(zip(keys, state, strict=True))
        else:
            yield ""
            return
        for key, value in inside:
            for name in walk(value):
                yield f"{key}.{name}" if name else key

    return [name or "state" for name in walk(state)]
