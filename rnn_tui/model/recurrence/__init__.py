"""Ways to run a cell over time."""

from rnn_tui.model.recurrence.loop import Unroll
from rnn_tui.model.recurrence.stack import Stack

__all__ = ["Stack", "Unroll"]
