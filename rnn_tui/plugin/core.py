"""The two interfaces an architecture can have: `Cell`, one step, and `Core`, a whole sequence.

Most authors write a Cell. A Core is for those who have a faster way over time than step by step: a fused
kernel, a parallel scan. Both are built as `cls(input_size, hidden_size, **options)`, one layer each; the host
stacks layers, puts dropout between them, carries, detaches, resets and saves the state.
"""

from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor, nn

State: TypeAlias = Any
"""A tensor, or a tuple, NamedTuple or dict of States. Dimension 0 of every leaf is the batch."""


class Cell(nn.Module):
    """One step of a recurrent network.

    A subclass sets `output_size` in `__init__(self, input_size, hidden_size, **options)`, where `options` are
    the fields of the frozen dataclass `Options` on the class, if there is one. Nothing that changes from step
    to step is stored on `self`.
    """

    api_version: ClassVar[int] = 1
    Options: ClassVar[type | None] = None

    output_size: int

    def initial_state(
        self, batch_size: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """Return the state before the first step; every leaf is (batch_size, ...)."""
        raise NotImplementedError

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one input and return the output and the next state.

        Args:
            x: (B, input_size).
            state: as `initial_state` or an earlier step returned it; not to be written to.

        Returns:
            The output (B, output_size) and the next state, of the same structure and shapes.
        """
        raise NotImplementedError


class Core(nn.Module):
    """A recurrent layer over a whole sequence: what trainer, evaluator and prompt see."""

    api_version: ClassVar[int] = 1
    Options: ClassVar[type | None] = None

    input_size: int
    output_size: int

    def initial_state(
        self, batch_size: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """Return the state before the first step; every leaf is (batch_size, ...)."""
        raise NotImplementedError

    def forward(self, xs: Tensor, state: State, *, reset: Tensor | None = None) -> tuple[Tensor, State]:
        """Run over time.

        Args:
            xs: (B, T, input_size), T >= 1.
            state: as `initial_state` or an earlier call returned it.
            reset: bool (B, T); True puts the initial state in place *before* that input is consumed.

        Returns:
            The outputs (B, T, output_size) and the state after the last step.
        """
        raise NotImplementedError

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one input (B, input_size); return the output (B, output_size) and the next state."""
        ys, state = self.forward(x.unsqueeze(1), state)  # (B, 1, I) -> (B, 1, O)
        return ys.squeeze(1), state
