"""A sequence through one step's graphs: no autograd inside the loop, no weight gradient until it has ended."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from rnn_tui.model.recurrence.graph import NotTraceable, outputs, runnable, trace_foreign
from rnn_tui.model.recurrence.hoist import Hoisted, hoist
from rnn_tui.model.recurrence.product import prepare
from rnn_tui.model.recurrence.split import Loop, Place, Run, Split, forward_only, split
from rnn_tui.model.state import arrange, detach, device_of, leaves, tensors_of, unflatten
from rnn_tui.plugin.core import Cell, State


@dataclass
class Plan:
    """The graphs of one cell in one mode (training or evaluation)."""

    hoisted: Hoisted
    prefix: Run
    template: State  # gives leaves their order
    state: int  # how many leaves
    infer: Loop
    examples: Any  # rows -> the inputs of the core
    splits: dict[tuple[bool, ...], Split] = field(default_factory=dict)

    @cached_property
    def floating(self) -> list[int]:
        """The leaves of the state that can have a gradient."""
        return [i for i, leaf in enumerate(leaves(self.template)) if leaf.is_floating_point()]

    def split_for(self, needs: tuple[bool, ...]) -> Split:
        """The step with a backward for the inputs that need one; traced at first use."""
        if needs not in self.splits:
            h = self.hoisted
            self.splits[needs] = split(h.core, h.projected, self.state, h.weights, self.examples, needs)
        return self.splits[needs]


def make_plan(cell: Cell, input_size: int) -> Plan:
    """Trace a cell's step as it is now.

    Raises:
        NotTraceable: with the reason.
    """
    from torch.func import functional_call, functionalize

    # a step that stores something on itself, against the rules, must not leave a traced tensor there
    apart = _Step(copy.copy(cell))
    names = list(tensors_of(cell))
    generator = torch.Generator().manual_seed(0)
    device = device_of(cell)

    def step(x: Tensor, *flat: Tensor) -> list[Tensor]:
        state = unflatten(template, list(flat[: len(flat) - len(names)]))
        values = dict(zip(names, flat[len(flat) - len(names) :], strict=True))
        y, after = functional_call(apart, {f"cell.{n}": v for n, v in values.items()}, (x, state))
        return [y, *next_leaves(state, after)]

    def examples(rows: int) -> list[Tensor]:
        x = torch.randn(rows, input_size, generator=generator).to(device)
        state = [leaf.detach().clone() for leaf in leaves(cell.initial_state(rows, device=device))]
        return [x, *state, *(value.detach() for value in tensors_of(cell).values())]

    template = detach(cell.initial_state(1, device=device))
    count = len(list(leaves(template)))
    with torch.no_grad():
        graph = trace_foreign(functionalize(step, remove="mutations"), examples)
        if not all(node.meta["batch"] for node in outputs(graph)):
            raise NotTraceable("the batch is not the first dimension of its output and state")
        hoisted = hoist(graph, count)
        prefix = runnable(hoisted.prefix)

    def core_examples(rows: int) -> list[Tensor]:
        x, *rest = examples(rows)
        with torch.no_grad():
            values = [v.detach() for v in prefix(rows, x, *rest[count:])]
        return [*values[: hoisted.projected], *rest[:count], *values[hoisted.projected :]]

    return Plan(hoisted, prefix, template, count, forward_only(hoisted.core, hoisted.weights), core_examples)


def next_leaves(state: State, after: State) -> list[Tensor]:
    """The leaves of the state after a step, in the order of those before it.

    Raises:
        NotTraceable: when they are not of the same shapes and types.
    """
    found = list(leaves(arrange(state, after)))
    if any(
        old.shape != new.shape or old.dtype != new.dtype
        for old, new in zip(leaves(state), found, strict=True)
    ):
        raise NotTraceable("its state changes shape or type")
    return found


class _Step(torch.nn.Module):
    """What functional_call can call."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return self.cell.step(x, state)


