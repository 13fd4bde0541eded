"""torch's gated recurrent unit."""

import copy

import torch
from torch import Tensor, nn

from rnn_tui.plugin import Core
from rnn_tui_torch.fused import run_layer
from rnn_tui_torch.resets import run_with_resets


class TorchGRU(Core):
    """nn.GRU, one layer, over time in torch's fused kernels; the equations of `gru` with reset = after.

    Initialisation: torch's own, every parameter uniform in (-1/sqrt(H), 1/sqrt(H)).
    """

    api_version = 1

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = hidden_size
        self.gru = nn.GRU(input_size, hidden_size, batch_first=True)

    def initial_state(
        self, batch_size: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> Tensor:
        """Return zeros (B, H)."""
        return self.gru.all_weights[0][0].new_zeros(batch_size, self.output_size, device=device, dtype=dtype)

    def forward(self, xs: Tensor, state: Tensor, *, reset: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `Core.forward`; the state is (B, H)."""
        return run_with_resets(self._run, _clear, xs, state, reset)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step through the cell function: on CPU 1.3 to 1.7 times as fast as nn.GRU over one."""
        h = torch.gru_cell(x, state, *self.gru.all_weights[0])
        return h, h

    def to_nn(self) -> nn.GRU:
        """Return a copy of the layer."""
        return copy.deepcopy(self.gru)

    def from_nn(self, layer: nn.RNNBase) -> None:
        """Take the weights of an nn.GRU."""
        if not isinstance(layer, nn.GRU):
            raise NotImplementedError(f"an nn.{type(layer).__name__} is no nn.GRU")
        self.gru.load_state_dict(layer.state_dict())

    def _run(self, xs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        ys, h = run_layer(torch.gru, xs, [state], self.gru.all_weights[0])
        return ys, h


def _clear(rows: Tensor, state: Tensor) -> Tensor:
    return state.masked_fill(rows, 0)
