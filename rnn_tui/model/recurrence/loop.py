"""The plain loop under autograd: the reference that every faster way is tested against."""

import torch
from torch import Tensor

from rnn_tui.model.state import where_reset
from rnn_tui.plugin.core import Cell, Core, State


class Unroll(Core):
    """A Cell, called once for each position."""

    def __init__(self, cell: Cell, input_size: int) -> None:
        super().__init__()
        self.cell = cell
        self.input_size = input_size
        self.output_size = cell.output_size

    def initial_state(
        self, batch_size: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> State:
        return self.cell.initial_state(batch_size, device=device, dtype=dtype)

    def forward(self, xs: Tensor, state: State, *, reset: Tensor | None = None) -> tuple[Tensor, State]:
        initial = None
        if reset is not None:
            initial = self.cell.initial_state(xs.shape[0], device=xs.device, dtype=xs.dtype)
        ys: list[Tensor] = []
        for t, x in enumerate(xs.unbind(1)):  # T times (B, I)
            if reset is not None:
                state = where_reset(reset[:, t], initial, state)
            y, state = self.cell.step(x, state)
            ys.append(y)
        return torch.stack(ys, 1), state  # (B, T, O)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return self.cell.step(x, state)
