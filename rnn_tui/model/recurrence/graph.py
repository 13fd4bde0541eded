"""One step as a graph that holds for any number of rows.

A function of tensors whose dimension 0 counts rows is traced twice, with 3 and with 5 rows. The two graphs must be the
same but for whole numbers that are multiples of the rows; these become products of a `rows` input. One graph then
serves the step (B rows) and the whole sequence (T * B rows), without tracing again for another batch or length.

A graph has no trace of a branch on the number of rows, `if len(x) > 16`. So what a stranger wrote is traced with a
million rows too, in tensors without numbers, and must give the same graph. One row is another matter: there torch
itself takes shorter ways (`einsum`, `reshape`), so `verify` and the stepper compare numbers.
"""

import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, fx
from torch.func import functionalize

ROWS = (3, 5)
"""Odd and unlikely as a width, and multiples of each other only by mistake."""
MANY = 1_000_003
"""More rows than any batch has. Tensors without numbers take no memory, and no time for what would be computed."""
FEWER = 257
"""Of a step that cannot be traced without numbers."""

ATEN = torch.ops.aten

# torch.* parses its arguments 2 to 3 microseconds faster than the operator of the same name, of which a step has
# dozens; only names whose arguments are the same in both stand here
_FAST = {
    getattr(getattr(ATEN, name), overload): getattr(torch, name)
    for name, overload in [
        ("mm", "default"),
        ("addmm", "default"),
        ("bmm", "default"),
        ("add", "Tensor"),
        ("sub", "Tensor"),
        ("mul", "Tensor"),
        ("div", "Tensor"),
        ("sigmoid", "default"),
        ("tanh", "default"),
        ("relu", "default"),
        ("exp", "default"),
        ("neg", "default"),
        ("rsub", "Scalar"),
        ("cat", "default"),
        ("split", "Tensor"),
        ("t", "default"),
        ("where", "self"),
        ("abs", "default"),
        ("sqrt", "default"),
        ("rsqrt", "default"),
    ]
}
# the trace saw contiguous tensors, the run may see slices of a longer one: reshape takes both
_FAST[ATEN.view.default] = _FAST[ATEN._unsafe_view.default] = torch.reshape

Mode = Literal["real", "fake"]
"""Of tensors while tracing: with numbers, or with shapes and types alone."""


class NotTraceable(Exception):
    """Why a step cannot become a graph, as half a sentence."""


def trace(
    function: Callable[..., Sequence[Tensor]],
    examples: Callable[[int], Sequence[Tensor]],
    decompositions: dict[Any, Callable[..., Any]] | None = None,
) -> fx.Graph:
    """Return the graph of `function`: inputs `rows` and one for each tensor, output a tuple.

    Each node that is a tensor has `meta["batch"]`, whether its dimension 0, and no other, is the rows, `meta["shape"]`
    as it was with `ROWS[0]` rows, and `meta["dtype"]`.

    Args:
        function: takes tensors, returns a flat sequence of tensors; called under whatever gradient mode is on.
        examples: makes the tensors for a number of rows.
        decompositions: operators that are to be written as others, by `torch._decomp`'s rules.

    Raises:
        NotTraceable: with the reason.
    """
    first, second = (_trace_once(function, examples(rows), decompositions) for rows in ROWS)
    return _merge(first, second)


def trace_foreign(
    function: Callable[..., Sequence[Tensor]], examples: Callable[[int], Sequence[Tensor]]
) -> fx.Graph:
    """As `trace`, for a function that a stranger wrote: it may ask how many rows there are.

    Raises:
        NotTraceable: also when it does something else for many rows.
    """
    few, more = (examples(rows) for rows in ROWS)
    first = _trace_once(function, few)
    graph = _merge(first, _trace_once(function, more))
    try:
        rows, many = MANY, _trace_once(function, _many(few, more), mode="fake")
    except NotTraceable:  # an operator of its own, say, that torch knows no shapes for
        rows, many = FEWER, _trace_once(function, examples(FEWER))
    _merge(first, many, (ROWS[0], rows))
    return graph


