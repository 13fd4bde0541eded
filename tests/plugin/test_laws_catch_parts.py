"""The law that no part of a parameter is left out, where several matrices are joined in one."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from rnn_tui.plugin.testing import ArchitectureLaws

sys.path.insert(0, str(Path(__file__).parent))
from catching import Elman, failing, says, tried

LAW = "test_gradients_reach_every_part"


class Peephole(Elman):
    """An LSTM with joined matrices whose gates see the cell: p holds the weights of the input, forget, output gate."""

    sees = (0, 1, 2)

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.W = nn.Parameter(0.3 * torch.randn(input_size, 4 * hidden_size))
        self.U = nn.Parameter(0.3 * torch.randn(hidden_size, 4 * hidden_size))
        self.b = nn.Parameter(torch.zeros(4 * hidden_size))
        self.p = nn.Parameter(torch.zeros(3, hidden_size))

    def initial_state(self, batch_size, *, device=None, dtype=None):
        zeros = self.U.new_zeros(batch_size, self.output_size, device=device, dtype=dtype)
        return zeros, zeros.clone()

    def seen(self, gate, c):
        return self.p[gate] * c if gate in self.sees else 0.0

    def gates(self, x, h):
        return (x @ self.W + h @ self.U + self.b).chunk(4, -1)

    def step(self, x, state):
        h, c = state
        i, f, g, o = self.gates(x, h)
        i, f = torch.sigmoid(i + self.seen(0, c)), torch.sigmoid(f + self.seen(1, c))
        c = f * c + i * torch.tanh(g)
        h = torch.sigmoid(o + self.seen(2, c)) * torch.tanh(c)
        return h, (h, c)


class ForgetsThePeephole(Peephole):
    """Broken: the term of the output gate is missing, as it is easily forgotten."""

    sees = (0, 1)


class ForgetsTheBias(Peephole):
    """Broken: of the last gate."""

    def gates(self, x, h):
        *others, _ = super().gates(x, h)
        n = self.output_size
        return *others, x @ self.W[:, 3 * n :] + h @ self.U[:, 3 * n :]


class ForgetsTheState(Peephole):
    """Broken: the second gate does not see it."""

    def gates(self, x, h):
        n = self.output_size
        i, _, g, o = super().gates(x, h)
        return i, x @ self.W[:, n : 2 * n] + self.b[n : 2 * n], g, o


class KnowsSomeInputs(Elman):
    """Broken: the second and the last are not looked at."""

    def step(self, x, state):
        return super().step(x * torch.tensor([1, 0, 1, 1, 0], dtype=x.dtype), state)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (
            ForgetsThePeephole,
            "`p[2]` never gets a gradient: is a part of it unused?|(3, 8)|is missing in step",
        ),
        (ForgetsTheBias, "`b[24:32]` never gets a gradient: is a part"),
        (ForgetsTheState, "`U[:, 8:16]` never gets a gradient"),
        (KnowsSomeInputs, "`W[1]` never gets a gradient (and 1 other parts)"),
    ],
)
def test_a_part_left_out_is_caught(broken, words):
    says(tried(ArchitectureLaws, LAW, architecture=broken), words)


@pytest.mark.slow
def test_no_other_law_catches_it():
    assert failing(ArchitectureLaws, architecture=ForgetsThePeephole) == {LAW}


class IsOftenDead(Elman):
    """Whole: most of its units are 0 most of the time, one nearly always."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        with torch.no_grad():
            self.b[0] = -2.5

    def step(self, x, state):
        h = torch.relu(x @ self.W + state @ self.U + self.b - 0.3)
        return h, h


class Slow(Elman):
    """Whole: half of its units follow every 40th step only, as in a clockwork RNN."""

    def initial_state(self, batch_size, *, device=None, dtype=None):
        h = super().initial_state(batch_size, device=device, dtype=dtype)
        return h, h[:, :1] + 1

    def step(self, x, state):
        h, count = state
        new, _ = super().step(x, h)
        ticks = (count % 40 == 0).expand_as(h) | (torch.arange(self.output_size) < 4)
        h = torch.where(ticks, new, h)
        return h, (h, count + 1)


class SwitchesExperts(Elman):
    """Whole: each row is run by one of three matrices, the one that the inputs ask for."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.experts = nn.Parameter(0.3 * torch.randn(3, input_size, hidden_size))

    def step(self, x, state):
        y = torch.einsum("bi,bij->bj", x, self.experts[x[:, :3].argmax(1)])
        h = torch.tanh(y + x @ self.W + state @ self.U + self.b)
        return h, h


@pytest.mark.parametrize("whole", [Peephole, IsOftenDead, Slow, SwitchesExperts])
def test_what_is_used_now_and_then_is_used(whole):
    verdict = tried(ArchitectureLaws, LAW, architecture=whole)
    assert verdict.outcome == "pass", verdict.text


class LooksUp(Elman):
    """Whole: a table with rows for numbers that no input of the law has."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.table = nn.Embedding(256, hidden_size)

    def step(self, x, state):
        h, _ = super().step(x, state)
        h = torch.tanh(h + self.table(x.argmax(1)))
        return h, h


def test_rows_that_are_looked_up_are_only_told():
    verdict = tried(ArchitectureLaws, LAW, architecture=LooksUp)
    assert verdict.outcome == "skipped"
    assert verdict.text == "`table.weight[5:256]` got no gradient, but it is looked up by number"


class WritesToWhatItNeeds(Elman):
    """Broken: not to an input, but to what the gradient is computed from."""

    def step(self, x, state):
        h, _ = super().step(x, state)
        gate = torch.sigmoid(h)
        h = h * gate
        gate.mul_(2)
        return h, h


def test_torchs_advice_is_not_passed_on():
    verdict = tried(ArchitectureLaws, LAW, architecture=WritesToWhatItNeeds)
    says(verdict, "modified by an inplace operation|use c = c * f, not c.mul_(f)")
    assert "anomaly" not in verdict.text
