import math
import os
import time
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from rnn_tui_text.char import CharTokenizer

from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.pairs import prepare_pairs
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin.registry import load_plugin
from rnn_tui.tasks import aligned
from rnn_tui.tasks.aligned import Aligned, evaluate_aligned, label_baselines, pad
from rnn_tui.tasks.config import DataConfig
from rnn_tui.tasks.task import IGNORED

LINES = ["ab\txy", "a\tx", "abcba\txyzyx", "cc\tzz", "bcb\tyzy", "b\ty", "cab\tzxx"]
KINDS = [("nn-rnn", False), ("gru", False), ("nn-lstm", True), ("lstm", True)]


@pytest.fixture
def prepared(tmp_path):
    def prepare(lines=LINES, **settings):
        path = tmp_path / "pairs.tsv"
        path.write_text("\n".join(lines))
        os.utime(path, (time.time() - 60,) * 2)
        return prepare_pairs(CorpusConfig(source=str(path), **settings), CharTokenizer, None)

    return prepare


@pytest.fixture
def built():
    def build(corpus, arch="nn-lstm", bidirectional=True, **settings):
        torch.manual_seed(5)
        config = ModelConfig(**{"arch": arch, "bidirectional": bidirectional, "hidden_size": 6} | settings)
        return build_model(load_plugin("architecture", arch), {}, config, corpus.tokenizer.vocab_size)

    return build


@torch.no_grad()
def one_by_one(model, pairs):
    """Return ln p of every label, (T, V) for each line, read alone and without a length."""
    found = []
    for index in range(len(pairs)):
        inputs = torch.from_numpy(pairs.line(index)[0].astype(np.int64))
        features, _ = model(inputs[None], model.initial_state(1))
        found.append(model.outputs(features)[0].log_softmax(-1))
    return found


def nats(model, pairs):
    """Return the loss of every label."""
    rows = torch.cat(one_by_one(model, pairs)).tolist()
    return [-row[label] for row, label in zip(rows, pairs.targets.tolist(), strict=True)]


def test_padding_by_hand(prepared):
    corpus = prepared(validation=0)
    batch = pad(corpus.splits["train"], np.array([1, 4, 0]))
    a, b, c, x, y, z = corpus.tokenizer.encode("abcxyz").tolist()
    assert batch.inputs.tolist() == [[a, 0, 0], [b, c, b], [a, b, 0]]
    assert batch.targets.tolist() == [[x, IGNORED, IGNORED], [y, z, y], [x, y, IGNORED]]
    assert batch.lengths.tolist() == [1, 3, 2]
    assert (batch.inputs.dtype, batch.targets.dtype, batch.positions) == (torch.int64, torch.int64, 6)


def test_an_epoch_holds_every_line_once_in_an_order_of_its_own(prepared):
    def lines(epoch):
        found = []
        for index in range(len(epoch)):
            batch = epoch.batch(index)
            rows = zip(batch.inputs.tolist(), batch.lengths.tolist(), strict=True)
            found.append([tuple(row[:length]) for row, length in rows])
        return found

    corpus = prepared(validation=0)
    task = Aligned(corpus, DataConfig(batch_size=3), seed=1)
    first = lines(task.epoch(1))
    assert [len(batch) for batch in first] == [3, 3, 1]
    assert not task.epoch(1).carried
    everything = sorted(tuple(corpus.splits["train"].line(i)[0].tolist()) for i in range(7))
    assert sorted(chain(*first)) == everything == sorted(chain(*lines(task.epoch(2))))
    assert first == lines(Aligned(corpus, DataConfig(batch_size=3), seed=1).epoch(1))
    assert first != lines(task.epoch(2))
    assert first != lines(Aligned(corpus, DataConfig(batch_size=3), seed=2).epoch(1))


@pytest.mark.parametrize(("arch", "bidirectional"), KINDS)
def test_the_loss_of_a_batch_is_that_of_its_lines_weighted_by_labels(prepared, built, arch, bidirectional):
    corpus = prepared(validation=0)
    model = built(corpus, arch, bidirectional)
    expected = nats(model, corpus.splits["train"])
    task = Aligned(corpus, DataConfig(batch_size=7), seed=0)
    loss, count, _ = task.loss(model, task.epoch(0).batch(0), model.initial_state(7))
    assert count == len(expected) == 17
    assert loss.item() == pytest.approx(sum(expected) / 17, rel=1e-5)


@pytest.mark.parametrize(("arch", "bidirectional"), KINDS)
def test_more_padding_changes_neither_loss_nor_gradient(prepared, built, arch, bidirectional):
    corpus = prepared(validation=0)
    model = built(corpus, arch, bidirectional)
    task = Aligned(corpus, DataConfig(), seed=0)
    tight = pad(corpus.splits["train"], np.array([0, 1, 3]))  # 2, 1 and 2 labels
    wide = aligned.Batch(
        torch.nn.functional.pad(tight.inputs, (0, 9), value=3),
        torch.nn.functional.pad(tight.targets, (0, 9), value=IGNORED),
        tight.lengths,
    )
    results = []
    for batch in (tight, wide):
        model.zero_grad()
        loss, count, _ = task.loss(model, batch, model.initial_state(3))
        loss.backward()
        results.append((loss.detach(), [p.grad.clone() for p in model.parameters()]))
        assert count == 5
    torch.testing.assert_close(*results)


