"""The comparison with the training text: what it says while that is read, and where it cannot be."""

import threading

import pytest

from rnn_tui.inference import comparing
from rnn_tui.inference.comparing import Comparer
from rnn_tui.model.file import load_model
from rnn_tui.model.header import read_header

TEXT = "the quick brown fox jumps over the lazy dog\n"


@pytest.fixture
def path(model_file, tmp_path):
    (tmp_path / "fox.txt").write_text(TEXT * 20)
    return model_file(text=TEXT, corpus={"source": str(tmp_path / "fox.txt"), "validation": 0.0})


def test_it_waits_no_longer_than_it_may(path, monkeypatch):
    go_on = threading.Event()
    real = comparing.prepare_with

    def slow(*arguments):
        go_on.wait(60)
        return real(*arguments)

    monkeypatch.setattr(comparing, "prepare_with", slow)
    comparer = Comparer(read_header(path), path, load_model(path)[1])
    assert comparer.compare("", TEXT, 0.01) == (None, "it is still being read")
    go_on.set()
    copied, why_not = comparer.compare("the ", TEXT[4:30], 60)
    assert copied is not None
    assert (copied.longest, copied.novel, why_not) == (26, 0.0, "")


def test_a_plugin_that_fails_costs_only_the_comparison(path, monkeypatch):
    def fail(*arguments):
        raise ValueError("no such token")

    monkeypatch.setattr(comparing, "prepare_with", fail)
    comparer = Comparer(read_header(path), path, load_model(path)[1])
    assert comparer.compare("", TEXT, 60) == (None, "ValueError: no such token")


def test_standard_input_is_found_in_the_run_folder(model_file, tmp_path):
    (tmp_path / "corpus.txt").write_text(TEXT * 20)
    path = model_file(tmp_path / "model.safetensors", text=TEXT, corpus={"source": "-", "validation": 0.0})
    comparer = Comparer(read_header(path), path, load_model(path)[1])
    copied, _ = comparer.compare("", TEXT * 2, 60)
    assert copied is not None
    assert copied.memorised
    (tmp_path / "corpus.txt").unlink()
    comparer = Comparer(read_header(path), path, load_model(path)[1])
    assert "standard input" in comparer.compare("", TEXT, 60)[1]


def test_another_text_under_the_same_name(model_file, tmp_path):
    (tmp_path / "fox.txt").write_text(TEXT * 20)
    corpus = {"source": str(tmp_path / "fox.txt"), "validation": 0.0}
    path = model_file(text=TEXT, corpus=corpus, fingerprint="of the text that was there")
    comparer = Comparer(read_header(path), path, load_model(path)[1])
    assert comparer.compare("", TEXT, 60) == (
        None,
        "the corpus fox is not the text it was when the model was trained",
    )
