"""Nested states, handled by one rule: dimension 0 of every leaf is the batch."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from rnn_tui.plugin.core import State


def map_state(function: Callable[..., Tensor], state: State, *others: State) -> State:
    """Apply `function` to the leaves of one or several states of equal structure."""
    if isinstance(state, Tensor):
        return function(state, *others)
    if isinstance(state, dict):
        return {key: map_state(function, value, *(o[key] for o in others)) for key, value in state.items()}
    parts = [map_state(function, *leaves) for leaves in zip(state, *others, strict=True)]
    return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)


def leaves(state: State) -> Iterator[Tensor]:
    """Yield the tensors of a state in a fixed order: position in tuples, insertion order in dicts."""
    if isinstance(state, Tensor):
        yield state
    else:
        for part in state.values() if isinstance(state, dict) else state:
            yield from leaves(part)


def arrange(template: State, state: State) -> State:
    """Give `state` the types and the order of `template`: a cell may write a dict in another order than it read it."""
    return map_state(lambda _, leaf: leaf, template, state)


def detach(state: State) -> State:
    """Cut the state from the graph that made it."""
    return map_state(Tensor.detach, state)


def clone(state: State) -> State:
    """Copy every leaf."""
    return map_state(Tensor.clone, state)


def where_reset(reset: Tensor, initial: State, state: State) -> State:
    """Put `initial` in the rows where `reset` (B,) is true."""

    def choose(fresh: Tensor, old: Tensor) -> Tensor:
        # (B,) would broadcast against the last dimension, not the batch: give it the leaf's rank first
        return torch.where(reset.view(-1, *[1] * (old.dim() - 1)), fresh, old)

    return map_state(choose, initial, state)


def unflatten(template: State, tensors: list[Tensor]) -> State:
    """Give a flat list of leaves the structure of `template`; the inverse of `leaves`."""
    remaining = iter(tensors)
    return map_state(lambda _: next(remaining), template)