@pytest.mark.parametrize(("arch", "bidirectional"), KINDS)
@pytest.mark.parametrize("positions", [1, 7, 10**6])
def test_evaluation_line_by_line(prepared, built, monkeypatch, arch, bidirectional, positions):
    corpus = prepared(validation=0)
    model = built(corpus, arch, bidirectional)
    answers = torch.cat([row.argmax(-1) for row in one_by_one(model, corpus.splits["train"])]).numpy()
    answers[[3, 5, 16]] += (
        1  # two labels of the third line and one of the last are not the most probable ones
    )
    train = replace(corpus.splits["train"], targets=answers % 8)
    monkeypatch.setattr(aligned, "POSITIONS_AT_ONCE", positions)
    said = []
    result = evaluate_aligned(model, train, progress=lambda *told: said.append(told))
    assert result.count == 17
    assert result.loss == pytest.approx(sum(nats(model, train)) / 17, rel=1e-5)
    assert result.figures == {"accuracy": 14 / 17, "exact": 5 / 7}
    assert (
        len(said) == {1: 7, 7: 4, 10**6: 1}[positions]
    )  # lengths 1 1 2, 2 3, 3, 5 where 7 positions are allowed
    assert said[-1] == (17, 17)


def test_groups_never_pass_the_limit_and_hold_every_line_once():
    lengths = np.array([5, 1, 9, 1, 4, 4, 2, 30])
    groups = list(aligned._together(lengths, 10, 10))
    assert sorted(np.concatenate(groups).tolist()) == list(range(8))
    assert [lengths[group].tolist() for group in groups] == [[1, 1, 2], [4, 4], [5], [9], [30]]


def test_groups_of_many_positions_have_few_lines(monkeypatch):
    monkeypatch.setattr(aligned, "LINES_AT_ONCE", 2)
    lengths = np.array([1, 1, 1, 1, 1, 3, 3, 3, 5])
    groups = list(aligned._together(lengths, 1000, 4))
    # four of length 1 are no more than 4 positions; then two lines each
    assert [lengths[group].tolist() for group in groups] == [[1, 1, 1, 1], [1, 3], [3, 3], [5]]


def test_validation(prepared, built):
    corpus = prepared(validation=0.3)  # 4 lines train, 3 are held out: bcb, b, cab
    task = Aligned(corpus, DataConfig(), seed=0)
    model = built(corpus)
    model.train()
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    measured = task.validate(model)
    assert torch.equal(before, torch.random.get_rng_state())
    assert model.training
    assert measured == evaluate_aligned(model, corpus.splits["validation"])
    assert tuple(measured.figures) == task.measures
    assert (measured.count, task.validation_positions) == (7, 7)
    short = Aligned(corpus, DataConfig(), seed=0, validation_tokens=2)
    assert short.validate(model).count == short.validation_positions == 3


def test_nothing_held_out(prepared, built):
    corpus = prepared(LINES[:1])
    task = Aligned(corpus, DataConfig(), seed=0)
    assert task.validate(built(corpus)) is None
    assert task.validation_positions == 0
    assert task.facts() == {
        "vocab_size": 6,  # unknown, newline, a, b, x, y
        "tokens_train": 2,
        "tokens_validation": 0,
        "lines_train": 1,
        "lines_validation": 0,
        "characters_train": 2,
        "baselines": {},
    }


def test_baselines_by_hand(prepared):
    facts = Aligned(prepared(["ab\txx", "a\ty", "bq\tya"], validation=0.4), DataConfig(), seed=0).facts()
    assert (facts["lines_train"], facts["lines_validation"], facts["vocab_size"]) == (1, 2, 5)
    # of "ab" → "xx" in a vocabulary of 5: p(x) = 3/7, every other label 1/7
    # held out: a → y and b → y are unknown labels, q → a
    one = 1 / 7
    assert facts["baselines"]["uniform"] == pytest.approx(math.log(5))
    assert facts["baselines"]["unigram"] == pytest.approx(math.log(7))
    by_token = [one / 2, one / 2, one]  # after a or b: (0 + 1·p) / (1 + 1); q was never seen
    assert facts["baselines"]["by source token"] == pytest.approx(-np.log(by_token).mean())


def test_the_baseline_by_source_token_uses_what_it_saw(prepared):
    train = prepared(["aab\txyx", "a\tx"], validation=0).splits["train"]
    found = label_baselines(train, train, 6)
    x, y = 4 / 10, 2 / 10  # (3 + 1) / (4 + 6), (1 + 1) / (4 + 6)
    a_x, a_y, b_x = (2 + 2 * x) / 5, (1 + 2 * y) / 5, (1 + x) / 2
    assert found["unigram"] == pytest.approx(-(3 * math.log(x) + math.log(y)) / 4)
    assert found["by source token"] == pytest.approx(-(2 * math.log(a_x) + math.log(a_y) + math.log(b_x)) / 4)


def test_a_tiny_network_learns_hello(built):
    corpus = prepare_pairs(CorpusConfig(source="hello"), CharTokenizer, None)
    settings = {"encoder": "embedding", "embedding_size": 10, "hidden_size": 8}
    model = built(corpus, "nn-rnn", False, **settings)
    task = Aligned(corpus, DataConfig(batch_size=1), seed=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for number in range(30):
        batch = task.epoch(number).batch(0)
        loss, _, _ = task.loss(model, batch, model.initial_state(1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert evaluate_aligned(model, corpus.splits["train"]).figures == {"accuracy": 1.0, "exact": 1.0}
    assert loss.item() < 0.1
