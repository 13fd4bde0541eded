"""A step's graph at every position of a sequence, as one C function.

The function is one parallel region. Each thread has rows of its own for the row work and a share of every product;
they meet at a barrier before and after the products of a level, and nowhere else: a cell without a product over its
state runs each row to the end by itself. States, what is kept for the backward and outputs are written where they are
read later, so nothing is stacked afterwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import torch
from torch import Tensor, fx

from rnn_tui.model.recurrence.graph import NotTraceable, outputs, tensor_inputs
from rnn_tui.model.recurrence.native.emit import Emitter
from rnn_tui.model.recurrence.native.operators import CTYPES
from rnn_tui.model.recurrence.native.views import Buffer, Shape, size_of
from rnn_tui.model.recurrence.split import Loop

PREAMBLE = """
#define RT_ALIGN(n) (((n) + 63) & ~63L)
#define RT_PRAGMA(text) _Pragma(#text)
#define RT_SUM(a) RT_PRAGMA(omp simd reduction(+ : a))
#if defined(__clang__)
#define RT_INDEPENDENT RT_PRAGMA(clang loop vectorize(assume_safety))
#else
#define RT_INDEPENDENT RT_PRAGMA(GCC ivdep)
#endif
#define RT_PARALLEL(n) \\
    rt_team team; \\
    RT_PRAGMA(omp parallel num_threads((int)(n))) { \\
        const long part = rt_thread(), parts = rt_threads(); \\
        int phase = 0; \\
        RT_PRAGMA(omp single) \\
        rt_team_init(&team, (int)parts); /* at its end all wait */ \\
        (void)phase;
#define RT_BARRIER rt_barrier(&team, &phase)
#define RT_END }
long packed_floats(long K, long N) { return rt_panels(N) * RT_NR * K; }
"""

Role = tuple[Literal["column", "carry"], int]
"""A value of a position: one of the columns (B * T, ...), or a part of what is carried from position to position."""


@dataclass(frozen=True)
class Kind:
    """The shape of one row, and its type."""

    shape: Shape
    dtype: torch.dtype

    @property
    def ctype(self) -> str:
        try:
            return CTYPES[self.dtype]
        except KeyError:
            raise NotTraceable(f"it computes with {self.dtype}") from None

    @property
    def size(self) -> int:
        return size_of(self.shape)

    def empty(self, rows: int) -> Tensor:
        """Memory for so many rows."""
        return torch.empty(rows, *self.shape, dtype=self.dtype)


def kind_of(node: fx.Node) -> Kind:
    """The kind of a node's value; of a constant as a whole."""
    shape = tuple(node.meta["shape"])
    return Kind(shape[1:] if node.meta["batch"] else shape, node.meta["dtype"])


@dataclass(frozen=True)
class Program:
    """What a sequence function does.

    Attributes:
        name: of the C function.
        loop: the step.
        takes: the role of each input of the step but constants and products.
        gives: the roles of each of its results; one may go to several places, or to none.
        carried: what goes from position to position.
        kept: what of it is also written to a column, as it is before the step: its index to that column. These columns
            come after those of `gives`.
        reverse: from the last position to the first, as a backward.
    """

    name: str
    loop: Loop
    takes: Sequence[Role]
    gives: Sequence[Sequence[Role]]
    carried: Sequence[Kind]
    kept: dict[int, int]
    reverse: bool = False

    extra_source: ClassVar[str] = ""
    extra_pointers: ClassVar[Sequence[tuple[str, str]]] = ()
    extra_before: ClassVar[Sequence[str]] = ()

    @cached_property
    def columns(self) -> list[Kind]:
        """The columns that are read, in order."""
        return _columns(tensor_inputs(self.loop.graph), [[role] for role in self.takes])

    @cached_property
    def written(self) -> list[Kind]:
        """The columns that are written, in order."""
        written = _columns(outputs(self.loop.graph), self.gives)
        return [*written, *(self.carried[i] for i, _ in sorted(self.kept.items(), key=lambda item: item[1]))]

    @cached_property
    def given(self) -> list[Kind]:
        """The constants that the step takes."""
        first = len(self.takes)
        return [kind_of(n) for n in tensor_inputs(self.loop.graph)[first : first + len(self.loop.needed)]]

    @cached_property
    def held(self) -> dict[str, Tensor]:
        """The constants that it brings."""
        return {str(n.target): n.meta["value"] for n in self.loop.graph.nodes if n.op == "get_attr"}

    @cached_property
    def widths(self) -> list[tuple[int, int]]:
        """(K, N) of each product."""
        products = tensor_inputs(self.loop.graph)[len(self.takes) + len(self.loop.needed) :]
        return [node.meta["shape"] for node in products]

    def source(self) -> str:
        """Return the function in C, and `NAME_bytes`, which tells the workspace that it needs.

        Raises:
            NotTraceable: for a step that has no form in C.
        """
        body = Emitter(
            self.loop.graph,
            [
                *(self._read(role) for role in self.takes),
                *(Buffer(f"K{i}", kind.ctype) for i, kind in enumerate(self.given)),
            ],
            [[self._write(role) for role in roles] for roles in self.gives],
            self.widths,
            {name: Buffer(f"A{i}", CTYPES[v.dtype]) for i, (name, v) in enumerate(self.held.items())},
        ).body()
        pointers = self._pointers()
        sizes = [
            *((name, ctype, f"B * {size}") for name, ctype, size in body.workspaces),
            *(
                (f"L{i}", kind.ctype, f"2 * B * {kind.size}")
                for i, kind in enumerate(self.carried)
                if i not in self.kept
            ),
            ("scratches", "float", f"dims[2] * {body.scratch}"),
        ]
        lines = [
            self.extra_source,
            f"long {self.name}_bytes(const long* dims) {{",
            "const long B = dims[0];",
            "long total = 0;",
        ]
        lines += [f"total += RT_ALIGN(({size}) * (long)sizeof({ctype}));" for _, ctype, size in sizes]
        lines += ["return total + 64 + 0 * B;", "}"]
        lines += [f"void {self.name}(const long* dims, void* const* p) {{"]
        lines += ["const long B = dims[0], T = dims[1];"]
        lines += [f"{ctype}* const {name} = p[{i}];" for i, (name, ctype) in enumerate(pointers)]
        lines += ["char* at = (char*)RT_ALIGN((long)workspace);"]
        for name, ctype, size in sizes:
            lines += [f"{ctype}* const {name} = ({ctype}*)at;"]
            lines += [f"at += RT_ALIGN(({size}) * (long)sizeof({ctype}));"]
        lines += ["RT_PARALLEL(dims[2])"]
        lines += ["const long r0 = B * part / parts, r1 = B * (part + 1) / parts;"]
        lines += [f"float* const scratch = scratches + part * {body.scratch}; (void)scratch;"]
        lines += self._beginning()
        lines += ["for (long s = 0; s < T; s++) {"]
        lines += ["const long t = " + ("T - 1 - s;" if self.reverse else "s;")]
        lines += self._states()
        for level, segment in enumerate(body.segments):
            calls = [text for of, text in body.products if of == level]
            if calls:
                lines += ["RT_BARRIER;", *calls, "RT_BARRIER;"]
            first, last = level == 0, level == len(body.segments) - 1
            lines += ["for (long r = r0; r < r1; r++) {"]
            lines += self._before() if first else []
            lines += [segment]
            lines += self._after() if last else []
            lines += ["}"]
        lines += ["}", "RT_END", "}"]
        return "\n".join(lines)

    def _read(self, role: Role) -> Buffer:
        what, i = role
        if what == "carry":
            return Buffer(f"q_h{i}", self.carried[i].ctype, f"h{i} + r * h{i}_s", (f"h{i}", f"h{i}_s"))
        return self._column("c", i, self.columns[i])

    def _write(self, role: Role) -> Buffer:
        what, i = role
        if what == "carry":
            return Buffer(f"q_g{i}", self.carried[i].ctype, f"g{i} + r * g{i}_s", (f"g{i}", f"g{i}_s"))
        return self._column("o", i, self.written[i])

    def _column(self, letter: str, i: int, kind: Kind) -> Buffer:
        name, n = f"{letter}{i}", kind.size
        return Buffer(
            f"q_{name}", kind.ctype, f"{name} + (r * T + t) * {n}", (f"({name} + t * {n})", f"T * {n}")
        )

    def _pointers(self) -> list[tuple[str, str]]:
        return [
            ("workspace", "char"),
            ("reset", "unsigned char"),
            ("strides", "long"),
            *self.extra_pointers,
            *((f"c{i}", kind.ctype) for i, kind in enumerate(self.columns)),
            *((f"o{i}", kind.ctype) for i, kind in enumerate(self.written)),
            *((f"begin{i}", kind.ctype) for i, kind in enumerate(self.carried)),
            *((f"end{i}", kind.ctype) for i, kind in enumerate(self.carried)),
            *((f"fresh{i}", kind.ctype) for i, kind in enumerate(self.carried)),
            *((f"K{i}", kind.ctype) for i, kind in enumerate(self.given)),
            *((f"A{i}", CTYPES[v.dtype]) for i, v in enumerate(self.held.values())),
            *((f"weight{i}", "float") for i in range(len(self.widths))),
            *((f"packed{i}", "float") for i in range(len(self.widths))),
        ]

    def _beginning(self) -> list[str]:
        lines = [
            f"if (weight{i}) rt_pack(weight{i}, strides[{2 * i}], strides[{2 * i + 1}], {K}, {N}, packed{i}, "
            f"rt_panels({N}) * part / parts, rt_panels({N}) * (part + 1) / parts);"
            for i, (K, N) in enumerate(self.widths)
        ]
        for i, kind in enumerate(self.carried):
            start = " + (T - 1)" if self.reverse else ""
            first = f"L{i} + r * {kind.size}"
            if i in self.kept:
                first = f"o{self.kept[i]} + (r * T{start}) * {kind.size}"
            lines += [
                f"for (long r = r0; r < r1; r++) memcpy({first}, begin{i} + r * {kind.size}, "
                f"{kind.size} * sizeof({kind.ctype}));"
            ]
        return lines

    def _states(self) -> list[str]:
        lines = []
        for i, kind in enumerate(self.carried):
            T, n = kind.ctype, kind.size
            if i in self.kept:
                o = f"o{self.kept[i]}"
                lines += [f"{T}* h{i} = {o} + t * {n}; const long h{i}_s = T * {n};"]
                lines += [
                    f"{T}* g{i} = s + 1 < T ? {o} + (t {'-' if self.reverse else '+'} 1) * {n} : end{i};"
                ]
                lines += [f"const long g{i}_s = s + 1 < T ? T * {n} : {n};"]
            else:
                lines += [f"{T}* h{i} = L{i} + (s & 1) * B * {n}; const long h{i}_s = {n};"]
                lines += [f"{T}* g{i} = s + 1 < T ? L{i} + (~s & 1) * B * {n} : end{i};"]
                lines += [f"const long g{i}_s = {n};"]
            lines += [f"(void)h{i}; (void)h{i}_s; (void)g{i}; (void)g{i}_s;"]
        return lines

    def _before(self) -> list[str]:
        """Forward: a reset puts the initial state in the place of the old one."""
        if self.reverse or not self.carried:
            return []
        copies = [
            f"memcpy(h{i} + r * h{i}_s, fresh{i} + r * {kind.size}, {kind.size} * sizeof({kind.ctype}));"
            for i, kind in enumerate(self.carried)
        ]
        return ["if (reset && reset[r * T + t]) {", *copies, "}", *self.extra_before]

    def _after(self) -> list[str]:
        """Backward: what nothing carried on is zero, and at a reset the gradient goes to what was put in place."""
        if not self.reverse:
            return []
        given = {i for roles in self.gives for what, i in roles if what == "carry"}
        lines = [
            f"for (long i = 0; i < {kind.size}; i++) g{i_}[r * g{i_}_s + i] = 0;"
            for i_, kind in enumerate(self.carried)
            if i_ not in given
        ]
        moves = [
            f"for (long i = 0; i < {kind.size}; i++) {{ fresh{k}[r * {kind.size} + i] += g{k}[r * g{k}_s + i]; "
            f"g{k}[r * g{k}_s + i] = 0; }}"
            for k, kind in enumerate(self.carried)
            if k in given
        ]
        return [*lines, "if (reset && reset[r * T + t]) {", *moves, "}"]


def _columns(nodes: Sequence[fx.Node], roles: Sequence[Sequence[Role]]) -> list[Kind]:
    found = {
        index: kind_of(node)
        for node, several in zip(nodes, roles, strict=False)
        for what, index in several
        if what == "column"
    }
    return [found[index] for index in range(len(found))]
