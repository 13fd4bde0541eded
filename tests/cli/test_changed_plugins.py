"""A plugin that was edited, broken or taken away since a run was trained: what the commands say, and leave alone."""

import pytest

import rnn_tui
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.status import run_state

TOKENIZER = """
from rnn_tui.plugin import Tokenizer
from rnn_tui_text.byte import ByteTokenizer


class Idea(ByteTokenizer, Tokenizer):
    "Bytes."
"""


@pytest.fixture
def idea(cli, shell, corpus, tiny, tmp_path, monkeypatch):
    """The file of a tokenizer with which the run `a` was trained."""
    folder = tmp_path / "cells"
    folder.mkdir()
    (folder / "idea.py").write_text(TOKENIZER)
    monkeypatch.setenv("RNN_TUI_PLUGINS_DIR", str(folder))
    flags = ["--tokenizer", "idea", "--steps", "2", "--name", "a", "--foreground", *tiny]
    done = shell("train", "fox.txt", *flags)
    assert done.code == 0, done.err
    return folder / "idea.py"


def test_an_edited_file_is_told_wherever_its_model_is_used(idea, cli, monkeypatch):
    ways = {
        "prompt": ["a", "the ", "--length", "3"],
        "eval": ["a", "--no-cold"],
        "inspect": ["a", "the fox"],
        "export": ["a", "-o", "a.onnx.safetensors"],
    }
    said = "idea.py was edited since this model was trained; its figures may not be the model's"
    assert "edited" not in cli("prompt", *ways["prompt"]).err
    idea.write_text(TOKENIZER + "# other\n")
    for command, arguments in ways.items():
        done = cli(command, *arguments)
        assert done.code == 0, done.err
        assert done.err.count(f"warning: {said}") == done.err.count("edited") == 1
    with pytest.warns(UserWarning, match=f"model.safetensors: {said}"):
        rnn_tui.load("a", backend="numpy")

    # and a run does not go on without it, which leaves the run as it was
    folder = RunFolder(idea.parent.parent / "runs" / "a")
    before, events, config = (
        run_state(folder).status,
        folder.events_path.read_bytes(),
        folder.config_path.read_bytes(),
    )
    idea.write_text(TOKENIZER.replace("class", "import nowhere_at_all\nclass"))
    done = cli("resume", "a", "--steps", "4")
    assert done.code == 8
    assert "No module named 'nowhere_at_all'; mend " in done.refusal
    idea.unlink()
    done = cli("resume", "a", "--steps", "4")
    assert done.code == 8
    assert "was made with the tokenizer idea of a single file, idea.py" in done.refusal
    with pytest.raises(rnn_tui.PluginError, match=r"idea\.py"):
        rnn_tui.open_run("a").resume(steps=4)
    assert run_state(folder).status == before
    assert (folder.events_path.read_bytes(), folder.config_path.read_bytes()) == (events, config)
