"""The cell `lnlstm` for rnn-tui."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from torch import Tensor, nn

from rnn_tui.plugin import Cell, Meta


class LSTMState(NamedTuple):
    """Both (B, H): what the layer shows, and what it remembers."""

    h: Tensor
    c: Tensor


class LayerNormLSTM(Cell):
    """LSTM whose sums are brought to mean 0 and variance 1, each over its row, before a gate sees them.

        i, f, g, o = N(x W) * a + N(h U) * d + b         4H numbers: two norms over all of them

        c' = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h' = sigmoid(o) * tanh(N(c') * s + t)            y = h'

    with N(v) = (v - mean v) / sqrt(var v + 1e-5), mean and variance over the row.

    Shapes: x (B, I), h and c (B, H). The four stand side by side in the order i, f, g, o, as in nn.LSTM: W (I, 4H),
    U (H, 4H), a, d and b (4H); s and t (H).

    Source: J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer normalization" (arXiv 1607.06450), equations 20 to 22 of its
    appendix.

    Initialisation: W and U uniform in (-1/sqrt(H), 1/sqrt(H)), as nn.LSTM; a, d and s 1, b and t 0; then `forget_bias`
    is added to the part of b that is f's.

    Deviations: one b where the paper has three, of which only the sum matters; the 1e-5, which is torch's.
    """

    api_version = 1

    @dataclass(frozen=True)
    class Options:
        forget_bias: Annotated[
            float, Meta(ge=-10, le=10, description="Added to the forget gate's bias at the start.")
        ] = 1.0

    def __init__(self, input_size: int, hidden_size: int, *, forget_bias: float = 1.0) -> None:
        super().__init__()
        self.output_size = hidden_size
        self.W = nn.Parameter(torch.empty(input_size, 4 * hidden_size))
        self.U = nn.Parameter(torch.empty(hidden_size, 4 * hidden_size))
        for matrix in (self.W, self.U):
            nn.init.uniform_(matrix, -(hidden_size**-0.5), hidden_size**-0.5)
        self.norm_x = nn.LayerNorm(4 * hidden_size)  # a and b
        self.norm_h = nn.LayerNorm(4 * hidden_size, bias=False)  # d
        self.norm_c = nn.LayerNorm(hidden_size)  # s and t
        with torch.no_grad():
            self.norm_x.bias[hidden_size : 2 * hidden_size] += forget_bias

    def initial_state(
        self, batch_size: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> LSTMState:
        """Return zeros, (B, H) each."""
        h, c = (self.U.new_zeros(batch_size, self.output_size, device=device, dtype=dtype) for _ in range(2))
        return LSTMState(h, c)

    def step(self, x: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """(B, I) and the state to the output (B, H) and the next state."""
        h, c = state
        gates = self.norm_x(x @ self.W) + self.norm_h(h @ self.U)
        i, f, g, o = gates.chunk(4, 1)  # (B, 4H) -> 4 times (B, H)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(self.norm_c(c))
        return h, LSTMState(h, c)
