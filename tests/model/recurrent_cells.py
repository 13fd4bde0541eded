"""Cells written only as steps, the kinds that authors write and the kinds that no engine can take apart."""

import torch
from torch import nn
from torch.nn import functional

from rnn_tui.plugin import Cell


class Base(Cell):
    """One state (B, H), zero at the start."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.output_size = hidden_size
        self.input = nn.Linear(input_size, hidden_size)
        self.recurrent = nn.Linear(hidden_size, hidden_size)

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return torch.zeros(batch_size, self.output_size, device=device, dtype=dtype)


class LayerNormLSTM(Cell):
    """Ba et al. 2016: every product normalised, and the memory before it is shown."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.output_size = hidden_size
        self.input = nn.Linear(input_size, 4 * hidden_size, bias=False)
        self.recurrent = nn.Linear(hidden_size, 4 * hidden_size)
        self.norms = nn.ModuleList([nn.LayerNorm(4 * hidden_size), nn.LayerNorm(4 * hidden_size)])
        self.norm = nn.LayerNorm(hidden_size)

    def initial_state(self, batch_size, *, device=None, dtype=None):
        zeros = torch.zeros(batch_size, self.output_size, device=device, dtype=dtype)
        return zeros, zeros.clone()

    def step(self, x, state):
        h, c = state
        gates = self.norms[0](self.input(x)) + self.norms[1](self.recurrent(h))
        i, f, g, o = gates.chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * self.norm(c).tanh()
        return h, (h, c)


class PeepholeLSTM(Cell):
    """Gers and Schmidhuber 2000: the gates see the memory; one matrix over [x, h]."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.output_size = hidden_size
        self.all = nn.Linear(input_size + hidden_size, 4 * hidden_size)
        self.peep = nn.Parameter(torch.randn(3, hidden_size) * 0.3)

    def initial_state(self, batch_size, *, device=None, dtype=None):
        zeros = torch.zeros(batch_size, self.output_size, device=device, dtype=dtype)
        return zeros, zeros.clone()

    def step(self, x, state):
        h, c = state
        i, f, g, o = self.all(torch.cat([x, h], 1)).chunk(4, 1)
        c = torch.sigmoid(f + self.peep[0] * c) * c + torch.sigmoid(i + self.peep[1] * c) * torch.tanh(g)
        h = torch.sigmoid(o + self.peep[2] * c) * torch.tanh(c)
        return h, (h, c)


class MinimalGated(Base):
    """Zhou et al. 2016: one gate, used twice."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.gate = nn.Linear(input_size, hidden_size)
        self.U = nn.Parameter(torch.randn(hidden_size, hidden_size) * 0.2)

    def step(self, x, state):
        f = torch.sigmoid(self.gate(x) + state @ self.U)
        h = (1 - f) * state + f * torch.tanh(self.input(x) + self.recurrent(f * state))
        return h, h


class IndRNN(Base):
    """Li et al. 2018: the recurrence is a vector."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        del self.recurrent
        self.u = nn.Parameter(torch.rand(hidden_size))

    def step(self, x, state):
        h = torch.relu(self.input(x) + self.u * state)
        return h, h


class ThreeLeaves(Base):
    """A dict of three: fast and slow memories, a count of steps; written in another order than it was read."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.start = nn.Parameter(torch.randn(hidden_size))

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return {
            "fast": self.start.expand(batch_size, -1).to(device=device, dtype=dtype),
            "slow": torch.zeros(batch_size, self.output_size, 2, device=device, dtype=dtype),
            "count": torch.zeros(batch_size, dtype=torch.int64, device=device),
        }

    def step(self, x, state):
        count = state["count"] + 1
        seen = state["slow"].mean(2) / count[:, None]
        fast = torch.tanh(self.input(x) + self.recurrent(state["fast"]) * seen.exp())
        slow = torch.stack([state["slow"][..., 1], fast], 2)
        return fast + x.sum(1, keepdim=True), {"slow": slow, "count": count, "fast": fast}


class Delay(Base):
    """The state is the last input, and the output the last state: neither needs the other."""

    def step(self, x, state):
        return state, self.input(x)


class FreshTensors(Base):
    """Makes tensors of its own in a step: one by the batch, one by a number; writes to one of them."""

    def step(self, x, state):
        mask = torch.ones(x.shape[0], self.output_size)
        mask[:, 0] = 0.5
        h = torch.tanh(self.input(x) + self.recurrent(state) * mask + torch.tensor(0.25))
        return h, h.view(x.shape[0], 2, -1).flip(1).reshape(x.shape[0], -1)


class StopGradient(Base):
    """The gate learns nothing from the state."""

    def step(self, x, state):
        h = torch.tanh(self.input(x) + self.recurrent(state)) * torch.sigmoid(state.detach())
        return h, h


class Branches(Base):
    def step(self, x, state):
        h = self.input(x) + self.recurrent(state)
        h = h.tanh() if h.sum() > 0 else h.sigmoid()
        return h, h


class MixesRows(Base):
    """Rows are mixed, but only where the loop computes them: a step's own graph is exact."""

    def step(self, x, state):
        h = self.input(x) + self.recurrent(state)
        h = torch.tanh(h - h.mean(0))
        return h, h


class MixesRowsQuietly(Base):
    """Rows are mixed in what would be computed for all positions at once."""

    def step(self, x, state):
        p = self.input(x)
        h = torch.tanh(p + self.recurrent(state) + p.amax(0) + p.cumsum(0))
        return h, h


class WritesInPlace(Base):
    def step(self, x, state):
        state.mul_(0.5)
        h = torch.tanh(self.input(x) + self.recurrent(state))
        return h, h


class DrawsNumbers(Base):
    def step(self, x, state):
        h = functional.dropout(torch.tanh(self.input(x) + self.recurrent(state)), 0.5)
        return h, h


class HostRandom(Base):
    def step(self, x, state):
        import random

        h = torch.tanh(self.input(x) + self.recurrent(state)) * random.random()
        return h, h


class Fails(Base):
    def step(self, x, state):
        raise ValueError("no such thing")


class Double(Base):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.double()


class OwnGradient(Base):
    """A surrogate gradient, as spiking cells have: the graph of a step does not know it."""

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return (x > 0).to(x.dtype)

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return grad / (1 + x.abs()) ** 2

    def step(self, x, state):
        h = 0.9 * state + self.input(x)
        y = self.Spike.apply(h)
        return y, h - y
