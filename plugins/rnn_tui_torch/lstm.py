"""torch's long short-term memory."""

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rnn_tui.plugin import Core
from rnn_tui_torch.fused import run_layer
from rnn_tui_torch.resets import run_with_resets


class LSTMState(NamedTuple):
    """Both (B, H): what the layer shows, and what it remembers."""

    h: Tensor
    c: Tensor


class TorchLSTM(Core):
    """nn.LSTM, one layer, over time in torch's fused kernels; the equations of `lstm`.

    Initialisation: torch's own, every parameter uniform in (-1/sqrt(H), 1/sqrt(H)).
    """

    api_version = 1

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = hidden_size
        self.lstm = nn.LSTM(input_size, hidden_size, batch_first=True)

    def initial_state(
        self, batch_size: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> LSTMState:
        """Return zeros, (B, H) each."""
        like = self.lstm.all_weights[0][0]
        h, c = (like.new_zeros(batch_size, self.output_size, device=device, dtype=dtype) for _ in range(2))
        return LSTMState(h, c)

    def forward(
        self, xs: Tensor, state: LSTMState, *, reset: Tensor | None = None
    ) -> tuple[Tensor, LSTMState]:
        """See `Core.forward`."""
        return run_with_resets(self._run, _clear, xs, state, reset)

    def step(self, x: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """Take one step through the cell function: on CPU four times as fast as nn.LSTM over one position."""
        h, c = torch.lstm_cell(x, state, *self.lstm.all_weights[0])
        return h, LSTMState(h, c)

    def to_nn(self) -> nn.LSTM:
        """Return a copy of the layer."""
        return copy.deepcopy(self.lstm)

    def from_nn(self, layer: nn.RNNBase) -> None:
        """Take the weights of an nn.LSTM."""
        if not isinstance(layer, nn.LSTM):
            raise NotImplementedError(f"an nn.{type(layer).__name__} is no nn.LSTM")
        self.lstm.load_state_dict(layer.state_dict())

    def _run(self, xs: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        ys, h, c = run_layer(torch.lstm, xs, state, self.lstm.all_weights[0])
        return ys, LSTMState(h, c)


def _clear(rows: Tensor, state: LSTMState) -> LSTMState:
    return LSTMState(*(leaf.masked_fill(rows, 0) for leaf in state))
