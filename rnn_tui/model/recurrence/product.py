"""A product with a matrix that stays the same for many steps, in the layout that the processor wants.

Packed once, used at every position. Which library packs best depends on the maker of the processor, not on a timing:
the choice changes the last bits of a result, and a resumed run must make it again. Measured for (32, 512) x (512, 2048)
and its transpose on an AMD Zen: plain 75 to 85 GFLOP/s and MKL's packed form no better, oneDNN's 108, on one thread;
135 and 270 on three. On an Intel Cascade Lake MKL's packed form was the better one (66 against 57; 182 against 153).
"""

import functools
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]

WORTH = 8
"""Steps from which laying out a matrix afresh pays: it costs one to four products of 32 rows."""


def prepare(weight: Tensor, rows: int, steps: int) -> Product:
    """Return the function a -> a @ weight for `steps` products of `rows` rows.

    Args:
        weight: (K, N), possibly a transposed view.
    """
    if steps >= WORTH and rows > 1:
        packing = packer() if weight.device.type == "cpu" else None
        if packing is not None:
            return packing(weight, rows)
        weight = weight.contiguous()
    return lambda a: torch.mm(a, weight)


@functools.cache
def packer() -> Callable[[Tensor, int], Product] | None:
    """Return this machine's way to pack, or None where it has none; its operators are private to torch, so tried."""
    packing = {"AuthenticAMD": _onednn, "GenuineIntel": _mkl}.get(_maker())
    if packing is None:
        return None
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            a, weight = torch.ones(2, 3), torch.arange(15.0).view(3, 5)
            return packing if torch.allclose(packing(weight, 2)(a), a @ weight) else None
    except (AttributeError, RuntimeError, TypeError):  # NotImplementedError is a RuntimeError
        return None


def _onednn(weight: Tensor, rows: int) -> Product:
    packed = torch.ops.mkldnn._reorder_linear_weight(weight.t().contiguous(), rows)  # (N, K) in blocks
    linear = torch.ops.mkldnn._linear_pointwise.default

    def product(a: Tensor) -> Tensor:
        result: Tensor = linear(a, packed, None, "none", [], "")
        return result

    return product


def _mkl(weight: Tensor, rows: int) -> Product:
    turned = weight.t().contiguous()  # (N, K)
    packed = torch.ops.mkl._mkl_reorder_linear_weight(turned, rows)
    linear = torch.ops.mkl._mkl_linear.default

    def product(a: Tensor) -> Tensor:
        result: Tensor = linear(a, packed, turned, None, rows)
        return result

    return product


def _maker() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("vendor_id"):
                return line.partition(":")[2].strip()
    except (OSError, ValueError):  # another system, or one that hides it
        pass
    return ""


def apply(product: Product, a: Tensor) -> Tensor:
    """Call a prepared product; what stands in a step's graph in the place of mm."""
    return product(a)
