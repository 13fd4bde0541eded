"""torch's own cell functions as equations, so that a step that calls one can be taken apart.

`torch.lstm_cell` and its like, behind `nn.LSTMCell` too, write to tensors of their own while they compute, which a
trace sees. Written out in plain operators they are a graph like any other.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class WrittenOut(TorchFunctionMode):
    """Within it, a call of one of torch's cell functions is computed by its equations."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return _EQUATIONS.get(func, func)(*args, **(kwargs or {}))


def _lstm(
    x: Tensor,
    hx: Sequence[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """c' = f * c + i * g, h' = o * tanh(c'); the gates in the order i, f, g, o."""
    h, c = hx
    i, f, g, o = (functional.linear(x, w_ih, b_ih) + functional.linear(h, w_hh, b_hh)).chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def _gru(
    x: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """n = tanh(x W_n + r * (h U_n + c_n)), h' = n + z * (h - n); the gates in the order r, z, n."""
    xr, xz, xn = functional.linear(x, w_ih, b_ih).chunk(3, 1)
    hr, hz, hn = functional.linear(hx, w_hh, b_hh).chunk(3, 1)
    r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
    n = torch.tanh(xn + r * hn)
    return n + z * (hx - n)


def _rnn(squash: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """h' = tanh(x W + h U + b), or relu."""

    def step(
        x: Tensor,
        hx: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None = None,
        b_hh: Tensor | None = None,
    ) -> Tensor:
        return squash(functional.linear(x, w_ih, b_ih) + functional.linear(hx, w_hh, b_hh))

    return step


_EQUATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.lstm_cell: _lstm,
    torch.gru_cell: _gru,
    torch.rnn_tanh_cell: _rnn(torch.tanh),
    torch.rnn_relu_cell: _rnn(torch.relu),
}
