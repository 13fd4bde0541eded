"""Layers on top of each other, with the host's own dropout between them.

Dropout lies outside the cells so that its random state is torch's own and can be saved: cuDNN's inside `nn.LSTM`
cannot.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tui.model.recurrence.bidirectional import Bidirectional
from rnn_tui.model.recurrence.unrolled import Unroll
from rnn_tui.plugin.core import Core, State


class Stack(Core):
    """Several Cores, each fed with the output of the one below; the state is the tuple of theirs."""

    def __init__(self, cores: Sequence[Core], dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(cores)
        self.dropout = dropout
        self.input_size = cores[0].input_size
        self.output_size = cores[-1].output_size

    @property
    def cores(self) -> list[Core]:
        """The layers, the lowest first."""
        return cast(list[Core], list(self.layers))

    def initial_state(
        self, batch_size: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> State:
        return tuple(core.initial_state(batch_size, device=device, dtype=dtype) for core in self.cores)

    def forward(
        self,
        xs: Tensor,
        state: State,
        *,
        reset: Tensor | None = None,
        lengths: Tensor | None = None,
        ids: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """See `Core.forward`.

        Args:
            lengths: int64 (B,), for the layers that also read backwards.
            ids: int64 (B, T): then `xs` (V, I) are the vectors from which they choose the inputs of the lowest layer,
                an `Unroll`.
        """
        after = []
        for index, (core, inner) in enumerate(zip(self.cores, state, strict=True)):
            if index:
                xs = functional.dropout(xs, self.dropout, self.training)
            if isinstance(core, Unroll):
                xs, inner = core.forward_rows(xs, None if index else ids, inner, reset=reset)
            elif isinstance(core, Bidirectional):
                xs, inner = core(xs, inner, reset=reset, lengths=lengths)
            else:
                xs, inner = core(xs, inner, reset=reset)
            after.append(inner)
        return xs, tuple(after)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        after = []
        for index, (core, inner) in enumerate(zip(self.cores, state, strict=True)):
            if index:
                x = functional.dropout(x, self.dropout, self.training)
            x, inner = core.step(x, inner)
            after.append(inner)
        return x, tuple(after)
