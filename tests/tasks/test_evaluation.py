import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin import Cell
from rnn_tui.tasks.evaluation import ColdEvaluation, evaluate, evaluate_cold
from rnn_tui.tasks.metrics import default_lanes
from rnn_tui.tasks.next_token import sequence_loss


class Elman(Cell):
    """A forgetful cell, so that a warm-up of a few tokens is as good as the whole past."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.x = nn.Linear(input_size, hidden_size)
        self.h = nn.Linear(hidden_size, hidden_size, bias=False)
        self.output_size = hidden_size

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return torch.zeros(batch_size, self.output_size, device=device, dtype=dtype)

    def step(self, x, state):
        state = torch.tanh(self.x(x) + 0.3 * self.h(state))
        return state, state


@pytest.fixture
def model():
    torch.manual_seed(3)
    return build_model(Elman, {}, ModelConfig(hidden_size=8), vocab_size=7)


@pytest.fixture
def ids():
    return np.random.default_rng(0).integers(0, 7, 501).astype(np.uint8)


def by_hand(model, ids):
    """One token at a time, in float64 on the outside."""
    state = model.initial_state(1)
    nats = 0.0
    with torch.no_grad():
        for now, then in zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True):
            logits, state = model.step(torch.tensor([now]), state)
            nats -= logits.log_softmax(-1)[0, then].item()
    return nats


def test_one_lane_is_the_strict_stream(model, ids):
    result = evaluate(model, ids, lanes=1)
    assert result.tokens == 500
    assert result.nats == pytest.approx(by_hand(model, ids), rel=1e-6)


@pytest.mark.parametrize("window", [1, 13, 500, 4096])
def test_windows_do_not_change_the_figure(model, ids, window):
    assert evaluate(model, ids, lanes=3, window=window).nats == pytest.approx(
        evaluate(model, ids, lanes=3).nats, rel=1e-6
    )


@pytest.mark.parametrize("measure", [evaluate, partial(evaluate_cold, window=50)])
def test_a_large_vocabulary_gives_the_same_in_pieces(model, ids, monkeypatch, measure):
    expected = measure(model, ids).mean
    monkeypatch.setattr("rnn_tui.tasks.cross_entropy.FEW_LOGITS", 0)
    monkeypatch.setattr("rnn_tui.tasks.cross_entropy.LOGITS_AT_ONCE", 7 * 48)  # 48 rows
    assert measure(model, ids).mean == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("lanes", "expected"), [(1, [60] * 8 + [20]), (5, [5 * 12] * 8 + [5 * 4])])
def test_few_lanes_are_read_in_longer_windows(model, ids, monkeypatch, lanes, expected):
    monkeypatch.setattr("rnn_tui.tasks.evaluation.TOKENS_AT_ONCE", 60)
    read = []
    model.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].numel()))
    evaluate(model, ids, lanes=lanes, warm=0)
    assert read == expected


@pytest.mark.parametrize("lanes", [2, 7, 64, 499])
def test_warm_lanes_count_every_token_once(model, ids, lanes):
    result = evaluate(model, ids, lanes=lanes, warm=128)
    assert result.tokens == 500
    if 500 // lanes > 40:  # long enough a warm-up to forget the cold start
        assert result.nats == pytest.approx(by_hand(model, ids), rel=1e-5)
    else:
        assert result.nats == pytest.approx(by_hand(model, ids), rel=0.02)


def test_evaluating_leaves_the_model_as_it_was(model, ids):
    model.train()
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    evaluate(model, ids)
    assert model.training
    assert torch.equal(before, torch.random.get_rng_state())
    model.eval()
    evaluate(model, ids)
    assert not model.training


def test_a_model_that_knows_nothing_scores_the_logarithm_of_the_vocabulary(model, ids):
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
    assert evaluate(model, ids).mean == pytest.approx(math.log(7), rel=1e-6)
    loss, _ = sequence_loss(
        model, torch.zeros(2, 3, dtype=torch.long), torch.ones(2, 3, dtype=torch.long), model.initial_state(2)
    )
    assert loss.item() == pytest.approx(math.log(7), rel=1e-6)


def test_loss_on_the_last_position_alone(model):
    ids, targets = torch.tensor([[1, 2, 3]]), torch.tensor([[2, 3, 4]])
    features, _ = model(ids, model.initial_state(1))
    expected = -model.outputs(features)[0, 2].log_softmax(-1)[4]
    loss, _ = sequence_loss(model, ids, targets, model.initial_state(1), loss_on="last")
    torch.testing.assert_close(loss, expected)


def test_carrying_the_state_is_one_long_forward(model, ids):
    stream = torch.from_numpy(ids[:41].astype(np.int64))[None]
    whole, _ = sequence_loss(model, stream[:, :-1], stream[:, 1:], model.initial_state(1))
    state = model.initial_state(1)
    parts = []
    for begin in range(0, 40, 8):
        part, state = sequence_loss(
            model, stream[:, begin : begin + 8], stream[:, begin + 1 : begin + 9], state
        )
        parts.append(part)
    torch.testing.assert_close(torch.stack(parts).mean(), whole)


def test_too_short_to_predict_anything(model):
    assert evaluate(model, np.array([3], np.uint8)).tokens == 0
    assert math.isnan(evaluate(model, np.array([3], np.uint8)).mean)


def test_default_lanes():
    assert [default_lanes(n) for n in (1, 1023, 2048, 10**6)] == [1, 1, 2, 64]


def cold_by_hand(model, ids, window):
    """Sum and number of the nats at each position: one token at a time, the state zero at each window's start."""
    nats, counts = [0.0] * window, [0] * window
    with torch.no_grad():
        for i, (now, then) in enumerate(zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True)):
            if i % window == 0:
                state = model.initial_state(1)
            logits, state = model.step(torch.tensor([now]), state)
            nats[i % window] -= logits.double().log_softmax(-1)[0, then].item()
            counts[i % window] += 1
    return nats, counts


