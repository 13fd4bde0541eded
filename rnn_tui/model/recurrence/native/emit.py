"""The graph of one step as C that runs it row by row.

A row of the batch needs nothing of the others but in products, which run for all rows at once. So a step falls into
segments of row work with products between them: a value's level is the number of products on the way to it, segment l
computes the values of level l, and products whose operand is of level l - 1 run before it.

Within a segment, operators on elements that have one shape are written as one loop; what only they use never leaves a
register. Views are offsets and strides. What is needed in another segment lies in a workspace of B rows, the rest in a
scratch row of the thread, which fits a cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import fx

from rnn_tui.model.recurrence.graph import ATEN, NotTraceable, is_size, outputs, tensor_inputs
from rnn_tui.model.recurrence.native.operators import REDUCTIONS, expression, on_elements, read_by
from rnn_tui.model.recurrence.native.views import (
    KEEPS_ORDER,
    RESHAPES,
    Buffer,
    Shape,
    View,
    broadcast,
    ctype,
    cut,
    inner,
    is_many,
    is_view,
    look,
    merge_dims,
    row_dim,
    size_of,
    strides_of,
)
from rnn_tui.model.recurrence.product import apply


@dataclass
class Product:
    """One product of a step: `out` (rows, N) of `a` (rows, K) and the prepared matrix `weight`."""

    node: fx.Node
    weight: int
    a: fx.Node
    level: int


@dataclass
class Group:
    """Nodes that one loop computes: element operators of one shape, or a single node of another kind."""

    shape: Shape
    nodes: list[fx.Node]
    elements: bool


@dataclass
class Body:
    """A step in C.

    Attributes:
        segments: the row work of each level, as text of a loop body; `r` is the row.
        products: in order of level.
        workspaces: (name, ctype, elements of a row) of what lives between segments.
        scratch: floats of a thread's scratch row.
    """

    segments: list[str]
    products: list[tuple[int, str]]
    workspaces: list[tuple[str, str, int]]
    scratch: int


@dataclass
class Emitter:
    """Writes one graph.

    Args:
        graph: of a step, see `split.Loop`.
        inputs: where the tensors that it takes lie, products left out.
        destinations: where each of its results goes, to several places or to none.
        widths: (K, N) of each product.
        attributes: where the tensors lie that the step holds itself.
    """

    graph: fx.Graph
    inputs: Sequence[Buffer]
    destinations: Sequence[Sequence[Buffer]]
    widths: Sequence[tuple[int, int]]
    attributes: dict[str, Buffer]
    _views: dict[fx.Node, View] = field(default_factory=dict)
    _level: dict[fx.Node, int] = field(default_factory=dict)
    _homes: dict[fx.Node, list[Buffer]] = field(default_factory=dict)
    _group: dict[fx.Node, tuple[int, int]] = field(default_factory=dict)
    _workspaces: list[tuple[str, str, int]] = field(default_factory=list)
    _copies: list[tuple[int, View, fx.Node]] = field(default_factory=list)
    _scratch: int = 0

    def body(self) -> Body:
        """Return the step.

        Raises:
            NotTraceable: for what has no form in C here.
        """
        placeholders = tensor_inputs(self.graph)
        self._weights = {node: i for i, node in enumerate(placeholders[len(self.inputs) :])}
        for node, buffer in zip(placeholders, self.inputs, strict=False):
            self._views[node] = View(buffer, inner(node), strides_of(inner(node)))
            self._level[node] = 0
        for node in self.graph.nodes:
            if node.op == "get_attr":
                self._views[node] = View(
                    self.attributes[str(node.target)], inner(node), strides_of(inner(node))
                )
                self._level[node] = 0
        for node, buffers in zip(outputs(self.graph), self.destinations, strict=True):
            if buffers:
                self._homes.setdefault(node, []).extend(buffers)
        self._nodes = [n for n in self.graph.nodes if n.op == "call_function" and not is_size(n)]
        self._bases()
        products = [self._product(n) for n in self._nodes if n.target is apply]
        last = max(self._level.values(), default=0)
        groups = [self._groups(level) for level in range(last + 1)]
        self._place()
        calls = [(p.level, self._call(p)) for p in sorted(products, key=lambda p: p.level)]
        segments = [self._segment(groups[level], level) for level in range(last + 1)]
        return Body(segments, calls, self._workspaces, self._scratch)

    # -- what each node is -------------------------------------------------------------------------------------

    def _bases(self) -> None:
        """Find the level of each node, and the node whose memory it looks at, itself where it has its own."""
        self._base: dict[fx.Node, fx.Node] = {}
        for node in self._nodes:
            sources = [s for s in node.all_input_nodes if s in self._level]
            self._level[node] = max((self._level[s] for s in sources), default=0)
            if node.target is apply:
                self._level[node] += 1
            elif is_many(node):
                self._base[node] = node.args[0]
                continue
            if not node.meta["batch"] and any(source.meta["batch"] for source in read_by(node)):
                raise NotTraceable("it mixes the rows of the batch")
            ctype(node)
            if is_view(node):
                source = node.args[0]
                if is_many(source):
                    source = source.args[0]
                if node.target in RESHAPES and not self._can_reshape(source):
                    continue  # a copy
                self._base[node] = source

    def _can_reshape(self, node: fx.Node) -> bool:
        """Whether the elements of a row lie as in a contiguous one, as far as is known before anything is placed."""
        while node in self._base:
            if node.target not in KEEPS_ORDER:
                return False
            node = self._base[node]
        return True

    def _root(self, node: fx.Node) -> fx.Node:
        while node in self._base:
            node = self._base[node]
        return node

    def _product(self, node: fx.Node) -> Product:
        weight, a = node.args
        assert isinstance(weight, fx.Node)
        assert isinstance(a, fx.Node)
        if len(inner(a)) != 1:
            raise NotTraceable("a product in it has an operand that is not rows by width")
        return Product(node, self._weights[weight], a, self._level[node])

    # -- loops -------------------------------------------------------------------------------------------------

    def _groups(self, level: int) -> list[Group]:
        groups: list[Group] = []
        for node in self._nodes:
            if self._level[node] != level or node.target is apply or node in self._base or is_many(node):
                continue
            elements, shape = on_elements(node), inner(node)
            first = 0
            for source in read_by(node):
                root = self._root(source) if source in self._level else source
                if root in self._group and self._group[root][0] == level:
                    index = self._group[root][1]
                    aligned = (
                        elements
                        and root is source
                        and groups[index].elements
                        and groups[index].shape == shape
                    )
                    first = max(first, index if aligned else index + 1)
            for index in range(first, len(groups)):
                if elements and groups[index].elements and groups[index].shape == shape:
                    groups[index].nodes.append(node)
                    break
            else:
                index = len(groups)
                groups.append(Group(shape, [node], elements))
            self._group[node] = (level, index)
        return groups

    def _place(self) -> None:
        """Give memory to every node that needs it."""
        for node in self._nodes:
            if is_many(node) or node in self._base:
                continue
            if node.target is apply:
                self._views[node] = self._workspace(node, "m")
                continue
            lookers = [n for n in self._nodes if n is not node and self._root(n) is node and n in self._base]
            readers = {user for seen in (node, *lookers) for user in seen.users if user not in lookers}
            far = any(
                self._level.get(u, 0) - (u.target is apply) != self._level[node] or u.target is apply
                for u in readers
                if u in self._level
            )
            same_loop = not lookers and all(
                u not in self._level or (self._group.get(u) == self._group[node] and on_elements(u))
                for u in readers
            )
            stays = same_loop and on_elements(node) and node not in self._homes
            if node in self._homes:
                self._own(node, self._homes[node][0])
            elif far:
                self._views[node] = self._workspace(node)
            elif not stays:
                name = f"s{self._scratch}"
                floats = -(-size_of(inner(node)) * (2 if ctype(node) == "long" else 1) // 16) * 16
                start = self._scratch
                self._scratch += floats
                self._own(node, Buffer(f"q_{name}", ctype(node), f"({ctype(node)}*)(scratch + {start})"))

    def _own(self, node: fx.Node, buffer: Buffer) -> None:
        self._views[node] = View(buffer, inner(node), strides_of(inner(node)))

    def _view(self, node: fx.Node) -> View:
        if node not in self._views:
            self._views[node] = look(node, self._view(self._source(node)))
        return self._views[node]

    def _source(self, node: fx.Node) -> fx.Node:
        source = node.args[0]
        assert isinstance(source, fx.Node)
        return source.args[0] if is_many(source) else source  # type: ignore[return-value]

    def _call(self, product: Product) -> str:
        view, out = self._view(product.a), self._views[product.node].buffer
        K, N = self.widths[product.weight]
        if view.strides != (1,) or view.buffer.matrix is None:  # copied to rows one after the other
            view = self._workspace(product.a)
            self._copies.append((product.level - 1, view, product.a))
        assert view.buffer.matrix is not None
        assert out.matrix is not None
        first, distance = view.buffer.matrix
        a = f"{first} + {view.offset}" if view.offset else first
        return f"rt_product({a}, {distance}, packed{product.weight}, {K}, {N}, {out.matrix[0]}, {N}, B, part, parts);"

    def _workspace(self, node: fx.Node, letter: str = "w") -> View:
        """Memory for a node in B rows."""
        name, width = f"{letter}{len(self._workspaces)}", size_of(inner(node))
        self._workspaces.append((name, ctype(node), width))
        buffer = Buffer(f"q_{name}", ctype(node), f"{name} + r * {width}", (name, str(width)))
        return View(buffer, inner(node), strides_of(inner(node)))

    # -- text --------------------------------------------------------------------------------------------------

    def _segment(self, groups: list[Group], level: int) -> str:
        self._used: dict[str, Buffer] = {}
        lines: list[str] = []
        for group in groups:
            if group.elements:
                lines += self._loop(group)
            else:
                lines += self._special(group.nodes[0])
        for node, homes in self._homes.items():
            if self._level.get(node, 0) != level:
                continue
            if node in self._group:  # its own loop stored it, in all of its homes or in the first
                homes = [] if on_elements(node) else homes[1:]
            for home in homes:
                lines += self._copy(View(home, inner(node), strides_of(inner(node))), self._view(node))
        for of, view, node in self._copies:
            if of == level:
                lines += self._copy(view, self._view(node))
        pointers = [f"{b.ctype}* {b.name} = {b.row};" for b in self._used.values() if b.row]
        return "\n".join([*pointers, *lines])

    def _at(self, view: View, index: Sequence[str]) -> str:
        self._used[view.buffer.name] = view.buffer
        terms = [f"{i} * {s}" if s != 1 else i for i, s in zip(index, view.strides, strict=True) if s]
        if view.offset:
            terms.append(str(view.offset))
        return f"{view.buffer.name}[{' + '.join(terms) or '0'}]"

    def _loop(self, group: Group) -> list[str]:
        members = set(group.nodes)
        operands: dict[fx.Node, View] = {}
        for node in group.nodes:
            for source in read_by(node):
                if source in self._level and source not in members:
                    operands[source] = broadcast(self._view(source), group.shape, source.meta["batch"])
        stores: list[tuple[fx.Node, View]] = []
        for node in group.nodes:
            homes = self._homes.get(node) or ([self._views[node].buffer] if node in self._views else [])
            stores += [(node, View(home, group.shape, strides_of(group.shape))) for home in homes]
        shape, views = merge_dims(group.shape, [*operands.values(), *(view for _, view in stores)])
        index = [f"i{d}" for d in range(len(shape))]
        operands = dict(zip(operands, views, strict=False))
        names: dict[fx.Node, str] = {}
        text = []
        for source, view in operands.items():
            names[source] = f"x{len(names)}"
            text.append(f"const {view.buffer.ctype} {names[source]} = {self._at(view, index)};")
        for node in group.nodes:
            names[node] = f"v{len(names)}"
            text.append(f"const {ctype(node)} {names[node]} = {expression(node, names)};")
        for (node, _), view in zip(stores, views[len(operands) :], strict=True):
            text.append(f"{self._at(view, index)} = {names[node]};")
        return nest(shape, text)

    def _copy(self, target: View, source: View) -> list[str]:
        shape, (to, of) = merge_dims(target.shape, [target, broadcast(source, target.shape, True)])
        index = [f"i{d}" for d in range(len(shape))]
        return nest(shape, [f"{self._at(to, index)} = {self._at(of, index)};"])

    def _special(self, node: fx.Node) -> list[str]:
        """A node that is no operator on elements: parts put side by side, a part overwritten, a sum over elements."""
        out = self._views[node]
        if node.target is ATEN.cat.default:
            lines, at = [], 0
            number: Any = node.args[1] if len(node.args) > 1 else 0
            dim = row_dim(node, number)
            for part in node.args[0]:  # type: ignore[union-attr]
                view = self._view(part)  # type: ignore[arg-type]
                lines += self._copy(
                    View(out.buffer, view.shape, out.strides, out.offset + at * out.strides[dim]), view
                )
                at += view.shape[dim]
            return lines
        if node.target in (ATEN.select_scatter.default, ATEN.slice_scatter.default):
            base, part = (self._view(n) for n in node.args[:2])  # type: ignore[arg-type]
            like = ATEN.select.int if node.target is ATEN.select_scatter.default else ATEN.slice.Tensor
            return self._copy(out, base) + self._copy(cut(like, out, node, node.args[2:]), part)
        if node.target in REDUCTIONS:
            return self._reduction(node, REDUCTIONS[node.target], out)
        if node.target in RESHAPES:  # of something that does not lie in order
            view = self._view(self._source(node))
            return self._copy(View(out.buffer, view.shape, strides_of(view.shape), out.offset), view)
        raise NotTraceable(f"{node.target} has no form in C here")

    def _reduction(self, node: fx.Node, kind: str, out: View) -> list[str]:
        source = self._view(node.args[0])  # type: ignore[arg-type]
        dims = node.args[1] if len(node.args) > 1 else []
        if not dims or node.kwargs:
            raise NotTraceable(f"{node.target} in this form has no form in C here")
        reduced = sorted({row_dim(node.args[0], d) for d in dims})  # type: ignore[union-attr,arg-type]
        kept = [d for d in range(len(source.shape)) if d not in reduced]
        keep = bool(node.args[2]) if len(node.args) > 2 else False
        over = View(
            source.buffer,
            tuple(source.shape[d] for d in reduced),
            tuple(source.strides[d] for d in reduced),
            source.offset,
        )
        shape, [over] = merge_dims(over.shape, [over])
        outside = [f"k{d}" for d in kept]
        index = [f"i{d}" for d in range(len(shape))]
        first = View(source.buffer, shape, over.strides, over.offset)
        offset = " + ".join(f"{k} * {source.strides[d]}" for k, d in zip(outside, kept, strict=True))
        element = self._at(first, index)
        if offset:
            element = element.replace("[", f"[{offset} + ", 1)
        T = out.buffer.ctype
        if kind == "amax":
            start, text, pragma = (
                "-__builtin_inff()",
                f"a = ({element} > a || {element} != {element}) ? {element} : a;",
                "",
            )
        else:
            start, text, pragma = "0", f"a += {element};", "RT_SUM(a)"
        inside = nest(shape, [text], pragma)
        to = [f"k{d}" if d in kept else "0" for d in range(len(source.shape))] if keep else outside
        scale = f" * (1.0f / {size_of(over.shape)})" if kind == "mean" else ""
        lines = [f"{T} a = {start};", *inside, f"{self._at(out, to)} = a{scale};"]
        for d in reversed(kept):
            lines = [f"for (long k{d} = 0; k{d} < {source.shape[d]}; k{d}++) {{", *lines, "}"]
        return ["{", *lines, "}"] if not kept else lines


def nest(shape: Shape, text: list[str], pragma: str = "RT_INDEPENDENT") -> list[str]:
    """Put lines into loops over a shape, i0 the outermost; the pragma is the innermost's."""
    if not shape:
        return ["{", *text, "}"]
    lines = text
    for d in reversed(range(len(shape))):
        loop = [f"for (long i{d} = 0; i{d} < {shape[d]}; i{d}++) {{", *lines, "}"]
        lines = [*([pragma] if pragma and d == len(shape) - 1 else []), *loop]
    return lines
