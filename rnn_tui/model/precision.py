"""How precisely products are computed: one switch for every path, and what half precision needs beside it.

Weights, optimiser and carried state are float32 always; half precision is that of the products of a step. fp16 has five
bits of exponent, so that a small gradient would vanish: the loss is scaled up before the backward pass, and gradients
down again before they are looked at.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from rnn_tui.errors import UsageError

LOSS_SCALE = 1024.0
"""What the loss is multiplied with in fp16; constant, since an adaptive scale makes the host wait at each step.

The gradient of a mean over B * T predictions has entries around 1 / (B * T), below fp16's normal numbers (6e-5) from
16,000 on. Measured on 128 x 64 tokens, two LSTM layers of 128: unscaled, 46 % of the first layer's gradient is zero
and its error 8 %, the head's 21 %; with 1,024 nothing is zero and the error 0.1 to 0.2 % (bf16: 0.4 to 5 %), the same
as with 32,768. It leaves room for entries of 64 below the largest number, where the norm is clipped to a few; what goes
beyond is infinite, and the update is left out like any other such.
"""

_CUDNN_BF16 = 91300
"""The first cuDNN with recurrent kernels in bf16; with an older one torch takes several kernels for each position."""

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def set_precision(precision: str, device: torch.device) -> None:
    """Set the arithmetic of float32 products for every path at once: by default cuDNN takes TF32 and matmul does not.

    Only the older of torch's two interfaces for it is used: reading one after writing the other raises.

    Raises:
        UsageError: for tf32 or fp16 on a device that has none; `auto` may turn out to be one.
    """
    if precision in ("tf32", "fp16") and device.type != "cuda":
        raise UsageError(
            f"precision {precision} exists on cuda only, not on {device.type}; take fp32 or bf16"
        )
    tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32


@contextmanager
def full_precision() -> Iterator[None]:
    """No TF32 within: for comparing two ways to compute the same, which differ by a thousandth in it."""
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn


def inference_precision(config: Mapping[str, Any], device: torch.device) -> str:
    """Return in what a model trained with `config` reads: as it was validated in training, so that figures agree.

    That is TF32 where it was trained in it and the device has it. Half precision is for the gradient; validation and
    samples are in fp32.
    """
    runtime = config.get("runtime")
    trained = runtime.get("precision") if isinstance(runtime, dict) else None
    return "tf32" if trained == "tf32" and device.type == "cuda" else "fp32"


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return the context in which the forward pass computes its products in `precision`."""
    half = _HALF.get(precision)
    return torch.autocast(device.type, half or torch.bfloat16, enabled=half is not None)


def loss_scale(precision: str) -> float:
    """Return what the loss is to be multiplied with before the backward pass, and gradients divided by after it."""
    return LOSS_SCALE if precision == "fp16" else 1.0


def precision_note(precision: str, device: torch.device) -> str:
    """Say what is to be known of `precision` on this machine; empty where there is nothing."""
    if precision != "bf16" or device.type != "cuda":
        return ""
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        return "this GPU has no arithmetic in bf16 and emulates it slowly; fp16 is the faster choice"
    version = torch.backends.cudnn.version() or 0  # type: ignore[no-untyped-call]
    if version < _CUDNN_BF16:
        return (
            f"cuDNN {version // 10000}.{version // 100 % 100} has no recurrent kernels in bf16 (9.13 has): torch's own "
            "nn-rnn, nn-gru and nn-lstm compute in fp32 here; fp16 is the faster choice for them"
        )
    return ""
