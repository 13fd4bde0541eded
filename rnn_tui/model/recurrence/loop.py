"""The plain loop under autograd: the reference that every faster way is tested against."""

import torch
from torch import Tensor

from rnn_tui.model.state import where_reset
from rnn_tui.plugin.core import Cell, State


def run_loop(cell: Cell, xs: Tensor, state: State, reset: Tensor | None = None) -> tuple[Tensor, State]:
    """Call a cell once for each position; as `Core.forward`, (B, T, I) -> (B, T, O)."""
    initial = None
    if reset is not None:
        initial = cell.initial_state(xs.shape[0], device=xs.device, dtype=xs.dtype)
    ys: list[Tensor] = []
    for t, x in enumerate(xs.unbind(1)):  # T times (B, I)
        if reset is not None:
            state = where_reset(reset[:, t], initial, state)
        y, state = cell.step(x, state)
        ys.append(y)
    return torch.stack(ys, 1), state  # (B, T, O)
