"""Pearson's chi-square: how often a token is drawn, beside its probability by the rules, worked out by hand.

The model gives the same distribution whatever it has read, so that every token of a text is a draw of its own. A right
sampler fails one seed in 10^5 by chance, and the seeds are fixed; one that takes temperature 0.9 for 1 fails.
"""

import math
import shutil

import numpy as np
import pytest
import torch

from rnn_tui.inference.batch import generate_batch
from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.generate import generate, prime
from rnn_tui.inference.torch_reader import TorchReader

TEXT = "abcdefgh"
MODEL = [0.30, 0.20, 0.15, 0.12, 0.10, 0.08, 0.04, 0.01]
DRAWS = 10_000

RULES = {
    "temperature 1": ({"temperature": 1.0}, MODEL),
    # p^(1 / T), normalised
    "temperature 0.5": ({"temperature": 0.5}, [p**2 for p in MODEL]),
    "temperature 2": ({"temperature": 2.0}, [math.sqrt(p) for p in MODEL]),
    "top-k 3": ({"temperature": 1.0, "top_k": 3}, [0.30, 0.20, 0.15, 0, 0, 0, 0, 0]),
    # 0.30 + 0.20 + 0.15 is the first sum that reaches 0.6
    "top-p 0.6": ({"temperature": 1.0, "top_p": 0.6}, [0.30, 0.20, 0.15, 0, 0, 0, 0, 0]),
    "top-p 0.9": ({"temperature": 1.0, "top_p": 0.9}, [0.30, 0.20, 0.15, 0.12, 0.10, 0.08, 0, 0]),
    # a third of 0.30
    "min-p 0.33": ({"temperature": 1.0, "min_p": 0.33}, [0.30, 0.20, 0.15, 0.12, 0.10, 0, 0, 0]),
    # squares of the first five: 900, 400, 225, 144, 100 of 1769; the first three hold 0.862, so four reach 0.9;
    # 144 is less than 0.2 times 900
    "all": (
        {"temperature": 0.5, "top_k": 5, "top_p": 0.9, "min_p": 0.2},
        [900, 400, 225, 0, 0, 0, 0, 0],
    ),
}


@pytest.fixture
def reader(markov, char_tokenizer):
    """The model of these probabilities, with an unknown token that is more probable than any."""
    tokenizer = char_tokenizer("".join(letter * (20 - i) for i, letter in enumerate(TEXT)))
    assert tokenizer.encode(TEXT).tolist() == list(range(1, 9))
    row = torch.tensor([1.0, *MODEL]) / 2
    return TorchReader(markov(row.repeat(9, 1))), tokenizer


def assert_drawn(text, weights):
    counts = np.array([text.count(letter) for letter in TEXT])
    assert counts.sum() == len(text) == DRAWS
    expected = np.array(weights) / sum(weights) * DRAWS
    alive = expected > 0
    assert counts[~alive].sum() == 0
    statistic = ((counts - expected)[alive] ** 2 / expected[alive]).sum()
    degrees = alive.sum() - 1
    # Wilson and Hilferty's approximation of the 1 - 1e-5 quantile, 4.265 standard deviations of a normal
    assert statistic < degrees * (1 - 2 / (9 * degrees) + 4.265 * math.sqrt(2 / (9 * degrees))) ** 3


@pytest.mark.parametrize(
    ("name", "engine"),
    [*((name, "step") for name in RULES), *((name, "compiled") for name in RULES if "temperature" in name)],
)
def test_one_after_another(reader, name, engine):
    reader, tokenizer = reader
    if engine == "compiled":
        if not shutil.which("cc"):
            pytest.skip("no C compiler")
        reader.prepare()
    assert reader.engine()[0] == engine
    settings, weights = RULES[name]
    config = SamplingConfig(seed=12, length=DRAWS, **settings)
    pieces = generate(reader, tokenizer, prime(reader, tokenizer, "a"), config)
    assert_drawn("".join(piece.text for piece in pieces), weights)


@pytest.mark.parametrize("name", RULES)
def test_side_by_side(reader, name):
    reader, tokenizer = reader
    settings, weights = RULES[name]
    config = SamplingConfig(seed=40, length=DRAWS // 100, **settings)
    found = generate_batch(reader, tokenizer, prime(reader, tokenizer, "a"), config, 100)
    assert_drawn("".join(completion.text for completion in found), weights)


def test_a_sampler_that_is_a_little_wrong_is_found(reader):
    reader, tokenizer = reader
    config = SamplingConfig(seed=12, length=DRAWS, temperature=0.9)
    pieces = generate(reader, tokenizer, prime(reader, tokenizer, "a"), config)
    with pytest.raises(AssertionError):
        assert_drawn("".join(piece.text for piece in pieces), MODEL)
