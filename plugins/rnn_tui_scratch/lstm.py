"""Long short-term memory."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from torch import Tensor, nn

from rnn_tui.plugin import Cell, Meta
from rnn_tui_scratch.layers import give_weights, take_weights


class LSTMState(NamedTuple):
    """Both (B, H): what the layer shows, and what it remembers."""

    h: Tensor
    c: Tensor


class LSTM(Cell):
    """Long short-term memory: a memory c that is written, kept and shown through three gates.

        i = sigmoid(x Wi + h Ui + bi)       how much is written
        f = sigmoid(x Wf + h Uf + bf)       how much is kept
        g = tanh   (x Wg + h Ug + bg)       what is written
        o = sigmoid(x Wo + h Uo + bo)       how much is shown

        c' = f * c + i * g
        h' = o * tanh(c')                   y = h'

    Shapes: x (B, I), h and c (B, H). The four stand side by side in the order i, f, g, o, as in nn.LSTM:
    W (I, 4H), U (H, 4H), b (4H), so that a step is two products.

    Source: S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 9 (1997); the
    forget gate is of F. Gers, J. Schmidhuber and F. Cummins, "Learning to forget", Neural Computation 12
    (2000).

    Initialisation: every parameter uniform in (-1/sqrt(H), 1/sqrt(H)), as nn.LSTM; then `forget_bias` is
    added to bf. A forget bias of 1 keeps memory open in the first steps of training (R. Jozefowicz et al.,
    "An empirical exploration of recurrent network architectures", ICML 2015); the default 0 is torch's and
    the textbooks'.

    Deviations: no peephole connections; one bias where nn.LSTM has two, of which only the sum matters.
    """

    api_version = 1

    @dataclass(frozen=True)
    class Options:
        forget_bias: Annotated[
            float, Meta(ge=-10, le=10, description="Added to the forget gate's bias at the start.")
        ] = 0.0

    def __init__(self, input_size: int, hidden_size: int, *, forget_bias: float = 0.0) -> None:
        super().__init__()
        self.output_size = hidden_size
        self.W = nn.Parameter(torch.empty(input_size, 4 * hidden_size))
        self.U = nn.Parameter(torch.empty(hidden_size, 4 * hidden_size))
        self.b = nn.Parameter(torch.empty(4 * hidden_size))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hidden_size**-0.5), hidden_size**-0.5)
        with torch.no_grad():
            self.b[hidden_size : 2 * hidden_size] += forget_bias

    def initial_state(
        self, batch_size: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> LSTMState:
        """Return zeros, (B, H) each."""
        h, c = (self.U.new_zeros(batch_size, self.output_size, device=device, dtype=dtype) for _ in range(2))
        return LSTMState(h, c)

    def step(self, x: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """(B, I) and the state to the output (B, H) and the next state."""
        h, c = state
        i, f, g, o = (x @ self.W + h @ self.U + self.b).chunk(4, 1)  # (B, 4H) -> 4 times (B, H)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, LSTMState(h, c)

    def to_nn(self) -> nn.LSTM:
        """Return the same as nn.LSTM; its second bias is zeros."""
        layer = nn.LSTM(len(self.W), self.output_size, batch_first=True)
        return give_weights(layer.to(self.W), self.W, self.U, self.b)

    def from_nn(self, layer: nn.RNNBase) -> None:
        """Take the weights of an nn.LSTM."""
        if not isinstance(layer, nn.LSTM):
            raise NotImplementedError(f"an nn.{type(layer).__name__} has other gates than an LSTM")
        take_weights(layer, self.W, self.U, self.b)
