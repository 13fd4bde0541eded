"""Every cell in torch against its step in NumPy, which was written from the equations alone."""

import numpy as np
import pytest
import torch

from rnn_tui.model.recurrent_model import build_layer
from rnn_tui.plugin.numpy_step import sigmoid
from rnn_tui.plugin.registry import load_plugin
from rnn_tui.plugin.state import leaves

B, T, I, H = 3, 20, 4, 6  # noqa: E741

CELLS = {
    "rnn": ("rnn", {}),
    "rnn relu": ("rnn", {"nonlinearity": "relu"}),
    "gru before": ("gru", {"reset": "before"}),
    "gru after": ("gru", {"reset": "after"}),
    "lstm": ("lstm", {"forget_bias": 1.0}),
    "nn-rnn": ("nn-rnn", {}),
    "nn-rnn relu": ("nn-rnn", {"nonlinearity": "relu"}),
    "nn-gru": ("nn-gru", {}),
    "nn-lstm": ("nn-lstm", {}),
}


@pytest.fixture(params=[(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=["float32", "float64"])
def precision(request):
    return request.param


@pytest.mark.parametrize("name", CELLS)
def test_twenty_steps_of_the_cell_and_of_its_oracle_agree(name, precision):
    """From a random state, with weights of a size that bends every gate; step, sequence and final state."""
    (arch, options), (dtype, tolerance) = CELLS[name], precision
    torch.manual_seed(0)
    core = build_layer(load_plugin("architecture", arch), I, H, options).to(dtype)
    with torch.no_grad():
        for weight in core.parameters():
            weight.normal_(0, 0.3 if "relu" in name else 1)
    weights = {key.removeprefix("cell."): value.numpy() for key, value in core.state_dict().items()}
    oracle = load_plugin("numpy-step", arch)(weights, options)

    xs = torch.randn(B, T, I, dtype=dtype)
    start = core.initial_state(B, dtype=dtype)
    fresh = oracle.initial_state(B)
    assert [leaf.tolist() for leaf in leaves(fresh)] == [leaf.tolist() for leaf in leaves(start)]
    begin = [torch.randn_like(leaf) for leaf in leaves(start)]
    state = expected = type(start)(*begin) if isinstance(start, tuple) else begin[0]
    mine = tuple(leaf.numpy() for leaf in begin) if isinstance(start, tuple) else begin[0].numpy()
    with torch.inference_mode():
        whole, end = core(xs, state)
        for t in range(T):
            y, expected = core.step(xs[:, t], expected)
            found, mine = oracle.step(xs[:, t].numpy(), mine)
            assert found.dtype == y.numpy().dtype
            np.testing.assert_allclose(found, y, rtol=tolerance, atol=tolerance)
            np.testing.assert_allclose(found, whole[:, t], rtol=tolerance, atol=tolerance)
    for found, leaf in zip(leaves(mine), leaves(end), strict=True):
        np.testing.assert_allclose(found, leaf, rtol=tolerance, atol=tolerance)


def test_sigmoid_at_its_ends():
    """By hand: 1 / (1 + e^-x); no overflow, which would be an error here."""
    found = sigmoid(np.array([-1e4, -np.log(3), 0, np.log(3), 1e4]))
    assert found.tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1], abs=1e-15)
