"""The gated recurrent unit."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from rnn_tui.plugin import Cell, Meta
from rnn_tui_scratch.layers import give_weights, take_weights


class GRU(Cell):
    """Gated recurrent unit: one state, kept or renewed through an update gate.

        r = sigmoid(x Wr + h Ur + br)               how much of the old state the candidate sees
        z = sigmoid(x Wz + h Uz + bz)               how much of the old state is kept
        n = tanh(x Wn + (r * h) Un + bn)            reset = before: the gate acts before the product
        n = tanh(x Wn + bn + r * (h Un + cn))       reset = after: it acts after the product

        h' = (1 - z) * n + z * h                    y = h'

    Shapes: x (B, I), h (B, H). The three stand side by side in the order r, z, n, as in nn.GRU: W (I, 3H),
    U (H, 3H), b (3H); `after` has the candidate's second bias cn (H), which cannot be merged with bn.

    Source: K. Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014
    (arXiv 1406.1078): version 3 is `before`, the form of textbooks; version 1 is `after`, the form of cuDNN
    and nn.GRU. Weights of one form mean nothing in the other.

    Initialisation: every parameter uniform in (-1/sqrt(H), 1/sqrt(H)), as nn.GRU.

    Deviations: the paper has z and 1 - z exchanged; one bias for r and z where nn.GRU has two, of which only
    the sum matters.
    """

    api_version = 1

    @dataclass(frozen=True)
    class Options:
        reset: Annotated[
            Literal["before", "after"],
            Meta(description="Reset gate before the recurrent product (textbooks) or after it (nn.GRU)."),
        ] = "before"

    def __init__(self, input_size: int, hidden_size: int, *, reset: str = "before") -> None:
        super().__init__()
        self.output_size = hidden_size
        self.W = nn.Parameter(torch.empty(input_size, 3 * hidden_size))
        self.U = nn.Parameter(torch.empty(hidden_size, 3 * hidden_size))
        self.b = nn.Parameter(torch.empty(3 * hidden_size))
        self.cn = nn.Parameter(torch.empty(hidden_size)) if reset == "after" else None
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hidden_size**-0.5), hidden_size**-0.5)

    def initial_state(
        self, batch_size: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> Tensor:
        """Return zeros (B, H)."""
        return self.U.new_zeros(batch_size, self.output_size, device=device, dtype=dtype)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(B, I) and (B, H) to (B, H) twice: the output is the state."""
        h, H = state, self.output_size
        xr, xz, xn = (x @ self.W + self.b).chunk(3, 1)  # (B, 3H) -> 3 times (B, H)
        if self.cn is None:
            hr, hz = (h @ self.U[:, : 2 * H]).chunk(2, 1)
            r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
            n = torch.tanh(xn + (r * h) @ self.U[:, 2 * H :])
        else:
            hr, hz, hn = (h @ self.U).chunk(3, 1)
            r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
            n = torch.tanh(xn + r * (hn + self.cn))
        h = (1 - z) * n + z * h
        return h, h

    def to_nn(self) -> nn.GRU:
        """Return the same as nn.GRU, for reset = after; its second bias has the candidate's part only."""
        cn = self._second_bias()
        layer = nn.GRU(len(self.W), self.output_size, batch_first=True).to(self.W)
        give_weights(layer, self.W, self.U, self.b)
        with torch.no_grad():
            _, _, _, b_hh = layer.all_weights[0]
            b_hh[2 * self.output_size :] = cn
        return layer

    def from_nn(self, layer: nn.RNNBase) -> None:
        """Take the weights of an nn.GRU, for reset = after."""
        cn = self._second_bias()
        if not isinstance(layer, nn.GRU):
            raise NotImplementedError(f"an nn.{type(layer).__name__} has other gates than a GRU")
        take_weights(layer, self.W, self.U, self.b)
        with torch.no_grad():
            _, _, b_ih, b_hh = layer.all_weights[0]
            n = slice(2 * self.output_size, None)
            self.b[n] = b_ih[n]
            cn.copy_(b_hh[n])

    def _second_bias(self) -> Tensor:
        if self.cn is None:
            raise NotImplementedError(
                "with reset=before its reset gate acts before the recurrent product, in nn.GRU after it; only "
                "reset=after has an equal there"
            )
        return self.cn
