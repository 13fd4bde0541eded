"""What the operators of a step's graph are in C, element by element, and which of them only look at memory anew.

Names ending in a dot's second half are overloads. An operator that stands in none of these tables makes a step stay on
another rung, so nothing here has to be complete.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from rnn_tui.model.recurrence.graph import ATEN, NotTraceable

CTYPES = {torch.float32: "float", torch.int64: "long", torch.bool: "unsigned char"}
"""The kinds of numbers that a compiled step can hold."""

_UNARY = {
    "sigmoid": "rt_sigmoid({0})",
    "tanh": "rt_tanh({0})",
    "exp": "rt_exp({0})",
    "log": "rt_log({0})",
    "neg": "-{0}",
    "abs": "({0} < 0 ? -{0} : {0})",
    "relu": "({0} < 0 ? 0 : {0})",  # NaN stays
    "sqrt": "__builtin_sqrtf({0})",
    "rsqrt": "1.0f / __builtin_sqrtf({0})",
    "reciprocal": "1.0f / {0}",
    "erf": "rt_erf({0})",
    "expm1": "rt_expm1({0})",
    "log1p": "rt_log1p({0})",
    "sgn": "(float)(({0} > 0) - ({0} < 0))",
    "sign": "(float)(({0} > 0) - ({0} < 0))",
    "floor": "__builtin_floorf({0})",
    "ceil": "__builtin_ceilf({0})",
    "logical_not": "!{0}",
    "clone": "{0}",
    "_to_copy": "{0}",
}
_BINARY = {
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "maximum": "({0} > {1} || {0} != {0} ? {0} : {1})",
    "minimum": "({0} < {1} || {0} != {0} ? {0} : {1})",
    "eq": "{0} == {1}",
    "ne": "{0} != {1}",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "logical_and": "({0} && {1})",
    "logical_or": "({0} || {1})",
    "bitwise_and": "({0} & {1})",
    "bitwise_or": "({0} | {1})",
}


def _table() -> dict[Any, str]:
    table: dict[Any, str] = {}
    for name, text in _UNARY.items():
        table[getattr(ATEN, name).default] = text
    for name, text in _BINARY.items():
        packet = getattr(ATEN, name)
        for overload in {"default", "Tensor", "Scalar"} & set(packet.overloads()):
            table[getattr(packet, overload)] = text
    return table | {
        ATEN.sigmoid_backward.default: "{0} * (1 - {1}) * {1}",
        ATEN.tanh_backward.default: "{0} * (1 - {1} * {1})",
        ATEN.threshold_backward.default: "({1} <= {2} ? 0 : {0})",
        ATEN.where.self: "({0} ? {1} : {2})",
        ATEN.masked_fill.Scalar: "({1} ? {2} : {0})",
        ATEN.masked_fill.Tensor: "({1} ? {2} : {0})",
        torch.ops.prims.expm1.default: "rt_expm1({0})",
        torch.ops.prims.log1p.default: "rt_log1p({0})",
    }


ELEMENTWISE = _table()
"""Operator to the C expression of one element; {0} is its first argument."""

SUMS = {
    ATEN.add.Tensor: "{0} + {1}",
    ATEN.add.Scalar: "{0} + {1}",
    ATEN.sub.Tensor: "{0} - {1}",
    ATEN.sub.Scalar: "{0} - {1}",
    ATEN.rsub.Tensor: "{1} - {0}",
    ATEN.rsub.Scalar: "{1} - {0}",
}
"""These have a factor: `alpha` times the argument that is added or taken off."""

FILLS = {
    ATEN.zeros.default: 0,
    ATEN.ones.default: 1,
    ATEN.new_zeros.default: 0,
    ATEN.new_ones.default: 1,
    ATEN.zeros_like.default: 0,
    ATEN.ones_like.default: 1,
}
"""These give one number everywhere."""

LIKES = {
    ATEN.full.default: 1,
    ATEN.full_like.default: 1,
    ATEN.new_full.default: 2,
    ATEN.scalar_tensor.default: 0,
}
"""These give the number that stands in this place of their arguments."""

REDUCTIONS = {ATEN.sum.dim_IntList: "sum", ATEN.mean.dim: "mean", ATEN.amax.default: "amax"}

POWERS = ATEN.pow.Tensor_Scalar
CLAMPS = {ATEN.clamp.default, ATEN.clamp_min.default, ATEN.clamp_max.default, ATEN.hardtanh.default}


def literal(value: Any) -> str:
    """Write a number as C."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int):
        return f"{value}L" if abs(value) > 2**31 - 1 else str(value)
    if value != value:
        return '__builtin_nanf("")'
    if abs(value) == float("inf"):
        return "__builtin_inff()" if value > 0 else "-__builtin_inff()"
    return f"{value!r}f" if "e" in repr(value) or "." in repr(value) else f"{value!r}.0f"