@dataclass(frozen=True)
class Span:
    """The positions of a sequence, and where it begins anew."""

    rows: int
    steps: int
    reset: Tensor | None  # bool (B, T)

    @cached_property
    def resets(self) -> list[bool]:
        """At which positions any row is reset."""
        return [False] * self.steps if self.reset is None else self.reset.any(0).tolist()

    def choose(self, t: int, fresh: Tensor, old: Tensor) -> Tensor:
        """`fresh` in the rows that are reset at `t`, `old` in the others."""
        assert self.reset is not None
        return torch.where(self.reset[:, t].view(-1, *[1] * (old.dim() - 1)), fresh, old)

    def columns(self, value: Tensor) -> tuple[Tensor, ...]:
        """(B * T, ...) to T times (B, ...), without a copy."""
        return value.reshape(self.rows, self.steps, *value.shape[1:]).unbind(1)


def sequence_inputs(
    plan: Plan, cell: Cell, xs: Tensor, ids: Tensor | None, state: State, reset: Tensor | None
) -> tuple[Span, list[Tensor], tuple[bool, ...] | None]:
    """Run what does not depend on the state.

    Args:
        xs: (B, T, I); with `ids` the vectors (V, I) among which they choose. These are few, so what does not depend on
            the state runs for them alone, and its results are chosen from.

    Returns:
        The positions; what the loop over time takes, (*projected, *state, *initial, *weights); and for each projected
        value, leaf of the state and weight whether a gradient is asked for, None where none is at all.
    """
    rows, steps = (xs if ids is None else ids).shape[:2]
    vectors = xs if ids is not None else xs.flatten(0, 1)
    values = plan.prefix(len(vectors), vectors, *tensors_of(cell).values())
    projected, weights = values[: plan.hoisted.projected], values[plan.hoisted.projected :]
    if ids is not None:
        chosen = ids.flatten()
        # the gradient of `embedding` is a sum in a fixed order, and several times as fast as that of an index
        projected = tuple(
            functional.embedding(chosen, value.flatten(1)).view(-1, *value.shape[1:])
            if value.dim() > 1
            else value.index_select(0, chosen)
            for value in projected
        )
    old = list(leaves(arrange(plan.template, state)))
    initial: list[Tensor] = []
    if reset is not None:
        initial = list(leaves(cell.initial_state(rows, device=xs.device, dtype=xs.dtype)))
    inputs = [*projected, *old, *initial, *weights]
    needs = None
    if torch.is_grad_enabled() and any(value.requires_grad for value in inputs):
        needs = (
            *(value.requires_grad for value in projected),
            *(value.is_floating_point() for value in old),
            *(value.requires_grad for value in weights),
        )
    return Span(rows, steps, reset), inputs, needs


def run(
    plan: Plan, cell: Cell, xs: Tensor, state: State, reset: Tensor | None, ids: Tensor | None = None
) -> tuple[Tensor, State]:
    """Run a cell over a sequence; as `Core.forward`, (B, T, I) -> (B, T, O). For `ids` see `sequence_inputs`."""
    span, inputs, needs = sequence_inputs(plan, cell, xs, ids, state, reset)
    if needs is None:
        ys, new = _forward(plan, plan.infer, span, inputs, None)
    else:
        ys, *new = _Sequence.apply(plan, plan.split_for(needs), span, *inputs)  # type: ignore[no-untyped-call]
    after: State = unflatten(plan.template, new)
    return ys, after


@dataclass
class Trail:
    """What forward leaves for backward, one entry for each position."""

    states: list[Sequence[Tensor]] = field(default_factory=list)  # as the step saw them, after a reset
    saved: list[Sequence[Tensor]] = field(default_factory=list)


def _forward(
    plan: Plan,
    loop: Loop,
    span: Span,
    inputs: Sequence[Tensor],
    trail: Trail | None,
) -> tuple[Tensor, list[Tensor]]:
    P, S = plan.hoisted.projected, plan.state
    columns = [span.columns(value) for value in inputs[:P]]
    state: Sequence[Tensor] = inputs[P : P + S]
    weights = inputs[len(inputs) - plan.hoisted.weights :]
    initial = inputs[P + S : len(inputs) - plan.hoisted.weights]
    fixed = _fixed(loop, span, weights)
    step, ys = loop.run, []
    for t in range(span.steps):
        if span.resets[t]:
            state = [span.choose(t, new, old) for new, old in zip(initial, state, strict=True)]
        results = step(span.rows, *(column[t] for column in columns), *state, *fixed)
        if trail is not None:
            trail.states.append(state)
            trail.saved.append(results[1 + S :])
        ys.append(results[0])
        state = results[1 : 1 + S]
    # copies: a cell may return what it was given, which a Function must not
    return torch.stack(ys, 1), [leaf.clone(memory_format=torch.contiguous_format) for leaf in state]


