"""Tokens drawn many at a time are those that would be drawn one by one."""

import math

import numpy as np
import pytest
import torch

from rnn_tui.errors import DivergedError
from rnn_tui.inference import generate as generating
from rnn_tui.inference import torch_reader
from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.drawing import draw_tokens
from rnn_tui.inference.generate import generate, prime
from rnn_tui.inference.sampling import Noise, choose, chooser
from rnn_tui.inference.torch_reader import TorchReader, sample_text

RULES = [
    {},
    {"temperature": 0.1},
    {"temperature": 1e-300},
    {"greedy": True},
    {"temperature": 0},
    {"top_k": 3},
    {"top_p": 0.6},
    {"min_p": 0.2},
    {"temperature": 1.4, "top_k": 9, "top_p": 0.9, "min_p": 0.01},
]


@pytest.fixture
def reader(char_tokenizer, sharp_lstm):
    tokenizer = char_tokenizer("abcdefghij \n")
    return TorchReader(sharp_lstm(tokenizer, num_layers=2)), tokenizer


@pytest.mark.parametrize("settings", RULES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden", [None, 4])
def test_the_lean_choice_is_that_of_the_rules(settings, dtype, hidden):
    config = SamplingConfig(**settings)
    one, noise = chooser(config, hidden), Noise(40, 3)
    rows = np.random.default_rng(1).normal(0, 3, (200, 40)).astype(dtype)
    rows[7, 3] = math.inf
    rows[8, 5:] = -math.inf
    rows[9, :] = 0.5
    for logits, gumbel in zip(rows, noise.take(200), strict=True):
        gumbel = None if config.deterministic else gumbel
        allowed = logits.copy()
        if hidden is not None:
            allowed[hidden] = -math.inf
        before = logits.copy()
        assert one(logits, gumbel) == choose(allowed, config, gumbel)
        np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize("settings", [{}, {"greedy": True}, {"top_k": 2}])
def test_the_lean_choice_refuses_what_is_no_number(settings):
    logits = np.array([0.0, math.nan, 1.0], np.float32)
    with pytest.raises(DivergedError):
        chooser(SamplingConfig(**settings), None)(logits, np.zeros(3))


def test_tokens_before_the_output_stops_being_a_number_are_given():
    """A model in Python: token t is followed by t + 1, and after token 3 by NaN."""

    def step(token, state):
        logits = np.zeros(6, np.float32)
        logits[token + 1] = math.nan if token == 3 else 9.0
        return logits, [*state, token]

    start = np.array([0, 9, 0, 0, 0, 0], np.float32)
    greedy = SamplingConfig(greedy=True)
    drawn = draw_tokens(step, start, [], 10, None, greedy, None)
    assert drawn.tokens.tolist() == [1, 2, 3]
    assert drawn.states == [[1], [1, 2], [1, 2, 3]]
    assert drawn.logits.argmax(-1).tolist()[:2] == [2, 3]
    with pytest.raises(DivergedError):
        draw_tokens(step, drawn.logits[-1], drawn.states[-1], 10, None, greedy, None)


@pytest.mark.parametrize("settings", RULES[:4] + RULES[-1:])
def test_the_size_of_a_chunk_changes_nothing(reader, settings, monkeypatch):
    reader, tokenizer = reader
    config = SamplingConfig(**{"seed": 4, "length": 150} | settings)
    primed = prime(reader, tokenizer, "abc")
    runs = []
    for most in (1, 7, 64):
        monkeypatch.setattr(generating, "CHUNK", most)
        generation = generate(reader, tokenizer, primed, config)
        runs.append((list(generation), generation.primed.logits.tolist()))
    assert runs[0] == runs[1] == runs[2]


def test_the_first_piece_takes_one_token(reader):
    reader, tokenizer = reader
    counts = []

    class Counting:
        output_size = reader.output_size

        def draw(self, logits, state, count, *rest):
            counts.append(count)
            return reader.draw(logits, state, count, *rest)

    primed = prime(reader, tokenizer, "a")
    pieces = iter(generate(Counting(), tokenizer, primed, SamplingConfig(length=20, seed=1)))
    next(pieces)
    assert counts == [1]
    list(pieces)
    assert sum(counts) == 20
    assert max(counts) > 1


def test_a_slow_model_is_asked_for_few_tokens(reader, monkeypatch):
    monkeypatch.setattr(generating, "CHUNK_SECONDS", 0.0)
    reader, tokenizer = reader
    sizes, draw = [], reader.draw
    monkeypatch.setattr(
        reader,
        "draw",
        lambda logits, state, count, *rest: sizes.append(count) or draw(logits, state, count, *rest),
    )
    list(generate(reader, tokenizer, prime(reader, tokenizer, "a"), SamplingConfig(length=6, seed=1)))
    assert sizes == [1] * 6


@pytest.mark.parametrize("settings", [{"seed": 2}, {"seed": 2, "top_k": 5}, {"greedy": True}])
@pytest.mark.parametrize("prepared", [False, True])
def test_after_any_token_it_is_known_what_was_given(reader, settings, prepared, no_compiler):
    """Within a chunk too: `primed` is what the model knows after the last piece, and no token more."""
    reader, tokenizer = reader
    if prepared:
        assert reader.prepare() == ""
    primed = prime(reader, tokenizer, "ab")
    generation = generate(reader, tokenizer, primed, SamplingConfig(length=60, **settings))
    state, tokens = primed.state, []
    for number, piece in enumerate(generation, 1):
        tokens.append(piece.token)
        logits, state = reader.advance(np.array([piece.token]), state)
        np.testing.assert_allclose(generation.primed.logits, logits[0], rtol=1e-5, atol=1e-6)
        for leaf, right in zip(generation.primed.state, state, strict=True):
            torch.testing.assert_close(leaf, right)
        assert generation.tokens == number
        if number == 23:  # in the middle of a chunk of 16
            generation.cancel()
    assert (len(tokens), generation.reason) == (23, "cancelled")


def test_after_many_tokens_the_step_is_traced_and_nothing_else_changes(reader, no_compiler, monkeypatch):
    reader, tokenizer = reader
    monkeypatch.setattr(torch_reader, "TRACED_AFTER", 50)
    config = SamplingConfig(length=120, seed=3)
    primed = prime(reader, tokenizer, "ab")
    expected = [piece.token for piece in generate(TorchReader(reader.model), tokenizer, primed, config)]
    monkeypatch.setattr(torch_reader, "TRACED_AFTER", 10**9)
    plain = TorchReader(reader.model)
    assert [piece.token for piece in generate(plain, tokenizer, primed, config)] == expected
    assert plain.engine()[0] == "step"
    monkeypatch.setattr(torch_reader, "TRACED_AFTER", 50)
    list(generate(plain, tokenizer, primed, config))
    assert plain.engine()[0] == "step"
    list(generate(reader, tokenizer, primed, config))
    assert reader.engine()[0] == "traced"


def test_a_sample_beside_training_may_be_traced_too(reader, sharp_lstm, no_compiler, monkeypatch):
    model, tokenizer = sharp_lstm(reader[1], dropout=0.5, num_layers=2).train(), reader[1]
    config = SamplingConfig(length=80, seed=3)
    expected = sample_text(model, tokenizer, "ab", config)
    before = torch.random.get_rng_state()
    monkeypatch.setattr(torch_reader, "TRACED_AFTER", 20)
    assert sample_text(model, tokenizer, "ab", config) == expected
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(module.training for module in model.modules())
    model(torch.zeros(2, 3, dtype=torch.long), model.initial_state(2))[0].sum().backward()
