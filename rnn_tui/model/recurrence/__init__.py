"""Ways to run a cell over time.

`Unroll` turns a Cell into a Core and picks the way; `Bidirectional` makes one of two that read in opposite directions;
`Stack` puts Cores on top of each other. The plain loop is in
`loop`; the eager rung reads a step (`graph`), takes out what does not need the state (`hoist`), divides the rest into
forward and backward (`split`) and runs it (`eager`), and `verify` compares it with the loop.
"""

from rnn_tui.model.recurrence.bidirectional import Bidirectional
from rnn_tui.model.recurrence.stack import Stack
from rnn_tui.model.recurrence.unrolled import Engine, Unroll, unroll

__all__ = ["Bidirectional", "Engine", "Stack", "Unroll", "unroll"]
