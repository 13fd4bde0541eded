"""minGRU: the laws of every architecture, and values worked out by hand or by a loop over single numbers."""

import math
from typing import ClassVar

import pytest
import torch
from rnn_tui_mingru import MinGRU
from rnn_tui_mingru.scan import scan

from rnn_tui.plugin.testing import ArchitectureLaws


class TestMinGRU(ArchitectureLaws):
    """The laws of every architecture, as `rnn-tui plugins check` has them."""

    architecture = MinGRU


class TestWideLinear(ArchitectureLaws):
    """The same laws, with options that are not at their defaults."""

    architecture = MinGRU
    options: ClassVar = {"expansion": 3, "candidate": "linear", "gate_bias": -2.0}


def test_values_worked_out_by_hand() -> None:
    """With weights of 0, bz = ln 3 and bn: z = 3/4, so h' = h / 4 + 3/4 g(bn); g(0.5) = 1, g(-ln 3) = 1/4."""
    core = MinGRU(input_size=2, hidden_size=2)
    torch.nn.init.zeros_(core.from_input.weight)
    core.from_input.bias.data = torch.tensor([math.log(3), math.log(3), 0.5, -math.log(3)])
    ys, end = core(torch.ones(1, 3, 2), torch.tensor([[4.0, 4.0]]))
    assert ys[0, :, 0].tolist() == pytest.approx([1.75, 1.1875, 1.046875])
    assert ys[0, :, 1].tolist() == pytest.approx([1.1875, 0.484375, 0.30859375])
    assert torch.equal(end, ys[:, -1])

    linear = MinGRU(input_size=2, hidden_size=2, candidate="linear")
    linear.load_state_dict(core.state_dict())
    y, _ = linear.step(torch.ones(1, 2), torch.tensor([[4.0, 4.0]]))
    assert y[0].tolist() == pytest.approx([1.375, 1 - 0.75 * math.log(3)])


def test_the_gate_bias_is_added_to_the_gate_alone() -> None:
    torch.manual_seed(0)
    plain = MinGRU(3, 2)
    torch.manual_seed(0)
    shifted = MinGRU(3, 2, gate_bias=-1.5)
    moved = (shifted.from_input.bias - plain.from_input.bias).tolist()
    assert moved == pytest.approx([-1.5, -1.5, 0, 0], abs=1e-6)
    assert torch.equal(shifted.from_input.weight, plain.from_input.weight)


def test_the_expansion_widens_the_state_and_not_the_output() -> None:
    torch.manual_seed(0)
    core = MinGRU(3, 4, expansion=2)
    state = core.initial_state(2)
    ys, end = core(torch.randn(2, 5, 3), state)
    assert (ys.shape, state.shape, end.shape) == ((2, 5, 4), (2, 8), (2, 8))
    torch.testing.assert_close(ys[:, -1], end @ core.to_output.weight.T)


# 1 to 17: every number of chunks and of missing positions up to 4 of 5; and a long one
@pytest.mark.parametrize("positions", [*range(1, 18), 1000])
def test_scan_equals_a_loop_over_single_numbers(positions: int) -> None:
    torch.manual_seed(positions)
    keep = torch.rand(2, positions, 2, dtype=torch.double)
    keep[torch.rand(keep.shape) < 0.2] = 0.0  # as a reset leaves it
    keep[torch.rand(keep.shape) < 0.2] = 1.0
    write, start = torch.randn(2, positions, 2).double(), torch.randn(2, 2).double()
    hs = scan(keep, write, start)
    for row in range(2):
        for unit in range(2):
            h = start[row, unit].item()
            for t in range(positions):
                h = keep[row, t, unit].item() * h + write[row, t, unit].item()
                assert hs[row, t, unit].item() == pytest.approx(h, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("positions", [1, 4, 7])
def test_gradients_of_the_scan_to_second_order(positions: int) -> None:
    """Against numerical ones; the second order goes through the scan backwards in time."""
    torch.manual_seed(0)
    keep = torch.rand(2, positions, 2, dtype=torch.double)
    keep[0, positions // 2] = 0.0
    write, start = torch.randn(2, positions, 2).double(), torch.randn(2, 2).double()
    inputs = [tensor.requires_grad_() for tensor in (keep, write, start)]
    assert torch.autograd.gradcheck(scan, inputs)
    assert torch.autograd.gradgradcheck(scan, inputs)


def test_nothing_leaks_over_a_reset_in_float32() -> None:
    """What was kept before is 1e30 times what is written after: a sum of logarithms would drown the rest."""
    keep = torch.full((1, 100, 1), 0.5)
    keep[0, 50] = 0.0
    write = torch.full((1, 100, 1), 0.5)
    write[0, :50] = 1e30
    hs = scan(keep, write, torch.zeros(1, 1))
    assert hs[0, 50:, 0].tolist() == pytest.approx([1 - 0.5 ** (t + 1) for t in range(50)], rel=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-14), (torch.float32, 1e-6)])
def test_sequence_equals_step_over_a_thousand_positions(dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    core = MinGRU(8, 16, gate_bias=-3.0).to(dtype)
    xs = torch.randn(2, 1000, 8, dtype=dtype)
    with torch.no_grad():
        ys, end = core(xs, core.initial_state(2))
        state = core.initial_state(2)
        for t in range(1000):
            y, state = core.step(xs[:, t], state)
            assert (ys[:, t] - y).abs().max() <= tolerance
    assert (end - state).abs().max() <= tolerance


def test_memory_for_gradients_is_linear_in_time() -> None:
    """Numbers kept for the gradient, for each position: as many at 1,024 positions as at 64."""

    def kept(positions: int) -> float:
        sizes: dict[int, int] = {}

        def note(tensor: torch.Tensor) -> torch.Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        core = MinGRU(4, 4)
        xs = torch.randn(2, positions, 4)
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            ys, _ = core(xs, core.initial_state(2))
        assert ys.requires_grad
        return sum(sizes.values()) / positions

    assert kept(1024) <= 1.1 * kept(64)


def test_half_precision_is_for_the_product_alone() -> None:
    torch.manual_seed(0)
    core = MinGRU(8, 16)
    xs = torch.randn(2, 50, 8)
    exact, _ = core(xs, core.initial_state(2))
    with torch.autocast("cpu", torch.bfloat16):
        ys, end = core(xs, core.initial_state(2))
    assert ys.dtype == end.dtype == torch.float32
    assert 0 < (ys - exact).abs().max() < 0.02
