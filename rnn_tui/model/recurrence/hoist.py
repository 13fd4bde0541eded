"""What of a step does not depend on the state, and so can run once for all positions.

A step's graph falls into three parts: what depends on parameters alone, what depends on the input too, and the core
that depends on the state. The first two run before the loop, under plain autograd, the second for all T * B rows at
once: the input product becomes one large one. Sums are regrouped first, so that in `x W + h U + b` the bias joins the
part before the loop, and a product of x and h side by side is written as two; only there an order of rounding changes.
"""

from dataclasses import dataclass
from typing import Any

from torch import fx

from rnn_tui.model.recurrence.graph import ATEN, extract, is_size, outputs, tensor_inputs

CONSTANT, ROWS, STATE = 0, 1, 2  # what a node depends on: parameters; the input too; the state too


@dataclass(frozen=True)
class Hoisted:
    """A step in two graphs.

    Attributes:
        prefix: (x, *parameters) -> (*projected, *weights), for any number of rows.
        core: (*projected, *state, *weights) -> (y, *next state).
        projected: how many values of the prefix have rows.
        weights: how many have none.
    """

    prefix: fx.Graph
    core: fx.Graph
    projected: int
    weights: int


def hoist(step: fx.Graph, state_leaves: int) -> Hoisted:
    """Split the graph of (x, *state, *parameters) -> (y, *next state)."""
    inputs = tensor_inputs(step)
    x, state, parameters = inputs[0], inputs[1 : 1 + state_leaves], inputs[1 + state_leaves :]
    kinds = _kinds(step, {x: ROWS} | dict.fromkeys(state, STATE))
    if _regroup_sums(step, kinds):
        kinds = _kinds(step, {x: ROWS} | dict.fromkeys(state, STATE))
    wanted = outputs(step)
    while True:
        frontier = [
            node
            for node in step.nodes
            if kinds.get(node, STATE) < STATE
            and not is_size(node)
            and (node in wanted or any(kinds.get(user) == STATE for user in node.users))
        ]
        # a value with rows crosses into the loop only if it can be cut by rows; else what it is made of crosses
        uncut = [node for node in frontier if kinds[node] == ROWS and not node.meta["batch"]]
        # a constant written in the step belongs to the core, which can hold it
        uncut += [node for node in frontier if node.op == "get_attr" or node.meta.get("shape") is None]
        if not uncut:
            break
        kinds |= dict.fromkeys(uncut, STATE)
    projected = [node for node in frontier if kinds[node] == ROWS]
    weights = [node for node in frontier if kinds[node] == CONSTANT]
    return Hoisted(
        prefix=extract(step, [x, *parameters], [*projected, *weights]),
        core=extract(step, [*projected, *state, *weights], wanted),
        projected=len(projected),
        weights=len(weights),
    )


def _kinds(graph: fx.Graph, known: dict[fx.Node, int]) -> dict[fx.Node, int]:
    kinds: dict[fx.Node, int] = {}
    for node in graph.nodes:
        if node.op == "output":
            continue
        if node in known:
            kinds[node] = known[node]
        elif is_size(node):
            kinds[node] = CONSTANT
        else:
            kinds[node] = max((kinds[source] for source in node.all_input_nodes), default=CONSTANT)
            if any(is_size(source) for source in node.all_input_nodes):
                kinds[node] = max(kinds[node], ROWS)  # zeros((B, H)) has rows, though it comes from nowhere
    return kinds


def _is_sum(node: Any) -> bool:
    return isinstance(node, fx.Node) and node.target is ATEN.add.Tensor and not node.kwargs


