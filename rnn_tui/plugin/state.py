"""Walking over a nested state: the one place that knows the forms it can have. Free of torch: leaves may be arrays."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from rnn_tui.plugin.core import State


def map_state(function: Callable[..., Any], state: "State", *others: "State") -> "State":
    """Apply `function` to the leaves of one or several states of equal structure."""
    if not isinstance(state, dict | tuple | list):
        return function(state, *others)
    if isinstance(state, dict):
        return {key: map_state(function, value, *(o[key] for o in others)) for key, value in state.items()}
    parts = [map_state(function, *leaves) for leaves in zip(state, *others, strict=True)]
    return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)


def leaves(state: "State") -> "Iterator[Tensor]":
    """Yield the tensors of a state in a fixed order: position in tuples, insertion order in dicts."""
    if not isinstance(state, dict | tuple | list):
        yield state
    else:
        for part in state.values() if isinstance(state, dict) else state:
            yield from leaves(part)
