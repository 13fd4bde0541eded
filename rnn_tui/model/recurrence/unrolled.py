"""A Cell as a Core, over the fastest way that is right for it.

    loop      the plain loop under autograd: always right, and where every cell starts
    eager     the step's own graphs: what does not depend on the state in one go, no autograd inside the loop, weight
              gradients in one product at its end
    compiled  the same graphs, the loop over time written out in C
    graph     a CUDA graph of the whole update, over the eager way; made by the trainer, see `training.graphed`

Choosing a rung never raises for a strange cell: it stays on the next slower one, and `engine_reason` says why.
"""

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, TypeVar

import torch
from torch import Tensor

from rnn_tui.model.precision import full_precision
from rnn_tui.model.recurrence import compiled
from rnn_tui.model.recurrence.compiled import CompiledPlan
from rnn_tui.model.recurrence.eager import Plan, make_plan, run
from rnn_tui.model.recurrence.graph import NotTraceable
from rnn_tui.model.recurrence.loop import run_loop
from rnn_tui.model.recurrence.native.toolchain import NoCompiler
from rnn_tui.model.recurrence.verify import difference
from rnn_tui.model.state import device_of, tensors_of
from rnn_tui.plugin.core import Cell, Core, State

T = TypeVar("T")

Engine = Literal["auto", "loop", "eager", "compiled", "graph"]

LOOP_REASON = "the plain loop over time"
EAGER_REASON = "traced from the step; outputs and gradients agree with the plain loop"
COMPILED_REASON = "traced from the step and compiled; outputs and gradients agree with the plain loop"


class Unroll(Core):
    """A Cell, called once for each position or run by a faster way that computes the same.

    Attributes:
        engine: the rung in use, `loop`, `eager` or `compiled`.
        engine_reason: why, in one sentence.
    """

    def __init__(self, cell: Cell, input_size: int) -> None:
        super().__init__()
        self.cell = cell
        self.input_size = input_size
        self.output_size = cell.output_size
        self.engine = "loop"
        self.engine_reason = LOOP_REASON
        # by the cell's mode: a step may do less when it evaluates
        self._plans: dict[bool, Plan] = {}
        self._compiled: dict[bool, CompiledPlan] = {}

    def select(self, engine: Engine, reason: str = "") -> None:
        """Choose the rung: the one asked for where it is right for this cell, else the next slower one.

        Args:
            engine: `auto` is eager; so is `graph` here.
            reason: why the loop is chosen, where that is not the plain wish.
        """
        self.engine, self.engine_reason = "loop", reason or LOOP_REASON
        if engine == "loop":
            return
        if not self._plans:
            self._plans, problem = _checked(self.cell, self._make_plans)
            if problem is not None:
                self.engine_reason = f"the plain loop, because the step cannot be taken apart: {problem}"
                return
        self.engine, self.engine_reason = "eager", EAGER_REASON
        if engine == "compiled":
            problem = self.compile_ahead()
            if problem is None:
                self.engine, self.engine_reason = "compiled", COMPILED_REASON
            else:
                self.engine_reason = f"traced from the step; not compiled: {problem}"

    def compile_ahead(self) -> str | None:
        """Compile the step in every form that training and evaluation need, and check it; keeps the rung in use.

        May run in a thread beside training on another rung.

        Returns:
            None, or why it is not possible, as half a sentence.
        """
        if self._compiled:
            return None
        if not self._plans:
            return "the step cannot be taken apart"
        self._compiled, problem = _checked(self.cell, self._compile_plans)
        return problem

    def _make_plans(self, cell: Cell) -> dict[bool, Plan]:
        # what a stranger's step draws, it shall not take from the run
        with torch.random.fork_rng(devices=[]):
            return {
                mode: _right(make_plan(cell, self.input_size), run, cell, self.input_size)
                for mode in _modes(cell)
            }

    def _compile_plans(self, cell: Cell) -> dict[bool, CompiledPlan]:
        device = device_of(cell)
        if device.type != "cpu":
            raise NotTraceable(f"this way is for the CPU, and the model is on {device.type}")
        return {
            mode: _right(CompiledPlan(self._plans[mode]), compiled.run, cell, self.input_size)
            for mode in _modes(cell)
        }

    def initial_state(
        self, batch_size: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> State:
        return self.cell.initial_state(batch_size, device=device, dtype=dtype)

    def forward(self, xs: Tensor, state: State, *, reset: Tensor | None = None) -> tuple[Tensor, State]:
        return self.forward_rows(xs, None, state, reset=reset)

    def forward_rows(
        self, xs: Tensor, ids: Tensor | None, state: State, *, reset: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """As `forward`, for inputs that are chosen from a few vectors.

        Args:
            xs: the vectors, (V, I); without `ids` the inputs, (B, T, I).
            ids: int64 (B, T), which of them each input is.
        """
        if self.engine != "loop" and _supported(xs):
            if self.engine == "compiled":
                return compiled.run(self._compiled[self.cell.training], self.cell, xs, state, reset, ids)
            return run(self._plans[self.cell.training], self.cell, xs, state, reset, ids)
        return run_loop(self.cell, xs if ids is None else xs[ids], state, reset)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return self.cell.step(x, state)


def unroll(cell: Cell, input_size: int, engine: Engine = "auto") -> Unroll:
    """Return a cell as a Core on the rung asked for, or the best one that is right for it."""
    core = Unroll(cell, input_size)
    core.select(engine)
    return core


def _supported(xs: Tensor) -> bool:
    return xs.dtype == torch.float32 and not torch.is_autocast_enabled(xs.device.type)


def _checked(cell: Cell, make: Callable[[Cell], dict[bool, T]]) -> tuple[dict[bool, T], str | None]:
    """Make something of a copy of a cell; return it, or an empty dictionary and why there is none."""
    for tensor in tensors_of(cell).values():
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            dtype = str(tensor.dtype).removeprefix("torch.")
            return {}, f"this way is for float32, and the model has {dtype}"
    try:
        return make(copy.deepcopy(cell)), None  # a trainer may be changing the weights
    except (NotTraceable, NoCompiler) as error:
        return {}, str(error)
    except (
        Exception
    ) as error:  # a stranger's step may raise anything; if it is wrong, the loop will say it better
        return {}, f"{type(error).__name__}: {(str(error).splitlines() or ['no message'])[0][:200]}"


def _modes(cell: Cell) -> Iterator[bool]:
    """Put a cell into training and into evaluation mode."""
    for training in (True, False):
        cell.train(training)
        yield training


def _right(plan: T, way: Callable[..., tuple[Tensor, State]], cell: Cell, input_size: int) -> T:
    """Return a plan that computes what the loop does.

    Raises:
        NotTraceable: if it does not.
    """
    with full_precision():
        wrong = difference(cell, input_size, partial(way, plan, cell))
    if wrong:
        raise NotTraceable(f"its {wrong} would not be those of the loop")
    return plan
