"""A sequence through one step's graphs, written out in C: the loop over time, its products and all between them.

The division of a step is that of the eager rung, made of a graph in which larger operators are written as smaller
ones. Only what runs position after position is C; what comes before and after the loop stays torch's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import torch
from torch import Tensor, fx
from torch.autograd.function import once_differentiable

from rnn_tui.model.recurrence.eager import Plan, Span, sequence_inputs
from rnn_tui.model.recurrence.graph import outputs, runnable, tensor_inputs, trace
from rnn_tui.model.recurrence.native.function import Function, compile_programs
from rnn_tui.model.recurrence.native.operators import decompositions
from rnn_tui.model.recurrence.native.sequence import Kind, Program, Role, kind_of
from rnn_tui.model.recurrence.split import Backward, Loop, Place, Split, forward_only, split
from rnn_tui.model.state import leaves, unflatten
from rnn_tui.plugin.core import Cell, State


@dataclass(frozen=True)
class Pass:
    """One loop over time in C, and the step that it runs."""

    loop: Loop
    function: Function

    def run(
        self,
        span: Span,
        columns: Sequence[Tensor],
        begin: Sequence[Tensor],
        fresh: Sequence[Tensor],
        weights: Sequence[Tensor],
    ) -> tuple[list[Tensor], list[Tensor]]:
        """See `Function.__call__`; `weights` are those of the core."""
        known = [*weights, *self.loop.constants(span.rows, *weights)]
        constants = [known[i] for i in self.loop.needed]
        matrices = [known[i] for i in self.loop.products]
        packed = self.function.packed()
        return self.function(
            span.rows, span.steps, columns, begin, fresh, span.reset, constants, matrices, packed
        )


@dataclass(frozen=True)
class Passes:
    """Forward and backward for one set of gradients asked for.

    Attributes:
        kept: leaf of the state to the column in which the forward writes it as it is before each step.
    """

    parts: Split
    forward: Pass
    backward: Pass
    kept: dict[int, int]


@dataclass(frozen=True)
class CompiledPlan:
    """The compiled forms of one cell in one mode (training or evaluation), each made at its first use.

    Making one raises NotTraceable or NoCompiler. The compiler is called once for what is made together.
    """

    plan: Plan
    _infer: list[Pass] = field(default_factory=list)
    _passes: dict[tuple[bool, ...], Passes] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def infer(self) -> Pass:
        """The step without anything kept for a backward."""
        with self._lock:
            if not self._infer:
                self._infer.extend(_compile([self._inferring()]))
            return self._infer[0]

    def passes(self, needs: tuple[bool, ...]) -> Passes:
        """Forward and backward.

        Args:
            needs: as `sequence_inputs` gives them.
        """
        with self._lock:
            if needs not in self._passes:
                self._passes[needs] = self._differentiated(needs)
            return self._passes[needs]

    def _inferring(self) -> Program:
        return self._forward("infer", forward_only(self._core(), self.plan.hoisted.weights), {})

    def _core(self) -> fx.Graph:
        """The core in smaller operators; its first input has rows."""
        core = runnable(self.plan.hoisted.core)
        with torch.no_grad():
            return trace(lambda *flat: core(flat[0].shape[0], *flat), self.plan.examples, decompositions())

    def _differentiated(self, needs: tuple[bool, ...]) -> Passes:
        h, S = self.plan.hoisted, self.plan.state
        parts = split(h.core, h.projected, S, h.weights, self.plan.examples, needs, decompositions())
        back = parts.backward
        results = len(outputs(parts.forward.graph))
        read = sorted({index for name, index in (*back.takes, *back.stacked) if name == "state"})
        kept = {leaf: results - S + i for i, leaf in enumerate(read)}
        programs = [self._forward("forward", parts.forward, kept), self._backward("backward", back)]
        forward, backward, *infer = _compile([*programs, *([] if self._infer else [self._inferring()])])
        self._infer.extend(infer)
        return Passes(parts, forward, backward, kept)

    def _forward(self, name: str, loop: Loop, kept: dict[int, int]) -> Program:
        P, S = self.plan.hoisted.projected, self.plan.state
        later = len(outputs(loop.graph)) - 1 - S
        takes: list[Role] = [*(("column", i) for i in range(P)), *(("carry", i) for i in range(S))]
        gives: list[list[Role]] = [[("column", 0)]]
        gives += [[("carry", i)] for i in range(S)]
        gives += [[("column", 1 + i)] for i in range(later)]
        return Program(
            name=name,
            loop=loop,
            takes=takes,
            gives=gives,
            carried=[kind_of(node) for node in tensor_inputs(loop.graph)[P : P + S]],
            kept=kept,
        )

    def _backward(self, name: str, back: Backward) -> Program:
        takes: list[Role] = []
        for kind, index in back.takes:
            takes.append(
                ("carry", self.plan.floating.index(index))
                if kind == "dstate"
                else ("column", sum(what == "column" for what, _ in takes))
            )
        later = len(outputs(back.loop.graph)) - len(back.carried)
        gives: list[list[Role]] = [[("carry", self.plan.floating.index(leaf))] for leaf in back.carried]
        gives += [[("column", i)] for i in range(later)]
        return Program(
            name=name,
            loop=back.loop,
            takes=takes,
            gives=gives,
            carried=[
                Kind(tuple(leaf.shape[1:]), leaf.dtype)
                for i, leaf in enumerate(leaves(self.plan.template))
                if i in self.plan.floating
            ],
            kept={self.plan.floating.index(leaf): later + i for i, leaf in enumerate(_arriving(back))},
            reverse=True,
        )


def _arriving(back: Backward) -> list[int]:
    """The leaves of which the deferred part reads the gradient that arrives at each position."""
    return sorted({index for name, index in back.stacked if name == "dstate"})


def _compile(programs: Sequence[Program]) -> list[Pass]:
    return [Pass(function.program.loop, function) for function in compile_programs(programs)]


def run(
    plan: CompiledPlan,
    cell: Cell,
    xs: Tensor,
    state: State,
    reset: Tensor | None,
    ids: Tensor | None = None,
) -> tuple[Tensor, State]:
    """Run a cell over a sequence; as `Core.forward`, (B, T, I) -> (B, T, O). For `ids` see `sequence_inputs`."""
    span, inputs, needs = sequence_inputs(plan.plan, cell, xs, ids, state, reset)
    if needs is None:
        P, S, W = plan.plan.hoisted.projected, plan.plan.state, plan.plan.hoisted.weights
        end = len(inputs) - W
        (ys,), new = plan.infer().run(span, inputs[:P], inputs[P : P + S], inputs[P + S : end], inputs[end:])
        ys = ys.view(span.rows, span.steps, *ys.shape[1:])
    else:
        ys, *new = _Sequence.apply(plan.plan, plan.passes(needs), span, *inputs)  # type: ignore[no-untyped-call]
    after: State = unflatten(plan.plan.template, new)
    return ys, after


class _Sequence(torch.autograd.Function):
    """A whole sequence as one node of autograd: (*projected, *state, *initial, *weights) -> (ys, *state).

    Can be differentiated once; the plain loop can be twice.
    """

    @staticmethod
    def forward(ctx: Any, plan: Plan, passes: Passes, span: Span, *inputs: Tensor) -> tuple[Tensor, ...]:
        P, S, W = plan.hoisted.projected, plan.state, plan.hoisted.weights
        end = len(inputs) - W
        written, state = passes.forward.run(
            span, inputs[:P], inputs[P : P + S], inputs[P + S : end], inputs[end:]
        )
        ctx.save_for_backward(*inputs, *written[1:])
        ctx.what = (plan, passes, span, len(inputs))
        ctx.mark_non_differentiable(*(leaf for leaf in state if not leaf.is_floating_point()))
        return (written[0].view(span.rows, span.steps, *written[0].shape[1:]), *state)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        plan, passes, span, count = ctx.what
        saved: Sequence[Tensor] = ctx.saved_tensors
        inputs, written = saved[:count], saved[count:]
        P, S, W = plan.hoisted.projected, plan.state, plan.hoisted.weights
        back: Backward = passes.parts.backward
        weights = inputs[count - W :]
        values: dict[Place, Tensor] = {("projected", i): value for i, value in enumerate(inputs[:P])}
        values |= {
            ("saved", i): value for i, value in enumerate(written)
        }  # the states at their end are not asked for
        values |= {("state", leaf): written[column - 1] for leaf, column in passes.kept.items()}
        values["dy", 0] = grads[0].flatten(0, 1)
        columns = [values[place] for place in back.takes if place[0] != "dstate"]
        begin = [grads[1 + leaf] for leaf in plan.floating]
        fresh = [torch.zeros_like(value) for value in begin]
        kept, dstate = passes.backward.run(span, columns, begin, fresh, weights)
        values |= {("kept", i): value for i, value in enumerate(kept)}
        arriving = _arriving(back)
        values |= {("dstate", leaf): kept[i - len(arriving)] for i, leaf in enumerate(arriving)}
        late = back.deferred(span.rows * span.steps, *(values[place] for place in back.stacked), *weights)
        found: list[Tensor | None] = [None] * count
        for index, gradient in zip(back.wanted, late, strict=True):
            found[index if index < P else index - P + count - W] = gradient
        for leaf, gradient, at_reset in zip(plan.floating, dstate, fresh, strict=True):
            found[P + leaf] = gradient
            if span.reset is not None:
                found[P + S + leaf] = at_reset
        return None, None, None, *found
