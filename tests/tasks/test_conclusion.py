import json
import math

import numpy as np
import pytest
import torch
from rnn_tui_scratch.gru import GRU
from rnn_tui_text.char import CharTokenizer

from rnn_tui.corpus.baselines import baselines
from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.prepare import prepare
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.tasks.conclusion import conclude
from rnn_tui.tasks.config import DataConfig
from rnn_tui.tasks.evaluation import evaluate, evaluate_cold
from rnn_tui.tasks.next_token import NextToken

TEXT = "über the cat sat on the mat and the hat.\n" * 40


@pytest.fixture
def made(tmp_path):
    """`made(validation share, ...)`: a task, and an untrained model for it."""

    def make(validation, **settings):
        path = tmp_path / "text.txt"
        path.write_text(TEXT)
        corpus = prepare(CorpusConfig(source=str(path), validation=validation), CharTokenizer, None)
        torch.manual_seed(0)
        model = build_model(GRU, {}, ModelConfig(hidden_size=8), corpus.tokenizer.vocab_size)
        return NextToken(corpus, DataConfig(), seed=0, **settings), model

    return make


def test_figures_of_a_run_with_a_validation_split(made):
    task, model = made(0.25)
    found = conclude(task, model, 30)
    warm, cold = evaluate(model, task.validation).mean, evaluate_cold(model, task.validation, 30).mean
    assert (found["split"], found["tokens"], found["window"]) == ("validation", len(TEXT) // 4 - 1, 30)
    for name, loss in (("warm", warm), ("cold", cold)):
        figures = found[name]
        assert figures["loss"] == pytest.approx(loss)
        assert figures["perplexity"] == pytest.approx(math.exp(loss))
        assert figures["bpc"] == pytest.approx(loss / math.log(2))
        assert figures["bpb"] == pytest.approx(loss / math.log(2) * 41 / 42)  # one letter in 41 has two bytes
    train = evaluate(model, task.train[: len(task.validation)]).mean
    assert found["train_loss"] == pytest.approx(train)
    assert found["gap"] == pytest.approx(warm - train, abs=1e-9)
    positions, losses = zip(*found["by_position"], strict=True)
    assert positions == tuple(range(1, 31))
    assert np.mean(losses) == pytest.approx(cold, rel=0.02)
    simple = baselines(task.train, task.validation, task.facts()["vocab_size"])
    assert found["baselines"]["trigram"] == simple.trigram


def test_without_a_validation_split_it_is_of_the_training_text(made):
    task, model = made(0.0)
    found = conclude(task, model, 30)
    assert found["split"] == "train"
    assert found["warm"]["loss"] == found["train_loss"] == pytest.approx(evaluate(model, task.train).mean)
    assert found["gap"] is None
    assert found["baselines"] == {}


def test_no_more_is_read_than_in_validation(made):
    task, model = made(0.25, validation_tokens=100)
    assert conclude(task, model, 8)["tokens"] == 100


def test_it_fits_in_a_line_of_the_event_log(made):
    task, model = made(0.5)
    found = conclude(task, model, 800)
    assert len(found["by_position"]) <= 64
    assert len(json.dumps(found)) < 3500
