"""What a plugin's own code raises is told as the plugin's by every face: the library, the commands, the engine."""

import sys
from dataclasses import asdict

import pytest
import torch

import rnn_tui
from rnn_tui.cli.root import run as command
from rnn_tui.inference.engine import explain
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.file import save_model
from rnn_tui.model.header import ModelFile
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin import loading
from rnn_tui.plugin.registry import load_plugin, plugin_record
from rnn_tui.plugin.single_file import VARIABLE

SOURCE = """
from rnn_tui.plugin import Tokenizer
from rnn_tui_text.byte import ByteTokenizer


class Dec(ByteTokenizer, Tokenizer):
    "It fails where it meets a mark."

    def encode(self, text):
        if "!" in text:
            raise RuntimeError("boom \\x1b[31m")
        if "?" in text:
            raise SystemExit("goodbye")
        return super().encode(text)
"""
LINE = SOURCE.split("\n").index('            raise RuntimeError("boom \\x1b[31m")') + 1
BLAME = f"tokenizer dec (file dec.py): RuntimeError: boom ␛[31m in line {LINE}"
LEFT = f"tokenizer dec (file dec.py): SystemExit: goodbye in line {LINE + 2}"


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A model file whose tokenizer is a file in a folder of plugins."""
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "dec.py").write_text(SOURCE)
    monkeypatch.setenv(VARIABLE, str(plugins))
    monkeypatch.setattr(loading, "_loaded", {})
    before = set(sys.modules)
    tokenizer = load_plugin("tokenizer", "dec").train(["abc"], None)
    config = ModelConfig(hidden_size=4)
    torch.manual_seed(0)
    module = build_model(load_plugin("architecture", "lstm"), {}, config, vocab_size=tokenizer.vocab_size)
    header = ModelFile(
        config={"model": asdict(config), "corpus": {}, "task": {"name": "next-token"}},
        tokenizer=plugin_record("tokenizer", "dec") | {"state": tokenizer.to_state()},
        scaling=None,
        architecture=plugin_record("architecture", "lstm"),
        training={"step": 1, "run": "r"},
    )
    save_model(tmp_path / "dec.safetensors", module, header)
    yield tmp_path / "dec.safetensors"
    for name in set(sys.modules) - before:
        if name.startswith("rnn_tui_file_"):
            del sys.modules[name]


def test_in_the_library(path):
    model = rnn_tui.load(path)
    assert model.generate("fine", length=3, seed=1) is not None
    for call in (model.generate, model.stream, model.read, model.score, model.read("a").score):
        with pytest.raises(rnn_tui.PluginError) as caught:
            call("no!")
        assert str(caught.value) == BLAME
        assert str(caught.value.__cause__) == "boom ␛[31m"  # a traceback shows it, too
    with pytest.raises(rnn_tui.PluginError) as caught:
        model.score("no?")
    assert str(caught.value) == LEFT


def test_what_is_not_a_plugin_s_stays_what_it_is(path, monkeypatch):
    model = rnn_tui.load(path)
    monkeypatch.setattr("rnn_tui.library.model.score", lambda *_: {}["ours"])
    with pytest.raises(KeyError, match="ours"):
        model.score("fine")


def test_in_a_command(path, tmp_path, capsys):
    (tmp_path / "loud.txt").write_text("no! " * 3000)
    for arguments in (
        ["prompt", str(path), "no!"],
        ["train", str(tmp_path / "loud.txt"), "--tokenizer", "dec"],
    ):
        assert command(arguments) == 8
        error = capsys.readouterr().err
        assert error.endswith(f"rnn-tui: error: {BLAME}; run again with --debug for a traceback\n")
        assert "Traceback" not in error
    assert command(["--debug", "prompt", str(path), "no!"]) == 8
    assert 'raise RuntimeError("boom' in capsys.readouterr().err
    assert command(["prompt", str(path), "no?"]) == 8
    assert LEFT in capsys.readouterr().err


def test_in_the_engine(path):
    tokenizer = rnn_tui.load(path).tokenizer
    with pytest.raises(RuntimeError) as caught:
        tokenizer.encode("no!")
    found = explain(caught.value)
    assert (type(found), found.exit_code) == (rnn_tui.PluginError, 8)
    assert str(found) == BLAME.replace("␛", "\x1b")
