"""A layer's step that also shows the state it leaves, and its way over time."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from rnn_tui.model.recurrence import compiled, eager
from rnn_tui.model.recurrence.compiled import CompiledPlan
from rnn_tui.model.recurrence.eager import make_plan
from rnn_tui.model.recurrence.loop import run_loop
from rnn_tui.model.recurrence.verify import NOISE, TOLERANCE
from rnn_tui.model.recurrence.written_out import WrittenOut
from rnn_tui.model.state import arrange
from rnn_tui.plugin.core import Cell, Core, State
from rnn_tui.plugin.state import leaves

Way = Callable[[Cell, Tensor, State, None], tuple[Tensor, State]]


class Recording(Cell):
    """A step whose output is followed by the leaves of its next state, (B, O + units), in float32.

    So the ways over time that only give outputs give all states, whatever the step is: also a Core has one.
    """

    def __init__(self, inner: Cell | Core) -> None:
        super().__init__()
        self.inner = inner
        self.output_size = inner.output_size + sum(leaf[0].numel() for leaf in leaves(inner.initial_state(1)))

    def initial_state(
        self, batch_size: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> State:
        return self.inner.initial_state(batch_size, device=device, dtype=dtype)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        with WrittenOut():  # torch's own steps cannot be traced as they are
            y, after = self.inner.step(x, state)
        after = arrange(state, after)
        shown = [leaf.reshape(len(leaf), -1).to(torch.float32) for leaf in leaves(after)]
        return torch.cat([y.to(torch.float32), *shown], 1), after


class Recorder:
    """A `Recording` over time, without gradients.

    Attributes:
        rung: `loop`, and after `hurry` perhaps `eager` or `compiled`; `model.recurrence` has what these are.
    """

    def __init__(self, inner: Cell | Core, input_size: int) -> None:
        self.cell = Recording(inner)
        self.input_size = input_size
        self.rung = "loop"
        self._way: Way = run_loop

    def __call__(self, xs: Tensor, state: State) -> tuple[Tensor, State]:
        """(B, T, I) and a state to (B, T, O + units) and the state after."""
        return self._way(self.cell, xs, state, None)

    def hurry(self, xs: Tensor, state: State, expected: Tensor) -> None:
        """Take the fastest way that gives what the loop gave for these inputs, `expected`.

        Takes about a second for a kind of cell, and one or two more for the first in a process.
        """
        try:
            with torch.random.fork_rng(devices=[]):
                plan = make_plan(self.cell, self.input_size)
        except Exception:  # a stranger's step may be anything; the loop is right for all
            return
        ways: dict[str, Callable[[], Way]] = {"eager": lambda: partial(eager.run, plan)}
        if xs.device.type == "cpu":
            ways = {"compiled": lambda: partial(compiled.run, CompiledPlan(plan))} | ways
        for rung, make in ways.items():
            try:
                way = make()
                found, _ = way(self.cell, xs, state, None)
            except Exception:  # there is no compiler, or it is a step that cannot be compiled
                continue
            if _close(expected, found):
                self._way, self.rung = way, rung
                return


def _close(expected: Tensor, found: Tensor) -> bool:
    size = float(expected.abs().max())
    return torch.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE * size + NOISE)
