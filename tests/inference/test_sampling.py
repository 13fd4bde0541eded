import math

import numpy as np
import pytest
import torch

from rnn_tui.errors import DivergedError, UsageError
from rnn_tui.inference.config import SamplingConfig, sampling_config
from rnn_tui.inference.sampling import Noise, choose, filtered_probabilities, log_probabilities

PLAIN = SamplingConfig(temperature=1.0)


def softmax(values):
    """In plain Python, with exact sums."""
    top = max(values)
    powers = [math.exp(v - top) for v in values]
    return [p / math.fsum(powers) for p in powers]


def brute_force(logits, config):
    """The rules one after the other, token by token."""
    alive = dict(enumerate(softmax([v / config.temperature for v in logits])))

    def ranked():
        return sorted(alive, key=lambda token: (-alive[token], token))

    def keep(tokens):
        total = math.fsum(alive[t] for t in tokens)
        return {t: alive[t] / total for t in tokens}

    if config.top_k:
        alive = keep(ranked()[: config.top_k])
    if config.top_p < 1:
        kept, reached = [], 0.0
        for token in ranked():
            kept.append(token)
            reached += alive[token]
            if reached >= config.top_p:
                break
        alive = keep(kept)
    if config.min_p:
        best = max(alive.values())
        alive = keep([t for t in alive if alive[t] >= config.min_p * best])
    return [alive.get(t, 0.0) for t in range(len(logits))]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.3},
        {"temperature": 7.0},
        {"top_k": 1},
        {"top_k": 5},
        {"top_k": 1000},
        {"top_p": 0.35},
        {"top_p": 0.9},
        {"top_p": 1e-9},
        {"min_p": 0.2},
        {"min_p": 1.0},
        {"temperature": 1.7, "top_k": 12, "top_p": 0.8, "min_p": 0.15},
    ],
)
def test_rules_match_brute_force(settings):
    config = SamplingConfig(**{"temperature": 1.0} | settings)
    rng = np.random.default_rng(0)
    for _ in range(20):
        logits = rng.normal(0, 2, 40).tolist()
        result = filtered_probabilities(np.array(logits), config)
        assert result.tolist() == pytest.approx(brute_force(logits, config), abs=1e-12)


def test_top_k_keeps_exactly_k_of_equals_the_lowest_ids():
    result = filtered_probabilities(np.array([0.0, 1.0, 1.0, 1.0]), SamplingConfig(temperature=1, top_k=2))
    assert result.tolist() == pytest.approx([0, 0.5, 0.5, 0])


@pytest.mark.parametrize(
    "settings",
    [
        {"top_k": 1},
        {"top_k": 700},
        {"top_k": 2999},
        {"top_p": 0.02},
        {"top_p": 0.8},
        {"top_p": 0.9999},
        {"top_k": 900, "top_p": 0.9, "temperature": 0.7},
        {"top_k": 20, "top_p": 0.9999},
    ],
)
def test_rules_match_brute_force_in_a_large_vocabulary(settings):
    """Steep, flat, and with many equals: by whole numbers."""
    config = SamplingConfig(**{"temperature": 1.0} | settings)
    rng = np.random.default_rng(0)
    rows = np.stack([rng.normal(0, 4, 3000), rng.normal(0, 0.3, 3000), rng.integers(-3, 4, 3000)])
    found = filtered_probabilities(rows, config)
    for row, probabilities in zip(rows.tolist(), found.tolist(), strict=True):
        expected = brute_force(row, config)
        assert [p > 0 for p in probabilities] == [p > 0 for p in expected]
        assert probabilities == pytest.approx(expected, abs=1e-12)


def test_top_p_keeps_the_fewest_that_reach_it():
    logits = np.log([0.5, 0.25, 0.25])  # exact halves after softmax
    kept = [
        np.count_nonzero(filtered_probabilities(logits, SamplingConfig(temperature=1, top_p=p)))
        for p in (0.4, 0.5, 0.6, 0.75, 0.8, 1.0)
    ]
    assert kept == [1, 1, 2, 2, 3, 3]


def test_min_p_keeps_all_that_equal_the_best():
    result = filtered_probabilities(np.array([2.0, 2.0, 1.9]), SamplingConfig(temperature=1, min_p=1.0))
    assert result.tolist() == pytest.approx([0.5, 0.5, 0])


def test_rules_act_on_what_the_one_before_left():
    # after top-k the two are 5/8 and 3/8: top-p 0.6 keeps one; on the whole, 0.5 + 0.3, it would keep two
    logits = np.log([0.5, 0.3, 0.2])
    result = filtered_probabilities(logits, SamplingConfig(temperature=1, top_k=2, top_p=0.6))
    assert result.tolist() == pytest.approx([1, 0, 0])


@pytest.mark.parametrize("temperature", [1e-300, 1e-6, 1.0, 100.0])
@pytest.mark.parametrize("logits", [[3e38, -3e38, 0.0], [math.inf, 1.0, 0.0], [1e4, 1e4 - 1, -math.inf]])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_logits_give_a_distribution(temperature, logits, dtype):
    result = filtered_probabilities(np.array(logits, dtype), SamplingConfig(temperature=temperature))
    assert np.isfinite(result).all()
    assert result.sum().item() == pytest.approx(1)
    assert result[0] == result.max()


