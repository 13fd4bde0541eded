"""What the laws of an architecture have in common: a layer, inputs for it, a way to run it, and comparisons.

A Core is run as it is. A Cell is run by a plain loop over `step`, written here and not taken from the host, so
that the laws say something of the cell alone: that it keeps nothing on `self`, mixes no rows, writes to no input.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from rnn_tui.plugin.core import Cell, Core, State
from rnn_tui.plugin.options import parse_options
from rnn_tui.plugin.state import leaves, map_state
from rnn_tui.plugin.testing.keeping import changed, kept
from rnn_tui.plugin.testing.laws import broken

BATCH, LENGTH = 3, 6

Layer = Cell | Core


class LayerCase:
    """A class under test and the tools to try it; see `ArchitectureLaws` for the attributes."""

    architecture: ClassVar[type]
    options: ClassVar[Mapping[str, Any]] = {}
    input_size: ClassVar[int] = 5
    hidden_size: ClassVar[int] = 8
    dtype: ClassVar[torch.dtype] = torch.float64
    tolerance: ClassVar[float] = 1e-9
    numpy_step: ClassVar[type | None] = None

    def setup_method(self) -> None:
        """One thread, as pytest calls it before each law: for layers this small, others only wait for each other.

        On a machine whose cores were busy the laws of `gru` took 44 s with torch's four threads, and 0.3 s with one.
        """
        self._threads = torch.get_num_threads()
        torch.set_num_threads(1)

    def teardown_method(self) -> None:
        torch.set_num_threads(self._threads)

    def build(self, seed: int = 0, dtype: torch.dtype | None = None, **options: Any) -> Any:
        """Return a layer in evaluation mode, drawn from `seed`."""
        torch.manual_seed(seed)
        declared = getattr(self.architecture, "Options", None)
        values = parse_options(declared, {**self.options, **options}, owner=self.architecture.__name__)
        layer = self.architecture(self.input_size, self.hidden_size, **values)
        if not isinstance(layer, Layer):
            raise broken(f"{self.architecture.__name__} is no subclass of Cell or Core of rnn_tui.plugin")
        return layer.to(dtype or self.dtype).eval()

    def initial(self, layer: Layer, batch: int, dtype: torch.dtype | None = None) -> State:
        """Return the initial state in the type of the weights, even where `initial_state` forgets it: one law tells."""
        wanted = dtype or self.dtype
        return _cast(layer.initial_state(batch, dtype=wanted), wanted)

    def inputs(self, layer: Layer, batch: int = BATCH, length: int = LENGTH) -> tuple[Tensor, State]:
        """Return inputs and a state in the middle of things, always the same ones."""
        generator = torch.Generator().manual_seed(batch * 1000 + length)
        xs = torch.randn(batch, length + 2, self.input_size, generator=generator, dtype=torch.float64)
        xs = xs.to(next(layer.parameters(), torch.empty(0, dtype=self.dtype)).dtype)
        with torch.no_grad():
            _, state = run(layer, xs[:, :2], self.initial(layer, batch, xs.dtype))
        return xs[:, 2:].clone(), state

    def suspicion(self, layer: Layer) -> str:
        """Say as a likely cause what a run leaves on `self`; empty where it is nothing."""
        before = kept(layer)
        xs, state = self.inputs(layer, 2, 2)
        with torch.no_grad():
            run(layer, xs, state)
        deeds = [f"{name} {how} during step" for name, how in changed(before, kept(layer))]
        return f"something is kept on self: {'; '.join(deeds[:3])}" if deeds else ""

    def same(
        self,
        found: Tensor,
        expected: Tensor,
        what: str,
        likely: str = "",
        *,
        tolerance: float | None = None,
        row: int = 0,
    ) -> None:
        """Raise unless two tensors agree within `tolerance`, of the largest value where that is above 1.

        Args:
            row: the number that the first of their rows goes by.
        """
        if found.shape != expected.shape:
            raise broken(
                what, expected=f"shape {tuple(expected.shape)}", came=f"{tuple(found.shape)}", likely=likely
            )
        if not found.numel():
            return
        found, expected = found.detach().double().cpu(), expected.detach().double().cpu()
        gaps = (found - expected).abs().nan_to_num(nan=torch.inf)
        allowed = (self.tolerance if tolerance is None else tolerance) * max(1.0, float(expected.abs().max()))
        if not bool(gaps.max() <= allowed):  # NaN is never below anything
            worst = torch.unravel_index(gaps.argmax(), gaps.shape)
            index = tuple(int(i) for i in worst)
            count = int((gaps > allowed).sum())
            raise broken(
                what,
                expected=f"{float(expected[index]):.6g}{_place(index, row)}",
                came=f"{float(found[index]):.6g}; {count} of {gaps.numel()} entries differ",
                likely=likely,
            )

    def same_state(self, found: State, expected: State, what: str, likely: str = "", *, row: int = 0) -> None:
        """Raise unless two states of one structure agree; `row` as in `same`."""
        if form(found) != form(expected):
            raise broken(what, expected=form(expected), came=form(found), likely=likely)
        for one, other in zip(leaves(found), leaves(expected), strict=True):
            self.same(one, other, what, likely, row=row)


def run(layer: Layer, xs: Tensor, state: State, reset: Tensor | None = None) -> tuple[Tensor, State]:
    """Run over time: (B, T, I) to (B, T, O). A Core by itself, a Cell position by position.

    Both get copies: a layer that writes to what it is given breaks the law against that, and no other.
    """
    if isinstance(layer, Core):
        return pair(layer(xs.clone(), map_state(torch.clone, state), reset=reset), "forward")
    ys = []
    for t in range(xs.shape[1]):
        if reset is not None:
            fresh = _cast(layer.initial_state(xs.shape[0], device=xs.device, dtype=xs.dtype), xs.dtype)
            state = map_state(
                lambda old, new, t=t: torch.where(reset[:, t].view(-1, *[1] * (old.dim() - 1)), new, old),
                state,
                fresh,
            )
        y, state = step(layer, xs[:, t], state)
        ys.append(y)
    return torch.stack(ys, 1), state


def step(layer: Layer, x: Tensor, state: State) -> tuple[Tensor, State]:
    """Take one step with copies of the input and the state."""
    return pair(layer.step(x.clone(), map_state(torch.clone, state)), "step")


def _cast(state: State, dtype: torch.dtype) -> State:
    def cast(leaf: Any) -> Any:
        return leaf.to(dtype) if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf

    return map_state(cast, state)


def pair(result: Any, method: str) -> tuple[Tensor, State]:
    """Return what `step` or `forward` gave, if it is an output and a state."""
    if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[0], Tensor):
        kind = f"a {type(result).__name__}" + (f" of {len(result)}" if isinstance(result, tuple) else "")
        raise broken(f"{method} was called", expected="an output, which is a tensor, and a state", came=kind)
    return result


def form(state: State) -> str:
    """Describe structure, shapes and types of a state."""
    if isinstance(state, Tensor):
        return f"{str(state.dtype).removeprefix('torch.')} {tuple(state.shape)}"
    if isinstance(state, dict):
        return f"{{{', '.join(f'{key}: {form(state[key])}' for key in sorted(state, key=str))}}}"
    if isinstance(state, tuple | list):
        name = type(state).__name__ if hasattr(state, "_fields") or isinstance(state, list) else ""
        return f"{name}({', '.join(map(form, state))})"
    return f"a {type(state).__name__}"


def _place(index: tuple[int, ...], row: int) -> str:
    if len(index) == 3:
        return f" at row {index[0] + row}, position {index[1]}, unit {index[2]}"
    return f" at row {index[0] + row}, unit {', '.join(map(str, index[1:]))}" if len(index) > 1 else ""