@pytest.mark.parametrize(("window", "rows"), [(1, 64), (7, 64), (7, 3), (25, 1), (300, 2), (500, 64)])
def test_cold_windows_start_at_zero(model, ids, window, rows):
    result = evaluate_cold(model, ids, window, rows=rows)
    nats, counts = cold_by_hand(model, ids, window)
    assert result.counts.tolist() == counts
    assert result.nats.tolist() == pytest.approx(nats, rel=1e-6)
    assert result.tokens == 500
    assert result.mean == pytest.approx(sum(nats) / 500, rel=1e-6)
    assert result.by_position.tolist() == pytest.approx(
        [n / c for n, c in zip(nats, counts, strict=True)], rel=1e-6
    )


def test_a_window_as_long_as_the_text_is_the_strict_stream(model, ids):
    cold, warm = evaluate_cold(model, ids, 10_000), evaluate(model, ids, lanes=1)
    assert (cold.window, cold.tokens) == (500, 500)
    assert cold.mean == pytest.approx(warm.mean, rel=1e-9)


def test_cold_in_pieces_that_carry_the_state(model, ids, monkeypatch):
    whole = evaluate_cold(model, ids, 50)
    monkeypatch.setattr("rnn_tui.tasks.evaluation.TOKENS_AT_ONCE", 70)  # 10 windows, 7 positions at once
    pieces = evaluate_cold(model, ids, 50)
    assert pieces.nats.tolist() == pytest.approx(whole.nats.tolist(), rel=1e-6)
    assert pieces.counts.tolist() == whole.counts.tolist()


def test_cold_leaves_the_model_as_it_was_and_tells_how_far_it_is(model, ids):
    model.train()
    seen = []
    evaluate_cold(model, ids, 100, rows=2, progress=lambda done, total: seen.append((done, total)))
    assert model.training
    assert seen == [(200, 500), (400, 500), (500, 500)]


def test_cold_with_nothing_to_predict(model):
    result = evaluate_cold(model, np.array([3], np.uint8), 8)
    assert (result.tokens, result.window, result.curve(64)) == (0, 0, ())
    assert math.isnan(result.mean)


def test_curve_of_a_short_window_is_every_position():
    found = ColdEvaluation(np.array([6.0, 4.0, 1.0]), np.array([2, 2, 1]))
    assert found.curve(3) == ((1, 3.0), (2, 2.0), (3, 1.0))


def test_curve_of_a_long_window_weighs_every_token_alike():
    found = ColdEvaluation(np.arange(15.0), np.array([2] * 11 + [1] * 4))
    # 16 ** (i / 4) cuts before the positions 1, 2, 4 and 8
    assert found.curve(4) == ((1, 0 / 2), (2, 3 / 4), (4, 18 / 8), (8, 84 / 12))
    long = ColdEvaluation(np.ones(5000), np.ones(5000, np.int64))
    assert len(long.curve(64)) <= 64
