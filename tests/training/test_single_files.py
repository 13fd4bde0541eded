"""Runs of plugins that are single files: trained, gone on with, and what is said when the file is another or gone."""

import re
import shutil
import subprocess
import sys

import pytest

from rnn_tui.errors import PluginError
from rnn_tui.model.container import BadModelFile
from rnn_tui.model.file import load_model
from rnn_tui.model.header import read_header
from rnn_tui.plugin.registry import load_plugin
from rnn_tui.runs.status import read_status

CELL = '''
from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import nn

from rnn_tui.plugin import Cell, Meta


class Plain(Cell):
    """The plainest: h' = tanh(x W + b + scale h U)."""

    api_version = 1

    @dataclass(frozen=True)
    class Options:
        scale: Annotated[float, Meta(ge=0, le=2, description="Of the recurrence.")] = 1.0

    def __init__(self, input_size, hidden_size, *, scale=1.0):
        super().__init__()
        self.output_size = hidden_size
        self.scale = scale
        self.inner = nn.Linear(input_size, hidden_size)
        self.outer = nn.Linear(hidden_size, hidden_size, bias=False)

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return self.outer.weight.new_zeros(batch_size, self.output_size, device=device, dtype=dtype)

    def step(self, x, h):
        h = torch.tanh(self.inner(x) + self.scale * self.outer(h))
        return h, h
'''
TOKENIZER = """
from rnn_tui.plugin import Tokenizer
from rnn_tui_text.byte import ByteTokenizer


class Bytes(ByteTokenizer, Tokenizer):
    "Bytes."
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Single files: an architecture that is called like a module of torch's own, and a tokenizer."""
    path = tmp_path / "cells"
    path.mkdir()
    (path / "torch.py").write_text(CELL)
    (path / "my_bytes.py").write_text(TOKENIZER)
    monkeypatch.setenv("RNN_TUI_PLUGINS_DIR", str(path))
    before = set(sys.modules)
    yield path
    for name in set(sys.modules) - before:
        if name.startswith("rnn_tui_file_"):
            del sys.modules[name]


@pytest.fixture
def run(make, text, folder):
    model = {"arch": "torch", "hidden_size": 16, "num_layers": 1, "options": {"scale": 0.5}}
    return make("a", text, model=model, tokenizer={"name": "my-bytes"}, budget={"steps": 12})


def test_a_run_goes_on_with_the_file_it_began_with_or_says_so(run, folder, tmp_path, monkeypatch):
    run.stop_at(4)
    assert run.train() == 0
    [(kind, record)] = [(k, v) for k, v in run.read_config()["about"].items() if k == "architecture"]
    assert (kind, record["name"], record["distribution"]) == ("architecture", "torch", "plugins-dir")
    assert re.fullmatch(r"sha256:\w{12}", version := record["version"])

    monkeypatch.setenv("RNN_TUI_PLUGINS_DIR", "")
    assert run.train() == 8
    assert read_status(run).state == "failed"
    assert run.events()[-1].data["message"] == (
        f"run a was made with the architecture torch of a single file, torch.py ({version}), which is not there; name "
        "the folder of torch.py by rnn-tui --plugins-dir DIR; then resume again, nothing was changed"
    )
    monkeypatch.setenv("RNN_TUI_PLUGINS_DIR", str(folder))
    monkeypatch.setenv("RNN_TUI_PLUGINS", "rnn-tui")
    assert run.train() == 8
    assert (
        "which is not there; RNN_TUI_PLUGINS (or --no-plugins) leaves it out"
        in run.events()[-1].data["message"]
    )
    monkeypatch.delenv("RNN_TUI_PLUGINS")
    (folder / "torch.py").write_text("x = (")
    assert run.train() == 8
    assert (
        run.events()[-1].data["message"]
        == "plugin torch (file torch.py): line 1: SyntaxError: '(' was never closed"
    )

    (folder / "torch.py").write_text(CELL.replace("plainest", "simplest"))
    assert run.train() == 0
    [warning] = [event.data["message"] for event in run.events() if event.kind == "warning"]
    assert warning == (
        "resuming is not bit-exact: torch.py was edited since step 4, and the weights go on under the changed code"
    )
    assert read_header(run.model_path).architecture["version"] != version

    # and its model says where its plugins are to come from
    model, tokenizer, _ = load_model(run.model_path)
    assert type(tokenizer) is load_plugin("tokenizer", "my-bytes")
    assert "rnn_tui_file_torch_" in repr(
        next(type(m) for m in model.modules() if type(m).__name__ == "Plain")
    )

    path = shutil.copy(run.model_path, tmp_path / "elsewhere.safetensors")
    (folder / "torch.py").rename(folder / "_torch.py")
    with pytest.raises(
        PluginError,
        match=r"elsewhere.safetensors: there is no architecture 'torch' here, with which it was saved: from a single "
        rf"file, torch.py \(sha256:\w{{12}}\); name the folder of torch.py by rnn-tui --plugins-dir DIR \(there is "
        rf"none in {folder}\)$",
    ):
        load_model(path)
    (folder / "torch.py").write_text(CELL.replace("bias=False", "bias=True"))
    with pytest.raises(
        BadModelFile,
        match=r"outer.bias' is missing; it was saved with the architecture of a single file, torch.py "
        r"\(sha256:\w{12}\), and here is sha256:\w{12}$",
    ):
        load_model(path)


@pytest.mark.slow
def test_a_worker_of_its_own_finds_the_file_by_the_settings_file(run, folder, private_home, monkeypatch):
    monkeypatch.delenv("RNN_TUI_PLUGINS_DIR")
    (private_home / "config").mkdir()
    (private_home / "config" / "config.toml").write_text(f"[plugins]\ndir = '{folder}'\n")
    with run.start(stderr=subprocess.PIPE) as worker:
        _, said = worker.communicate()
    assert (worker.returncode, said) == (0, b"")
    assert read_header(run.model_path).tokenizer["distribution"] == "plugins-dir"
