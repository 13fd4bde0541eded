"""torch's kernels for a whole layer over time, called with weights of the caller's making.

In half precision on CUDA, autocast would cast a layer's input to fp16 even where bf16 is asked for, and torch takes its
fastest kernel (weights kept on the chip over all positions) only where input and state are a multiple of 128 wide. So
weights are cast here, once per call, and the input is made that wide with columns of zeros.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

WIDTH = 128
"""What the width of the input should be a multiple of (torch, aten/src/ATen/native/cudnn/RNN.cpp)."""

CUDNN_BF16 = 91300
"""The first cuDNN with these kernels in bf16; torch goes step by step with an older one, several times slower."""

Kernel = Callable[..., Any]
"""torch.lstm, torch.gru, torch.rnn_tanh or torch.rnn_relu."""


def run_layer(
    kernel: Kernel, xs: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Run one layer over time.

    Args:
        xs: (B, T, I).
        state: h, and c of an LSTM; (B, H) each.
        weights: (G H, I), (G H, H), (G H), (G H) for G gates.

    Returns:
        (B, T, H) and the state after the last position, of the type of the state before: float32 is carried from window
        to window whatever the products are computed in.
    """
    device = xs.device.type
    if device != "cuda" or not torch.is_autocast_enabled(device):
        ys, *after = _call(kernel, xs, state, weights)
    else:
        dtype = torch.get_autocast_dtype(device)
        version = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        if dtype is torch.bfloat16 and (version or 0) < CUDNN_BF16:
            dtype = torch.float32
        with torch.autocast(device, enabled=False):
            ys, *after = run_cast(kernel, xs, state, weights, dtype, WIDTH if dtype.itemsize == 2 else 1)
    return (ys, *(new.to(old.dtype) for new, old in zip(after, state, strict=True)))


def run_cast(
    kernel: Kernel,
    xs: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    dtype: torch.dtype,
    width: int,
) -> tuple[Tensor, ...]:
    """As `run_layer`, computed in `dtype` with the input padded to a multiple of `width`; gradients are those of the
    arguments."""
    from_input, *others = weights
    missing = -xs.shape[-1] % width
    if missing:
        xs, from_input = functional.pad(xs, (0, missing)), functional.pad(from_input, (0, missing))
    shapes = [weight.shape for weight in (from_input, *others)]
    # one piece of memory in cuDNN's order: else it is copied once more, with a warning, at each call
    flat = torch.cat([weight.to(dtype).flatten() for weight in (from_input, *others)])
    pieces = torch.split(flat, [shape.numel() for shape in shapes])
    laid_out = [piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)]
    return _call(kernel, xs.to(dtype), [leaf.to(dtype) for leaf in state], laid_out)


def _call(
    kernel: Kernel, xs: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    before = [leaf.unsqueeze(0).contiguous() for leaf in state]  # torch's states are (1, B, H)
    hidden = before[0] if len(before) == 1 else before
    # cuDNN keeps what its backward needs only when it is told that this is training; there is no dropout to switch on
    training = torch.is_grad_enabled()
    # has_biases, num_layers, dropout, train, bidirectional, batch_first
    ys, *after = kernel(xs, hidden, weights, True, 1, 0.0, training, False, True)
    return (ys, *(leaf.squeeze(0) for leaf in after))