def on_elements(node: fx.Node) -> bool:
    return (
        node.target in ELEMENTWISE
        or node.target in SUMS
        or node.target in FILLS
        or node.target in CLAMPS
        or node.target in LIKES
        or node.target is POWERS
    )


def read_by(node: fx.Node) -> list[fx.Node]:
    """The nodes whose elements a node reads; some operators look only at the shape of their argument."""
    return [] if node.target in FILLS or node.target in LIKES else node.all_input_nodes


def expression(node: fx.Node, names: dict[fx.Node, str]) -> str:
    """One element of a node, in C."""
    args = [names.get(a, a) if isinstance(a, fx.Node) else a for a in node.args]
    told = [a if isinstance(a, str) else literal(a) if isinstance(a, int | float) else a for a in args]
    target: Any = node.target
    if target in SUMS:
        alpha: Any = node.kwargs.get("alpha", args[2] if len(args) > 2 else 1)
        if alpha != 1:
            scaled = 0 if "{1} -" in SUMS[target] else 1
            told[scaled] = f"{literal(alpha)} * {told[scaled]}"
        return SUMS[target].format(*told)
    if target in FILLS:
        return str(FILLS[target])
    if target in LIKES:
        return str(told[LIKES[target]])
    if target is POWERS:
        return _power(str(told[0]), args[1])
    if target in CLAMPS:
        defaults: list[Any] = [-1.0, 1.0] if target is ATEN.hardtanh.default else [None, None]
        bounds = [None, *args[1:]] if target is ATEN.clamp_max.default else [*args[1:]]
        bounds += defaults[len(bounds) :]
        low, high = bounds[0], bounds[1]
        text = str(told[0])
        if isinstance(low, int | float):
            text = f"({text} < {literal(low)} ? {literal(low)} : {text})"
        if isinstance(high, int | float):
            text = f"({text} > {literal(high)} ? {literal(high)} : {text})"
        if isinstance(low, str) or isinstance(high, str):
            raise NotTraceable(f"{target} in this form has no form in C here")
        return text
    if node.kwargs and not set(node.kwargs) <= {"dtype", "layout", "device", "pin_memory", "memory_format"}:
        raise NotTraceable(f"{target} in this form has no form in C here")
    if target is ATEN.div.Tensor or target is ATEN.div.Scalar:
        return f"(float){told[0]} / {told[1]}"
    return ELEMENTWISE[target].format(*told)


def _power(base: str, exponent: Any) -> str:
    if exponent in (1, 2, 3, 4):
        return " * ".join([base] * int(exponent))
    if exponent == 0.5:
        return f"__builtin_sqrtf({base})"
    if exponent == -0.5:
        return f"1.0f / __builtin_sqrtf({base})"
    if exponent == -1:
        return f"1.0f / {base}"
    raise NotTraceable("it raises to a power that has no form in C here")


def _layer_norm(
    x: Tensor, shape: list[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    dims = list(range(x.dim() - len(shape), x.dim()))
    mean = x.mean(dims, keepdim=True)
    centred = x - mean
    rstd = torch.rsqrt((centred * centred).mean(dims, keepdim=True) + eps)
    y = centred * rstd
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias
    return y, mean, rstd


def _addmm(bias: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    product = a.mm(b)
    if alpha != 1:
        product = product * alpha
    return product + (bias if beta == 1 else bias * beta)


def _softmax(x: Tensor, dim: int, half_to_float: bool) -> Tensor:
    powers = torch.exp(x - x.amax(dim, keepdim=True))
    return powers / powers.sum(dim, keepdim=True)


def _stack(tensors: list[Tensor], dim: int = 0) -> Tensor:
    return torch.cat([tensor.unsqueeze(dim) for tensor in tensors], dim)


def decompositions() -> dict[Any, Callable[..., Any]]:
    """Return rules that write an operator as others which the tables above know."""
    from torch._decomp import get_decompositions  # not public: it may move

    known = [
        "native_layer_norm_backward",
        "_softmax_backward_data",
        "select_backward",
        "slice_backward",
        "silu",
        "silu_backward",
        "gelu",
        "gelu_backward",
        "elu",
        "elu_backward",
        "leaky_relu",
        "leaky_relu_backward",
        "softplus",
        "softplus_backward",
        "hardtanh_backward",
        "hardsigmoid",
        "hardsigmoid_backward",
        "mish",
        "mish_backward",
        "log_sigmoid_forward",
        "log_sigmoid_backward",
        "lerp",
        "addcmul",
        "addcdiv",
        "std",
        "norm",
        "linalg_vector_norm",
    ]
    table: dict[Any, Callable[..., Any]] = get_decompositions(
        [getattr(ATEN, name) for name in known if hasattr(ATEN, name)]
    )
    return table | {
        ATEN.native_layer_norm.default: _layer_norm,
        ATEN.addmm.default: _addmm,
        ATEN._softmax.default: _softmax,
        ATEN.stack.default: _stack,
    }
