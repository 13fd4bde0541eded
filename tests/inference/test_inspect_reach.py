"""How far gradients reach, beside cells whose gradients are known by hand, and one differentiated token by token."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from rnn_tui.errors import UsageError
from rnn_tui.inference import reach as subject
from rnn_tui.inference.reach import Reach, gradient_reach
from rnn_tui.inference.trace import read_trace, strands_of
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrence import Stack, Unroll
from rnn_tui.model.recurrent_model import OneHot, RecurrentModel, build_model
from rnn_tui.plugin.core import Cell
from rnn_tui.plugin.registry import load_plugin

TEXT = "the quick brown fox\n" * 3


class Linear(Cell):
    """h' = a h + x, y = h'."""

    def __init__(self, size, a):
        super().__init__()
        self.output_size, self.a = size, a

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return torch.zeros(batch_size, self.output_size, device=device, dtype=dtype)

    def step(self, x, state):
        state = self.a * state + x
        return state, state


class Deaf(Linear):
    """Does not look at its state, which counts."""

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return torch.zeros(batch_size, 1, dtype=torch.int64), torch.zeros(batch_size, 1)

    def step(self, x, state):
        return x, (state[0] + 1, state[1].detach() + 1)


@pytest.fixture
def tokenizer(char_tokenizer):
    return char_tokenizer(TEXT)


@pytest.fixture
def traced(tokenizer):
    def read(*cells, text=TEXT, labels=False):
        size = tokenizer.vocab_size
        torch.manual_seed(0)
        cores = [Unroll(cell, size) for cell in cells]
        model = RecurrentModel(OneHot(size), Stack(cores), size, dropout=0.0, tied=False)
        return model, read_trace(model, strands_of(model), tokenizer, text, labels=labels)

    return read


@pytest.mark.parametrize("a", [0.5, 1.0, 1.25])
def test_a_linear_cell_reaches_as_its_powers(a, traced, tokenizer):
    model, trace = traced(Linear(tokenizer.vocab_size, a))
    found = gradient_reach(model, trace, 20)
    assert found.whole == pytest.approx(a ** np.arange(21), rel=1e-4)
    assert found.layers[0] == pytest.approx(found.whole)
    assert (found.distance, found.positions, found.note) == (20, 60 - 1 - 20, "")


def test_two_linear_layers_by_hand(traced, tokenizer):
    a, b = 0.5, 0.8
    model, trace = traced(Linear(tokenizer.vocab_size, a), Linear(tokenizer.vocab_size, b))
    found = gradient_reach(model, trace, 12)
    k = np.arange(13)
    # the lower state is seen at every step after it, and the upper one carries that on
    lower = np.array([sum(a ** (i + 1) * b ** (n - i) for i in range(n + 1)) for n in k])
    upper = b ** (k + 1.0)
    assert found.layers[0] == pytest.approx(lower / lower[0], rel=1e-4)
    assert found.layers[1] == pytest.approx(upper / upper[0], rel=1e-4)
    whole = np.hypot(lower, upper)
    assert found.whole == pytest.approx(whole / whole[0], rel=1e-4)


@pytest.mark.parametrize("arch", ["lstm", "nn-lstm", "gru"])
def test_against_one_window_after_the_other(arch, tokenizer, monkeypatch):
    monkeypatch.setattr(subject, "ROWS", 3)
    monkeypatch.setattr(subject, "POSITIONS", 5)
    torch.manual_seed(0)
    config = ModelConfig(arch=arch, hidden_size=7, num_layers=2, dropout=0.5)
    model = build_model(load_plugin("architecture", arch), {}, config, tokenizer.vocab_size)
    trace = read_trace(model, strands_of(model), tokenizer, TEXT)
    asked = []
    found = gradient_reach(model, trace, 9, progress=lambda *args: asked.append(args))
    assert list(dict.fromkeys(asked)) == [("gradients", 0, 5), ("gradients", 3, 5)]
    assert len(asked) == 20  # at each step, so that it can be left

    model.eval()
    ids, norms = torch.from_numpy(trace.ids), []
    for end in (9, 21, 34, 46, 58):  # five from 9 to 58, the last that a token follows
        state, seen, logits = model.initial_state(1), [], None
        for place in range(end + 1):
            if place >= end - 9:
                # copies: a step's output may be its state, and what goes through the output shall not count
                flat = [leaf.clone() for leaf in flatten(state)]
                if place == end - 9:
                    flat = [leaf.detach().requires_grad_() for leaf in flat]
                state = unflatten(state, flat)
                seen.append(flat)
            logits, state = model.step(ids[place : place + 1], state)
        loss = functional.cross_entropy(logits, ids[end + 1 : end + 2])
        gradients = torch.autograd.grad(loss, [leaf for flat in seen for leaf in flat])
        step = len(seen[0])
        norms.append(
            [
                float(torch.cat([g.flatten() for g in gradients[step * k : step * (k + 1)]]).norm())
                for k in reversed(range(10))
            ]
        )
    mean = np.mean(norms, 0)
    assert found.whole == pytest.approx(mean / mean[0], rel=1e-3)
    assert found.positions == 5
    assert all(parameter.grad is None for parameter in model.parameters())


def flatten(state):
    return [leaf for layer in state for leaf in (layer if isinstance(layer, tuple) else [layer])]


def unflatten(state, flat):
    rest = iter(flat)
    return tuple(
        type(layer)(*(next(rest) for _ in layer)) if isinstance(layer, tuple) else next(rest)
        for layer in state
    )


def test_a_state_that_nothing_depends_on(traced, tokenizer):
    model, trace = traced(Deaf(tokenizer.vocab_size, 0))
    found = gradient_reach(model, trace, 5)
    assert found.whole.tolist() == [0] * 6
    assert "no gradient reaches the state" in found.note


def test_a_model_of_labels_takes_its_own(traced, tokenizer):
    model, trace = traced(Linear(tokenizer.vocab_size, 0.5), labels=True)
    found = gradient_reach(model, trace, 59)
    assert found.whole == pytest.approx(0.5 ** np.arange(60.0), rel=1e-3)
    assert found.positions == 1


def test_short_texts(traced, tokenizer):
    model, trace = traced(Linear(tokenizer.vocab_size, 0.5), text="the ")
    found = gradient_reach(model, trace, 200)
    assert found.whole == pytest.approx([1, 0.5, 0.25], rel=1e-4)
    model, trace = traced(Linear(tokenizer.vocab_size, 0.5), text="t")
    with pytest.raises(UsageError, match="a text of two tokens or more"):
        gradient_reach(model, trace, 200)


def test_both_directions_are_refused(tokenizer):
    config = ModelConfig(hidden_size=4, bidirectional=True)
    model = build_model(load_plugin("architecture", "lstm"), {}, config, tokenizer.vocab_size)
    trace = read_trace(model, strands_of(model), tokenizer, TEXT, labels=True)
    with pytest.raises(UsageError, match="reads in both directions"):
        gradient_reach(model, trace, 5)


def test_where_it_stays_below():
    reach = Reach(np.array([1.0, 0.4, 0.6, 0.3, 0.2]), (), 1)
    assert (reach.below(0.5), reach.below(0.7), reach.below(0.1)) == (3, 1, None)
    assert Reach(np.array([1.0, np.nan]), (), 1).below(0.5) is None


def test_a_large_model_is_looked_at_from_fewer_tokens(traced, tokenizer, monkeypatch):
    size = tokenizer.vocab_size
    linear = Linear(size, 0.5)
    linear.weight = torch.nn.Parameter(torch.zeros(100))
    model, trace = traced(linear)
    monkeypatch.setattr(subject, "PRODUCTS", 2 * 100 * 11 * 20)
    assert gradient_reach(model, trace, 10).positions == 20
    monkeypatch.setattr(subject, "PRODUCTS", 0)
    assert gradient_reach(model, trace, 10).positions == subject.ROWS