def test_low_temperature_becomes_greedy():
    logits = np.array([1.0, 1.001, -5.0])
    cold = filtered_probabilities(logits, SamplingConfig(temperature=1e-5))
    assert cold.tolist() == pytest.approx([0, 1, 0])
    for config in (SamplingConfig(temperature=0), SamplingConfig(greedy=True)):
        assert filtered_probabilities(logits, config).tolist() == [0, 1, 0]
        assert choose(logits, config, None).item() == 1


def test_greedy_takes_the_lowest_id_of_equals():
    assert choose(np.array([0.0, 3.0, 3.0]), SamplingConfig(greedy=True), None).item() == 1


def test_a_token_with_no_probability_is_never_drawn():
    logits = np.array([-math.inf, 0.0, 0.0, -math.inf])
    noise = Noise(4, seed=1)
    drawn = {choose(logits, PLAIN, row).item() for row in noise.take(500)}
    assert drawn == {1, 2}


@pytest.mark.parametrize("logits", [[math.nan, 0.0], [-math.inf, -math.inf]])
def test_logits_without_a_distribution_are_refused(logits):
    with pytest.raises(DivergedError, match="not a number"):
        choose(np.array(logits), PLAIN, np.zeros(2))


def test_greedy_refuses_nan_too():
    with pytest.raises(DivergedError):
        choose(np.array([math.nan, 0.0]), SamplingConfig(greedy=True), None)


@pytest.mark.parametrize(
    "settings",
    [{}, {"temperature": 0.5}, {"temperature": 2.0}, {"top_k": 6}, {"top_p": 0.7}, {"min_p": 0.1}],
)
def test_drawn_frequencies_are_the_distribution(settings):
    """Pearson's chi-square over 40,000 draws; a right sampler fails one seed in 10^5, and this seed is fixed."""
    config = SamplingConfig(**{"temperature": 1.0} | settings)
    logits = np.random.default_rng(5).normal(0, 1.5, 12)
    expected = np.array(brute_force(logits.tolist(), config)) * 40_000
    noise = Noise(12, seed=9)
    rows = noise.take(40_000)
    counts = np.bincount(choose(np.broadcast_to(logits, rows.shape), config, rows), minlength=12)
    assert counts[expected == 0].sum() == 0
    alive = expected > 0
    statistic = ((counts - expected)[alive] ** 2 / expected[alive]).sum()
    degrees = alive.sum() - 1
    # Wilson-Hilferty: the 1 - 1e-5 quantile (4.265 standard deviations of a normal)
    threshold = degrees * (1 - 2 / (9 * degrees) + 4.265 * math.sqrt(2 / (9 * degrees))) ** 3
    assert statistic < threshold


@pytest.mark.parametrize("seed", [0, 42, 2**32 - 1, 2**32 + 5, 2**61 + 12345])
def test_the_stream_is_that_of_torch(seed):
    """Bit for bit up to the logarithms: torch's own generator, drawn row by row there and in blocks here."""
    generator = torch.Generator().manual_seed(seed)
    noise = Noise(97, seed)
    for row in np.concatenate([noise.take(count) for count in (1, 3, 64, 70, 62)]):
        uniform = torch.rand(97, generator=generator, dtype=torch.float64).numpy()
        np.testing.assert_array_equal(row, -np.log(-np.log(uniform)))


def test_probabilities_of_logits_that_are_not_finite():
    """By hand: +inf takes all; where all are impossible or one is NaN there is no distribution."""
    with_one = log_probabilities(
        np.array([[math.inf, 0.0], [0.0, -math.inf], [math.log(3), 0.0]], np.float32)
    )
    assert np.exp(with_one).tolist() == [[1, 0], [1, 0], pytest.approx([0.75, 0.25])]
    assert np.isnan(log_probabilities(np.array([[-math.inf, -math.inf], [math.nan, 0.0]]))).all()


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_k": -1}, "top_k"),
        ({"top_k": 1.5}, "top_k"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"min_p": 2}, "min_p"),
        ({"seed": -1}, "seed"),
        ({"length": -1}, "length"),
        ({"stop": ("",)}, "stop"),
        ({"stop": "x"}, "stop"),
    ],
)
def test_values_out_of_bounds_are_named(settings, name):
    with pytest.raises(UsageError, match=f"setting {name} must be .*, not "):
        SamplingConfig(**settings)
    with pytest.raises(UsageError, match=f"setting {name} must be .*, not "):
        sampling_config(settings)


def test_settings_from_json():
    base = SamplingConfig(top_k=3)
    config = sampling_config({"temperature": 1, "stop": ["\n", "end"], "seed": None}, base)
    assert config == SamplingConfig(temperature=1.0, top_k=3, stop=("\n", "end"))
    with pytest.raises(UsageError, match="no sampling setting 'temprature'; did you mean 'temperature'"):
        sampling_config({"temprature": 1})
