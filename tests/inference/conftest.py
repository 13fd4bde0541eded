"""A model whose every probability is written down by hand: the next symbol depends on the last one only."""

import itertools
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from rnn_tui.model.config import ModelConfig
from rnn_tui.model.file import save_model
from rnn_tui.model.header import ModelFile
from rnn_tui.model.recurrence import Stack, Unroll
from rnn_tui.model.recurrence.native import toolchain
from rnn_tui.model.recurrent_model import OneHot, RecurrentModel, build_model
from rnn_tui.plugin.core import Cell
from rnn_tui.plugin.registry import load_plugin, plugin_record
from rnn_tui.plugin.tokenizer import Tokenizer


class Last(Cell):
    """Shows its input and counts the steps."""

    def __init__(self, input_size):
        super().__init__()
        self.output_size = input_size

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return torch.zeros(batch_size, 1, device=device, dtype=dtype)

    def step(self, x, state):
        return x, state + 1


@pytest.fixture
def markov() -> Callable[[torch.Tensor], RecurrentModel]:
    """Probabilities (V, V), row = the symbol before, to a model that has exactly these."""

    def build(probabilities):
        size = len(probabilities)
        model = RecurrentModel(OneHot(size), Stack([Unroll(Last(size), size)]), size, dropout=0.0, tied=False)
        with torch.no_grad():
            model.head.weight.copy_(torch.as_tensor(probabilities).log().T)
            model.head.bias.zero_()
        return model

    return build


@pytest.fixture
def byte_tokenizer() -> Tokenizer:
    return load_plugin("tokenizer", "byte")()


@pytest.fixture
def spelling(markov, byte_tokenizer) -> Callable[[str], RecurrentModel]:
    """A model over bytes that, after the first byte of a text, spells the text; then it repeats its last byte.

    The text must have no byte twice.
    """

    def build(text):
        data = text.encode()
        assert len(set(data)) == len(data)
        table = torch.full((256, 256), 1e-30)
        table[:, data[-1]] = 1.0
        for this, following in itertools.pairwise(data):
            table[this] = 1e-30
            table[this, following] = 1.0
        return markov(table)

    return build


@pytest.fixture
def char_tokenizer() -> Callable[[str], Tokenizer]:
    return lambda text: load_plugin("tokenizer", "char").train([text], None)


@pytest.fixture
def sharp_lstm() -> Callable[..., RecurrentModel]:
    """A small LSTM over a tokenizer's vocabulary, untrained, that is surer of its tokens than such a model is."""

    def build(tokenizer, **settings):
        torch.manual_seed(0)
        config = ModelConfig(hidden_size=12, **settings)
        model = build_model(load_plugin("architecture", "lstm"), {}, config, tokenizer.vocab_size).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(3)
        return model

    return build


@pytest.fixture
def no_compiler(monkeypatch) -> None:
    """Nothing is compiled: that has tests of its own, and takes a second each time."""
    monkeypatch.setenv("RNN_TUI_CC", "")
    monkeypatch.setattr(toolchain, "_results", {})


@pytest.fixture(scope="session")
def model_file(tmp_path_factory) -> Callable[..., Path]:
    """Write the file of a small untrained model over the characters of a text."""

    def write(
        path=None, *, text="abc \n", arch="lstm", hidden_size=8, seed=0, corpus=None, task="", **training
    ):
        tokenizer = load_plugin("tokenizer", "char").train([text], None)
        config = ModelConfig(arch=arch, hidden_size=hidden_size, bidirectional=task == "aligned")
        torch.manual_seed(seed)
        model = build_model(load_plugin("architecture", arch), {}, config, tokenizer.vocab_size)
        header = ModelFile(
            config={"model": asdict(config), "corpus": corpus or {}, "task": {"name": task}},
            tokenizer=plugin_record("tokenizer", "char") | {"state": tokenizer.to_state()},
            scaling=None,
            architecture=plugin_record("architecture", arch),
            training={"step": 7, "validation_loss": 1.5, "chars_per_token": 1.0, "run": "r"} | training,
        )
        path = path or tmp_path_factory.mktemp("model") / "model.safetensors"
        save_model(path, model, header)
        return path

    return write
