"""Memory that a step's C code reads and writes, and what the operators that only look at it anew make of it."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import fx

from rnn_tui.model.recurrence.graph import ATEN, NotTraceable
from rnn_tui.model.recurrence.native.operators import CTYPES

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Buffer:
    """Memory that a step reads or writes.

    Attributes:
        name: of the C pointer to the row at hand, or to a constant.
        ctype: of its elements.
        row: the C expression of that pointer for row `r`; empty for what has no rows.
        matrix: the expressions (first row, distance of rows) by which a product reads it; None for a scratch row.
    """

    name: str
    ctype: str
    row: str = ""
    matrix: tuple[str, str] | None = None


@dataclass(frozen=True)
class View:
    """Elements of a buffer: at offset + sum of index * stride."""

    buffer: Buffer
    shape: Shape
    strides: Shape
    offset: int = 0

    @property
    def contiguous(self) -> bool:
        return self.strides == strides_of(self.shape)


def strides_of(shape: Shape) -> Shape:
    """Strides of a contiguous row."""
    found, step = [], 1
    for size in reversed(shape):
        found.append(step)
        step *= size
    return tuple(reversed(found))


def size_of(shape: Shape) -> int:
    """Elements of a row."""
    total = 1
    for size in shape:
        total *= size
    return total


def inner(node: fx.Node) -> Shape:
    """The shape of one row of a node, or of a constant as a whole."""
    shape: Shape = node.meta["shape"]
    return shape[1:] if node.meta["batch"] else shape


def ctype(node: fx.Node) -> str:
    """The C type of a node's elements."""
    try:
        return CTYPES[node.meta["dtype"]]
    except KeyError:
        raise NotTraceable(f"it computes with {node.meta['dtype']}") from None


RESHAPES = {ATEN.view.default, ATEN._unsafe_view.default, ATEN.reshape.default}
_SAME = {ATEN.alias.default, ATEN.detach.default, ATEN.lift_fresh.default}
KEEPS_ORDER = {*RESHAPES, *_SAME, ATEN.unsqueeze.default, ATEN.squeeze.dim, ATEN.squeeze.dims}
_VIEWS = {
    *KEEPS_ORDER,
    ATEN.expand.default,
    ATEN.select.int,
    ATEN.slice.Tensor,
    ATEN.permute.default,
    ATEN.transpose.int,
    ATEN.flip.default,
    operator.getitem,
}
_MANY = {ATEN.split.Tensor, ATEN.split_with_sizes.default, ATEN.unbind.int}


def is_view(node: Any) -> bool:
    return isinstance(node, fx.Node) and node.target in _VIEWS


def is_many(node: Any) -> bool:
    return isinstance(node, fx.Node) and node.target in _MANY


def row_dim(node: Any, dim: int) -> int:
    """A dimension of a node counted within its row."""
    dim = dim if dim >= 0 else dim + len(node.meta["shape"])
    if node.meta["batch"]:
        dim -= 1
    if dim < 0:
        raise NotTraceable("it mixes the rows of the batch")
    return dim


