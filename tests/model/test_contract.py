"""The check of an architecture when a run starts: right ones pass and are left alone, each broken promise is named."""

import pytest
import torch
from torch import nn

from rnn_tui.errors import PluginError
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.contract import check_architecture
from rnn_tui.model.file import weights
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin import Cell, Core
from rnn_tui.plugin.registry import list_plugins, load_plugin

OURS = [info.name for info in list_plugins("architecture")]


class Tanh(Cell):
    """A right one, from which the wrong ones differ in one thing."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.output_size = hidden_size
        self.joined = nn.Linear(input_size + hidden_size, hidden_size)

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return self.joined.weight.new_zeros(batch_size, self.output_size, device=device, dtype=dtype)

    def step(self, x, h):
        h = torch.tanh(self.joined(torch.cat([x, h], 1)))
        return h, h


class OverTime(Core):
    """The same over a whole sequence."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.input_size, self.output_size = input_size, hidden_size
        self.cell = Tanh(input_size, hidden_size)

    def initial_state(self, batch_size, **where):
        return self.cell.initial_state(batch_size, **where)

    def forward(self, xs, state, *, reset=None):
        ys = []
        for t in range(xs.shape[1]):
            if reset is not None:
                state = state * ~reset[:, t, None]
            ys.append(self.cell.step(xs[:, t], state)[0])
            state = ys[-1]
        return torch.stack(ys, 1), state


def wrong(base, **members):
    return type("Wrong", (base,), members)


def stateful(self, x, h):
    y, h = Tanh.step(self, x, h)
    before, self.last = getattr(self, "last", 0), h.detach()
    return y + before, h


def leaking(self, x, h):
    """Only through the graph: the value of what is added is always zero."""
    y, h = Tanh.step(self, x, h)
    before, self.last = getattr(self, "last", y), h
    return y + 0 * before, h


def hoarding(self, x, h):
    y, h = Tanh.step(self, x, h)
    vars(self).setdefault("kept", []).append(h)
    return y, h


def fails(self, x, h):
    raise RuntimeError("no \x1b[31mluck")


BROKEN = {
    "NaN": (wrong(Tanh, step=lambda self, x, h: (h / 0 * 0, h)), "its output holds NaN or infinity"),
    "NaN in the state": (
        wrong(Tanh, step=lambda self, x, h: (h, h / 0 * 0)),
        "its state holds NaN or infinity",
    ),
    "shape": (wrong(Tanh, step=lambda self, x, h: (h[:, :-1], h)), r"its output is \(3, 7\), not \(3, 8\)"),
    "dtype": (
        wrong(Tanh, step=lambda self, x, h: (h.double(), h)),
        "its output is torch.float64 on cpu, not",
    ),
    "no pair": (
        wrong(Tanh, step=lambda self, x, h: h),
        "its step returns a Tensor, not an output and a state",
    ),
    "no tensor": (wrong(Tanh, step=lambda self, x, h: (3.0, h)), "its output is a float, not a tensor"),
    "structure": (
        wrong(Tanh, step=lambda self, x, h: (h, (h, h))),
        r"its step makes of a state float32 \(3, 8\) one of \(float32 \(3, 8\), float32 \(3, 8\)\)",
    ),
    "state shape": (wrong(Tanh, step=lambda self, x, h: (h, h[:, :4])), r"one of float32 \(3, 4\)"),
    "state dtype": (wrong(Tanh, step=lambda self, x, h: (h, h.int())), r"one of int32 \(3, 8\)"),
    "batch": (
        wrong(Tanh, initial_state=lambda self, n, device=None, dtype=None: torch.zeros(1, n, 8)),
        r"its initial state holds a tensor \(1, 3, 8\), whose first dimension is not the batch, 3",
    ),
    "no state": (
        wrong(Tanh, initial_state=lambda self, n, device=None, dtype=None: None),
        "its initial state holds a NoneType, where tensors",
    ),
    "initial dtype": (
        wrong(Tanh, initial_state=lambda self, n, device=None, dtype=None: torch.zeros(n, 8).double()),
        "its initial state is torch.float64 on cpu",
    ),
    "input written": (
        wrong(Tanh, step=lambda self, x, h: Tanh.step(self, x.add_(1), h)),
        "writes to its input",
    ),
    "state written": (
        wrong(Tanh, step=lambda self, x, h: Tanh.step(self, x, h.add_(1))),
        "writes to the state that it was given",
    ),
    "rows": (
        wrong(Tanh, step=lambda self, x, h: Tanh.step(self, x - x.mean(0), h)),
        "mixes the rows of a batch",
    ),
    "own state": (wrong(Tanh, step=stateful), "it keeps something of its own"),
    "graph": (wrong(Tanh, step=leaking), "depends on steps before those that the state was cut from"),
    "hoard": (wrong(Tanh, step=hoarding), "it keeps outputs or states of earlier steps"),
    "no gradient": (
        wrong(Tanh, step=lambda self, x, h: tuple(v.detach() for v in Tanh.step(self, x, h))),
        "no gradient reaches its weights",
    ),
    "raises": (wrong(Tanh, step=fails), "it fails on a tiny batch: RuntimeError: no"),
    "steps differ": (wrong(OverTime, step=Cell.step), "it fails on a tiny batch: NotImplementedError"),
    "forward and step": (
        wrong(OverTime, step=lambda self, x, h: self.cell.step(2 * x, h)),
        "its forward and its step give different outputs",
    ),
    "reset": (
        wrong(OverTime, forward=lambda self, xs, h, *, reset=None: OverTime.forward(self, xs, h)),
        "does not begin anew where reset is true",
    ),
    "time first": (
        wrong(
            OverTime, forward=lambda self, xs, h, *, reset=None: OverTime.forward(self, xs.transpose(0, 1), h)
        ),
        "it fails on a tiny batch: RuntimeError",
    ),
}


def built(plugin, **settings):
    torch.manual_seed(0)
    return build_model(plugin, {}, ModelConfig(**{"hidden_size": 8, "num_layers": 2, **settings}), 11).train()


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_named(name):
    plugin, message = BROKEN[name]
    model = built(plugin)
    with pytest.raises(PluginError, match=message) as caught:
        check_architecture(model, "architecture wrong (bad-dist 1.0)")
    assert str(caught.value).startswith("architecture wrong (bad-dist 1.0): ")


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("plugin", [Tanh, OverTime, *OURS])
def test_a_right_one_passes_and_is_left_alone(plugin, bidirectional):
    model = built(
        load_plugin("architecture", plugin) if isinstance(plugin, str) else plugin,
        bidirectional=bidirectional,
    )
    before = {name: tensor.clone() for name, tensor in weights(model).items()}
    numbers = torch.get_rng_state()
    check_architecture(model, "it")
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(model).items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), numbers)
    assert all(module.training for module in model.modules())


def test_weights_that_are_not_trained_need_no_gradient():
    """A reservoir: only the head learns."""
    model = built(Tanh)
    model.core.requires_grad_(False)
    check_architecture(model, "it")


def test_noise_of_its_own_is_no_broken_promise():
    def noisy(self, x, h):
        return Tanh.step(self, x + torch.randn(x.shape[1]), h)

    check_architecture(built(wrong(Tanh, step=noisy)), "it")
