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

_NO_LAYER = "no layer of torch.nn computes what it does"


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

    def to_nn(self) -> nn.RNNBase:
        """Return one layer of torch.nn that computes the same. Optional: what `rnn-tui export` makes use of.

        From zeros as the state before, `ys, _ = layer(xs)` has to give what the step gives over time, xs (B, T, I) and
        ys (B, T, O). The initial state must be zeros, and its leaves torch's: h, then the c of an LSTM, (B, H) each.

        Returns:
            An `nn.LSTM`, `nn.GRU` or `nn.RNN` of one layer with `batch_first=True`, biases, one direction and no
            projection, with copies of the weights, in their dtype and on their device. torch has a matrix as (outputs,
            inputs) and the gates one above the other, in an LSTM in the order i, f, g, o and in a GRU in r, z, n:
            `weight_ih_l0` is (G H, I), `weight_hh_l0` (G H, H), `bias_ih_l0` and `bias_hh_l0` (G H). Of two biases that
            are added up, one may be zeros.

        Raises:
            NotImplementedError: when there is no such layer, as for these options; the text says why, as one clause.
        """
        raise NotImplementedError(_NO_LAYER)

    def from_nn(self, layer: nn.RNNBase) -> None:
        """Take the weights of one layer of torch.nn. Optional: what `rnn-tui import` makes use of.

        Afterwards this computes what `layer` does; `from_nn(to_nn())` changes nothing of what is computed.

        Args:
            layer: as `to_nn` returns one, of this input and hidden size.

        Raises:
            NotImplementedError: when no weights could make it compute what `layer` does, as for another kind of layer
                or with these options; the text says why, as one clause.
        """
        raise NotImplementedError(_NO_LAYER)


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

    def to_nn(self) -> nn.RNNBase:
        """Return one layer of torch.nn that computes the same; optional, see `Cell.to_nn`."""
        raise NotImplementedError(_NO_LAYER)

    def from_nn(self, layer: nn.RNNBase) -> None:
        """Take the weights of one layer of torch.nn; optional, see `Cell.from_nn`."""
        raise NotImplementedError(_NO_LAYER)
