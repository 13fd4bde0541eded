"""What is said of each token: surprise, entropy, rank, and what an unknown one stands for."""

import math

import numpy as np
import pytest
import torch

from rnn_tui.inference.batch import Batch
from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.generate import generate, measure, prime, unknown_sources
from rnn_tui.inference.numpy_model import load_numpy
from rnn_tui.inference.torch_reader import TorchReader
from rnn_tui.plugin.registry import load_plugin


@pytest.mark.parametrize(("rows", "vocabulary"), [(1, 1), (1, 2), (64, 65), (3, 1000)])
def test_measures_are_those_of_torch(rows, vocabulary):
    rng = np.random.default_rng(rows)
    logits = (rng.normal(size=(rows, vocabulary)) * 4).astype(np.float32)
    tokens = rng.integers(0, vocabulary, rows)
    exact = torch.from_numpy(logits).double()
    surprises = torch.nn.functional.cross_entropy(exact, torch.from_numpy(tokens), reduction="none")
    entropies = torch.distributions.Categorical(logits=exact).entropy()
    ranks = [sorted(row, reverse=True).index(row[token]) for row, token in zip(logits, tokens, strict=True)]
    for found, *expected in zip(
        measure(logits, tokens), surprises.tolist(), entropies.tolist(), ranks, strict=True
    ):
        assert found[:2] == pytest.approx(expected[:2], abs=1e-9)
        assert found[2] == expected[2]


def test_equals_have_the_rank_of_the_first_of_them():
    logits = np.array([[1.0, 2.0, 2.0, 0.0, 2.0]] * 5, np.float32)
    assert [rank for _, _, rank in measure(logits, np.arange(5))] == [3, 0, 0, 4, 0]


def test_impossible_tokens():
    infinite = math.inf
    logits = np.array([[0.0, -infinite, 0.0], [-infinite] * 3, [infinite, 0.0, 0.0]])
    first, nothing, certain = measure(logits, np.array([1, 0, 0]))
    assert first == (infinite, pytest.approx(math.log(2)), 2)
    assert nothing[0] == infinite
    assert certain == (0.0, 0.0, 0)


def test_rank_in_prompt_and_completion(markov, char_tokenizer):
    """After any symbol: a 0.5, b 0.3, c 0.15; the unknown one the rest."""
    tokenizer = char_tokenizer("abc")
    row = {"a": 0.5, "b": 0.3, "c": 0.15}
    table = torch.tensor([[row.get(tokenizer.token_text(token), 0.05) for token in range(4)]] * 4)
    reader = TorchReader(markov(table))
    primed = prime(reader, tokenizer, "cbža")
    assert [piece.rank for piece in primed.pieces] == [-1, 1, 3, 0]
    drawn = list(generate(reader, tokenizer, primed, SamplingConfig(seed=1, length=30, temperature=3)))
    assert {(piece.text, piece.rank) for piece in drawn} == {("a", 0), ("b", 1), ("c", 2)}


@pytest.fixture(params=["torch", "numpy"])
def reader(request, char_tokenizer, sharp_lstm, model_file):
    if request.param == "numpy":
        return load_numpy(model_file(text="abcdefgh \n", hidden_size=24, seed=5))[:2]
    tokenizer = char_tokenizer("abcdefgh \n")
    return TorchReader(sharp_lstm(tokenizer)), tokenizer


def test_pieces_of_a_batch_are_those_of_their_seeds(reader):
    reader, tokenizer = reader
    primed = prime(reader, tokenizer, "abc")
    settings = {"length": 50, "stop": ("ab", "dd"), "temperature": 0.9}
    for row in Batch(reader, tokenizer, primed, SamplingConfig(seed=9, **settings), 4, measured=True):
        alone = generate(reader, tokenizer, primed, SamplingConfig(seed=9 + row.index, **settings))
        for found, expected in zip(row.pieces, alone, strict=True):
            assert (found.text, found.token, found.rank) == (expected.text, expected.token, expected.rank)
            assert found[2:4] == pytest.approx(expected[2:4], abs=1e-4)
        np.testing.assert_allclose(row.primed.logits, alone.primed.logits, atol=1e-4)


def test_a_batch_that_is_cancelled(reader):
    reader, tokenizer = reader
    primed = prime(reader, tokenizer, "abc")
    seen = []

    def progress(tokens):
        seen.append(tokens)
        if len(seen) == 2:
            batch.cancel()

    batch = Batch(reader, tokenizer, primed, SamplingConfig(seed=9, length=500), 3, progress=progress)
    rows = list(batch)
    assert seen == [3 * 64, 6 * 64]
    assert [(row.index, row.reason, row.tokens) for row in rows] == [
        (index, "cancelled", 128) for index in range(3)
    ]
    for row in rows:
        alone = generate(reader, tokenizer, primed, SamplingConfig(seed=9 + row.index, length=128))
        assert row.text == "".join(piece.text for piece in alone)
        np.testing.assert_allclose(row.primed.logits, alone.primed.logits, atol=1e-4)


def sources(tokenizer, text, last=None):
    ids = tokenizer.encode(text).tolist()
    return unknown_sources(tokenizer, text, ids[-last:] if last else ids, tokenizer.unknown(text))


def test_what_unknown_characters_stand_for(char_tokenizer):
    tokenizer = char_tokenizer("abc")
    assert sources(tokenizer, "abžc漢漢") == [None, None, "ž", None, "漢", "漢"]
    assert sources(tokenizer, "žabž", 2) == [None, "ž"]
    assert sources(tokenizer, "abc") == [None] * 3


def test_what_unknown_words_stand_for():
    kind = load_plugin("tokenizer", "word")
    tokenizer = kind.train(["the cat, the dog.\n"], kind.Options())
    text = "the horse, dog? horse.\ncat"
    assert sources(tokenizer, text) == [None, " horse", None, None, "?", " horse", None, None, "cat"]


def test_where_it_cannot_be_told():
    """A tokenizer that reads "B" as "b": what stands before it in the text is not looked for."""

    class Lower:
        unknown_id = 0

        def token_text(self, token):
            return "?ab"[token]

    assert unknown_sources(Lower(), "žaBža", [0, 1, 2, 0, 1], ["ž"]) == ["", None, None, "ž", None]
