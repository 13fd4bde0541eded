"""Laws of an architecture.

A Core is run as it is. A Cell is run by a plain loop over `step`, written here and not taken from the host, so
that the laws say something of the cell alone: that it keeps nothing on `self`, mixes no rows, writes to no input.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import safetensors.torch
import torch
from torch import Tensor

from rnn_tui.plugin import API_VERSION
from rnn_tui.plugin.core import Cell, Core, State
from rnn_tui.plugin.options import option_infos, parse_options
from rnn_tui.plugin.state import leaves, map_state

BATCH, LENGTH = 3, 6


class ArchitectureLaws:
    """Subclass, set `architecture`, and let pytest collect it.

    Attributes:
        architecture: The class under test.
        options: Its options, where they are not the defaults.
        dtype: Of the arithmetic; float64, so that a difference means something. A kernel that has only float32
            sets it, and `tolerance` with it.
        tolerance: Largest difference between two ways to the same numbers.
    """

    architecture: ClassVar[type]
    options: ClassVar[Mapping[str, Any]] = {}
    input_size: ClassVar[int] = 5
    hidden_size: ClassVar[int] = 8
    dtype: ClassVar[torch.dtype] = torch.float64
    tolerance: ClassVar[float] = 1e-9

    # ------------------------------------------------------------------------------------------ the laws

    def test_declares_itself(self, layer: Cell | Core) -> None:
        assert isinstance(layer, Cell | Core), "subclass Cell or Core of rnn_tui.plugin"
        assert layer.api_version == API_VERSION
        assert layer.output_size >= 1
        if isinstance(layer, Core):
            assert layer.input_size == self.input_size
        assert (self.architecture.__doc__ or "").strip(), "the docstring is what `plugins show` prints"

    def test_every_choice_of_every_option_builds(self) -> None:
        for info in option_infos(getattr(self.architecture, "Options", None)):
            for choice in info.choices if info.type == "choice" else ():
                self.build(0, **{info.name: choice})

    def test_shapes(self, layer: Cell | Core) -> None:
        """Outputs are (B, T, O); a state keeps its structure, shapes and type, dimension 0 is the batch."""
        for batch, length in ((BATCH, LENGTH), (1, 1)):
            xs, state = self.inputs(layer, batch, length)[0], self.initial(layer, batch)
            before = _describe(state)
            assert all(shape[0] == batch for shape, _ in before), f"dimension 0 is not the batch: {before}"
            ys, after = run(layer, xs, state)
            assert ys.shape == (batch, length, layer.output_size)
            assert ys.dtype == self.dtype
            assert _describe(after) == before, "the state changed its shapes or types"
            assert _structure(after) == _structure(state), "the state changed its structure"

    def test_initial_state_is_where_it_is_asked_for(self, layer: Cell | Core) -> None:
        state = layer.initial_state(2, device=torch.device("cpu"), dtype=torch.float32)
        assert all(leaf.dtype == torch.float32 and leaf.device.type == "cpu" for leaf in leaves(state))
        assert all(
            leaf.dtype == self.dtype for leaf in leaves(layer.initial_state(2)) if leaf.is_floating_point()
        )

    def test_step_equals_sequence(self, layer: Cell | Core) -> None:
        xs, state = self.inputs(layer)
        ys, end = run(layer, xs, state)
        for t in range(LENGTH):
            y, state = layer.step(xs[:, t], state)
            self.same(y, ys[:, t], f"step {t}")
        self.same_state(state, end, "state after the last step")

    def test_a_split_changes_nothing(self, layer: Cell | Core) -> None:
        """Two halves with the state carried over are the whole, whatever else the layer did in between."""
        xs, state = self.inputs(layer)
        ys, end = run(layer, xs, state)
        for cut in range(1, LENGTH):
            first, middle = run(layer, xs[:, :cut], state)
            run(layer, *self.inputs(layer, 2, 2))  # something kept on self would now be another's
            second, last = run(layer, xs[:, cut:], middle)
            self.same(torch.cat([first, second], 1), ys, f"cut at {cut}")
            self.same_state(last, end, f"cut at {cut}")

    def test_a_reset_is_a_fresh_start(self, layer: Cell | Core) -> None:
        xs, state = self.inputs(layer)
        plain, _ = run(layer, xs, state)
        reset = torch.zeros(BATCH, LENGTH, dtype=torch.bool)
        reset[1, 0] = reset[1, 2] = reset[2, 2] = reset[2, LENGTH - 1] = True
        ys, end = run(layer, xs, state, reset)
        self.same(ys[0], plain[0], "the row without a reset")
        for row, start in ((1, 2), (2, LENGTH - 1)):
            alone, fresh_end = run(layer, xs[row : row + 1, start:], self.initial(layer, 1))
            self.same(ys[row, start:], alone[0], f"row {row} from {start}")
            self.same_state(
                map_state(lambda leaf, r=row: leaf[r : r + 1], end), fresh_end, f"state of row {row}"
            )
        self.same(ys[2, :2], plain[2, :2], "before the reset")
        fresh, _ = run(layer, xs[1:2, :2], self.initial(layer, 1))
        self.same(ys[1, :2], fresh[0], "a reset at the first position")
        none, _ = run(layer, xs, state, torch.zeros_like(reset))
        self.same(none, plain, "a reset that is nowhere true")

    def test_causality(self, layer: Cell | Core) -> None:
        """No output depends on a later input."""
        xs, state = self.inputs(layer)
        ys, _ = run(layer, xs, state)
        for t in range(1, LENGTH):
            changed = xs.clone()
            changed[:, t:] += 1
            self.same(
                run(layer, changed, state)[0][:, :t], ys[:, :t], f"an input at {t} changed an earlier output"
            )

    def test_rows_do_not_mix(self, layer: Cell | Core) -> None:
        xs, state = self.inputs(layer)
        ys, end = run(layer, xs, state)
        order = torch.tensor([2, 0])
        taken, taken_end = run(layer, xs[order], map_state(lambda leaf: leaf[order], state))
        self.same(taken, ys[order], "rows in another order and number")
        self.same_state(
            taken_end, map_state(lambda leaf: leaf[order], end), "rows in another order and number"
        )

    def test_inputs_are_not_written_to(self, layer: Cell | Core) -> None:
        xs, state = self.inputs(layer)
        xs_before, state_before = xs.clone(), map_state(torch.clone, state)
        run(layer, xs, state)
        assert torch.equal(xs, xs_before), "the input was written to"
        for leaf, before in zip(leaves(state), leaves(state_before), strict=True):
            assert torch.equal(leaf, before), "the state was written to"

    def test_gradients_reach_everything(self, layer: Cell | Core) -> None:
        xs, state = self.inputs(layer)
        xs.requires_grad_()
        ys, _ = run(layer, xs, state)
        named = {"the input": xs, **dict(layer.named_parameters())}
        grads = torch.autograd.grad(ys.square().sum(), list(named.values()), allow_unused=True)
        for name, grad in zip(named, grads, strict=True):
            assert grad is not None, f"no gradient reaches {name}"
            assert grad.isfinite().all(), f"the gradient of {name} is not finite"
            assert grad.any(), f"the gradient of {name} is zero"

    def test_same_seed_same_numbers(self) -> None:
        first, second = self.build(), self.build()
        xs, state = self.inputs(first)
        once, again = run(first, xs, state)[0], run(second, xs, state)[0]
        assert torch.equal(once, again), "two layers of one seed differ"
        assert torch.equal(once, run(first, xs, state)[0]), "the same call gave other numbers"

    def test_weights_survive_a_file(self, layer: Cell | Core) -> None:
        other = self.build(seed=1)
        other.load_state_dict(safetensors.torch.load(safetensors.torch.save(layer.state_dict())))
        xs, state = self.inputs(layer)
        assert torch.equal(run(layer, xs, state)[0], run(other, xs, state)[0])

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    def test_cuda_agrees_with_cpu(self, layer: Cell | Core) -> None:
        xs, state = self.inputs(layer)
        expected, _ = run(layer, xs, state)
        layer.cuda()
        ys, _ = run(layer, xs.cuda(), map_state(Tensor.cuda, state))
        self.same(ys.cpu(), expected, "CUDA")

    # ------------------------------------------------------------------------------------------ what they use

    @pytest.fixture
    def layer(self) -> Any:
        return self.build()

    def build(self, seed: int = 0, **options: Any) -> Any:
        """Return a layer in evaluation mode, drawn from `seed`."""
        torch.manual_seed(seed)
        declared = getattr(self.architecture, "Options", None)
        values = parse_options(declared, {**self.options, **options}, owner=self.architecture.__name__)
        layer = self.architecture(self.input_size, self.hidden_size, **values)
        return layer.to(self.dtype).eval()

    def initial(self, layer: Cell | Core, batch: int) -> State:
        return layer.initial_state(batch, dtype=self.dtype)

    def inputs(self, layer: Cell | Core, batch: int = BATCH, length: int = LENGTH) -> tuple[Tensor, State]:
        """Return inputs and a state in the middle of things, always the same ones."""
        generator = torch.Generator().manual_seed(batch * 1000 + length)
        xs = torch.randn(batch, length + 2, self.input_size, generator=generator, dtype=self.dtype)
        with torch.no_grad():
            _, state = run(layer, xs[:, :2], self.initial(layer, batch))
        return xs[:, 2:].clone(), state

    def same(self, found: Tensor, expected: Tensor, what: str) -> None:
        difference = (found - expected).abs().max().item()
        assert difference <= self.tolerance, f"{what}: differs by {difference:.3g}"

    def same_state(self, found: State, expected: State, what: str) -> None:
        for one, other in zip(leaves(found), leaves(expected), strict=True):
            self.same(one.to(self.dtype), other.to(self.dtype), what)


def run(layer: Cell | Core, xs: Tensor, state: State, reset: Tensor | None = None) -> tuple[Tensor, State]:
    """Run over time: (B, T, I) to (B, T, O). A Core by itself, a Cell position by position."""
    if isinstance(layer, Core):
        return layer(xs, state, reset=reset)  # type: ignore[no-any-return]
    ys = []
    for t in range(xs.shape[1]):
        if reset is not None:
            fresh = layer.initial_state(xs.shape[0], device=xs.device, dtype=xs.dtype)
            state = map_state(
                lambda old, new, t=t: torch.where(reset[:, t].view(-1, *[1] * (old.dim() - 1)), new, old),
                state,
                fresh,
            )
        y, state = layer.step(xs[:, t], state)
        ys.append(y)
    return torch.stack(ys, 1), state


def _describe(state: State) -> list[tuple[torch.Size, torch.dtype]]:
    return [(leaf.shape, leaf.dtype) for leaf in leaves(state)]


def _structure(state: State) -> Any:
    if isinstance(state, Tensor):
        return None
    if isinstance(state, dict):
        return {key: _structure(value) for key, value in state.items()}
    return type(state), [_structure(part) for part in state]
