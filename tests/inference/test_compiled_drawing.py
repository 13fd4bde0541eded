"""Tokens drawn by compiled code: the text that the model's own step gives, whatever the model and the rules."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rnn_tui_text.char import CharTokenizer

from rnn_tui.errors import DivergedError
from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.generate import generate, prime
from rnn_tui.inference.torch_reader import TorchReader
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrence.native import toolchain
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin.registry import load_plugin

sys.path.insert(0, str(Path(__file__).parents[1] / "model"))
import recurrent_cells as cells

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")

TOKENIZER = CharTokenizer.train(["abcdefghij \n"], None)
MODELS = {
    "lstm 2x": ("lstm", {"num_layers": 2}),
    "gru": ("gru", {}),
    "rnn": ("rnn", {}),
    "nn-lstm": ("nn-lstm", {}),
    "nn-gru, tied": ("nn-gru", {"encoder": "embedding", "tie_weights": True}),
    "layer norm": (cells.LayerNormLSTM, {"encoder": "embedding", "embedding_size": 5}),
    "three leaves": (cells.ThreeLeaves, {}),
}


def built(name):
    architecture, settings = MODELS[name]
    torch.manual_seed(0)
    plugin = load_plugin("architecture", architecture) if isinstance(architecture, str) else architecture
    model = build_model(plugin, {}, ModelConfig(arch="x", hidden_size=12, **settings), TOKENIZER.vocab_size)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # sharper, so that texts differ from chance
    return model.eval()


def texts(model, prepared, **settings):
    reader = TorchReader(model)
    if prepared:
        reader.prepare()
        assert reader.engine()[0] == "compiled", reader.engine()[1]
    found = []
    for seed in range(3):
        config = SamplingConfig(length=150, seed=seed, **settings)
        pieces = list(generate(reader, TOKENIZER, prime(reader, TOKENIZER, "abc"), config))
        found.append(["".join(piece.text for piece in pieces), [piece.token for piece in pieces]])
        found.append(np.array([[piece.surprise, piece.entropy] for piece in pieces]))
    return found


@pytest.mark.parametrize("name", MODELS)
def test_same_text(name):
    model = built(name)
    rules = [{"temperature": 0.7}, {"greedy": True}, {"temperature": 1.5, "top_k": 4, "top_p": 0.9}]
    for settings in rules:
        for slow, fast in zip(texts(model, False, **settings), texts(model, True, **settings), strict=True):
            if isinstance(slow, list):
                assert fast == slow
            else:
                np.testing.assert_allclose(fast, slow, atol=1e-4)


def test_goes_on_from_any_token():
    """The state after each token of a chunk is what it would be alone."""
    reader = TorchReader(built("lstm 2x"))
    reader.prepare()
    start = prime(reader, TOKENIZER, "ab")
    generation = generate(reader, TOKENIZER, start, SamplingConfig(length=40, seed=5))
    pieces = iter(generation)
    for _ in range(23):
        next(pieces)
    middle = generation.primed
    again = generate(reader, TOKENIZER, middle, SamplingConfig(length=10, greedy=True))
    whole = TorchReader(reader.model)
    slow = prime(whole, TOKENIZER, "ab")
    for token in [
        p.token for p in list(generate(whole, TOKENIZER, slow, SamplingConfig(length=40, seed=5)))[:23]
    ]:
        slow = prime(whole, TOKENIZER, TOKENIZER.decode([token]), after=slow)
    right = generate(whole, TOKENIZER, slow, SamplingConfig(length=10, greedy=True))
    assert "".join(p.text for p in again) == "".join(p.text for p in right)


def test_other_weights_are_taken_over():
    model = built("gru")
    reader = TorchReader(model)
    reader.prepare()
    before = texts_of(reader)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.neg_()
    after = texts_of(reader)
    assert reader.engine()[0] == "compiled"
    assert after != before
    assert after == texts_of(TorchReader(model))


def texts_of(reader):
    config = SamplingConfig(length=60, seed=1)
    return "".join(piece.text for piece in generate(reader, TOKENIZER, prime(reader, TOKENIZER, "a"), config))


def test_weights_that_are_no_numbers():
    model = built("lstm 2x")
    reader = TorchReader(model)
    reader.prepare()
    primed = prime(reader, TOKENIZER, "a")
    with torch.no_grad():
        model.head.bias[3] = torch.nan
    generation = generate(reader, TOKENIZER, primed, SamplingConfig(length=5, seed=1))
    with pytest.raises(DivergedError):
        list(generation)
    assert generation.tokens == 1  # drawn from logits that were numbers


def test_without_a_compiler_the_traced_step_draws(monkeypatch):
    monkeypatch.setenv("RNN_TUI_CC", "")
    monkeypatch.setattr(toolchain, "_results", {})
    reader = TorchReader(built("gru"))
    reader.prepare()
    assert reader.engine() == ("traced", "RNN_TUI_CC is empty")
    assert texts_of(reader) == texts_of(TorchReader(reader.model))