def look(node: fx.Node, source: View) -> View:
    """The elements of `source` that a view operator shows."""
    target, shape = node.target, inner(node)
    if target in _SAME:
        return source
    if target in RESHAPES:
        return View(source.buffer, shape, strides_of(shape), source.offset)
    origin: Any = node.args[0]
    if target is operator.getitem and is_many(origin):
        dim = row_dim(origin.args[0], origin.args[2] if len(origin.args) > 2 else 0)
        if origin.target is ATEN.unbind.int:
            raise NotTraceable("unbind has no form in C here")
        sizes: Any = origin.args[1]
        number: Any = node.args[1]
        start = number * sizes if isinstance(sizes, int) else sum(sizes[:number])
        return View(source.buffer, shape, source.strides, source.offset + start * source.strides[dim])
    if target in (ATEN.select.int, ATEN.slice.Tensor):
        return cut(target, source, origin, node.args[1:])
    if target is ATEN.expand.default:
        return broadcast(source, shape, origin.meta["batch"])
    if target is ATEN.unsqueeze.default:
        number = node.args[1]
        dim = row_dim(node, number)
        return View(source.buffer, shape, (*source.strides[:dim], 0, *source.strides[dim:]), source.offset)
    if target in (ATEN.squeeze.dim, ATEN.squeeze.dims):
        dims: Any = node.args[1]
        gone = {row_dim(origin, d) for d in ([dims] if isinstance(dims, int) else dims)}
        kept = [d for d in range(len(source.shape)) if d not in gone or source.shape[d] != 1]
        return View(source.buffer, shape, tuple(source.strides[d] for d in kept), source.offset)
    if target in (ATEN.permute.default, ATEN.transpose.int):
        order = list(range(len(source.shape)))
        if target is ATEN.permute.default:
            every: Any = node.args[1]
            if every[0] % len(every):
                raise NotTraceable("it mixes the rows of the batch")
            order = [row_dim(origin, d) for d in every[1:]]
        else:
            which: Any = node.args[1:]
            a, b = (row_dim(origin, d) for d in which)
            order[a], order[b] = order[b], order[a]
        return View(source.buffer, shape, tuple(source.strides[d] for d in order), source.offset)
    if target is ATEN.flip.default:
        strides, offset = list(source.strides), source.offset
        turned: Any = node.args[1]
        for d in (row_dim(origin, d) for d in turned):
            offset += (shape[d] - 1) * strides[d]
            strides[d] = -strides[d]
        return View(source.buffer, shape, tuple(strides), offset)
    raise NotTraceable(f"{target} has no form in C here")


def cut(target: Any, source: View, node: Any, args: Sequence[Any]) -> View:
    """`select` or `slice` of a view; `node` counts the dimensions."""
    dim = row_dim(node, args[0] if args else 0)
    size, stride = source.shape[dim], source.strides[dim]
    before, after = slice(0, dim), slice(dim + 1, None)
    if target is ATEN.select.int:
        at = args[1] % size
        return View(
            source.buffer,
            source.shape[before] + source.shape[after],
            source.strides[before] + source.strides[after],
            source.offset + at * stride,
        )
    chosen = [*args[1:], None, None, None]
    begin, end, step = slice(*chosen[:3]).indices(size)
    return View(
        source.buffer,
        (*source.shape[before], len(range(begin, end, step)), *source.shape[after]),
        (*source.strides[before], step * stride, *source.strides[after]),
        source.offset + begin * stride,
    )


def broadcast(view: View, shape: Shape, batch: bool) -> View:
    """Widen a view to `shape`; one with rows has as many dimensions as what it meets."""
    missing = len(shape) - len(view.shape)
    if batch and missing:
        raise NotTraceable("it mixes the rows of the batch")
    if not batch and missing < 0:  # a constant (1, n): its first dimension meets the rows
        if view.shape[0] != 1:
            raise NotTraceable("it mixes the rows of the batch")
        view = View(view.buffer, view.shape[1:], view.strides[1:], view.offset)
        missing = 0
    sizes = (*[1] * missing, *view.shape)
    strides = (*[0] * missing, *view.strides)
    return View(
        view.buffer,
        shape,
        tuple(0 if n == 1 else s for n, s in zip(sizes, strides, strict=True)),
        view.offset,
    )


def merge_dims(shape: Shape, views: Sequence[View]) -> tuple[Shape, list[View]]:
    """Write neighbouring dimensions as one where every view allows it; dimensions of 1 vanish."""
    dims: list[tuple[int, list[int]]] = []
    for d, size in enumerate(shape):
        strides = [view.strides[d] for view in views]
        if size == 1 and len(shape) > 1:
            continue
        if dims and all(a == size * b for a, b in zip(dims[-1][1], strides, strict=True)):
            dims[-1] = (dims[-1][0] * size, strides)
        else:
            dims.append((size, strides))
    sizes = tuple(size for size, _ in dims)
    return sizes, [
        View(view.buffer, sizes, tuple(strides[i] for _, strides in dims), view.offset)
        for i, view in enumerate(views)
    ]
