"""A run trained through the library, and models of the other tasks that nobody trained."""

import random
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

import rnn_tui
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.file import save_model
from rnn_tui.model.header import ModelFile
from rnn_tui.model.recurrent_model import RecurrentModel, build_model
from rnn_tui.plugin.registry import load_plugin, plugin_record

TINY = {
    "model": {"hidden_size": 16},
    "data": {"batch_size": 4, "seq_len": 16},
    "optim": {"lr": 0.02, "warmup_steps": 0},
    "watch": {"log_every": 10},
    "runtime": {"threads": 1, "engine": "loop"},
}
"""A model that trains in no time; tracing its step would take longer than training it."""


@pytest.fixture(scope="session")
def fox(tmp_path_factory):
    """A folder with the corpus fox.txt and the finished run `fox` in runs/, trained from a dict; and its events."""
    folder = tmp_path_factory.mktemp("library")
    words = "the quick brown fox jumps over a lazy dog and sleeps".split()
    chosen = random.Random(1)
    (folder / "fox.txt").write_text("".join(" ".join(chosen.choices(words, k=8)) + "\n" for _ in range(300)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNN_TUI_CACHE_DIR", str(folder / "cache"))
        events = []
        rnn_tui.train(
            TINY | {"steps": 200},
            corpus=folder / "fox.txt",
            name="fox",
            runs_dir=folder / "runs",
            on_event=events.append,
        )
    return folder, events


@pytest.fixture
def here(fox, monkeypatch):
    """That folder, as the current one."""
    monkeypatch.chdir(fox[0])
    return fox[0]


@pytest.fixture
def model(here):
    return rnn_tui.load("fox")


@pytest.fixture
def untraced(monkeypatch):
    """Evaluations in the plain loop: for a model so small, tracing takes most of the time."""
    monkeypatch.setattr(RecurrentModel, "select_engine", lambda self, engine, reason="": None)


@pytest.fixture
def untrained(tmp_path) -> Path:
    """Write the file of an untrained model of a task, over the letters abc or over two columns, and return it."""

    def write(task, *, columns=("up", "down")):
        text = task != "series"
        config = ModelConfig(hidden_size=6, bidirectional=task == "aligned")
        tokenizer = load_plugin("tokenizer", "char").train(["abc \n"], None)
        torch.manual_seed(0)
        size = {"vocab_size": tokenizer.vocab_size} if text else {"columns": len(columns)}
        module = build_model(load_plugin("architecture", "lstm"), {}, config, **size)
        scaling = {"columns": columns, "mean": (2.0, -1.0)[: len(columns)], "std": (0.5, 4.0)[: len(columns)]}
        header = ModelFile(
            config={"model": asdict(config), "corpus": {}, "task": {"name": task}},
            tokenizer=plugin_record("tokenizer", "char") | {"state": tokenizer.to_state()} if text else None,
            scaling=None if text else scaling,
            architecture=plugin_record("architecture", "lstm"),
            training={"step": 7, "run": "r"},
        )
        path = tmp_path / f"{task}.safetensors"
        save_model(path, module, header)
        return path

    return write
