"""The minimal gated recurrent unit."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from rnn_tui.plugin import Core, Meta
from rnn_tui_mingru.scan import scan


class MinGRU(Core):
    """Minimal GRU: gate and candidate see the input alone, so that all positions are computed at once.

        z = sigmoid(x Wz + bz)              how much of the state is renewed
        n = g(x Wn + bn)                    what takes its place

        h' = (1 - z) * h + z * n            y = h', or h' V where `expansion` is above 1

    with g(v) = v + 0.5 where v >= 0 and sigmoid(v) elsewhere (candidate = positive), or g(v) = v (linear).

    Shapes: x (B, I), h (B, E H) with E the expansion, y (B, H). Gate and candidate stand side by side, z first:
    W (2 E H, I), b (2 E H); V (H, E H).

    Source: L. Feng, F. Tung, M. O. Ahmed, Y. Bengio and H. Hajimirsadegh, "Were RNNs all we needed?" (arXiv
    2410.01201): `linear` is the form of its section 3.1, `positive` that of its appendix on logarithms, which its
    experiments use. The expansion is that of its appendix on the architecture.

    Initialisation: that of nn.Linear; then `gate_bias` is added to bz.

    Deviations: the state begins as 0, which g never gives, so that a reset is to keep nothing; the scan computes with
    the numbers themselves instead of their logarithms, which lose digits as the sequence grows (see README).
    """

    api_version = 1

    @dataclass(frozen=True)
    class Options:
        expansion: Annotated[int, Meta(ge=1, le=8, description="Width of the state, in hidden sizes.")] = 1
        candidate: Annotated[
            Literal["positive", "linear"],
            Meta(description="What the state is renewed with: always above 0, or any number."),
        ] = "positive"
        gate_bias: Annotated[
            float,
            Meta(ge=-10, le=10, description="Added to the gate's bias at the start: less keeps more."),
        ] = 0.0

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        expansion: int = 1,
        candidate: str = "positive",
        gate_bias: float = 0.0,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = hidden_size
        self.positive = candidate == "positive"
        self.width = expansion * hidden_size
        self.from_input = nn.Linear(input_size, 2 * self.width)
        self.to_output = nn.Linear(self.width, hidden_size, bias=False) if expansion > 1 else nn.Identity()
        with torch.no_grad():
            self.from_input.bias[: self.width] += gate_bias

    def initial_state(
        self, batch_size: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> Tensor:
        """Return zeros (B, E H)."""
        return self.from_input.weight.new_zeros(batch_size, self.width, device=device, dtype=dtype)

    def forward(self, xs: Tensor, state: Tensor, *, reset: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `Core.forward`; the state is (B, E H)."""
        keep, write = self._gates(xs, state.dtype)  # (B, T, E H) each
        if reset is not None:
            keep = keep.masked_fill(reset.unsqueeze(2), 0.0)
        hs = scan(keep, write, state)
        return self.to_output(hs), hs[:, -1]

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(B, I) and (B, E H) to the output (B, H) and the next state (B, E H)."""
        keep, write = self._gates(x, state.dtype)
        h = keep * state + write
        return self.to_output(h), h

    def _gates(self, x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return 1 - z and z * n, in the type of the state: in a lower one, what is kept over many steps is not."""
        z, n = self.from_input(x).to(dtype).chunk(2, -1)
        if self.positive:
            n = torch.where(n >= 0, n + 0.5, torch.sigmoid(n))
        return torch.sigmoid(-z), torch.sigmoid(z) * n
