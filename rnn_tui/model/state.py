"""What a cell is made of, and its nested states: dimension 0 of every leaf is the batch."""

import torch
from torch import Tensor, nn

from rnn_tui.plugin.core import State
from rnn_tui.plugin.state import leaves, map_state

__all__ = [
    "arrange",
    "clone",
    "detach",
    "device_of",
    "leaves",
    "map_state",
    "tensors_of",
    "unflatten",
    "where_reset",
]


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers by name, each once."""
    return dict(module.named_parameters()) | dict(module.named_buffers())


def device_of(module: nn.Module) -> torch.device:
    """Where a module lies; one without tensors is on the CPU."""
    return next((tensor.device for tensor in tensors_of(module).values()), torch.device("cpu"))


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
