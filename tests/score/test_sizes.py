"""Equal numbers of parameters: by brute force, and of the architectures that are installed."""

import pytest

from rnn_tui.errors import PluginError
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin.registry import load_plugin
from rnn_tui.score.card import TOLERANCE
from rnn_tui.score.sizes import LARGEST, NEIGHBOURS, equal_size


def elman(hidden):
    """Of a simple recurrent network between 10 one-hot inputs and 10 outputs, counted by hand."""
    return 10 * hidden + hidden * hidden + hidden + hidden * 10 + 10


@pytest.mark.parametrize("wanted", [1, 32, 500, 19_999, 20_000, 123_456])
def test_as_a_search_of_all(wanted):
    best = min(range(1, 1000), key=lambda hidden: (abs(elman(hidden) - wanted), hidden))
    assert equal_size(elman, wanted) == (best, elman(best))


def test_few_models_are_built():
    built = []
    equal_size(lambda hidden: built.append(hidden) or elman(hidden), 20_000)
    assert len(built) == len(set(built)) < 25


def test_of_two_as_near_the_smaller():
    assert equal_size(lambda hidden: 10 * hidden, 35) == (3, 30)


def test_sizes_that_are_refused_are_passed_over():
    def heads(hidden):
        if hidden % 8:
            raise ValueError("not a multiple of 8")
        return elman(hidden)

    best = min(range(8, 1000, 8), key=lambda hidden: abs(elman(hidden) - 20_000))
    assert equal_size(heads, 20_000) == (best, elman(best))


def test_what_refuses_everything():
    def never(hidden):
        raise ValueError(f"no {hidden}")

    with pytest.raises(PluginError, match="it builds no layer of hidden size 1: no 1"):
        equal_size(never, 100)
    assert NEIGHBOURS < 100


def test_a_size_that_changes_nothing():
    assert equal_size(lambda hidden: 700, 20_000)[1] == 700
    assert equal_size(lambda hidden: 700, 100) == (1, 700)
    assert equal_size(lambda hidden: hidden, 10 * LARGEST)[0] == LARGEST


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm", "nn-rnn", "nn-gru", "nn-lstm"])
@pytest.mark.parametrize("inputs", [{"vocab_size": 62}, {"columns": 2}], ids=str)
def test_architectures_come_within_the_tolerance(name, inputs):
    plugin = load_plugin("architecture", name)

    def counted(hidden):
        model = build_model(plugin, {}, ModelConfig(hidden_size=hidden), **inputs)
        return sum(parameter.numel() for parameter in model.parameters())

    size, parameters = equal_size(counted, 20_000)
    assert parameters == counted(size)
    assert abs(parameters - 20_000) < TOLERANCE * 20_000
    for other in (size - 1, size + 1):
        assert abs(counted(other) - 20_000) >= abs(parameters - 20_000)
