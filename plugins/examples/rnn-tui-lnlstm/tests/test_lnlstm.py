"""Layer-norm LSTM: the laws of every architecture, and a reference worked out here."""

import math
from typing import ClassVar

import pytest
import torch
from rnn_tui_lnlstm import LayerNormLSTM, LSTMState
from torch import Tensor
from torch.nn import functional

from rnn_tui.plugin.testing import ArchitectureLaws

H = 8


class TestLayerNormLSTM(ArchitectureLaws):
    """The laws of every architecture, as `rnn-tui plugins check` has them."""

    architecture = LayerNormLSTM


class TestAnotherForgetBias(ArchitectureLaws):
    """The same laws, with an option that is not at its default."""

    architecture = LayerNormLSTM
    options: ClassVar = {"forget_bias": -2.0}


@pytest.fixture
def cell() -> LayerNormLSTM:
    """A cell whose every parameter is random, those too that begin as 0 or 1."""
    torch.manual_seed(0)
    cell = LayerNormLSTM(5, H).double()
    for parameter in cell.parameters():
        torch.nn.init.normal_(parameter)
    return cell


def _inputs() -> tuple[Tensor, LSTMState]:
    return torch.randn(3, 5).double(), LSTMState(*torch.randn(2, 3, H).double())


def test_equals_the_step_of_torch_once_the_norms_are_taken_out(cell: LayerNormLSTM) -> None:
    """nn.LSTMCell fed with the sums that the norms give, by weights that are the identity.

    Its output is o * tanh(c'); with the norm of c' it is that over tanh(c') times tanh(norm).
    """
    x, (h, c) = _inputs()
    sums = functional.layer_norm(x @ cell.W, [4 * H], cell.norm_x.weight, cell.norm_x.bias)
    sums = sums + functional.layer_norm(h @ cell.U, [4 * H], cell.norm_h.weight)
    torch_cell = torch.nn.LSTMCell(4 * H, H).double()
    with torch.no_grad():
        torch_cell.weight_ih.copy_(torch.eye(4 * H))
        for parameter in (torch_cell.weight_hh, torch_cell.bias_ih, torch_cell.bias_hh):
            parameter.zero_()
    shown, kept = torch_cell(sums, (h, c))
    normed = functional.layer_norm(kept, [H], cell.norm_c.weight, cell.norm_c.bias)

    y, after = cell.step(x, LSTMState(h, c))
    torch.testing.assert_close(after.c, kept)
    torch.testing.assert_close(y, shown / torch.tanh(kept) * torch.tanh(normed))
    assert torch.equal(y, after.h)


def test_equals_a_loop_over_single_units(cell: LayerNormLSTM) -> None:
    """The equations of the docstring in numbers of Python, one row at a time."""

    def norm(values: list[float]) -> list[float]:
        mean = sum(values) / len(values)
        variance = sum((value - mean) ** 2 for value in values) / len(values)
        return [(value - mean) / math.sqrt(variance + 1e-5) for value in values]

    def sigmoid(value: float) -> float:
        return 1 / (1 + math.exp(-value))

    x, state = _inputs()
    ys, after = cell.step(x, state)
    p = {name: tensor.tolist() for name, tensor in cell.state_dict().items()}
    for row in range(3):
        from_x = norm(
            [sum(v * w[k] for v, w in zip(x[row].tolist(), p["W"], strict=True)) for k in range(4 * H)]
        )
        from_h = norm(
            [sum(v * u[k] for v, u in zip(state.h[row].tolist(), p["U"], strict=True)) for k in range(4 * H)]
        )
        sums = [
            from_x[k] * p["norm_x.weight"][k] + from_h[k] * p["norm_h.weight"][k] + p["norm_x.bias"][k]
            for k in range(4 * H)
        ]
        c = [
            sigmoid(sums[H + j]) * state.c[row, j].item() + sigmoid(sums[j]) * math.tanh(sums[2 * H + j])
            for j in range(H)
        ]
        inner = norm(c)
        for j in range(H):
            shown = math.tanh(inner[j] * p["norm_c.weight"][j] + p["norm_c.bias"][j])
            assert after.c[row, j].item() == pytest.approx(c[j], rel=1e-9)
            assert ys[row, j].item() == pytest.approx(sigmoid(sums[3 * H + j]) * shown, rel=1e-9)


def test_the_scale_of_the_input_does_not_matter(cell: LayerNormLSTM) -> None:
    """What the norm is for: an input a thousand times as large gives the same, but for the 1e-5."""
    x, state = _inputs()
    torch.testing.assert_close(cell.step(1000 * x, state)[0], cell.step(x, state)[0], atol=1e-5, rtol=1e-4)


def test_the_forget_bias_is_added_to_the_forget_gate_alone() -> None:
    bias = LayerNormLSTM(2, 3, forget_bias=1.5).norm_x.bias
    assert bias.tolist() == [0, 0, 0, 1.5, 1.5, 1.5, 0, 0, 0, 0, 0, 0]
