"""One step, forward and backward, cut into what runs at each position and what runs once.

Autograd is traced through the core of a step, so the backward is torch's own. Of it only what leads to the gradient
of the state has to run position after position; gradients of weights and projections wait for the end of the loop and
then run once, over all T * B rows, from the values that the loop kept: dU = h' dgates becomes one large product.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, fx

from rnn_tui.model.recurrence.graph import (
    ATEN,
    ancestors,
    extract,
    is_size,
    outputs,
    runnable,
    tensor_inputs,
    trace,
)
from rnn_tui.model.recurrence.product import apply

Run = Callable[..., tuple[Any, ...]]
Place = tuple[Literal["projected", "state", "dy", "dstate", "saved", "kept"], int]
"""Where the value of a position lies: among the loop's inputs, what forward saved, or what backward kept."""


@dataclass(frozen=True)
class Loop:
    """What runs at each position.

    Attributes:
        constants: (rows, *weights) -> what depends on weights alone; runs once.
        run: (rows, *inputs, *needed constants, *products) -> results.
        needed: which of `(*weights, *constants)` `run` takes.
        products: which of them it takes as prepared products.
        graph: what `run` was made of.
    """

    constants: Run
    run: Run
    graph: fx.Graph
    needed: list[int]
    products: list[int]


@dataclass(frozen=True)
class Backward:
    """The backward of a step.

    Attributes:
        loop: run takes (*`takes`) and gives (*gradients of the state leaves in `carried`, *kept).
        takes: what the loop reads at each position.
        carried: the state leaves that get a gradient from a step.
        deferred: (rows, *`stacked`, *weights) -> the gradients of `wanted`; for all positions at once.
        stacked: what it reads of each position.
        wanted: indices into (*projected, *weights).
    """

    loop: Loop
    takes: list[Place]
    carried: list[int]
    deferred: Run
    stacked: list[Place]
    wanted: list[int]


@dataclass(frozen=True)
class Split:
    """A step's forward, which gives (y, *next state, *saved), and its backward."""

    forward: Loop
    backward: Backward


def forward_only(core: fx.Graph, weights: int) -> Loop:
    """Return the step without anything kept for a backward."""
    inputs = tensor_inputs(core)
    border = len(inputs) - weights
    return _loop(core, inputs[:border], inputs[border:], outputs(core))


def split(
    core: fx.Graph,
    projected: int,
    state: int,
    weights: int,
    examples: Callable[[int], Sequence[Tensor]],
    needs: Sequence[bool],
    decompositions: dict[Any, Callable[..., Any]] | None = None,
) -> Split:
    """Differentiate a step.

    Args:
        core: (*projected, *state, *weights) -> (y, *next state).
        examples: makes its inputs for a number of rows.
        needs: for each input whether a gradient is asked for; `state` must ask where it can.
        decompositions: as in `trace`.
    """
    step = runnable(core)
    with_gradient: list[int] = []
    reached: list[int] = []

    def tangents(rows: int) -> list[Tensor]:
        with torch.no_grad():
            return [torch.ones_like(value) for value in step(rows, *examples(rows))]

    def joint(*flat: Tensor) -> list[Tensor]:
        primals = [
            value.detach().requires_grad_() if need else value.detach()
            for value, need in zip(flat, needs, strict=False)
        ]
        with torch.enable_grad():
            results = step(flat[len(needs)].shape[0], *primals)
            with_gradient[:] = [i for i, value in enumerate(results) if value.requires_grad]
            asked = [i for i, need in enumerate(needs) if need]
            gradients: Sequence[Tensor | None] = [None] * len(asked)
            if with_gradient:
                gradients = torch.autograd.grad(
                    [results[i] for i in with_gradient],
                    [primals[i] for i in asked],
                    [flat[len(needs) + i] for i in with_gradient],
                    allow_unused=True,
                )
        reached[:] = [i for i, g in zip(asked, gradients, strict=True) if g is not None]
        return [*results, *(g for g in gradients if g is not None)]

    graph = trace(joint, lambda rows: [*examples(rows), *tangents(rows)], decompositions)
    _drop_detach(graph)
    return _partition(graph, projected, state, weights, list(reached))


def _drop_detach(graph: fx.Graph) -> None:
    # autograd's own: what the step itself detaches took effect when it was differentiated
    for node in list(graph.nodes):
        if node.target is ATEN.detach.default:
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)


