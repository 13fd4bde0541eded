"""A model whose every probability is written down by hand: the next symbol depends on the last one only."""

import itertools
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from rnn_tui.inference import inspect_requests
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


# -- the prompt engine in a process of its own ----------------------------------------------------------------------

PATIENCE = 60  # seconds; an answer takes milliseconds, importing torch on a busy machine may take this
LAST = {"loaded", "done", "next", "pushed", "saved", "restored", "error", *inspect_requests.LAST.values()}
FOX = "the quick brown fox\n"


class Client:
    def __init__(self, *command):
        command = command or (sys.executable, "-m", "rnn_tui.inference.engine")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(command, **pipes)
        self.lines = queue.Queue()
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self._read, self._read_errors)]
        self.errors = b""
        for thread in self.threads:
            thread.start()

    def _read(self):
        for line in self.process.stdout:
            try:
                self.lines.put((time.monotonic(), json.loads(line)))
            except ValueError:
                self.lines.put((time.monotonic(), {"id": "not JSON", "line": line}))

    def _read_errors(self):
        self.errors = self.process.stderr.read()

    def send(self, **message):
        """Send a message; `after` stands for `from`, which is no name in Python."""
        if "after" in message:
            message["from"] = message.pop("after")
        self.send_raw(json.dumps(message).encode())

    def send_raw(self, line):
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def next(self):
        return self.lines.get(timeout=PATIENCE)[1]

    def answer(self, number, last=LAST):
        """All events up to the last of the answer to request `number`."""
        events = []
        while not events or events[-1]["event"] not in last:
            event = self.next()
            assert event["id"] == number
            events.append(event)
        return events

    def ask(self, **message):
        self.send(**message)
        return self.answer(message.get("id"))

    def close(self):
        self.process.stdin.close()
        code = self.process.wait(PATIENCE)
        self.join()
        return code

    def join(self):
        for thread in self.threads:
            thread.join(PATIENCE)
        self.process.stdout.close()
        self.process.stderr.close()
        self.process.stdin.close()

    def kill(self):
        """Leave nothing behind, whatever the test found."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.join()


@pytest.fixture
def start():
    """Start engines that end with the test."""
    clients = []

    def starter(*command):
        clients.append(Client(*command))
        return clients[-1]

    yield starter
    for client in clients:
        client.kill()


@pytest.fixture(scope="session")
def fox(model_file):
    return model_file(text=FOX, hidden_size=16, validation_loss=float("nan"))


@pytest.fixture(scope="session")
def shared(fox):
    client = Client()
    client.send(id=1, op="load", path=str(fox))
    client.answer(1)
    yield client
    try:
        assert client.close() == 0
    finally:
        client.kill()


@pytest.fixture
def engine(shared, fox):
    """One process for all tests, with the model loaded anew and so without states, and no other model."""
    for slot in "abc":
        shared.send(op="unload", slot=slot)
    shared.ask(id=1, op="load", path=str(fox))
    return shared
