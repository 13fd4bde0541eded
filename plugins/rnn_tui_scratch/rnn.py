"""The simple recurrent network."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from rnn_tui.plugin import Cell, Meta
from rnn_tui_scratch.layers import give_weights, take_weights


class RNN(Cell):
    """Simple recurrent network: the new state is a squashed sum of the input and the old state.

        h' = tanh(x W + h U + b)        y = h'

    Shapes: x (B, I), h (B, H), W (I, H), U (H, H), b (H).

    Source: J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990), with the hidden layer
    alone; the linear output layer is the model's head.

    Initialisation: every parameter uniform in (-1/sqrt(H), 1/sqrt(H)), as nn.RNN.

    Deviations: one bias where nn.RNN has two, of which only the sum matters; `nonlinearity=relu` as in
    nn.RNN.
    """

    api_version = 1

    @dataclass(frozen=True)
    class Options:
        nonlinearity: Annotated[Literal["tanh", "relu"], Meta(description="What squashes the sum.")] = "tanh"

    def __init__(self, input_size: int, hidden_size: int, *, nonlinearity: str = "tanh") -> None:
        super().__init__()
        self.output_size = hidden_size
        self.W = nn.Parameter(torch.empty(input_size, hidden_size))
        self.U = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.b = nn.Parameter(torch.empty(hidden_size))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hidden_size**-0.5), hidden_size**-0.5)
        self.nonlinearity = nonlinearity
        self.squash = {"tanh": torch.tanh, "relu": torch.relu}[nonlinearity]

    def initial_state(
        self, batch_size: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> Tensor:
        """Return zeros (B, H)."""
        return self.U.new_zeros(batch_size, self.output_size, device=device, dtype=dtype)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(B, I) and (B, H) to (B, H) twice: the output is the state."""
        h = self.squash(x @ self.W + state @ self.U + self.b)
        return h, h

    def to_nn(self) -> nn.RNN:
        """Return the same as nn.RNN; its second bias is zeros."""
        layer = nn.RNN(len(self.W), self.output_size, nonlinearity=self.nonlinearity, batch_first=True)
        return give_weights(layer.to(self.W), self.W, self.U, self.b)

    def from_nn(self, layer: nn.RNNBase) -> None:
        """Take the weights of an nn.RNN with the same nonlinearity."""
        if not isinstance(layer, nn.RNN):
            raise NotImplementedError(f"an nn.{type(layer).__name__} has gates, and this cell has none")
        if layer.nonlinearity != self.nonlinearity:
            raise NotImplementedError(
                f"the layer squashes with {layer.nonlinearity}; set the option nonlinearity={layer.nonlinearity}"
            )
        take_weights(layer, self.W, self.U, self.b)