def _partition(graph: fx.Graph, projected: int, state: int, weights: int, reached: list[int]) -> Split:
    inputs, results = tensor_inputs(graph), outputs(graph)
    P, S, W = inputs[:projected], inputs[projected:][:state], inputs[projected + state :][:weights]
    tangents = inputs[projected + state + weights :]
    forward, gradients = results[: 1 + state], dict(zip(reached, results[1 + state :], strict=True))
    in_forward = ancestors(forward, stop=set())
    constant = _depend_only_on(graph, W)
    carried = [i - projected for i in gradients if projected <= i < projected + state]
    wanted = [i if i < projected else i - state for i in gradients if not projected <= i < projected + state]
    dstate = [gradients[projected + i] for i in carried]
    late = [gradients[i if i < projected else i + state] for i in wanted]

    places: dict[fx.Node, Place] = {}
    for name, nodes in (("projected", P), ("state", S)):
        places |= {node: (name, i) for i, node in enumerate(nodes)}  # type: ignore[misc]
    for i, node in enumerate(tangents):
        places[node] = ("dstate", i - 1) if i else ("dy", 0)
    saved: list[fx.Node] = []

    def ready(node: fx.Node) -> bool:
        return node in places or node in in_forward or node in constant or node in W

    # what the loop of the backward computes, and the values of a position at which it starts
    in_loop = ancestors(dstate, stop={node for node in graph.nodes if ready(node)})
    starts = [n for n in graph.nodes if n in in_loop and ready(n) and n not in constant and not is_size(n)]
    # what waits: down from the wanted gradients to values of the loop that can be stacked by rows
    stacked: list[fx.Node] = []
    waiting, seen = list(late), set()
    while waiting:
        node = waiting.pop()
        if node in seen or is_size(node) or node in W:
            continue
        seen.add(node)
        there = node in places or node in in_forward or node in in_loop
        if there and node not in constant and node.meta["batch"]:
            stacked.append(node)
        else:
            waiting.extend(node.all_input_nodes)
    stacked = [node for node in graph.nodes if node in stacked]
    kept = [node for node in stacked if node in in_loop and not ready(node)]
    for node in [*starts, *stacked]:
        if node not in places and node in in_forward and node not in saved:
            saved.append(node)
    places |= {node: ("saved", i) for i, node in enumerate(saved)}
    places |= {node: ("kept", i) for i, node in enumerate(kept)}
    takes = [node for node in starts if node not in W]
    return Split(
        forward=_loop(graph, [*P, *S], W, [*forward, *saved]),
        backward=Backward(
            loop=_loop(graph, takes, W, [*dstate, *kept]),
            takes=[places[node] for node in takes],
            carried=carried,
            deferred=runnable(extract(graph, [*stacked, *W], late)),
            stacked=[places[node] for node in stacked],
            wanted=wanted,
        ),
    )


def _depend_only_on(graph: fx.Graph, weights: Sequence[fx.Node]) -> set[fx.Node]:
    found = set(weights)
    for node in graph.nodes:
        sources = node.all_input_nodes
        if node.op == "call_function" and sources and all(source in found for source in sources):
            found.add(node)
    return found


def _loop(
    graph: fx.Graph, inputs: Sequence[fx.Node], weights: Sequence[fx.Node], wanted: Sequence[fx.Node]
) -> Loop:
    """Take what does not change out of a step's graph, and write its products as prepared ones."""
    constant = _depend_only_on(graph, weights)
    inside = ancestors(wanted, stop=set(inputs) | constant)
    border = [node for node in graph.nodes if node in inside and node in constant]
    known = [*weights, *(node for node in border if node not in weights)]

    def is_product(node: fx.Node) -> bool:
        return node.target is ATEN.mm.default and node.args[1] in constant and node.args[0] not in constant

    products = [n for n in border if any(is_product(u) and u.args[1] is n for u in n.users if u in inside)]
    plain = [
        n
        for n in border
        if n in wanted or any(u in inside and not (is_product(u) and u.args[0] is not n) for u in n.users)
    ]

    def replace(new: fx.Graph, node: fx.Node, copies: dict[fx.Node, fx.Node]) -> fx.Node | None:
        if not is_product(node):
            return None
        prepared = next(n for n in new.nodes if n.name == instead[node.args[1]])
        return new.call_function(apply, (prepared, copies[node.args[0]]))  # type: ignore[index]

    instead = {node: f"product_{i}" for i, node in enumerate(products)}
    step = extract(graph, [*inputs, *plain], wanted, replace, instead)
    return Loop(
        constants=runnable(extract(graph, weights, known[len(weights) :])),
        run=runnable(step),
        graph=step,
        needed=[known.index(node) for node in plain],
        products=[known.index(node) for node in products],
    )
