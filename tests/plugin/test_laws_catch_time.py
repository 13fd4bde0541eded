"""The kit catches what it says it catches: laws of time, of gradients and of agreement."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rnn_tui_scratch.numpy_steps import NumpyRNN
from rnn_tui_scratch.rnn import RNN
from rnn_tui_torch.rnn import TorchRNN
from torch import nn

from rnn_tui.plugin.testing import ArchitectureLaws

sys.path.insert(0, str(Path(__file__).parent))
from catching import Elman, failing, says, tried


class Plain(TorchRNN):
    """torch's, without its ways to and from nn.RNN."""

    to_nn = from_nn = None


class StepsDifferently(Plain):
    """Broken."""

    def step(self, x, state):
        y, state = super().step(x, state)
        return 2 * y, state


class StepsToAnotherState(Plain):
    """Broken."""

    def step(self, x, state):
        y, state = super().step(x, state)
        return y, 2 * state


class TrainsDifferently(Plain):
    """Broken."""

    def forward(self, xs, state, *, reset=None):
        ys, state = super().forward(xs, state, reset=reset)
        return ys * (2 if self.training else 1), state


class SeesTheFuture(Plain):
    """Broken."""

    def forward(self, xs, state, *, reset=None):
        return super().forward(xs + xs.mean(1, keepdim=True), state, reset=reset)


class IgnoresResets(Plain):
    """Broken."""

    def forward(self, xs, state, *, reset=None):
        return super().forward(xs, state)


class ResetsLate(Plain):
    """Broken: after the input."""

    def forward(self, xs, state, *, reset=None):
        if reset is not None:
            reset = torch.cat([torch.zeros_like(reset[:, :1]), reset[:, :-1]], 1)
        return super().forward(xs, state, reset=reset)


class ResetsToZeros(Plain):
    """Broken: its state does not begin there."""

    def initial_state(self, batch_size, **more):
        return super().initial_state(batch_size, **more) + 0.5


class ResetsEveryRow(Plain):
    """Broken."""

    def forward(self, xs, state, *, reset=None):
        if reset is not None:
            reset = reset.any(0).expand(reset.shape)
        return super().forward(xs, state, reset=reset)


class IsAnotherForTwoRows(Elman):
    """Broken: of two rows."""

    def step(self, x, state):
        y, h = super().step(x, state)
        return y, h if len(x) != 2 else 0 * h


class Grows(Elman):
    """Broken."""

    def step(self, x, state):
        h = x @ self.W + 3 * state + state @ self.U + self.b
        return h, h


class DetachesItsState(Elman):
    """Broken: the weight that acts on the state gets no gradient."""

    def step(self, x, state):
        h = torch.tanh(x @ self.W + (state @ self.U).detach() + self.b)
        return h, h


