"""A model stepped by its graphs gives what its own step gives: for every cell, encoder and number of rows."""

import gc
import sys
import weakref
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrence import stepper as stepper_module
from rnn_tui.model.recurrence.native import toolchain
from rnn_tui.model.recurrence.stepper import Stepper
from rnn_tui.model.recurrence.written_out import WrittenOut
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin import Cell
from rnn_tui.plugin.registry import load_plugin

sys.path.insert(0, str(Path(__file__).parent))
import recurrent_cells as cells

V, H = 11, 8
NAMES = ["rnn", "gru", "lstm", "nn-rnn", "nn-gru", "nn-lstm"]
RIGHT = [
    cells.LayerNormLSTM,
    cells.PeepholeLSTM,
    cells.MinimalGated,
    cells.IndRNN,
    cells.ThreeLeaves,
    cells.Delay,
    cells.FreshTensors,
    cells.MixesRows,
]
WRONG = {
    cells.Branches: "branches on the values",
    cells.MixesRowsQuietly: "gives other outputs",
    cells.WritesInPlace: "in place",
    cells.DrawsNumbers: "random",
    cells.HostRandom: "changes from call to call",
    cells.Fails: "no such thing",
    cells.Double: "float64",
    cells.OwnGradient: "autograd.Function",
}
SHAPES = {
    "one layer": {},
    "three layers": {"num_layers": 3},
    "embedding": {"encoder": "embedding", "embedding_size": 5},
    "tied": {"encoder": "embedding", "tie_weights": True, "num_layers": 2, "dropout": 0.5},
}


@pytest.fixture(autouse=True)
def no_compiler(monkeypatch):
    """What is compiled has tests of its own, and takes a second each time."""
    monkeypatch.setenv("RNN_TUI_CC", "")
    monkeypatch.setattr(toolchain, "_results", {})


def built(arch, **settings):
    torch.manual_seed(2)
    plugin = load_plugin("architecture", arch) if isinstance(arch, str) else arch
    model = build_model(plugin, {}, ModelConfig(hidden_size=H, **settings), V)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    return model


@torch.inference_mode()
def assert_same(stepper, rows=3):
    """Seven steps of a few rows, beside the model's own."""
    model = stepper.model.eval()
    ours, state = stepper.initial_state(rows), model.initial_state(rows)
    for ids in torch.randint(V, (7, rows), generator=torch.Generator().manual_seed(rows)):
        found, ours = stepper.step(ids, ours)
        expected, state = model.step(ids, state)
        assert_close(found, expected, rtol=1e-4, atol=1e-5)
        for leaf, right in zip(ours, stepper.flatten(state), strict=True):
            assert_close(leaf, right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("arch", NAMES)
def test_equals_the_models_own_step(arch, shape):
    stepper = Stepper(built(arch, **SHAPES[shape]))
    assert stepper.prepare() == ""
    assert [table.shape[0] for table in stepper.tables] == [V] * len(stepper.tables)
    for rows in (1, 3):
        assert_same(stepper, rows)


@pytest.mark.parametrize("cell", RIGHT, ids=lambda cell: cell.__name__)
def test_equals_the_step_of_a_strange_cell(cell):
    stepper = Stepper(built(cell))
    assert stepper.prepare() == ""
    assert_same(stepper)


@pytest.mark.parametrize("cell", WRONG, ids=lambda cell: cell.__name__)
def test_what_cannot_be_taken_apart_keeps_its_step(cell):
    stepper = Stepper(built(cell).eval())
    before = torch.random.get_rng_state()
    reason = stepper.prepare()
    assert WRONG[cell] in reason
    assert "\n" not in reason
    assert stepper.traced is None
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_branch_is_taken_as_the_values_have_it():
    stepper = Stepper(built(cells.Branches))
    stepper.prepare()
    assert_same(stepper)


def test_the_state_is_the_same_before_and_after_tracing():
    stepper = Stepper(built("gru").eval())
    ids = torch.tensor([3])
    _, state = stepper.step(ids, stepper.initial_state(1))
    expected, _ = stepper.step(ids, state)
    stepper.prepare()
    found, _ = stepper.step(ids, state)
    assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_without_tables_the_input_is_computed_at_each_step(monkeypatch):
    monkeypatch.setattr(stepper_module, "TABLE_LIMIT", 100)
    stepper = Stepper(built("lstm", num_layers=2))
    assert stepper.prepare() == ""
    assert stepper.tables == []
    assert_same(stepper)


def test_weights_that_change_are_noticed():
    model = built("lstm", encoder="embedding")
    stepper = Stepper(model)
    stepper.prepare()
    kept = stepper.tables
    stepper.refresh()
    assert stepper.tables is kept
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    features, _ = model(torch.zeros(2, 3, dtype=torch.long), model.initial_state(2))
    model.outputs(features).square().sum().backward()
    optimizer.step()
    stepper.refresh()
    assert stepper.tables is not kept
    assert_same(stepper)


def test_nothing_of_the_model_is_touched():
    model = built("lstm", dropout=0.5, num_layers=2).train()
    weights = {name: (id(p), p.clone()) for name, p in model.named_parameters()}
    before = torch.random.get_rng_state()
    with torch.inference_mode():
        assert Stepper(model).prepare() == ""
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(module.training for module in model.modules())
    for name, parameter in model.named_parameters():
        assert id(parameter) == weights[name][0]
        assert torch.equal(parameter, weights[name][1])
        assert parameter.grad is None
    model(torch.zeros(2, 3, dtype=torch.long), model.initial_state(2))[0].sum().backward()


def test_a_step_that_keeps_something_on_itself_keeps_nothing_of_the_trace():
    class Keeps(cells.Base):
        def step(self, x, state):
            self.last = torch.tanh(self.input(x) + self.recurrent(state))
            return self.last, self.last

    model = built(Keeps)
    assert Stepper(model).prepare() == ""
    assert not hasattr(model.core.cores[0].cell, "last")


def test_a_model_that_is_gone_leaves_nothing_behind():
    model = built("rnn")
    Stepper(model).prepare()
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


class Torchs(Cell):
    """One of torch's cell modules as a Cell."""

    kind: type

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.output_size = hidden_size
        self.cell = self.kind(input_size, hidden_size)

    def initial_state(self, batch_size, *, device=None, dtype=None):
        zeros = torch.zeros(batch_size, self.output_size, device=device, dtype=dtype)
        return (zeros, zeros) if self.kind is nn.LSTMCell else zeros

    def step(self, x, state):
        after = self.cell(x, state)
        return (after[0], after) if self.kind is nn.LSTMCell else (after, after)


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_torchs_cell_modules_can_be_taken_apart(kind):
    stepper = Stepper(built(type("Own", (Torchs,), {"kind": kind})))
    assert stepper.prepare() == ""
    assert_same(stepper)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", ["lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"])
def test_the_equations_are_torchs(name, bias):
    gates = {"lstm_cell": 4, "gru_cell": 3}.get(name, 1)
    generator = torch.Generator().manual_seed(0)
    x, h, c, w, u, b, d = (
        torch.randn(*shape, generator=generator, dtype=torch.float64)
        for shape in [(3, 5), (3, H), (3, H), (gates * H, 5), (gates * H, H), (gates * H,), (gates * H,)]
    )
    function = getattr(torch, name)
    arguments = (x, (h, c) if name == "lstm_cell" else h, w, u, *((b, d) if bias else ()))
    expected = function(*arguments)
    with WrittenOut():
        assert_close(function(*arguments), expected)
        assert torch.equal(torch.tanh(x), x.tanh())  # all else is as it was
