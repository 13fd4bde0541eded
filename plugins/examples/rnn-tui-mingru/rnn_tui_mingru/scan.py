"""A recurrence that is linear in its state, over all positions of a sequence in about 3 sqrt(T) operations.

The sequence is cut into about sqrt(T) chunks. All of them are run at once from zero, position by position; then each
in turn is given what the one before it ends with, times all that it keeps of it. Only sums and products of what is
there: no logarithm, no division, so that a factor of 0 (a reset) and one that underflows are as exact as any other.
"""

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def scan(keep: Tensor, write: Tensor, start: Tensor) -> Tensor:
    """Return every h of h[t] = keep[t] * h[t-1] + write[t], with h[-1] = `start`.

    Gradients of any order; memory for them is that of `keep` and the result.

    Args:
        keep, write: (B, T, H), T >= 1.
        start: (B, H).

    Returns:
        (B, T, H).
    """
    result: Tensor = _Scan.apply(keep, write, start, False)  # type: ignore[no-untyped-call]
    return result


class _Scan(torch.autograd.Function):
    """Forwards in time or, as the gradient of that is, backwards: h[t] = keep[t] * h[t+1] + write[t]."""

    @staticmethod
    def forward(ctx: Any, keep: Tensor, write: Tensor, start: Tensor, backwards: bool) -> Tensor:
        hs = _run(keep, write, start, backwards)
        ctx.save_for_backward(keep, hs, start)
        ctx.backwards = backwards
        return hs

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        keep, hs, start = ctx.saved_tensors
        zero = torch.zeros_like(start)
        if ctx.backwards:
            before = torch.cat([hs[:, 1:], start.unsqueeze(1)], 1)
            shifted = torch.cat([zero.unsqueeze(1), keep[:, :-1]], 1)
            first = -1
        else:
            before = torch.cat([start.unsqueeze(1), hs[:, :-1]], 1)
            shifted = torch.cat([keep[:, 1:], zero.unsqueeze(1)], 1)
            first = 0
        # the gradient of h[t] is that from outside and, times what the next position keeps, that of h[t+1]
        grads = _Scan.apply(shifted, grad, zero, not ctx.backwards)  # type: ignore[no-untyped-call]
        return grads * before, grads, grads[:, first] * keep[:, first], None


def _run(keep: Tensor, write: Tensor, start: Tensor, backwards: bool) -> Tensor:
    rows, positions, width = write.shape
    length = math.isqrt(positions)
    chunks = -(-positions // length)
    missing = chunks * length - positions
    if missing:  # keeps all and writes nothing: no other position notices
        keep = functional.pad(keep, (0, 0, 0, missing), value=1.0)
        write = functional.pad(write, (0, 0, 0, missing))
    keep = keep.reshape(rows, chunks, length, width)
    write = write.reshape(rows, chunks, length, width)
    inside, across = list(range(length)), list(range(chunks))
    if backwards:
        inside.reverse()
        across.reverse()

    hs, kept = torch.empty_like(write), torch.empty_like(keep)
    h = write.new_zeros(rows, chunks, width)
    h[:, across[0]] = start
    product = torch.ones_like(h)
    for t in inside:
        h = torch.addcmul(write[:, :, t], keep[:, :, t], h, out=hs[:, :, t])
        product = torch.mul(product, keep[:, :, t], out=kept[:, :, t])
    last = inside[-1]
    for previous, chunk in pairwise(across):
        hs[:, chunk].addcmul_(kept[:, chunk], hs[:, previous, last, None])
    return hs.view(rows, -1, width)[:, :positions]
