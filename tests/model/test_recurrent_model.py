import pytest
import torch
from torch import nn

from rnn_tui.errors import PluginError, UsageError
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrent_model import Embedding, OneHot, build_model
from rnn_tui.plugin import Cell


class Sum(Cell):
    """y = state' = state + x W; every number can be followed by hand."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(input_size, hidden_size))
        self.output_size = hidden_size

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return torch.zeros(batch_size, self.output_size, device=device, dtype=dtype)

    def step(self, x, state):
        state = state + x @ self.weight
        return state, state


def ones(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    return model


def test_all_ones_by_hand():
    model = ones(build_model(Sum, {}, ModelConfig(hidden_size=2), vocab_size=3))
    features, state = model(torch.tensor([[0, 1, 2]]), model.initial_state(1))
    # one-hot rows against a weight of ones add 1 to each unit at each step
    assert features.tolist() == [[[1, 1], [2, 2], [3, 3]]]
    assert state[0].tolist() == [[3, 3]]
    assert model.outputs(features)[0, 2].tolist() == [7, 7, 7]  # 3 + 3 + bias 1


def test_step_equals_forward():
    model = build_model(Sum, {}, ModelConfig(hidden_size=4, num_layers=2, init_std=0.5), vocab_size=5)
    ids = torch.tensor([[0, 4, 2], [1, 1, 3]])
    features, end = model(ids, model.initial_state(2))
    state = model.initial_state(2)
    for t in range(3):
        logits, state = model.step(ids[:, t], state)
        torch.testing.assert_close(logits, model.outputs(features[:, t]))
    for a, b in zip(state, end, strict=True):
        torch.testing.assert_close(a, b)


def test_reset_puts_the_initial_state_before_that_token():
    model = ones(build_model(Sum, {}, ModelConfig(hidden_size=1), vocab_size=2))
    reset = torch.tensor([[False, False, True, False]])
    features, _ = model(torch.zeros(1, 4, dtype=torch.long), model.initial_state(1), reset=reset)
    assert features.flatten().tolist() == [1, 2, 1, 2]


def test_auto_encoder_by_vocabulary():
    assert isinstance(build_model(Sum, {}, ModelConfig(hidden_size=2), 256).encoder, OneHot)
    big = build_model(Sum, {}, ModelConfig(hidden_size=2), 257).encoder
    assert isinstance(big, Embedding)
    assert big.output_size == 2
    asked = build_model(Sum, {}, ModelConfig(hidden_size=2, embedding_size=5), 10).encoder
    assert asked.output_size == 5


def test_tied_weights_are_one_tensor_counted_once():
    model = build_model(Sum, {}, ModelConfig(hidden_size=4, tie_weights=True), vocab_size=6)
    assert model.head.weight is model.encoder.weight
    assert model.parameter_count() == 6 * 4 + 4 * 4 + 6  # embedding, cell, head's bias
    with pytest.raises(UsageError, match="embedding_size 3 equal to the core's output size 4"):
        build_model(Sum, {}, ModelConfig(hidden_size=4, embedding_size=3, tie_weights=True), vocab_size=6)
    with pytest.raises(UsageError, match="needs an embedding"):
        build_model(Sum, {}, ModelConfig(hidden_size=4, encoder="one-hot", tie_weights=True), vocab_size=6)


def test_init_std_draws_matrices_and_zeroes_biases():
    torch.manual_seed(0)
    model = build_model(Sum, {}, ModelConfig(hidden_size=100, init_std=0.01), vocab_size=200)
    assert model.core.layers[0].cell.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert model.head.bias.abs().max() == 0


def test_init_std_leaves_gains_alone():
    class Scaled(Sum):
        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.norm = nn.LayerNorm(hidden_size)
            nn.init.constant_(self.norm.bias, 0.3)

    norm = (
        build_model(Scaled, {}, ModelConfig(hidden_size=3, init_std=0.01), vocab_size=4)
        .core.layers[0]
        .cell.norm
    )
    assert norm.weight.tolist() == [1, 1, 1]
    assert norm.bias.tolist() == [0, 0, 0]


def test_dropout_acts_between_layers_and_before_the_head_in_training_only():
    model = ones(build_model(Sum, {}, ModelConfig(hidden_size=51, num_layers=2, dropout=0.5), vocab_size=2))
    ids = torch.zeros(1, 1, dtype=torch.long)
    model.eval()
    still = model(ids, model.initial_state(1))[0]
    assert still.unique().tolist() == [51]  # 1 in every unit below, 51 of them
    model.train()
    torch.manual_seed(0)
    features, state = model(ids, model.initial_state(1))
    assert (state[0] == 1).all()  # the layer below is whole
    assert state[1].unique().numel() == 1
    assert state[1][0, 0] != 51  # it was fed with what dropout left of it
    assert (features == 0).any()


def test_neither_cell_nor_core_is_refused():
    with pytest.raises(PluginError, match="neither a Cell nor a Core"):
        build_model(nn.Linear, {}, ModelConfig(hidden_size=2), vocab_size=3)
