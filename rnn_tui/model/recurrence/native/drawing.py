"""Tokens drawn one after another by a compiled step: look-up, layers, head and the choice of the token in C.

Only what the temperature decides is drawn here; the rules that take tokens out are NumPy's, see
`rnn_tui.inference.sampling`, whose arithmetic in double precision this repeats operation by operation.
"""

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from rnn_tui.model.recurrence.graph import runnable, tensor_inputs, trace
from rnn_tui.model.recurrence.hoist import Hoisted
from rnn_tui.model.recurrence.native.function import compile_programs
from rnn_tui.model.recurrence.native.operators import decompositions
from rnn_tui.model.recurrence.native.sequence import Kind, Program, Role, kind_of
from rnn_tui.model.recurrence.native.views import Buffer
from rnn_tui.model.recurrence.split import Loop, forward_only

CHOOSE = """
static long choose(const float* logits, const double* noise, double temperature, long hidden, long V) {
    double most = -__builtin_inf();
    for (long v = 0; v < V; v++) {
        if (logits[v] != logits[v]) return -1;
        if (v != hidden && logits[v] > most) most = logits[v];
    }
    if (!noise) {
        for (long v = 0; v < V; v++) if (v != hidden && logits[v] == most) return v;
        return 0;
    }
    if (most == -__builtin_inf()) return -1;
    most = most > 1e300 ? 1e300 : most;
    double best = -__builtin_inf();
    long found = 0;
    for (long v = 0; v < V; v++) {
        double one = logits[v] > 1e300 ? 1e300 : logits[v];
        double score = v == hidden ? -__builtin_inf() : (one - most) / temperature + noise[v];
        if (score > best) { best = score; found = v; }
    }
    return found;
}
"""


@dataclass(frozen=True)
class DrawingProgram(Program):
    """A program whose columns are tables, read at the token that it draws."""

    extra_source: ClassVar[str] = CHOOSE
    extra_pointers: ClassVar[Sequence[tuple[str, str]]] = [
        ("drawn", "long"),
        ("first", "float"),
        ("noise", "double"),
        ("rules", "double"),
    ]

    @property
    def extra_before(self) -> list[str]:  # type: ignore[override]
        """Draw the token that this position reads."""
        V = self.written[0].size
        return [
            f"const float* logits = t ? o0 + (r * T + t - 1) * {V} : first + r * {V};",
            f"drawn[r * T + t] = choose(logits, noise ? noise + (r * T + t) * {V} : 0, rules[0], (long)rules[1], {V});",
        ]

    def _column(self, letter: str, i: int, kind: Kind) -> Buffer:
        if letter == "o":
            return super()._column(letter, i, kind)
        name = f"{letter}{i}"
        token = "(drawn[r * T + t] < 0 ? 0 : drawn[r * T + t])"
        return Buffer(f"q_{name}", kind.ctype, f"{name} + {token} * {kind.size}")


class Drawer:
    """Draws tokens from a model of which everything before the state lies in tables.

    Attributes:
        threads: how many it uses; the tokens are the same with any number.
    """

    def __init__(
        self,
        hoisted: Hoisted,
        state: Sequence[Tensor],
        tables: Sequence[Tensor],
        weights: Sequence[Tensor],
    ) -> None:
        """Compile it.

        Args:
            hoisted: a model's step, its result the logits.
            state: leaves of one row.
            tables: (V, ...) for each projected value.
            weights: what the core takes besides.

        Raises:
            NotTraceable, NoCompiler: why there is no such form.
        """

        def examples(rows: int) -> list[Tensor]:
            return [
                *(value[:1].expand(rows, *value.shape[1:]).clone() for value in (*tables, *state)),
                *weights,
            ]

        core = runnable(hoisted.core)
        graph = trace(lambda *flat: core(flat[0].shape[0], *flat), examples, decompositions())
        self._loop: Loop = forward_only(graph, len(weights))
        P, S = len(tables), len(state)
        takes: list[Role] = [*(("column", i) for i in range(P)), *(("carry", i) for i in range(S))]
        gives: list[list[Role]] = [[("column", 0)]]
        gives += [[("carry", i), ("column", 1 + i)] for i in range(S)]
        program = DrawingProgram(
            name="draw",
            loop=self._loop,
            takes=takes,
            gives=gives,
            carried=[kind_of(node) for node in tensor_inputs(self._loop.graph)[P : P + S]],
            kept={},
        )
        (self._function,) = compile_programs([program])
        self._packed = self._function.packed()
        self.threads = 1
        self.bind(tables, weights)

    def bind(self, tables: Sequence[Tensor], weights: Sequence[Tensor]) -> None:
        """Take other weights of the same model."""
        known = [*weights, *self._loop.constants(1, *weights)]
        self._tables = tables
        self._constants = [known[i] for i in self._loop.needed]
        self._matrices: list[Tensor | None] = [known[i] for i in self._loop.products]

    def choose_threads(self, most: int, logits: Tensor, state: Sequence[Tensor]) -> None:
        """Time a few tokens on 1, 2, ... `most` threads and keep the best number.

        A row of a small model is done before a second thread has heard of it; at 1x512 two threads were measured 1.6
        times as fast as one, at 3x512 twice. It ends where one more is little gain: on a machine that gets busy later
        it would be a loss, at load 6 on four cores by ten times.
        """
        best = math.inf
        for threads in range(1, most + 1):
            self.threads = threads
            seconds = statistics.median(self._timed(logits, state) for _ in range(9))
            if seconds > 0.8 * best:
                self.threads = threads - 1
                return
            best = seconds

    def _timed(self, logits: Tensor, state: Sequence[Tensor]) -> float:
        begin = time.perf_counter()
        self.draw(logits, state, 8, None, 0.0, None)
        return time.perf_counter() - begin

    def draw(
        self,
        logits: Tensor,
        state: Sequence[Tensor],
        count: int,
        noise: Tensor | None,
        temperature: float,
        hidden: int | None,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Draw tokens for each row.

        Args:
            logits: float32 (B, V), for the first token.
            state: leaves (B, ...).
            noise: float64 (B, count, V), or None: the most probable token.
            hidden: a token that is never drawn.

        Returns:
            Tokens int64 (B, count), -1 where the logits are no numbers; logits (B, count, V) after each; leaves of the
            state (B, count, ...) after each.
        """
        rows = len(logits)
        drawn = torch.empty(rows, count, dtype=torch.int64)
        rules = torch.tensor([temperature, -1 if hidden is None else hidden], dtype=torch.float64)
        noise = None if noise is None else noise.contiguous()
        written, _ = self._function(
            rows,
            count,
            self._tables,
            state,
            (),
            None,
            self._constants,
            self._matrices,
            self._packed,
            (drawn, logits.contiguous(), noise, rules),
            self.threads,
        )
        self._matrices = [None] * len(self._matrices)  # packed from now on
        after, *leaves = (column.view(rows, count, *column.shape[1:]) for column in written)
        return drawn, after, leaves

    def step(self, token: int, state: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Read one token; return the logits (1, V) for the next, and the state."""
        only = torch.full((1, self._function.program.written[0].size), -torch.inf)
        only[0, token] = 0.0
        _, after, leaves = self.draw(only, state, 1, None, 0.0, None)
        return after[:, 0], tuple(leaf[:, 0] for leaf in leaves)
