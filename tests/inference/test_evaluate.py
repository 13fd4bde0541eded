import itertools
import json
import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch
from torch.nn import functional

from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.errors import InputError, UsageError
from rnn_tui.inference.evaluate import corpus_of_model, evaluate_corpus
from rnn_tui.model.file import load_model, read_header, save_model
from rnn_tui.tasks.next_token import evaluate

TEXT = "the cat sat on the mat and the hat.\n" * 60


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return CorpusConfig(source=str(path), validation=0.25)


@pytest.fixture
def model(model_file, corpus):
    return model_file(text=TEXT, corpus=msgspec.to_builtins(corpus))


def stepwise_loss(path, text):
    """The mean surprise of every character but the first, one step at a time."""
    model, tokenizer, _ = load_model(path)
    ids = tokenizer.encode(text).astype(np.int64)
    state, losses = model.initial_state(1), []
    with torch.no_grad():
        for this, following in itertools.pairwise(ids):
            logits, state = model.step(torch.tensor([this]), state)
            losses.append(functional.cross_entropy(logits.double(), torch.tensor([following])).item())
    return math.fsum(losses) / len(losses)


def test_the_figures_of_the_validation_split(model):
    report = evaluate_corpus(model, lanes=1)
    held_out = TEXT[int(len(TEXT) * 0.75) :]
    loss = stepwise_loss(model, held_out)
    assert report.loss == pytest.approx(loss, rel=1e-6)
    assert report.perplexity == pytest.approx(math.exp(loss), rel=1e-6)
    # a character is a token and a byte here
    assert report.bpc == report.bpb == pytest.approx(loss / math.log(2), rel=1e-6)
    assert (report.tokens, report.chars, report.bytes) == (len(held_out) - 1, len(held_out), len(held_out))
    assert (report.unknown, report.notes, report.lanes) == (0, (), 1)
    assert (report.split, report.run, report.step, report.validation_loss) == ("validation", "r", 7, 1.5)


def test_it_is_what_validation_in_training_reports(model):
    report = evaluate_corpus(model)
    loaded, tokenizer, _ = load_model(model)
    loaded.select_engine("auto")  # as the report does: the plain loop differs in the last bits
    ids = tokenizer.encode(TEXT[int(len(TEXT) * 0.75) :])
    assert report.loss == evaluate(loaded, ids).mean


def test_baselines_are_of_the_training_split(model):
    found = evaluate_corpus(model).baselines
    symbols = len(set(TEXT)) + 1
    assert found.uniform == pytest.approx(math.log(symbols))
    assert found.trigram < found.unigram < found.uniform


def test_bytes_and_characters_differ(model_file, tmp_path):
    text = "漢字かな" * 50
    path = tmp_path / "zh.txt"
    path.write_text(text)
    corpus = CorpusConfig(source=str(path), validation=0.5)
    report = evaluate_corpus(model_file(text=text, corpus=msgspec.to_builtins(corpus)))
    assert (report.chars, report.bytes) == (100, 300)
    assert report.bpc == pytest.approx(3 * report.bpb)


@pytest.mark.parametrize(("split", "chars"), [("train", 1620), ("all", 2160)])
def test_other_splits(model, split, chars):
    report = evaluate_corpus(model, split=split)
    assert (report.chars, report.split) == (chars, split)


def test_a_split_that_is_not_there(model):
    with pytest.raises(UsageError, match="no split 'test'"):
        evaluate_corpus(model, split="test")


def test_another_corpus_with_symbols_the_model_lacks(model, tmp_path):
    path = tmp_path / "other.txt"
    path.write_text("the cat 漢 sat 字\n" * 20)
    report = evaluate_corpus(model, CorpusConfig(source=str(path)), split="all")
    assert report.corpus == "other"
    assert report.unknown == 40
    assert any("40 of 320 tokens are unknown" in note for note in report.notes)
    # the baselines still learn from the model's own training split: on its own text they are far better
    assert report.baselines.trigram > 3 * evaluate_corpus(model).baselines.trigram


def test_without_the_corpus_it_was_trained_on_there_are_no_baselines(model, corpus, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(TEXT)
    (tmp_path / "text.txt").unlink()
    report = evaluate_corpus(model, replace(corpus, source=str(other)))
    assert report.baselines is None
    assert any("no baselines" in note for note in report.notes)
    with pytest.raises(InputError):
        evaluate_corpus(model)


def test_perplexity_overflows_to_infinity(model):
    loaded, _, header = load_model(model)
    with torch.no_grad():
        loaded.head.weight.mul_(1e6)
    save_model(model, loaded, header)
    report = evaluate_corpus(model)
    assert report.loss > 1000
    assert report.perplexity == math.inf


def test_standard_input_is_found_as_the_runs_copy(model_file, tmp_path):
    run = tmp_path / "runs" / "r"
    (run / "checkpoints" / "step-00000010").mkdir(parents=True)
    (run / "corpus.txt").write_text(TEXT)
    settings = msgspec.to_builtins(CorpusConfig(source="-"))
    for place in (run, run / "checkpoints" / "step-00000010"):
        path = model_file(place / "model.safetensors", text=TEXT, corpus=settings)
        assert evaluate_corpus(path).chars == 216
    elsewhere = model_file(tmp_path / "copied.safetensors", text=TEXT, corpus=settings)
    with pytest.raises(InputError, match="standard input"):
        corpus_of_model(read_header(elsewhere), elsewhere)


def test_it_says_where_training_validated_on_less(model):
    loaded, _, header = load_model(model)
    for limit, told in ((100, True), (539, False), (0, False)):
        config = header.config | {"watch": {"validation_tokens": limit}}
        save_model(model, loaded, replace(header, config=config))
        notes = evaluate_corpus(model).notes
        assert bool(notes) is told
        assert not told or "first 100 tokens" in notes[0]
    assert evaluate_corpus(model, split="train").notes == ()


def test_progress_and_json(model):
    seen = []
    report = evaluate_corpus(model, progress=lambda what, done, total: seen.append((what, done, total)))
    assert seen[-1] == ("evaluating", report.tokens, report.tokens)
    assert json.loads(msgspec.json.encode(report))["baselines"]["uniform"] > 0
