"""The interface of an architecture's step in NumPy, which runs trained weights without torch."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class NumpyStep(ABC):
    """One layer of a trained architecture, step by step in plain NumPy: the two members of a `Cell`, without torch.

    It stands beside the architecture under the same name, in a module that does not import torch. The architecture's
    tests can take it as their oracle, since it shares no code with it.
    """

    api_version: ClassVar[int] = 1

    @abstractmethod
    def __init__(self, weights: Mapping[str, Array], options: Mapping[str, Any]) -> None:
        """Keep what the step needs.

        Args:
            weights: the layer's tensors under the names they have in the author's module, as the model file has them;
                not to be written to. They also say which floating-point type to compute in.
            options: those the model was built with; one that is absent has the architecture's default.
        """

    @abstractmethod
    def initial_state(self, batch_size: int) -> Any:
        """Return the state before the first step: an array, or a tuple or dict of states, the batch in dimension 0."""

    @abstractmethod
    def step(self, x: Array, state: Any) -> tuple[Array, Any]:
        """Take one input (B, I) and return the output (B, O) and the next state, writing to neither argument."""


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), written with tanh: exp would overflow for large negative x and say so."""
    result: Array = 0.5 * (1 + np.tanh(0.5 * x))
    return result
