"""A product with a matrix that stays the same for many steps, in the layout that the platform wants."""

from collections.abc import Callable

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]

WORTH = 8
"""Steps from which laying out a matrix afresh pays: it costs two to four products of 32 rows."""


def prepare(weight: Tensor, rows: int, steps: int) -> Product:
    """Return the function a -> a @ weight for `steps` products of `rows` rows.

    Args:
        weight: (K, N), possibly a transposed view.
    """
    if steps >= WORTH and rows > 1 and _packs():
        try:
            turned = weight.t().contiguous()  # (N, K)
            packed = torch.ops.mkl._mkl_reorder_linear_weight(turned, rows)

            def product(a: Tensor) -> Tensor:
                result: Tensor = torch.ops.mkl._mkl_linear(a, packed, turned, None, rows)
                return result

            return product
        except (AttributeError, RuntimeError, NotImplementedError):
            pass  # a build without it, or a change in this private operator: the plain product is right too
    if steps >= WORTH and not weight.is_contiguous():
        weight = weight.contiguous()
    return lambda a: torch.mm(a, weight)


def _packs() -> bool:
    """Whether this machine has MKL's packed product, and gains by it."""
    return PACK and torch.backends.mkl.is_available()


PACK = False


def apply(product: Product, a: Tensor) -> Tensor:
    """Call a prepared product; what stands in a step's graph in the place of mm."""
    return product(a)