def _regroup_sums(graph: fx.Graph, kinds: dict[fx.Node, int]) -> bool:
    """Rewrite sums so that the terms without state are added among themselves first."""
    changed = _open_addmm(graph, kinds)
    changed |= _open_cat(graph, kinds)
    for node in list(graph.nodes):
        if not _is_sum(node) or kinds[node] != STATE or any(_is_sum(user) for user in node.users):
            continue
        terms = _terms(node)
        if any(term not in kinds for term in terms):
            continue
        early = [term for term in terms if kinds[term] < STATE]
        late = [term for term in terms if kinds[term] == STATE]
        # the early terms make one value with rows, as wide as the sum, or it would have to be widened in the loop
        widest = [term for term in early if term.meta["batch"] and _shape(term) == _shape(node)]
        if len(early) < 2 or not widest or not late or not node.meta["batch"]:
            continue
        widest += [term for term in early if term is not widest[0]]
        with graph.inserting_before(node):
            total = widest[0]
            for term in [*widest[1:], *late]:
                meta = dict(node.meta)
                total = graph.call_function(ATEN.add.Tensor, (total, term))
                total.meta = meta
        node.replace_all_uses_with(total)
        changed = True
    if changed:
        _remove_unused(graph)
    return changed


def _open_addmm(graph: fx.Graph, kinds: dict[fx.Node, int]) -> bool:
    """Write the bias of a product that enters a sum as a term of that sum."""
    found = [
        node
        for node in graph.nodes
        if node.target is ATEN.addmm.default
        and not node.kwargs
        and kinds[node] == STATE
        and (any(_is_sum(user) for user in node.users) or _mixed(node.args[1], kinds))
    ]
    for node in found:
        bias, left, right = node.args
        with graph.inserting_before(node):
            product = graph.call_function(ATEN.mm.default, (left, right))
            total = graph.call_function(ATEN.add.Tensor, (product, bias))
        for new in (product, total):
            new.meta, kinds[new] = dict(node.meta), STATE
        node.replace_all_uses_with(total)
    return bool(found)


def _mixed(node: Any, kinds: dict[fx.Node, int]) -> bool:
    """Whether a node puts side by side what depends on the state and what does not: `cat([x, h], 1)`."""
    if (
        not isinstance(node, fx.Node)
        or node.target is not ATEN.cat.default
        or node.args[1:] not in ((1,), (-1,))
    ):
        return False
    parts: Any = node.args[0]
    return len({kinds[part] == STATE for part in parts}) == 2 and all(
        part.meta["batch"] and len(_shape(part)) == 2 for part in parts
    )


def _open_cat(graph: fx.Graph, kinds: dict[fx.Node, int]) -> bool:
    """Write `cat([x, h], 1) @ W` as `x @ W[:I] + h @ W[I:]`, so that the first product can run early."""
    found = [
        node
        for node in graph.nodes
        if node.target is ATEN.mm.default and _mixed(node.args[0], kinds) and kinds[node.args[1]] == CONSTANT
    ]
    for node in found:
        side_by_side, weight = node.args
        products, start = [], 0
        with graph.inserting_before(node):
            for part in side_by_side.args[0]:
                width, wide = _shape(part)[1], _shape(node)[1]
                rows = graph.call_function(ATEN.slice.Tensor, (weight, 0, start, start + width))
                rows.meta, kinds[rows] = {"batch": False, "shape": (width, wide)}, CONSTANT
                products.append(graph.call_function(ATEN.mm.default, (part, rows)))
                products[-1].meta, kinds[products[-1]] = dict(node.meta), kinds[part]
                start += width
            total = products[0]
            for product in products[1:]:
                total = graph.call_function(ATEN.add.Tensor, (total, product))
                total.meta, kinds[total] = dict(node.meta), STATE
        node.replace_all_uses_with(total)
    return bool(found)


def _terms(node: fx.Node) -> list[fx.Node]:
    found: list[fx.Node] = []
    for term in node.args:
        if not isinstance(term, fx.Node):
            return [node]  # a number among the terms: left as it is
        if _is_sum(term) and len(term.users) == 1:
            found.extend(_terms(term))
        else:
            found.append(term)
    return found


def _shape(node: fx.Node) -> Any:
    return node.meta.get("shape")


def _remove_unused(graph: fx.Graph) -> None:
    for node in reversed(list(graph.nodes)):
        if not node.users and node.op in ("call_function", "get_attr"):
            graph.erase_node(node)
