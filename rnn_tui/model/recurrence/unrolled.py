"""A Cell as a Core, over the fastest way that is right for it.

    loop    the plain loop under autograd: always right, and where every cell starts
    eager   the step's own graphs: what does not depend on the state in one go, no autograd inside the loop, weight
            gradients in one product at its end

Choosing a rung never raises for a strange cell: it stays on the loop, and `engine_reason` says why.
"""

from functools import partial
from typing import Literal

import torch
from torch import Tensor

from rnn_tui.model.recurrence.eager import Plan, make_plan, run, tensors_of
from rnn_tui.model.recurrence.graph import NotTraceable
from rnn_tui.model.recurrence.loop import run_loop
from rnn_tui.model.recurrence.verify import difference
from rnn_tui.plugin.core import Cell, Core, State

Engine = Literal["auto", "loop", "eager"]

LOOP_REASON = "the plain loop over time"
EAGER_REASON = "traced from the step; outputs and gradients agree with the plain loop"


class Unroll(Core):
    """A Cell, called once for each position or run by a faster way that computes the same.

    Attributes:
        engine: the rung in use, `loop` or `eager`.
        engine_reason: why, in one sentence.
    """

    def __init__(self, cell: Cell, input_size: int) -> None:
        super().__init__()
        self.cell = cell
        self.input_size = input_size
        self.output_size = cell.output_size
        self.engine = "loop"
        self.engine_reason = LOOP_REASON
        self._plans: dict[bool, Plan] = {}  # by the cell's mode: a step may do less when it evaluates

    def select(self, engine: Engine, reason: str = "") -> None:
        """Choose the rung; `auto` and `eager` take eager where it is right for this cell, else the loop.

        Args:
            reason: why the loop is chosen, where that is not the plain wish.
        """
        self.engine, self.engine_reason = "loop", reason or LOOP_REASON
        if engine == "loop":
            return
        problem = None
        if not self._plans:
            self._plans, problem = _verified_plans(self.cell, self.input_size)
        if problem is None:
            self.engine, self.engine_reason = "eager", EAGER_REASON
        else:
            self.engine_reason = f"the plain loop, because the step cannot be taken apart: {problem}"

    def initial_state(
        self, batch_size: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> State:
        return self.cell.initial_state(batch_size, device=device, dtype=dtype)

    def forward(self, xs: Tensor, state: State, *, reset: Tensor | None = None) -> tuple[Tensor, State]:
        plan = self._plans.get(self.cell.training) if self.engine == "eager" else None
        if plan is None or not _supported(xs):
            return run_loop(self.cell, xs, state, reset)
        return run(plan, self.cell, xs, state, reset)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return self.cell.step(x, state)


def unroll(cell: Cell, input_size: int, engine: Engine = "auto") -> Unroll:
    """Return a cell as a Core on the rung asked for, or the best one that is right for it."""
    core = Unroll(cell, input_size)
    core.select(engine)
    return core


def _supported(xs: Tensor) -> bool:
    return xs.device.type == "cpu" and xs.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


def _verified_plans(cell: Cell, input_size: int) -> tuple[dict[bool, Plan], str | None]:
    """Trace and compare in both modes; return the plans, or why there are none."""
    for tensor in tensors_of(cell).values():
        if tensor.device.type != "cpu":
            return {}, f"this way is for the CPU, and the model is on {tensor.device.type}"
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            return (
                {},
                f"this way is for float32, and the model has {str(tensor.dtype).removeprefix('torch.')}",
            )
    plans: dict[bool, Plan] = {}
    modes = {module: module.training for module in cell.modules()}
    try:
        with torch.random.fork_rng(devices=[]):
            for training in (cell.training, not cell.training):
                cell.train(training)
                plan = plans[training] = make_plan(cell, input_size)
                wrong = difference(cell, input_size, partial(run, plan, cell))
                if wrong:
                    return {}, f"its {wrong} would not be those of the loop"
    except NotTraceable as error:
        return {}, str(error)
    except (
        Exception
    ) as error:  # a stranger's step may raise anything; if it is wrong, the loop will say it better
        return {}, f"{type(error).__name__}: {(str(error).splitlines() or ['no message'])[0][:200]}"
    finally:
        for module, training in modes.items():
            module.training = training
    return plans, None
