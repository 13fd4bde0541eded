"""The same equations in plain NumPy, for `--backend numpy` and as the oracle of the cells' tests. Free of torch.

Each class follows the docstring of the cell beside it, letter by letter; shapes are the same.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnn_tui.plugin.numpy_step import Array, NumpyStep, sigmoid


class NumpyRNN(NumpyStep):
    """The step of `rnn`: h' = tanh(x W + h U + b), or relu."""

    def __init__(self, weights: Mapping[str, Array], options: Mapping[str, Any]) -> None:
        self.W, self.U, self.b = weights["W"], weights["U"], weights["b"]
        self.relu = options.get("nonlinearity") == "relu"

    def initial_state(self, batch_size: int) -> Array:
        return np.zeros((batch_size, len(self.U)), self.U.dtype)

    def step(self, x: Array, state: Array) -> tuple[Array, Array]:
        total = x @ self.W + state @ self.U + self.b
        h = np.maximum(total, 0) if self.relu else np.tanh(total)
        return h, h


class NumpyGRU(NumpyStep):
    """The step of `gru`, in the form that the weights are of: only reset = after has a second bias."""

    def __init__(self, weights: Mapping[str, Array], options: Mapping[str, Any]) -> None:
        self.Wr, self.Wz, self.Wn = np.split(weights["W"], 3, axis=1)
        self.Ur, self.Uz, self.Un = np.split(weights["U"], 3, axis=1)
        self.br, self.bz, self.bn = np.split(weights["b"], 3)
        self.cn = weights.get("cn")

    def initial_state(self, batch_size: int) -> Array:
        return np.zeros((batch_size, len(self.Un)), self.Un.dtype)

    def step(self, x: Array, state: Array) -> tuple[Array, Array]:
        h = state
        r = sigmoid(x @ self.Wr + h @ self.Ur + self.br)
        z = sigmoid(x @ self.Wz + h @ self.Uz + self.bz)
        if self.cn is None:
            n = np.tanh(x @ self.Wn + (r * h) @ self.Un + self.bn)
        else:
            n = np.tanh(x @ self.Wn + self.bn + r * (h @ self.Un + self.cn))
        h = (1 - z) * n + z * h
        return h, h


class NumpyLSTM(NumpyStep):
    """The step of `lstm`."""

    def __init__(self, weights: Mapping[str, Array], options: Mapping[str, Any]) -> None:
        self.W, self.U, self.b = weights["W"], weights["U"], weights["b"]

    def initial_state(self, batch_size: int) -> tuple[Array, Array]:
        zeros = np.zeros((batch_size, len(self.U)), self.U.dtype)
        return zeros, zeros

    def step(self, x: Array, state: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        h, c = state
        i, f, g, o = np.split(x @ self.W + h @ self.U + self.b, 4, axis=1)  # (B, 4H) -> 4 times (B, H)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        return h, (h, c)
