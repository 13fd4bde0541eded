"""Reading in both directions equals torch's own `bidirectional=True`, and for rows of different lengths its packing."""

import pytest
import torch
from rnn_tui_scratch.gru import GRU
from rnn_tui_scratch.lstm import LSTM
from rnn_tui_torch.gru import TorchGRU
from rnn_tui_torch.lstm import TorchLSTM
from rnn_tui_torch.rnn import TorchRNN
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.testing import assert_close

from rnn_tui.errors import UsageError
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrence import Bidirectional
from rnn_tui.model.recurrence.bidirectional import reversed_order
from rnn_tui.model.recurrent_model import build_model

I, H = 3, 4  # noqa: E741
KINDS = [(nn.RNN, TorchRNN), (nn.GRU, TorchGRU), (nn.LSTM, TorchLSTM)]


def copied(kind, plugin, layers=1):
    """Return torch's own and ours, of the same weights."""
    torch.manual_seed(4)
    theirs = kind(I, H, num_layers=layers, bidirectional=True, batch_first=True)
    ours = []
    for layer in range(layers):
        cores = [plugin(2 * H if layer else I, H) for _ in range(2)]
        for core, suffix in zip(cores, ("", "_reverse"), strict=True):
            inner = next(child for child in core.children() if isinstance(child, kind))
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                value = getattr(theirs, f"{name}_l{layer}{suffix}")
                getattr(inner, f"{name}_l0").data.copy_(value.data)
        ours.append(Bidirectional(*cores))
    return theirs, ours


def run(layers, xs, lengths=None):
    for layer in layers:
        xs, _ = layer(xs, layer.initial_state(len(xs)), lengths=lengths)
    return xs


@pytest.mark.parametrize(("kind", "plugin"), KINDS)
@pytest.mark.parametrize("layers", [1, 2])
def test_equal_to_torch(kind, plugin, layers):
    theirs, ours = copied(kind, plugin, layers)
    xs = torch.randn(3, 6, I)
    assert_close(run(ours, xs), theirs(xs)[0])


@pytest.mark.parametrize(("kind", "plugin"), KINDS)
@pytest.mark.parametrize("layers", [1, 2])
def test_rows_of_different_lengths_are_equal_to_torch_packed(kind, plugin, layers):
    theirs, ours = copied(kind, plugin, layers)
    lengths = torch.tensor([2, 6, 1, 4])
    xs = torch.randn(4, 6, I)
    packed = pack_padded_sequence(xs, lengths, batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(theirs(packed)[0], batch_first=True)  # (B, T, 2 H), zero in the padding
    inside = torch.arange(6) < lengths[:, None]
    found = run(ours, xs, lengths)
    assert_close(found[inside], expected[inside])
    # the gradients of the weights too, where only what is inside counts
    found[inside].square().sum().backward()
    expected[inside].square().sum().backward()
    for layer, bidirectional in enumerate(ours):
        for core, suffix in ((bidirectional.forwards, ""), (bidirectional.backwards, "_reverse")):
            inner = next(child for child in core.children() if isinstance(child, kind))
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                ours_grad = getattr(inner, f"{name}_l0").grad
                assert_close(ours_grad, getattr(theirs, f"{name}_l{layer}{suffix}").grad)


@pytest.mark.parametrize("lengths", [None, torch.tensor([3, 5, 1])])
def test_both_states_go_in_and_come_out(lengths):
    theirs, [ours] = copied(nn.GRU, TorchGRU)
    xs, start = torch.randn(3, 5, I), torch.randn(2, 3, H)
    ys, (ahead, behind) = ours(xs, (start[0], start[1]), lengths=lengths)
    if lengths is None:
        expected, end = theirs(xs, start)
        assert_close(ys, expected)
        assert_close(torch.stack([ahead, behind]), end)
    else:
        packed = pack_padded_sequence(xs, lengths, batch_first=True, enforce_sorted=False)
        expected, _ = pad_packed_sequence(theirs(packed, start)[0], batch_first=True)
        inside = torch.arange(5) < lengths[:, None]
        assert_close(ys[inside], expected[inside])


@pytest.mark.parametrize("arch", [LSTM, GRU, TorchLSTM])
def test_padding_changes_nothing_in_a_whole_model(arch):
    """Also for cells, which the host unrolls, and across two layers."""
    torch.manual_seed(1)
    config = ModelConfig(hidden_size=H, num_layers=2, bidirectional=True)
    model = build_model(arch, {}, config, vocab_size=5)
    lengths = torch.tensor([4, 1, 7])
    ids = torch.randint(5, (3, 7))
    features, _ = model(ids, model.initial_state(3), lengths=lengths)
    assert features.shape == (3, 7, 2 * H)
    for row, length in enumerate(lengths.tolist()):
        alone, _ = model(ids[row : row + 1, :length], model.initial_state(1))
        assert_close(features[row, :length], alone[0])


def test_lengths_mean_nothing_to_a_model_that_only_reads_ahead():
    torch.manual_seed(1)
    model = build_model(TorchLSTM, {}, ModelConfig(hidden_size=H), vocab_size=5)
    ids = torch.randint(5, (2, 7))
    plain, _ = model(ids, model.initial_state(2))
    assert_close(model(ids, model.initial_state(2), lengths=torch.tensor([3, 7]))[0], plain, rtol=0, atol=0)


def test_the_order_by_hand_is_its_own_inverse():
    order = reversed_order(4, torch.tensor([4, 1, 3]), torch.device("cpu"))
    assert order.tolist() == [[3, 2, 1, 0], [0, 1, 2, 3], [2, 1, 0, 3]]
    assert order.gather(1, order).tolist() == [[0, 1, 2, 3]] * 3
    assert reversed_order(3, None, torch.device("cpu")).tolist() == [2, 1, 0]


def test_what_a_bidirectional_model_refuses():
    model = build_model(TorchGRU, {}, ModelConfig(hidden_size=H, bidirectional=True), vocab_size=5)
    ids = torch.tensor([[1, 2]])
    with pytest.raises(UsageError, match="reads a whole text at once; it cannot go on token by token"):
        model.step(ids[:, 0], model.initial_state(1))
    with pytest.raises(UsageError, match="without resets inside"):
        model(ids, model.initial_state(1), reset=torch.zeros(1, 2, dtype=torch.bool))