def _fixed(loop: Loop, span: Span, weights: Sequence[Tensor]) -> list[Any]:
    """What a loop needs beside the position's own values: constants as they are, and as prepared products."""
    known = [*weights, *loop.constants(span.rows, *weights)]
    return [
        *(known[i] for i in loop.needed),
        *(prepare(known[i], span.rows, span.steps) for i in loop.products),
    ]


class _Sequence(torch.autograd.Function):
    """A whole sequence as one node of autograd: (*projected, *state, *initial, *weights) -> (ys, *state).

    Can be differentiated once; the plain loop can be twice.
    """

    @staticmethod
    def forward(
        ctx: Any,
        plan: Plan,
        parts: Split,
        span: Span,
        *inputs: Tensor,
    ) -> tuple[Tensor, ...]:
        trail = Trail()
        ys, state = _forward(plan, parts.forward, span, inputs, trail)
        ctx.save_for_backward(*inputs)
        ctx.what = (plan, parts, span, trail)
        ctx.mark_non_differentiable(*(leaf for leaf in state if not leaf.is_floating_point()))
        return (ys, *state)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        plan, parts, span, trail = ctx.what
        return None, None, None, *_backward(plan, parts, span, trail, ctx.saved_tensors, grads[0], grads[1:])


def _backward(
    plan: Plan,
    parts: Split,
    span: Span,
    trail: Trail,
    inputs: Sequence[Tensor],
    dys: Tensor,
    dstate: Sequence[Tensor],
) -> list[Tensor | None]:
    """Gradients of all inputs: back over the positions first, then what waited, in one go."""
    P, S, W = plan.hoisted.projected, plan.state, plan.hoisted.weights
    back = parts.backward
    weights = inputs[len(inputs) - W :]
    initial = inputs[P + S : len(inputs) - W]
    columns = {
        "projected": [span.columns(value) for value in inputs[:P]],
        "dy": [dys.unbind(1)],
    }
    fixed = _fixed(back.loop, span, weights)
    dinitial: list[Tensor | None] = [None] * len(initial)
    kept: list[Sequence[Tensor]] = [()] * span.steps
    arriving: list[Sequence[Tensor]] = [()] * span.steps
    C = len(back.carried)
    zeros = [torch.zeros_like(leaf) for leaf in inputs[P : P + S]]

    def at(t: int, place: Place) -> Tensor:
        name, index = place
        if name == "state":
            return trail.states[t][index]
        if name == "saved":
            return trail.saved[t][index]
        if name == "kept":
            return kept[t][index]
        if name == "dstate":
            return arriving[t][index]
        return columns[name][index][t]

    for t in reversed(range(span.steps)):
        arriving[t] = dstate
        results = back.loop.run(span.rows, *[at(t, place) for place in back.takes], *fixed)
        kept[t] = results[C:]
        before = list(zeros)
        for leaf, gradient in zip(back.carried, results[:C], strict=True):
            if span.resets[t]:  # nothing reaches beyond; what was put in its place gets its part
                fresh = span.choose(t, gradient, zeros[leaf])
                sofar = dinitial[leaf]
                dinitial[leaf] = fresh if sofar is None else sofar + fresh
                gradient = span.choose(t, zeros[leaf], gradient)
            before[leaf] = gradient
        dstate = before

    def whole(place: Place) -> Tensor:
        name, index = place
        if name == "projected":
            return inputs[index]
        if name == "dy":
            return dys.flatten(0, 1)
        return torch.stack([at(t, place) for t in range(span.steps)], 1).flatten(0, 1)  # (B * T, ...)

    late = back.deferred(span.rows * span.steps, *(whole(place) for place in back.stacked), *weights)
    gradients: list[Tensor | None] = [None] * (P + W)
    for index, gradient in zip(back.wanted, late, strict=True):
        gradients[index] = gradient
    return [*gradients[:P], *dstate, *dinitial, *gradients[P:]]
