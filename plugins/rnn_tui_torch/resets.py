"""Resets inside a sequence for kernels that know none: cut where one stands, and clear the rows concerned."""

from collections.abc import Callable

import torch
from torch import Tensor

from rnn_tui.plugin import State


def run_with_resets(
    run: Callable[[Tensor, State], tuple[Tensor, State]],
    clear: Callable[[Tensor, State], State],
    xs: Tensor,
    state: State,
    reset: Tensor | None,
) -> tuple[Tensor, State]:
    """Run over time in as many pieces as there are positions with a reset, one more at most.

    Args:
        run: (B, t, I) and a state to (B, t, O) and a state.
        clear: Rows (B, 1), true where the initial state is to be put in place, and a state to that state.
        xs: (B, T, I).
        reset: bool (B, T) or None. Looking into it makes the host wait for the device.
    """
    cuts = [] if reset is None else reset.any(0).nonzero().flatten().tolist()  # positions t in 0..T-1
    if reset is None or not cuts:
        return run(xs, state)
    pieces = []
    start = 0
    for cut in cuts:
        if cut > start:
            ys, state = run(xs[:, start:cut], state)
            pieces.append(ys)
        state = clear(reset[:, cut, None], state)
        start = cut
    ys, state = run(xs[:, start:], state)
    return torch.cat([*pieces, ys], 1), state  # (B, T, O)
