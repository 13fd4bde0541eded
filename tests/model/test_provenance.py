"""What is said of plugins that are no longer those of a model."""

from dataclasses import asdict

import pytest

from rnn_tui.model.config import ModelConfig
from rnn_tui.model.header import ModelFile, header_text, parse_header
from rnn_tui.model.provenance import changed_plugins, difference
from rnn_tui.plugin.registry import plugin_record

ODD = {"name": "wheel", "distribution": "odd", "version": "1.0", "source": "aa"}
FILE = {"name": "my-idea", "distribution": "plugins-dir", "version": "sha256:aa"}
OURS = {"name": "lstm", "distribution": "rnn-tui", "version": "1.0"}


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        (ODD, {}, ""),
        (ODD, {"source": "bb"}, "the source of wheel (odd 1.0) changed since step 4"),
        (ODD, {"version": "1.1", "source": "bb"}, "odd 1.0 is 1.1 now"),
        (ODD, {"version": "1.1"}, ""),  # released anew as it was
        ({**ODD, "source": ""}, {"source": "bb"}, ""),  # of a file from before it was noted
        ({**ODD, "source": ""}, {"version": "1.1"}, "odd 1.0 is 1.1 now"),
        (FILE, {}, ""),
        (FILE, {"version": "sha256:bb"}, "my_idea.py was edited since step 4"),
        (OURS, {"version": "2.0"}, ""),
        ({**OURS, "source": "aa"}, {"source": "bb"}, "the source of lstm (rnn-tui 1.0) changed since step 4"),
    ],
)
def test_a_difference_is_one_clause(then, now, said):
    assert difference(then, {**then, **now}, "step 4") == said


@pytest.fixture
def header(tmp_path, monkeypatch):
    """The header of a model of our LSTM and a single file's tokenizer, which the test may edit."""
    monkeypatch.setenv("RNN_TUI_PLUGINS_DIR", str(tmp_path))
    (tmp_path / "mine.py").write_text("from rnn_tui.plugin import Tokenizer\nclass Mine(Tokenizer): ...\n")
    return ModelFile(
        config={"model": asdict(ModelConfig())},
        tokenizer=plugin_record("tokenizer", "mine") | {"state": {}},
        architecture=plugin_record("architecture", "lstm"),
        training={},
    )


def test_what_changed_is_told_and_what_is_missing_is_not(header, tmp_path):
    assert changed_plugins(header) == ()
    (tmp_path / "mine.py").write_text("from rnn_tui.plugin import Tokenizer\nclass Other(Tokenizer): ...\n")
    said = "mine.py was edited since this model was trained; its figures may not be the model's"
    assert changed_plugins(header) == (said,)
    (tmp_path / "mine.py").unlink()
    assert changed_plugins(header) == ()


def test_a_header_may_have_a_source_or_none(header, tmp_path):
    path = tmp_path / "m.safetensors"
    assert parse_header(header_text(header), path) == header
    header.architecture["source"] = "aa"
    assert parse_header(header_text(header), path).architecture["source"] == "aa"
