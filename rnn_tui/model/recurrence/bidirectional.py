"""A layer that reads each row in both directions: for tasks in which the whole row is there at once."""

import torch
from torch import Tensor

from rnn_tui.errors import UsageError
from rnn_tui.plugin.core import Core, State


class Bidirectional(Core):
    """Two Cores of one kind, one fed with the row and one with the row reversed; their outputs stand side by side.

    What `nn.LSTM(bidirectional=True)` is for the LSTM, for any architecture (M. Schuster and K. Paliwal,
    "Bidirectional recurrent neural networks", IEEE Transactions on Signal Processing 45, 1997). Rows of different
    lengths are reversed each within its own length, so that padding at their ends changes nothing before it.
    """

    def __init__(self, forwards: Core, backwards: Core) -> None:
        super().__init__()
        self.forwards = forwards
        self.backwards = backwards
        self.input_size = forwards.input_size
        self.output_size = forwards.output_size + backwards.output_size

    def initial_state(
        self, batch_size: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """Return the pair of both directions' states."""
        return tuple(
            core.initial_state(batch_size, device=device, dtype=dtype)
            for core in (self.forwards, self.backwards)
        )

    def forward(
        self, xs: Tensor, state: State, *, reset: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run over both directions.

        Args:
            xs: (B, T, I).
            state: from `initial_state`; there is no state to carry from an earlier window.
            reset: must be None: a reset has no meaning for what is read from the end.
            lengths: int64 (B,), how much of each row is text; None: all of it.

        Returns:
            (B, T, 2 O), what is beyond a row's length being of no use, and the states after the last position.
        """
        if reset is not None:
            raise UsageError("a bidirectional layer takes whole rows, without resets inside them")
        order = reversed_order(xs.shape[1], lengths, xs.device)  # (T,) or (B, T)
        backwards = _take(xs, order)
        ahead, first = self.forwards(xs, state[0])
        behind, second = self.backwards(backwards, state[1])
        return torch.cat([ahead, _take(behind, order)], -1), (first, second)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Raise UsageError: one step at a time, the end of the row is not known."""
        raise UsageError("a bidirectional model reads a whole text at once; it cannot go on token by token")


def reversed_order(length: int, lengths: Tensor | None, device: torch.device) -> Tensor:
    """Return the positions in reverse: (T,), or (B, T) with each row reversed within its own length.

    It is its own inverse: positions beyond the length stay where they are.
    """
    positions = torch.arange(length, device=device)
    if lengths is None:
        return positions.flip(0)
    last = lengths.to(device)[:, None] - 1  # (B, 1)
    return torch.where(positions <= last, last - positions, positions)


def _take(xs: Tensor, order: Tensor) -> Tensor:
    if order.dim() == 1:
        return xs[:, order]
    return xs.gather(1, order[:, :, None].expand_as(xs))
