"""The laws of an architecture as the host runs it: kept by the cells of rnn-tui, broken by what breaks them."""

import sys
from pathlib import Path

import pytest
import torch
from rnn_tui_scratch.rnn import RNN
from rnn_tui_torch.rnn import TorchRNN

from rnn_tui.bench.hosted import HostedLaws
from rnn_tui.model.recurrence import Unroll
from rnn_tui.plugin.testing.laws import laws_of

sys.path.insert(0, str(Path(__file__).parents[1] / "plugin"))
from catching import says, tried

TOLD = {"test_faster_ways_agree_with_the_loop", "tell_training_speed", "tell_sampling_speed"}


def _tried(law, architecture, name="rnn-tui:rnn"):
    return tried(HostedLaws, law, architecture=architecture, name=name, hidden_size=16)


class MixesRows(RNN):
    """Broken."""

    def step(self, x, state):
        return super().step(x - x.mean(0), state)


class HidesAWeight(RNN):
    """Broken: drawn at the start, and in no file."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.mask = torch.rand(hidden_size)

    def step(self, x, state):
        y, h = super().step(x, state)
        return y * self.mask, h


class HardlyListens(RNN):
    """Broken."""

    def step(self, x, state):
        return super().step(1e-6 * x, 0 * state)


class StepsDifferently(TorchRNN):
    """Broken."""

    def step(self, x, state):
        y, state = super().step(x, state)
        return 2 * y, state


@pytest.mark.parametrize(
    ("law", "broken", "words"),
    [
        ("a_run_starts_with_it", MixesRows, "it mixes the rows of a batch"),
        pytest.param(
            *(
                "sampling_agrees_with_the_model",
                StepsDifferently,
                "read one by one, as a prompt does|at token 0",
            ),
            marks=pytest.mark.slow,
        ),
        ("a_model_file_holds_it", HidesAWeight, "read by load_model|is no parameter and no buffer"),
        (
            "training_lowers_the_loss",
            HardlyListens,
            "100 updates by Adam|a loss below 2|3.3|nats in 100 updates",
        ),
    ],
)
def test_a_broken_architecture_is_caught(law, broken, words):
    name = "rnn-tui:nn-rnn" if issubclass(broken, TorchRNN) else "rnn-tui:rnn"
    says(_tried(f"test_{law}", broken, name), words)


def test_a_wrong_way_over_time_is_caught(monkeypatch):
    """The host compares four positions when it takes a way; this looks at forty."""
    forward = Unroll.forward_rows

    def wrong(self, xs, ids, state, *, reset=None):
        ys, state = forward(self, xs, ids, state, reset=reset)
        return (ys if self.engine == "loop" else ys * 1.01), state

    monkeypatch.setattr(Unroll, "forward_rows", wrong)
    verdict = _tried("test_faster_ways_agree_with_the_loop", RNN)
    says(verdict, "40 positions were run eager, and by the plain loop; the outputs|expected|came")


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "name"), [(RNN, "rnn-tui:rnn"), (TorchRNN, "rnn-tui:nn-rnn")])
def test_whole_ones_keep_them(architecture, name):
    for law in laws_of(HostedLaws):
        if law not in TOLD:
            assert _tried(law, architecture, name).outcome == "pass"


def test_what_stops_the_host_is_told():
    class Branches(RNN):
        """Allowed, and slow."""

        def step(self, x, state):
            y, h = super().step(x, state)
            return (y if y.sum() > -1e9 else -y), h

    verdict = _tried("test_faster_ways_agree_with_the_loop", Branches)
    assert verdict.outcome == "pass"
    assert verdict.text.startswith("fastest: loop; the plain loop, because the step cannot be taken apart: ")
    own = _tried("test_faster_ways_agree_with_the_loop", TorchRNN, "rnn-tui:nn-rnn")
    assert own.text == "the architecture brings its own way over time"


@pytest.mark.slow
def test_speeds_are_told():
    for law in ("tell_training_speed", "tell_sampling_speed"):
        verdict = _tried(law, TorchRNN, "rnn-tui:nn-rnn")
        assert verdict.outcome == "info"
        assert "tokens/s" in verdict.text
        assert "nn.RNN" in verdict.text