class HasAWeightTooMany(Elman):
    """Broken."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.gate = nn.Linear(hidden_size, hidden_size, bias=False)


class DetachesAWeight(Elman):
    """Broken."""

    def step(self, x, state):
        h = torch.tanh(x @ self.W + state @ self.U + self.b.detach())
        return h, h


class RoundsAWeight(Elman):
    """Broken."""

    def step(self, x, state):
        h = torch.tanh(x @ self.W + state @ self.U + torch.sign(self.b))
        return h, h


class HasInfiniteSlopes(Elman):
    """Broken."""

    def step(self, x, state):
        y, h = super().step(x, state)
        return y + (self.b * 0).square().sum().sqrt(), h


class RunsWithoutGradients(Elman):
    """Broken."""

    @torch.no_grad()
    def step(self, x, state):
        return super().step(x, state)


class _Halved(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.clone()

    @staticmethod
    def backward(context, grad):
        return grad / 2


class HasAWrongBackward(Elman):
    """Broken."""

    def step(self, x, state):
        y, h = super().step(x, state)
        return _Halved.apply(y), h


class GivesAnotherModule(TorchRNN):
    """Broken: the weights are turned over."""

    def to_nn(self):
        module = super().to_nn()
        with torch.no_grad():
            module.weight_hh_l0.copy_(module.weight_hh_l0.T.clone())
        return module


class GivesNoModule(TorchRNN):
    """Broken."""

    def to_nn(self):
        return nn.RNN(self.input_size, self.output_size)


class TakesHalf(TorchRNN):
    """Broken."""

    def from_nn(self, layer):
        with torch.no_grad():
            self.rnn.weight_hh_l0.copy_(layer.weight_hh_l0)


STEP = ["step_equals_sequence_while_training"]
CASES = [
    (StepsDifferently, "step_equals_sequence", "step was called on position 0 of 6|different things", STEP),
    (StepsToAnotherState, "step_equals_sequence", "position 1 of 6|another state than forward", STEP),
    (TrainsDifferently, "step_equals_sequence_while_training", "in training mode on position 0", []),
    (SeesTheFuture, "causality", "from position 1 on were changed|looks ahead", ...),
    (
        IgnoresResets,
        "a_reset_is_a_fresh_start",
        "in row 0 at position 0; from there on, beside a fresh row|likely    reset is ignored",
        [],
    ),
    (ResetsLate, "a_reset_is_a_fresh_start", "likely    a reset comes one position late", []),
    (ResetsToZeros, "a_reset_is_a_fresh_start", "likely    a reset gives zeros: put initial_state", []),
    (ResetsEveryRow, "a_reset_is_a_fresh_start", "the other rows, beside no reset|row by row", []),
    (IsAnotherForTwoRows, "rows_do_not_mix", "without row 1|depends on how many there are", []),
    (Grows, "a_long_sequence_stays_finite", "over 1000 positions|NaN or infinity at position 6|no gate", ...),
    (
        DetachesItsState,
        "gradients_reach_everything",
        "the state is cut off by .detach()",
        ["gradients_agree_with_numerical_ones"],
    ),
    (
        HasAWeightTooMany,
        "gradients_reach_everything",
        "parameter `gate.weight` never gets a gradient|it is created but not used in step",
        [],
    ),
    (DetachesAWeight, "gradients_reach_everything", "parameter `b` never gets|cut off by .detach()", ...),
    (RoundsAWeight, "gradients_reach_everything", "parameter `b`|zeros everywhere|round, sign", []),
    (HasInfiniteSlopes, "gradients_reach_everything", "parameter `b`|NaN or infinity|a root", ...),
    (RunsWithoutGradients, "gradients_reach_everything", "outputs that no gradient goes through", ...),
    (HasAWrongBackward, "gradients_agree_with_numerical_ones", "the input|by differences|wrong backward", []),
    (GivesAnotherModule, "to_nn_computes_the_same", "by the module of to_nn|not transposed", ...),
    (GivesNoModule, "to_nn_computes_the_same", "batch_first=True|came      RNN(5, 8)", ...),
    (
        TakesHalf,
        "from_nn_takes_what_to_nn_gives",
        "were given to from_nn|leaves some weights as they were",
        [],
    ),
]


@pytest.mark.parametrize(("broken", "law", "words", "_"), CASES)
def test_a_broken_layer_is_caught(broken, law, words, _):
    says(tried(ArchitectureLaws, f"test_{law}", architecture=broken), words)


@pytest.mark.slow
@pytest.mark.parametrize(("broken", "law", "_", "related"), [case for case in CASES if case[3] is not ...])
def test_no_unrelated_law_is_broken(broken, law, _, related):
    assert failing(ArchitectureLaws, architecture=broken) == {f"test_{each}" for each in [law, *related]}


class LearnsItsBeginning(Elman):
    """Whole: the initial state is a parameter."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.first = nn.Parameter(torch.zeros(hidden_size))

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return self.first.expand(batch_size, -1).to(device, dtype)


def test_the_whole_ones_keep_them_all():
    assert failing(ArchitectureLaws, architecture=LearnsItsBeginning) == set()
    assert failing(ArchitectureLaws, architecture=TorchRNN) == set()
    assert failing(ArchitectureLaws, architecture=Plain) == set()


class ScalesItsOutput(NumpyRNN):
    """Broken."""

    def step(self, x, state):
        y, state = super().step(x, state)
        return 2 * y, state


class BeginsAtOne(NumpyRNN):
    """Broken."""

    def initial_state(self, batch_size):
        return np.ones_like(super().initial_state(batch_size))


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (ScalesItsOutput, "position 0 was read by the step in NumPy|layout of state_dict()"),
        (BeginsAtOne, "initial_state(2) of the step in NumPy|expected  0 |came      1;"),
    ],
)
def test_a_broken_step_in_numpy_is_caught(step, words):
    law = "test_the_numpy_step_agrees"
    assert tried(ArchitectureLaws, law, architecture=RNN, numpy_step=NumpyRNN).outcome == "pass"
    says(tried(ArchitectureLaws, law, architecture=RNN, numpy_step=step), words)


def test_what_cannot_be_tried_is_skipped_with_a_reason():
    assert (
        tried(ArchitectureLaws, "test_to_nn_computes_the_same", architecture=Plain).text == "it has no to_nn"
    )
    training = "test_step_equals_sequence_while_training"
    assert tried(ArchitectureLaws, training, architecture=Elman).outcome == "skipped"
    single = tried(
        ArchitectureLaws, "test_gradients_agree_with_numerical_ones", architecture=Elman, dtype=torch.float32
    )
    assert (single.outcome, single.text) == ("skipped", "numerical gradients need float64")
