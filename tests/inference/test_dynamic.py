import copy
import math

import numpy as np
import pytest
import torch
from rnn_tui_scratch.lstm import LSTM
from rnn_tui_torch.lstm import TorchLSTM
from torch.nn import functional

from rnn_tui.errors import InputError
from rnn_tui.inference import dynamic
from rnn_tui.inference.dynamic import DynamicConfig, dynamic_config, evaluate_dynamic
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.tasks.evaluation import evaluate

IDS = np.random.default_rng(0).integers(0, 5, 90).astype(np.uint8)
TRAIN = np.random.default_rng(1).integers(0, 4, 62).astype(np.uint8)  # 4 never occurs in it
STRONG = DynamicConfig(segment=4, lr=5e-3, decay=0.5, epsilon=1e-3)


def model(architecture=LSTM, dropout=0.5):
    torch.manual_seed(3)
    return build_model(architecture, {}, ModelConfig(hidden_size=6, dropout=dropout), vocab_size=5)


def mean_loss(model, tokens, state):
    """One token at a time; tokens (B, T + 1)."""
    losses = []
    for now, then in zip(tokens.T[:-1], tokens.T[1:], strict=True):
        logits, state = model.step(now, state)
        losses.append(functional.cross_entropy(logits, then))
    return torch.stack(losses).mean(), tuple(
        type(inner)(*(leaf.detach() for leaf in inner)) for inner in state
    )


def by_hand(original, ids, train, config, rows):
    """The rule as the paper has it, parameter by parameter."""
    ids, train = torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(train.astype(np.int64))
    net = copy.deepcopy(original).eval()
    net.select_engine("loop")
    T = config.segment
    weights, squares, batches = list(net.parameters()), None, 0
    lane = (len(train) - 1) // rows
    state = net.initial_state(rows)
    for i in range(0, lane - T + 1, T):
        tokens = torch.stack([train[lane * row + i : lane * row + i + T + 1] for row in range(rows)])
        loss, state = mean_loss(net, tokens, state)
        net.zero_grad()
        loss.backward()
        batches += 1
        squares = [w.grad**2 + (squares[k] if squares else 0) for k, w in enumerate(weights)]
    rms = [torch.sqrt(square / batches) for square in squares]
    mean = sum(value.mean() for value in rms) / len(rms)
    home = [w.detach().clone() for w in weights]
    state, nats = net.initial_state(1), 0.0
    for i in range(0, len(ids) - 1, T):
        tokens = ids[i : i + T + 1]
        loss, state = mean_loss(net, tokens[None], state)
        nats += loss.item() * (len(tokens) - 1)
        net.zero_grad()
        loss.backward()
        for w, r, w0 in zip(weights, rms, home, strict=True):
            step = -config.lr * w.grad / (r + config.epsilon)
            back = torch.clamp(r / mean, max=1 / config.decay)
            w.data = w.data + step + config.decay * back * (w0 - w.data)
    return nats


@pytest.mark.parametrize("engine", ["loop", "eager"])
def test_it_is_the_published_rule(engine, monkeypatch):
    monkeypatch.setattr(dynamic, "ROWS", 3)
    net = model()
    net.select_engine(engine)
    assert net.engine()[0] == engine
    found = evaluate_dynamic(net, IDS, TRAIN, STRONG)
    expected = by_hand(net, IDS, TRAIN, STRONG, rows=3)
    assert found.tokens == 89
    assert found.nats == pytest.approx(expected, rel=1e-5)
    assert found.mean == found.nats / 89
    assert abs(expected - evaluate(net, IDS, lanes=1).nats) > 0.1  # so strong that it shows


def test_a_core_and_a_short_training_text():
    # fewer rows than the usual hundred fit in: 61 tokens, 15 rows of 4
    net = model(TorchLSTM)
    assert evaluate_dynamic(net, IDS, TRAIN, STRONG).nats == pytest.approx(
        by_hand(net, IDS, TRAIN, STRONG, rows=15), rel=1e-5
    )


@pytest.mark.parametrize("segment", [1, 4, 500])
def test_without_a_learning_rate_it_is_the_plain_stream(segment):
    net = model()
    config = DynamicConfig(segment=segment, lr=0.0, decay=8e-3)
    long = np.resize(TRAIN, 600)
    assert evaluate_dynamic(net, IDS, long, config).nats == pytest.approx(
        evaluate(net, IDS, lanes=1).nats, rel=1e-6
    )


def test_a_segment_is_predicted_before_it_is_learned_from():
    # one segment holds the whole text, so nothing was learned from when it was predicted
    net = model()
    whole = DynamicConfig(segment=20, lr=10.0, decay=8e-3)
    assert evaluate_dynamic(net, IDS[:21], TRAIN, whole).nats == pytest.approx(
        evaluate(net, IDS[:21], lanes=1).nats, rel=1e-6
    )


def test_the_model_is_left_as_it_was():
    net = model().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    random = torch.random.get_rng_state()
    evaluate_dynamic(net, IDS, TRAIN, STRONG)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(weight.grad is None for weight in net.parameters())
    assert net.training
    assert torch.equal(random, torch.random.get_rng_state())


def test_a_text_that_repeats_itself_is_learned():
    text = np.resize(np.array([4, 0, 3, 1, 2, 2, 0], np.uint8), 2000)
    net = model()
    train = np.random.default_rng(2).integers(0, 5, 3000).astype(np.uint8)
    found = evaluate_dynamic(net, text, train, DynamicConfig(segment=5, lr=5e-3, decay=1e-3))
    assert found.mean < evaluate(net, text, lanes=1).mean - 0.5


def test_progress_counts_the_training_text_too():
    seen = []
    evaluate_dynamic(model(), IDS, TRAIN, STRONG, progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (60, 149)  # 15 rows of 4, then the 89 tokens
    assert seen[-1] == (149, 149)


def test_too_short():
    with pytest.raises(InputError, match="segments of 20 tokens, and it has only 20; take a shorter"):
        evaluate_dynamic(model(), IDS, TRAIN[:20], dynamic_config(1.0))
    nothing = evaluate_dynamic(model(), IDS[:1], TRAIN, dynamic_config(1.0))
    assert nothing.tokens == 0
    assert math.isnan(nothing.mean)


def test_usual_settings_for_characters_and_words():
    assert dynamic_config(1.0) == DynamicConfig(segment=20, lr=1e-4, decay=8e-3)
    assert dynamic_config(5.6) == DynamicConfig(segment=5, lr=5e-5, decay=2e-3)
    assert dynamic_config(1.0, segment=10) == DynamicConfig(segment=10, lr=5e-5, decay=4e-3)
    assert dynamic_config(1.0, lr=0.0, decay=0.0) == DynamicConfig(segment=20, lr=0.0, decay=0.0)
