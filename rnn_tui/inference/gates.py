"""How open the gates of a model are while it reads, for any cell.

As A. Karpathy, J. Johnson and L. Fei-Fei, "Visualizing and understanding recurrent networks" (arXiv 1506.02078), do it:
the share of time at which a gate is below 0.1 (left-saturated) and above 0.9 (right-saturated), of each unit.

What a gate is, nobody says of a stranger's cell. Here it is every sigmoid that its step computes, seen by watching the
calls of torch's functions; one within a function compiled by its author is not seen. Its name is what the source calls
it: the variable that it is assigned to, else the variable it is computed from, else its number. Since the states at all
tokens are known, a step is computed for many tokens at once, as rows of a batch.
"""

import ast
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from rnn_tui.inference.parts import Floats
from rnn_tui.inference.trace import Progress, Strand, Trace
from rnn_tui.model.recurrence.written_out import WrittenOut
from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.tasks.evaluation import evaluation_mode

LEFT, RIGHT = 0.1, 0.9
NUMBERS_AT_ONCE = 8_000_000
"""Numbers of a layer's inputs and states that are computed with at once: 32 MB in float32, some times that within."""

_SIGMOIDS = {
    torch.sigmoid,
    torch.sigmoid_,
    torch.Tensor.sigmoid,
    torch.Tensor.sigmoid_,
    torch.special.expit,
    functional.hardsigmoid,
}
_TORCH = str(Path(torch.__file__).parent)


@dataclass(frozen=True, eq=False)
class Gate:
    """One gate of one layer.

    Attributes:
        name: as the cell's source has it.
        place: the layer, and its direction where it has two.
        left, right: (units,), the share of the tokens at which each is below `LEFT` and above `RIGHT`.
        mean: (units,).
    """

    name: str
    place: str
    layer: int
    left: Floats
    right: Floats
    mean: Floats


@torch.no_grad()
def read_gates(model: RecurrentModel, trace: Trace, *, progress: Progress | None = None) -> list[Gate]:
    """Return the gates of each layer, in the order in which its step computes them, over the tokens of a trace.

    None for a step that computes no sigmoid.
    """
    count, gates = len(trace), []
    below: list[Tensor] = []  # what the layer before gives, in pieces
    given: list[Tensor] = []
    with evaluation_mode(model):
        for number, strand in enumerate(trace.strands):
            take = _inputs(model, trace, torch.cat(below, 1) if below else None)
            outputs, found = _watch_strand(model, trace, number, take, progress)
            gates += found
            given.append(outputs)
            if strand.ends_layer:
                below, given = given, []
    if progress:
        progress("gates", count * len(trace.strands), count * len(trace.strands))
    return gates


def _inputs(model: RecurrentModel, trace: Trace, below: Tensor | None) -> Callable[[int, int], Tensor]:
    """Return a function that gives a layer's inputs (n, I) from a first token up to an end."""
    if below is not None:
        return lambda first, end: below[first:end]
    ids = torch.from_numpy(trace.ids).to(model.device)
    return lambda first, end: model.encoder(ids[first:end])