def _many(few: Sequence[Tensor], more: Sequence[Tensor]) -> list[Tensor]:
    """Return tensors like those of two calls, with `MANY` rows where they have rows, and there without numbers."""
    from torch._subclasses.fake_tensor import FakeTensorMode  # not public: it may move

    with FakeTensorMode(allow_non_fake_inputs=True):
        return [
            one if one.shape == other.shape else one.new_empty((MANY, *one.shape[1:]))
            for one, other in zip(few, more, strict=True)
        ]


def _trace_once(
    function: Callable[..., Sequence[Tensor]],
    tensors: Sequence[Tensor],
    decompositions: dict[Any, Callable[..., Any]] | None = None,
    mode: Mode = "real",
) -> fx.GraphModule:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = _make_fx(lambda *flat: tuple(function(*flat)), tensors, decompositions, mode)
            if any(_writes(node.target) for node in module.graph.nodes):
                # to tensors of its own, as autograd does, is as good as making others; to its inputs remains
                module = _make_fx(functionalize(module, remove="mutations"), tensors, decompositions, mode)
            return module
    except NotTraceable:
        raise
    except (
        Exception
    ) as error:  # anything a stranger's step may raise, and any change in a private part of torch
        text = str(error)
        if "data-dependent" in text or "tracing tensor" in text:
            raise NotTraceable("it branches on the values of a tensor") from error
        raise NotTraceable(
            f"{type(error).__name__}: {(text.splitlines() or ['no message'])[0][:200]}"
        ) from error


def _make_fx(
    function: Callable[..., tuple[Tensor, ...]],
    tensors: Sequence[Tensor],
    decompositions: dict[Any, Callable[..., Any]] | None,
    mode: Mode,
) -> fx.GraphModule:
    from torch.fx.experimental.proxy_tensor import make_fx  # not public: it may move

    # the first call of a process imports for 1.2 to 1.5 s, with fake tensors as with real ones; real ones need nothing
    # special where a step uses a tensor that is no parameter
    beside = {"_allow_non_fake_inputs": True} if mode == "fake" else {}
    return make_fx(function, decompositions, tracing_mode=mode, **beside)(*tensors)


def _merge(first: fx.GraphModule, second: fx.GraphModule, counts: tuple[int, int] = ROWS) -> fx.Graph:
    graph = fx.Graph()
    rows = graph.placeholder("rows")
    multiples: dict[int, fx.Node] = {1: rows}
    copies: dict[fx.Node, fx.Node] = {}

    def number(a: int, b: int) -> Any:
        if a == b:
            return a
        factor, rest = divmod(a, counts[0])
        if rest or b != factor * counts[1]:
            raise NotTraceable("it does something else for another number of rows")
        if factor not in multiples:
            multiples[factor] = graph.call_function(operator.mul, (rows, factor))
        return multiples[factor]

    def both(a: Any, b: Any) -> Any:
        if isinstance(a, fx.Node):
            return copies[a]
        if isinstance(a, list | tuple):
            if len(a) != len(b):
                raise NotTraceable("it does something else for another number of rows")
            return [both(x, y) for x, y in zip(a, b, strict=True)]
        if type(a) is int and type(b) is int:
            return number(a, b)
        if a != b and not (a != a and b != b):  # two NaNs are the same number here
            raise NotTraceable("it computes with a number that changes from call to call")
        return a

    if len(first.graph.nodes) != len(second.graph.nodes):
        raise NotTraceable("it does something else for another number of rows")
    for one, other in zip(first.graph.nodes, second.graph.nodes, strict=True):
        if one.op != other.op or (one.op == "call_function" and one.target != other.target):
            raise NotTraceable("it does something else for another number of rows")
        if one.op == "output":
            graph.output(tuple(both(one.args[0], other.args[0])))
            continue
        if one.op == "placeholder":
            node = graph.placeholder(one.name)
        elif one.op == "get_attr":
            node = _constant(graph, first, second, str(one.target), str(other.target))
        else:
            _check(one.target)
            args = tuple(both(a, b) for a, b in zip(one.args, other.args, strict=True))
            kwargs = {key: both(value, other.kwargs[key]) for key, value in one.kwargs.items()}
            node = graph.call_function(one.target, args, kwargs)
        value, again = one.meta.get("val"), other.meta.get("val")
        node.meta["batch"] = _is_batch(value, again, counts)
        node.meta["shape"] = tuple(value.shape) if isinstance(value, Tensor) else None  # with ROWS[0] rows
        node.meta["dtype"] = value.dtype if isinstance(value, Tensor) else None
        copies[one] = node
    return graph


