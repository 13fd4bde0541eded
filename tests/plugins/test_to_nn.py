"""Architectures as layers of torch.nn and back: both compute the same, whatever the weights."""

import pytest
import torch
from rnn_tui_scratch.gru import GRU
from rnn_tui_scratch.lstm import LSTM
from rnn_tui_scratch.rnn import RNN
from rnn_tui_torch.gru import TorchGRU
from rnn_tui_torch.lstm import TorchLSTM
from rnn_tui_torch.rnn import TorchRNN
from torch import nn

from rnn_tui.model.recurrence import Unroll
from rnn_tui.plugin import Cell, Core

B, T, I, H = 3, 5, 4, 6  # noqa: E741

PAIRS = {
    "rnn": (lambda: RNN(I, H), nn.RNN),
    "rnn relu": (lambda: RNN(I, H, nonlinearity="relu"), nn.RNN),
    "gru": (lambda: GRU(I, H, reset="after"), nn.GRU),
    "lstm": (lambda: LSTM(I, H, forget_bias=1.0), nn.LSTM),
    "nn-rnn": (lambda: TorchRNN(I, H), nn.RNN),
    "nn-rnn relu": (lambda: TorchRNN(I, H, nonlinearity="relu"), nn.RNN),
    "nn-gru": (lambda: TorchGRU(I, H), nn.GRU),
    "nn-lstm": (lambda: TorchLSTM(I, H), nn.LSTM),
}


def over_time(layer, xs):
    core = Unroll(layer, I) if isinstance(layer, Cell) else layer
    return core(xs, core.initial_state(len(xs)))[0]


@pytest.mark.parametrize("name", PAIRS)
def test_the_layer_computes_what_the_step_does(name):
    make, kind = PAIRS[name]
    torch.manual_seed(1)
    ours = make().double()
    layer = ours.to_nn()
    assert type(layer) is kind
    assert (layer.num_layers, layer.bias, layer.batch_first, layer.bidirectional, layer.proj_size) == (
        *(1, True, True),
        *(False, 0),
    )
    assert {parameter.dtype for parameter in layer.parameters()} == {torch.float64}
    xs = torch.randn(B, T, I, dtype=torch.double)
    torch.testing.assert_close(layer(xs)[0], over_time(ours, xs))


@pytest.mark.parametrize("name", PAIRS)
def test_it_takes_any_layer_of_its_kind(name):
    make, kind = PAIRS[name]
    torch.manual_seed(2)
    ours = make().double()
    more = {"nonlinearity": "relu"} if name.endswith("relu") else {}
    layer = kind(I, H, batch_first=True, **more).double()
    xs = torch.randn(B, T, I, dtype=torch.double)
    ours.from_nn(layer)
    torch.testing.assert_close(over_time(ours, xs), layer(xs)[0])
    kept = [parameter.detach().clone() for parameter in ours.parameters()]
    ours.from_nn(ours.to_nn())
    for after, before in zip(ours.parameters(), kept, strict=True):
        torch.testing.assert_close(after, before)


def test_what_it_gives_is_a_copy():
    for make, _ in PAIRS.values():
        ours = make()
        before = [parameter.detach().clone() for parameter in ours.parameters()]
        with torch.no_grad():
            for parameter in ours.to_nn().parameters():
                parameter.add_(1)
        assert all(map(torch.equal, ours.parameters(), before))


@pytest.mark.parametrize("name", PAIRS)
def test_another_kind_is_refused_and_changes_nothing(name):
    make, kind = PAIRS[name]
    ours = make()
    before = [parameter.detach().clone() for parameter in ours.parameters()]
    for other in {nn.LSTM, nn.GRU, nn.RNN} - {kind}:
        with pytest.raises(NotImplementedError, match=rf"nn\.{other.__name__}"):
            ours.from_nn(other(I, H, batch_first=True))
    assert all(map(torch.equal, ours.parameters(), before))


@pytest.mark.parametrize("make", [RNN, TorchRNN])
def test_the_other_nonlinearity_is_refused(make):
    with pytest.raises(NotImplementedError, match="nonlinearity=relu"):
        make(I, H).from_nn(nn.RNN(I, H, nonlinearity="relu", batch_first=True))
    with pytest.raises(NotImplementedError, match="nonlinearity=tanh"):
        make(I, H, nonlinearity="relu").from_nn(nn.RNN(I, H, batch_first=True))


def test_a_reset_before_the_product_has_no_equal():
    cell = GRU(I, H, reset="before")
    for call in (cell.to_nn, lambda: cell.from_nn(nn.GRU(I, H, batch_first=True))):
        with pytest.raises(NotImplementedError, match="reset=after"):
            call()


@pytest.mark.parametrize("base", [Cell, Core])
def test_both_are_optional(base):
    layer = base()
    for call in (layer.to_nn, lambda: layer.from_nn(nn.GRU(I, H))):
        with pytest.raises(NotImplementedError, match=r"no layer of torch\.nn"):
            call()
