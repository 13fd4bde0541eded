"""What nn.RNN, nn.GRU and nn.LSTM compute, one step in plain NumPy, from torch's documentation. Free of torch.

torch keeps a matrix as (outputs, inputs) and two biases, one for each product; gates stand one above the other in the
order r, z, n of the GRU and i, f, g, o of the LSTM.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnn_tui.plugin.numpy_step import Array, NumpyStep, sigmoid


class _TorchStep(NumpyStep):
    """The weights of one layer, by the names that torch gives them behind the module's own."""

    module: str

    def __init__(self, weights: Mapping[str, Array], options: Mapping[str, Any]) -> None:
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        self.W_ih, self.W_hh, self.b_ih, self.b_hh = (weights[f"{self.module}.{name}"] for name in names)

    def zeros(self, batch_size: int) -> Array:
        return np.zeros((batch_size, self.W_hh.shape[1]), self.W_hh.dtype)

    def products(self, x: Array, h: Array) -> tuple[Array, Array]:
        """Return W_ih x + b_ih and W_hh h + b_hh, (B, gates * H) each."""
        return x @ self.W_ih.T + self.b_ih, h @ self.W_hh.T + self.b_hh


class NumpyTorchRNN(_TorchStep):
    """The step of `nn-rnn`: h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu."""

    module = "rnn"

    def __init__(self, weights: Mapping[str, Array], options: Mapping[str, Any]) -> None:
        super().__init__(weights, options)
        self.relu = options.get("nonlinearity") == "relu"

    def initial_state(self, batch_size: int) -> Array:
        return self.zeros(batch_size)

    def step(self, x: Array, state: Array) -> tuple[Array, Array]:
        total = np.add(*self.products(x, state))
        h = np.maximum(total, 0) if self.relu else np.tanh(total)
        return h, h


class NumpyTorchGRU(_TorchStep):
    """The step of `nn-gru`: n = tanh(W_in x + b_in + r * (W_hn h + b_hn)), h' = (1 - z) * n + z * h."""

    module = "gru"

    def initial_state(self, batch_size: int) -> Array:
        return self.zeros(batch_size)

    def step(self, x: Array, state: Array) -> tuple[Array, Array]:
        from_x, from_h = self.products(x, state)
        xr, xz, xn = np.split(from_x, 3, axis=1)
        hr, hz, hn = np.split(from_h, 3, axis=1)
        r, z = sigmoid(xr + hr), sigmoid(xz + hz)
        n = np.tanh(xn + r * hn)
        h = (1 - z) * n + z * state
        return h, h


class NumpyTorchLSTM(_TorchStep):
    """The step of `nn-lstm`: c' = f * c + i * g, h' = o * tanh(c')."""

    module = "lstm"

    def initial_state(self, batch_size: int) -> tuple[Array, Array]:
        return self.zeros(batch_size), self.zeros(batch_size)

    def step(self, x: Array, state: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        h, c = state
        i, f, g, o = np.split(np.add(*self.products(x, h)), 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        return h, (h, c)