def _watch_strand(
    model: RecurrentModel,
    trace: Trace,
    number: int,
    take: Callable[[int, int], Tensor],
    progress: Progress | None,
) -> tuple[Tensor, list[Gate]]:
    """Step one layer at all tokens; return its outputs (T, O) and its gates."""
    strand, count = trace.strands[number], len(trace)
    units = sum(part.units for part in trace.parts if part.strand == number)
    rows = max(1, NUMBERS_AT_ONCE // (units + strand.recorder.input_size))
    sums: dict[str, list[Tensor]] = {}
    outputs = []
    for first in range(0, count, rows):
        if progress:
            progress("gates", number * count + first, len(trace.strands) * count)
        tokens = np.arange(first, min(first + rows, count))
        state = trace.state_before(number, tokens, model.device)
        x = take(first, first + len(tokens))
        with _Watcher(len(tokens)) as watcher, WrittenOut():
            y, _ = strand.inner.step(x, state)
        outputs.append(y)
        for name, values in watcher.named():
            parts = [(values < LEFT).sum(0), (values > RIGHT).sum(0), values.sum(0, dtype=torch.float64)]
            before = sums.get(name)
            sums[name] = (
                parts if before is None else [old + new for old, new in zip(before, parts, strict=True)]
            )
    return torch.cat(outputs), [_gate(name, strand, parts, count) for name, parts in sums.items()]


def _gate(name: str, strand: Strand, sums: Sequence[Tensor], count: int) -> Gate:
    left, right, mean = ((value.double() / count).float().cpu().numpy() for value in sums)
    return Gate(name, strand.name, strand.layer, left, right, mean)


class _Watcher(TorchFunctionMode):
    """Keeps the result of each sigmoid that has a row for each token, and what the source calls it."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self._rows = rows
        self._seen: list[tuple[tuple[str, ...], Tensor]] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _SIGMOIDS and result.dim() > 1 and len(result) == self._rows:
            self._seen.append((_called(sys._getframe(1)), result.detach().flatten(1).clone()))
        return result

    def named(self) -> list[tuple[str, Tensor]]:
        """Return each gate's name and values (n, units); one sigmoid over several gates is divided among them."""
        found: dict[str, Tensor] = {}
        for names, values in self._seen:
            if not names or values.shape[1] % len(names):
                names = (f"gate {len(found) + 1}",)
            for name, part in zip(names, values.chunk(len(names), 1), strict=True):
                again = (f"{name} {i}" for i in itertools.count(2))
                found[name if name not in found else next(n for n in again if n not in found)] = part
        return list(found.items())


def _called(frame: FrameType | None) -> tuple[str, ...]:
    """Return what the source that called torch names the result of this call; nothing where it does not."""
    while frame is not None and _passes_on(frame.f_code):
        frame = frame.f_back
    if frame is None:
        return ()
    places = next(itertools.islice(frame.f_code.co_positions(), frame.f_lasti // 2, None), None)
    if places is None:
        return ()
    line, last_line, column, last_column = places
    return _names(frame.f_code.co_filename).get((line, column, last_line, last_column), ())


def _passes_on(code: CodeType) -> bool:
    """Whether a function stands between a cell and a sigmoid: one of torch, or a mode that looks on."""
    return code.co_filename.startswith(_TORCH) or code.co_name == "__torch_function__"


@lru_cache(maxsize=64)
def _names(path: str) -> Mapping[tuple[int | None, ...], tuple[str, ...]]:
    """Return the names of the calls in a source file, by where each begins and ends."""
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    names: dict[tuple[int | None, ...], tuple[str, ...]] = {}
    for node in ast.walk(tree):
        if isinstance(
            node, ast.Call
        ):  # a parent comes before its children: what is assigned has its name already
            names.setdefault(_place(node), _argument(node))
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            names |= _assigned(node.targets[0], node.value)
    return names


def _place(node: ast.expr) -> tuple[int | None, ...]:
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset


def _argument(call: ast.Call) -> tuple[str, ...]:
    """`torch.sigmoid(f)` and `f.sigmoid()` are named f."""
    inside = call.args[0] if call.args else call.func.value if isinstance(call.func, ast.Attribute) else None
    return (inside.id,) if isinstance(inside, ast.Name) and inside.id != "self" else ()


def _assigned(target: ast.expr, value: ast.expr) -> dict[tuple[int | None, ...], tuple[str, ...]]:
    """`r = torch.sigmoid(…)`, `r, z = torch.sigmoid(…), torch.sigmoid(…)` and `r, z = torch.sigmoid(…).chunk(2, 1)`."""
    if isinstance(target, ast.Name) and isinstance(value, ast.Call):
        return {_place(value): (target.id,)}
    if not isinstance(target, ast.Tuple):
        return {}
    if isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts):
        found: dict[tuple[int | None, ...], tuple[str, ...]] = {}
        for one, result in zip(target.elts, value.elts, strict=True):
            found |= _assigned(one, result)
        return found
    names = tuple(one.id for one in target.elts if isinstance(one, ast.Name))
    if (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and len(names) == len(target.elts)
    ):
        whole = value.args[0] if isinstance(value.func.value, ast.Name) and value.args else value.func.value
        if value.func.attr in ("chunk", "split") and isinstance(whole, ast.Call):
            return {_place(whole): names}
    return {}
