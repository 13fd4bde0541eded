"""Scratch cells against torch.nn, an independent NumPy loop, and numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch
from rnn_tui_scratch.gru import GRU
from rnn_tui_scratch.lstm import LSTM, LSTMState
from rnn_tui_scratch.rnn import RNN
from rnn_tui_torch.gru import TorchGRU
from rnn_tui_torch.lstm import TorchLSTM
from rnn_tui_torch.rnn import TorchRNN
from torch import nn

B, T, I, H = 3, 5, 4, 6  # noqa: E741


def _unroll(cell, xs, state):
    ys = []
    for x in xs.unbind(1):
        y, state = cell.step(x, state)
        ys.append(y)
    return torch.stack(ys, 1), state


def _copy_weights(cell, twin):
    """Give `cell` the weights of the nn.* module `twin`: transposed, the two biases added up."""
    with torch.no_grad():
        cell.W.copy_(twin.weight_ih_l0.T)
        cell.U.copy_(twin.weight_hh_l0.T)
        cell.b.copy_(twin.bias_ih_l0 + twin.bias_hh_l0)
        if isinstance(cell, GRU):  # the candidate's second bias stands inside the reset gate
            cell.b[2 * H :] = twin.bias_ih_l0[2 * H :]
            cell.cn.copy_(twin.bias_hh_l0[2 * H :])


TWINS = {
    "rnn": (lambda: RNN(I, H), lambda: nn.RNN(I, H, batch_first=True)),
    "rnn relu": (
        lambda: RNN(I, H, nonlinearity="relu"),
        lambda: nn.RNN(I, H, nonlinearity="relu", batch_first=True),
    ),
    "gru": (lambda: GRU(I, H, reset="after"), lambda: nn.GRU(I, H, batch_first=True)),
    "lstm": (lambda: LSTM(I, H, forget_bias=1.0), lambda: nn.LSTM(I, H, batch_first=True)),
}


@pytest.mark.parametrize("name", TWINS)
def test_equals_its_torch_twin_in_outputs_and_gradients(name):
    torch.manual_seed(1)
    cell, twin = (make().double() for make in TWINS[name])
    _copy_weights(cell, twin)
    xs = torch.randn(B, T, I, dtype=torch.double, requires_grad=True)
    xs_twin = xs.detach().clone().requires_grad_()
    h, c = torch.randn(2, B, H, dtype=torch.double)
    scale = torch.randn(B, T, H, dtype=torch.double)

    ys, end = _unroll(cell, xs, LSTMState(h, c) if name == "lstm" else h)
    ys_twin, end_twin = twin(xs_twin, (h[None], c[None]) if name == "lstm" else h[None])
    (ys * scale).sum().backward()
    (ys_twin * scale).sum().backward()

    torch.testing.assert_close(ys, ys_twin)
    ends = end if name == "lstm" else [end]
    ends_twin = end_twin if name == "lstm" else [end_twin]
    for one, other in zip(ends, ends_twin, strict=True):
        torch.testing.assert_close(one, other[0])
    torch.testing.assert_close(xs.grad, xs_twin.grad)
    torch.testing.assert_close(cell.W.grad, twin.weight_ih_l0.grad.T)
    torch.testing.assert_close(cell.U.grad, twin.weight_hh_l0.grad.T)
    # b is b_ih + b_hh, so its gradient is that of either; the GRU's candidate has one for each
    torch.testing.assert_close(cell.b.grad, twin.bias_ih_l0.grad)
    if name == "gru":
        torch.testing.assert_close(cell.cn.grad, twin.bias_hh_l0.grad[2 * H :])


def test_gru_before_equals_a_loop_over_single_units():
    torch.manual_seed(2)
    cell = GRU(I, H).double()
    assert cell.cn is None
    xs, h = torch.randn(B, T, I, dtype=torch.double), torch.randn(B, H, dtype=torch.double)
    ys, _ = _unroll(cell, xs, h)

    W, U, b = (p.detach().numpy() for p in (cell.W, cell.U, cell.b))
    sigmoid = np.vectorize(lambda v: 1 / (1 + math.exp(-v)))
    for row in range(B):
        state = h[row].numpy().copy()
        for t in range(T):
            x = xs[row, t].numpy()
            r, z, new = np.zeros(H), np.zeros(H), np.zeros(H)
            for j in range(H):
                r[j] = sigmoid(x @ W[:, j] + state @ U[:, j] + b[j])
                z[j] = sigmoid(x @ W[:, H + j] + state @ U[:, H + j] + b[H + j])
            for j in range(H):
                k = 2 * H + j
                candidate = math.tanh(x @ W[:, k] + sum(r[m] * state[m] * U[m, k] for m in range(H)) + b[k])
                new[j] = (1 - z[j]) * candidate + z[j] * state[j]
            state = new
            np.testing.assert_allclose(ys[row, t].detach().numpy(), state, rtol=1e-10)


def test_the_two_forms_of_the_gru_differ():
    torch.manual_seed(3)
    before, after = GRU(I, H), GRU(I, H, reset="after")
    with torch.no_grad():
        for name in ("W", "U", "b"):
            getattr(after, name).copy_(getattr(before, name))
        after.cn.zero_()
    x, h = torch.randn(B, I), torch.randn(B, H)
    assert not torch.allclose(before.step(x, h)[0], after.step(x, h)[0], atol=1e-4)


def _all_ones(layer):
    for parameter in layer.parameters():
        nn.init.ones_(parameter)
    return layer


def test_rnn_of_ones_by_hand():
    """I = 2, H = 3, all weights 1. With relu from zero: 1+1+1 = 3; then 2 + 3*3 + 1 = 12; then 2 + 36 + 1 = 39."""
    ys, _ = _unroll(_all_ones(RNN(2, 3, nonlinearity="relu")), torch.ones(1, 3, 2), torch.zeros(1, 3))
    assert ys[0].tolist() == [[3.0] * 3, [12.0] * 3, [39.0] * 3]
    y, _ = _all_ones(RNN(2, 3)).step(torch.ones(1, 2), torch.zeros(1, 3))
    assert y[0].tolist() == pytest.approx([0.9950547537] * 3)  # tanh 3


def test_lstm_of_ones_by_hand():
    """I = H = 1, all weights 1, x = 1, h = c = 0: every gate sees 1 + 0 + 1 = 2.

    sigmoid 2 = 0.8807970780, tanh 2 = 0.9640275801, so c' = 0.8807970780 * 0.9640275801 = 0.8491126756 and
    h' = 0.8807970780 * tanh 0.8491126756 = 0.8807970780 * 0.6906056269 = 0.6082834182.
    """
    y, state = _all_ones(LSTM(1, 1)).step(torch.ones(1, 1), LSTM(1, 1).initial_state(1))
    assert state.c.item() == pytest.approx(0.8491126756, abs=1e-6)
    assert y.item() == state.h.item() == pytest.approx(0.6082834, abs=1e-6)


def test_gru_of_ones_by_hand():
    """I = H = 1, all weights 1, x = 0, h = 1: r = z = sigmoid(0 + 1 + 1) = 0.8807970780.

    before: n = tanh(0 + 0.8807970780 + 1) = 0.9545629551; after: n = tanh(0 + 1 + 0.8807970780 * (1 + 1)) =
    tanh 2.7615941560 = 0.9920455700. h' = 0.1192029220 * n + 0.8807970780.
    """
    x, h = torch.zeros(1, 1), torch.ones(1, 1)
    before, _ = _all_ones(GRU(1, 1)).step(x, h)
    after, _ = _all_ones(GRU(1, 1, reset="after")).step(x, h)
    assert before.item() == pytest.approx(0.1192029220 * 0.9545629551 + 0.8807970780, abs=1e-6)
    assert after.item() == pytest.approx(0.1192029220 * 0.9920455700 + 0.8807970780, abs=1e-6)


@pytest.mark.parametrize("make", [lambda: RNN(4, 25), lambda: GRU(4, 25, reset="after"), lambda: LSTM(4, 25)])
def test_initialisation_is_uniform_in_one_over_root_h(make):
    torch.manual_seed(4)
    values = torch.cat([p.detach().flatten() for p in make().parameters()])
    assert values.abs().max() <= 0.2
    assert values.abs().max() > 0.19
    assert (
        abs(values.std().item() - 0.2 / math.sqrt(3)) < 0.01
    )  # of a uniform distribution on (-a, a): a / sqrt 3


def test_forget_bias_is_added_to_the_forget_gate_alone():
    torch.manual_seed(5)
    plain = LSTM(2, 3)
    torch.manual_seed(5)
    shifted = LSTM(2, 3, forget_bias=1.5)
    assert (shifted.b - plain.b).tolist() == pytest.approx(
        [0, 0, 0, 1.5, 1.5, 1.5, 0, 0, 0, 0, 0, 0], abs=1e-6
    )


@pytest.mark.parametrize("make", [lambda: TorchRNN(I, H), lambda: TorchGRU(I, H), lambda: TorchLSTM(I, H)])
def test_wrappers_reset_where_they_are_told(make):
    """Against the same wrapper taken one position at a time, each row on its own."""
    torch.manual_seed(6)
    core = make().double()
    xs = torch.randn(B, T, I, dtype=torch.double)
    reset = torch.tensor([[1, 0, 0, 1, 1], [0, 0, 0, 0, 0], [0, 1, 0, 0, 1]], dtype=torch.bool)
    _, start = core(torch.randn(B, 2, I, dtype=torch.double), core.initial_state(B))
    ys, _ = core(xs, start, reset=reset)
    for row in range(B):
        state = (
            type(start)(*(leaf[row, None] for leaf in start))
            if isinstance(start, tuple)
            else start[row, None]
        )
        for t in range(T):
            y, state = core.step(xs[row, t, None], core.initial_state(1) if reset[row, t] else state)
            torch.testing.assert_close(ys[row, t], y[0])
