"""Completions drawn side by side are those that their seeds give alone."""

import pytest
import torch

from rnn_tui.inference.batch import generate_batch
from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.generate import generate, prime
from rnn_tui.inference.numpy_model import load_numpy
from rnn_tui.inference.torch_reader import TorchReader


def alone(reader, tokenizer, primed, config):
    generation = generate(reader, tokenizer, primed, config)
    text = "".join(piece.text for piece in generation)
    return text, generation.tokens, generation.reason, generation.seed


def fields(completion):
    return completion.text, completion.tokens, completion.reason, completion.seed


@pytest.fixture(params=["torch", "numpy"])
def reader(request, char_tokenizer, sharp_lstm, model_file):
    if request.param == "numpy":
        path = model_file(text="abcdefgh \n", hidden_size=24, seed=5)
        return load_numpy(path)[:2]
    tokenizer = char_tokenizer("abcdefgh \n")
    return TorchReader(sharp_lstm(tokenizer, num_layers=2)), tokenizer


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 1.0},
        {"temperature": 0.6, "top_k": 4},
        {"top_p": 0.8},
        {"min_p": 0.1},
        {"stop": ("e", "ab")},
        {"stop": ("abcabc",), "length": 9},
        {"length": 1},
        {"length": 0},
    ],
)
def test_each_is_what_its_seed_gives(reader, settings):
    reader, tokenizer = reader
    primed = prime(reader, tokenizer, "abc")
    config = SamplingConfig(**{"seed": 30, "length": 70} | settings)
    found = generate_batch(reader, tokenizer, primed, config, 5)
    for j, completion in enumerate(found):
        own = SamplingConfig(**{"seed": 30 + j, "length": 70} | settings)
        assert fields(completion) == alone(reader, tokenizer, primed, own)


def test_rows_that_end_early_do_not_disturb_the_others(reader):
    """By the texts without the stop: each is cut where it has its first "d", after its own number of tokens."""
    reader, tokenizer = reader
    primed = prime(reader, tokenizer, "a")
    whole = generate_batch(reader, tokenizer, primed, SamplingConfig(seed=1, length=40, temperature=2), 8)
    ends = [completion.text.find("d") for completion in whole]
    assert len(set(ends)) > 4
    config = SamplingConfig(seed=1, length=40, temperature=2, stop=("d",))
    for completion, full, end in zip(
        generate_batch(reader, tokenizer, primed, config, 8), whole, ends, strict=True
    ):
        assert completion.text == (full.text if end < 0 else full.text[:end])
        assert completion.tokens == (40 if end < 0 else end + 1)


def test_without_noise_all_are_equal(reader):
    reader, tokenizer = reader
    primed = prime(reader, tokenizer, "ab")
    config = SamplingConfig(greedy=True, length=20)
    found = generate_batch(reader, tokenizer, primed, config, 3)
    assert [fields(one) for one in found] == [alone(reader, tokenizer, primed, config)] * 3
    assert found[0].seed is None


def test_without_a_seed_one_is_drawn(reader):
    reader, tokenizer = reader
    primed = prime(reader, tokenizer, "ab")
    found = generate_batch(reader, tokenizer, primed, SamplingConfig(length=20), 2)
    assert found[1].seed == found[0].seed + 1
    again = alone(reader, tokenizer, primed, SamplingConfig(length=20, seed=found[1].seed))
    assert fields(found[1]) == again


@pytest.mark.parametrize("length", range(1, 9))
def test_no_half_characters(spelling, byte_tokenizer, length):
    reader = TorchReader(spelling("ab漢e字d"))
    primed = prime(reader, byte_tokenizer, "a")
    config = SamplingConfig(greedy=True, length=length)
    (found,) = generate_batch(reader, byte_tokenizer, primed, config, 1)
    assert fields(found) == alone(reader, byte_tokenizer, primed, config)
    assert "\ufffd" not in found.text


def test_a_character_half_read_is_finished(spelling, byte_tokenizer):
    reader = TorchReader(spelling("ab漢e"))
    first = generate(
        reader, byte_tokenizer, prime(reader, byte_tokenizer, "a"), SamplingConfig(greedy=True, length=2)
    )
    list(first)
    assert first.primed.held
    found = generate_batch(reader, byte_tokenizer, first.primed, SamplingConfig(greedy=True, length=3), 2)
    assert [one.text for one in found] == ["漢e"] * 2


def test_the_unknown_token_is_never_drawn(markov, char_tokenizer):
    tokenizer = char_tokenizer("ab")
    reader = TorchReader(markov(torch.tensor([[0.98, 0.01, 0.01]] * 3)))
    primed = prime(reader, tokenizer, "a")
    for completion in generate_batch(
        reader, tokenizer, primed, SamplingConfig(seed=1, temperature=1, length=60), 4
    ):
        assert set(completion.text) == {"a", "b"}
