"""The mean cross-entropy of what the head makes of features, in memory that does not grow with rows times vocabulary.

Where logits are many they are made for some rows at a time, and their part of every gradient with them, so that no
second pass needs them again: the way of "Liger Kernel: Efficient Triton Kernels for LLM Training" (P.-L. Hsu et al.,
2024, arXiv 2410.10989). They stand as (V, rows), since W X^T is the faster product of the two on a CPU.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.tasks.task import IGNORED

FEW_LOGITS = 4_000_000
"""So many are made at once and left to torch, which holds them three times over: from here on the pieces are no slower
(one thread, hidden 256 to 650, vocabularies of 4,000 to 33,278)."""

LOGITS_AT_ONCE = 16_000_000
"""Logits of one piece: 64 MB in float32. At V = 33,278 an update of 1,120 rows takes 1.90 s in such pieces, 2.13 s in
pieces half as large and 3.26 s in an eighth, since every piece reads the weight and its gradient again."""


def cross_entropy(model: RecurrentModel, features: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats per target.

    Where logits are many it can be differentiated once.

    Args:
        features: (..., O), as `model` returns them.
        targets: int64 (...); `IGNORED` is not counted.
    """
    features, targets = features.flatten(0, -2), targets.flatten()
    if len(targets) * model.output_size <= FEW_LOGITS:
        return functional.cross_entropy(model.outputs(features), targets, ignore_index=IGNORED)
    inputs = (features, model.head.weight, model.head.bias, targets, _products(features))
    with torch.autocast(features.device.type, enabled=False):
        if torch.is_grad_enabled():
            loss: Tensor = _InPieces.apply(*inputs)  # type: ignore[no-untyped-call]
            return loss
        losses, _ = _walk(*inputs, gradients=False)
        return _mean(losses, targets)


@torch.no_grad()
def surprise(model: RecurrentModel, features: Tensor, targets: Tensor) -> Tensor:
    """Return -ln p of each target, float32 (...), without gradients; arguments as of `cross_entropy`.

    It is 0 where the target is `IGNORED`.
    """
    rows, labels = features.flatten(0, -2), targets.flatten()
    if len(labels) * model.output_size <= FEW_LOGITS:
        logits = model.outputs(rows).float()
        losses = functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="none")
    else:
        dtype = _products(rows)
        with torch.autocast(rows.device.type, enabled=False):
            losses, _ = _walk(rows, model.head.weight, model.head.bias, labels, dtype, gradients=False)
    return losses.view_as(targets)


def _products(features: Tensor) -> torch.dtype:
    """The dtype that products have here."""
    kind = features.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else features.dtype


def _mean(losses: Tensor, targets: Tensor) -> Tensor:
    """The mean over the targets that count, added up in float64."""
    exact = torch.float64 if losses.device.type != "mps" else torch.float32  # which has no float64
    return (losses.sum(dtype=exact) / (targets != IGNORED).sum()).to(losses.dtype)


class _InPieces(torch.autograd.Function):
    """(features (N, O), weight (V, O), bias (V), targets (N)) -> the mean; its gradients are made on the way."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, dtype: torch.dtype
    ) -> Tensor:
        losses, ctx.gradients = _walk(features, weight, bias, targets, dtype, gradients=True)
        ctx.share = 1 / (targets != IGNORED).sum().clamp_min(1)
        return _mean(losses, targets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        # handed over and not saved: a gradient that nobody else holds becomes the parameter's own without a copy
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            raise RuntimeError(
                "this loss has handed out its gradients; compute it again to differentiate it again"
            )
        scale = scale * ctx.share
        return *(gradient.mul_(scale) for gradient in gradients), None, None


def _walk(
    features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, dtype: torch.dtype, *, gradients: bool
) -> tuple[Tensor, list[Tensor]]:
    """Return the loss of each target (N,), 0 for one that is ignored, and the gradients of their sum if wanted.

    Nothing here waits for the device: the pieces follow from shapes.

    Args:
        dtype: of the products. Softmax and what is added up are float32 at least.
    """
    wide = torch.promote_types(features.dtype, torch.float32)
    W, b = weight.to(dtype), bias.to(dtype)[:, None]
    made = [torch.zeros_like(value) for value in (features, weight, bias)] if gradients else []
    losses = torch.empty(len(targets), dtype=wide, device=features.device)
    ignored = targets == IGNORED
    rows = _rows_at_once(len(targets), len(weight))
    buffer = torch.empty(len(weight), rows, dtype=dtype, device=features.device)
    for begin in range(0, len(targets), rows):
        here = slice(begin, begin + rows)
        x, skip = features[here].to(dtype), ignored[here]  # (n, O), (n,)
        labels = targets[here].clamp_min(0)[None]  # (1, n)
        logits = torch.addmm(b, W, x.t(), out=buffer[:, : len(x)]).to(wide)  # (V, n)
        top, asked = logits.amax(0), logits.gather(0, labels)[0]
        total = logits.sub_(top).exp_().sum(0)
        losses[here] = (total.log() + top - asked).masked_fill(skip, 0)
        if gradients:
            dfeatures, dweight, dbias = made
            # softmax, less one at the label; nothing where it is ignored
            dlogits = logits.mul_(total.reciprocal().masked_fill(skip, 0))
            dlogits.scatter_add_(0, labels, skip.to(wide)[None] - 1)
            dbias += dlogits.sum(1)
            dlogits = dlogits.to(dtype)
            dfeatures[here] = dlogits.t() @ W
            if dtype == weight.dtype:
                dweight.addmm_(dlogits, x)
            else:
                dweight += dlogits @ x
    return losses, made


def _rows_at_once(rows: int, vocab_size: int) -> int:
    """Return into how long pieces `rows` are cut: about equal ones, multiples of 16.

    Then a line of (V, rows) begins where a line of the cache does: at V = 33,278 the product runs at 86 GFLOP/s on one
    thread with 240 rows, at 53 with 234.
    """
    most = max(16, LOGITS_AT_ONCE // vocab_size // 16 * 16)
    pieces = math.ceil(rows / most)
    return math.ceil(rows / pieces / 16) * 16
