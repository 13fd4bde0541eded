"""Gates beside the equations of the cells, and their names beside the source of cells written here."""

import numpy as np
import pytest
import torch
from torch import nn

from rnn_tui.inference import gates as subject
from rnn_tui.inference.gates import read_gates
from rnn_tui.inference.trace import read_trace, strands_of
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrence import Stack, Unroll
from rnn_tui.model.recurrent_model import OneHot, RecurrentModel, build_model
from rnn_tui.plugin.core import Cell
from rnn_tui.plugin.registry import load_plugin

TEXT = "the quick brown fox\n" * 2


@pytest.fixture
def read(char_tokenizer):
    """A model's gates on the text."""
    tokenizer = char_tokenizer(TEXT)

    def gates(make, *, labels=False):
        model = make(tokenizer.vocab_size).eval()
        trace = read_trace(model, strands_of(model), tokenizer, TEXT, labels=labels)
        return model, trace, read_gates(model, trace)

    return gates


def shipped(arch, **settings):
    def make(vocab_size):
        torch.manual_seed(0)
        config = ModelConfig(arch=arch, hidden_size=6, **settings)
        model = build_model(load_plugin("architecture", arch), {}, config, vocab_size)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(8)  # so that some are saturated
        return model

    return make


def shares(values):
    """(T, units) → what is told of a gate, as lists."""
    return [(values < 0.1).mean(0), (values > 0.9).mean(0), values.mean(0)]


@pytest.mark.parametrize(
    ("arch", "names"), [("lstm", "fio"), ("nn-lstm", "fio"), ("gru", "rz"), ("nn-gru", "rz")]
)
def test_gates_of_the_shipped_cells_by_their_equations(read, arch, names, monkeypatch):
    monkeypatch.setattr(subject, "NUMBERS_AT_ONCE", 200)  # in several pieces
    model, trace, gates = read(shipped(arch, num_layers=2))
    assert [(gate.layer, gate.place, gate.name) for gate in gates] == [
        (layer, f"layer {layer}", name) for layer in (1, 2) for name in names
    ]
    below = model.encoder(torch.from_numpy(trace.ids)).numpy()
    order = {"lstm": "ifgo", "gru": "rzn"}[arch.removeprefix("nn-")]
    for layer, core in enumerate(model.core.cores, 1):
        h = next(part for part in trace.parts if part.layer == layer).values
        before = np.vstack([np.zeros((1, 6), np.float32), h[:-1]])
        x, below = below, h
        if arch.startswith("nn-"):
            W, U, b, c = (p.detach().numpy() for p in core.parameters())
            W, U, b = W.T, U.T, b + c
        else:
            W, U, b = (p.detach().numpy() for p in core.cell.parameters())
        sums = x @ W + before @ U + b
        for gate in (gate for gate in gates if gate.layer == layer):
            at = order.index(gate.name) * 6
            left, right, mean = shares(1 / (1 + np.exp(-sums[:, at : at + 6])))
            assert gate.left == pytest.approx(left, abs=1e-6)
            assert gate.right == pytest.approx(right, abs=1e-6)
            assert gate.mean == pytest.approx(mean, abs=1e-5)
    assert 0 < np.mean([gate.right for gate in gates]) < 1


def test_a_cell_without_gates_has_none(read):
    assert read(shipped("rnn"))[2] == []


def test_both_directions_have_gates(read):
    _, _, gates = read(shipped("gru", bidirectional=True), labels=True)
    assert [f"{gate.place} {gate.name}" for gate in gates] == [
        "layer 1 forwards r",
        "layer 1 forwards z",
        "layer 1 backwards r",
        "layer 1 backwards z",
    ]


class Named(Cell):
    """Sigmoids in every form that a source may give them; each is of a known size."""

    def __init__(self, size):
        super().__init__()
        self.output_size = size
        self.squash = nn.Sigmoid()

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return torch.zeros(batch_size, 12)

    def step(self, x, state):
        forget = torch.sigmoid(state[:, :1] - 3)
        reset, update = torch.sigmoid(state[:, :2]), (state[:, :3] + 1).sigmoid()
        write, show = torch.sigmoid(state[:, :8]).chunk(2, 1)
        mixed = torch.sigmoid(x).sum() * self.squash(state[:, :5])
        keep = torch.special.expit(state[:, :6])
        scale = torch.sigmoid(torch.zeros(3))  # no gate: it has no row for each token
        state = state * forget + reset.sum() * 0 + update.sum() * 0 + write.sum() * 0 + show.sum() * 0
        keep = torch.sigmoid_(state[:, :7].clone())
        return x + (mixed.sum() + keep.sum() + scale.sum()) * 0, state


def test_names_are_those_of_the_source(read):
    def make(size):
        return RecurrentModel(OneHot(size), Stack([Unroll(Named(size), size)]), size, dropout=0.0, tied=False)

    model, _, gates = read(make)
    size = model.output_size
    assert [(gate.name, len(gate.mean)) for gate in gates] == [
        ("forget", 1),
        ("reset", 2),
        ("update", 3),
        ("write", 4),
        ("show", 4),
        ("x", size),
        ("gate 7", 5),
        ("keep", 6),
        ("keep 2", 7),
    ]
    assert gates[0].mean == pytest.approx([1 / (1 + np.exp(3))])
    assert gates[0].left.tolist() == [1]
    assert gates[2].mean == pytest.approx([1 / (1 + np.exp(-1))] * 3)
    assert gates[2].left.tolist() == gates[2].right.tolist() == [0, 0, 0]


def test_a_step_whose_source_is_not_there_has_numbered_gates(read):
    space = {"torch": torch}
    exec("def step(self, x, state):\n    i = torch.sigmoid(state)\n    return x, state * i", space)
    nameless = type("Nameless", (Named,), {"step": space["step"]})

    def make(size):
        return RecurrentModel(
            OneHot(size), Stack([Unroll(nameless(size), size)]), size, dropout=0.0, tied=False
        )

    assert [gate.name for gate in read(make)[2]] == ["gate 1"]