def _constant(graph: fx.Graph, first: fx.GraphModule, second: fx.GraphModule, a: str, b: str) -> fx.Node:
    value, other = getattr(first, a), getattr(second, b)
    if value.shape != other.shape or not torch.equal(value, other):
        raise NotTraceable("it uses a tensor that changes from call to call")
    node = graph.get_attr(a)
    node.meta["value"] = value
    return node


def _check(target: Any) -> None:
    if isinstance(target, torch._ops.OpOverload):
        if torch.Tag.nondeterministic_seeded in target.tags:
            raise NotTraceable("it draws random numbers")
        if _writes(target):
            raise NotTraceable("it writes to a tensor in place")
    elif target is not operator.getitem:
        raise NotTraceable(f"it calls {target}")


def _writes(target: Any) -> bool:
    return isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable


def _is_batch(one: Any, other: Any, counts: tuple[int, int]) -> bool:
    if not (isinstance(one, Tensor) and isinstance(other, Tensor) and one.dim()):
        return False
    return (one.shape[0], other.shape[0]) == counts and one.shape[1:] == other.shape[1:]


def is_size(node: fx.Node) -> bool:
    """Whether a node is the number of rows or a multiple of it."""
    return (node.op == "placeholder" and node.name == "rows") or (
        node.target is operator.mul and not isinstance(node.args[1], fx.Node)
    )


def tensor_inputs(graph: fx.Graph) -> list[fx.Node]:
    """The inputs without `rows`, in order."""
    return [node for node in graph.nodes if node.op == "placeholder"][1:]


def outputs(graph: fx.Graph) -> list[fx.Node]:
    """The nodes that the graph returns."""
    return list(graph.output_node().args[0])  # type: ignore[arg-type]


def extract(
    source: fx.Graph,
    inputs: Sequence[fx.Node],
    wanted: Sequence[fx.Node],
    replace: Callable[[fx.Graph, fx.Node, dict[fx.Node, fx.Node]], fx.Node | None] | None = None,
    instead: dict[fx.Node, str] | None = None,
) -> fx.Graph:
    """Return the part of `source` that leads from `inputs` to `wanted`.

    Its inputs are rows, `inputs`, and one of the given name for each node in `instead`: `replace`, which may put
    another node in the place of one, uses these.
    """
    instead = instead or {}
    graph = fx.Graph()
    rows = graph.placeholder("rows")
    known: dict[fx.Node, fx.Node] = {}
    for node in inputs:
        known[node] = graph.placeholder(f"in_{len(known)}")
        known[node].meta = dict(node.meta)
    for node, name in instead.items():
        graph.placeholder(name).meta = dict(node.meta)
    needed = ancestors(wanted, stop={*inputs, *instead})
    for node in source.nodes:
        if node not in needed or node in known or node in instead:
            continue
        if node.op == "placeholder":
            if node.name != "rows":
                raise NotTraceable(f"a part of it needs {node.name}")  # a mistake of ours; the loop is right
            known[node] = rows
            continue
        replaced = replace(graph, node, known) if replace else None
        known[node] = replaced or graph.node_copy(node, lambda n: known[n])
        known[node].meta = dict(node.meta)
    graph.output(tuple(known[node] for node in wanted))
    return graph


def ancestors(wanted: Sequence[fx.Node], stop: set[fx.Node]) -> set[fx.Node]:
    """Return `wanted` and all that they are computed from; what lies before a node of `stop` is left out."""
    found: set[fx.Node] = set()
    waiting = list(wanted)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            if node not in stop:
                waiting.extend(node.all_input_nodes)
    return found


def runnable(graph: fx.Graph) -> Callable[..., tuple[Any, ...]]:
    """Compile a graph to a Python function of (rows, *inputs)."""
    constants = {str(node.target): node.meta["value"] for node in graph.nodes if node.op == "get_attr"}
    copy = fx.Graph()
    copy.output(copy.graph_copy(graph, {}))
    for node in copy.nodes:
        if node.op == "call_function":
            node.target = _FAST.get(node.target, node.target)
    module = fx.GraphModule(constants, copy)
    function: Callable[..., tuple[Any, ...]] = module.forward
    return function
