import json
import math

import pytest
import torch
from torch import nn

from rnn_tui.training.config import OptimConfig
from rnn_tui.training.optim import (
    build_optimizer,
    clip_gradients,
    put_on_device,
    set_rate,
    settings_of,
    step_on_device,
)


def parameter(values, gradient):
    made = nn.Parameter(torch.tensor(values))
    made.grad = torch.tensor(gradient)
    return made


def test_clipping_scales_all_gradients_by_one_factor():
    a, b = parameter([0.0, 0.0], [3.0, 0.0]), parameter([0.0], [4.0])
    norm, clipped = clip_gradients([a, b], 1.0)
    assert norm == 5
    assert clipped
    assert a.grad.tolist() == pytest.approx([0.6, 0.0])
    assert b.grad.tolist() == pytest.approx([0.8])


def test_a_small_gradient_is_left_alone():
    a = parameter([0.0], [0.5])
    assert clip_gradients([a], 1.0) == (0.5, False)
    assert a.grad.item() == 0.5
    assert clip_gradients([a], 0.0) == (0.5, False)


def test_an_infinite_gradient_is_not_multiplied_into_nan():
    a = parameter([0.0, 0.0], [math.inf, 1.0])
    norm, _ = clip_gradients([a], 1.0)
    assert norm == math.inf
    assert a.grad.tolist() == [math.inf, 1.0]


def test_sgd_by_hand():
    a = parameter([1.0], [0.5])
    optimizer = build_optimizer(OptimConfig(optimizer="sgd", lr=0.1), [a])
    set_rate(optimizer, 0.2)
    optimizer.step()
    assert a.item() == pytest.approx(1.0 - 0.2 * 0.5)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_the_first_step_of_adam_is_the_rate(name):
    a = parameter([1.0], [0.37])
    build_optimizer(OptimConfig(optimizer=name, lr=0.1), [a]).step()
    assert a.item() == pytest.approx(0.9, abs=1e-6)  # m / sqrt(v) = 1 at the first step


def test_rmsprop_by_hand():
    a = parameter([1.0], [2.0])
    build_optimizer(OptimConfig(optimizer="rmsprop", lr=0.01), [a]).step()
    assert a.item() == pytest.approx(1.0 - 0.01 * 2.0 / math.sqrt(0.01 * 4.0), abs=1e-6)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_amsgrad(name):
    optimizer = build_optimizer(OptimConfig(optimizer=name, amsgrad=True), [parameter([1.0], [1.0])])
    assert optimizer.defaults["amsgrad"]


def test_momentum_by_hand():
    a = parameter([1.0], [0.5])
    optimizer = build_optimizer(OptimConfig(optimizer="sgd", lr=0.1, momentum=0.9), [a])
    optimizer.step()
    optimizer.step()
    assert a.item() == pytest.approx(1.0 - 0.1 * 0.5 - 0.1 * (0.9 * 0.5 + 0.5))


def test_the_scale_of_the_loss_is_taken_out_before_clipping():
    a, b = parameter([0.0, 0.0], [3.0 * 1024, 0.0]), parameter([0.0], [4.0 * 1024])
    assert clip_gradients([a, b], 1.0, 1024.0) == (5, True)
    assert [*a.grad.tolist(), *b.grad.tolist()] == pytest.approx([0.6, 0.0, 0.8])
    c = parameter([0.0], [0.5 * 1024])
    assert clip_gradients([c], 1.0, 1024.0) == (0.5, False)
    assert c.grad.item() == 0.5


@pytest.mark.parametrize(
    "config", [{"optimizer": "sgd", "momentum": 0.9}, {"optimizer": "adamw", "amsgrad": True}]
)
def test_a_step_on_the_device_by_hand(config):
    """Skipped it leaves everything; else it equals a plain step with divided gradients."""
    plain, other = parameter([1.0, 2.0], [0.5, -0.25]), parameter([1.0, 2.0], [2.0, -1.0])
    optimizers = [build_optimizer(OptimConfig(lr=0.1, **config), [p]) for p in (plain, other)]
    rate = put_on_device(optimizers[1], torch.device("cpu"))
    rate.fill_(0.2)
    step_on_device(optimizers[1], torch.ones(()), torch.tensor(4.0))
    assert other.tolist() == [1.0, 2.0]
    assert all(not value.any() for value in optimizers[1].state[other].values())
    for _ in range(2):
        other.grad = torch.tensor([2.0, -1.0])  # the kernel divides where it stands
        step_on_device(optimizers[1], torch.zeros(()), torch.tensor(4.0))
        set_rate(optimizers[0], 0.2)
        optimizers[0].step()
    assert other.tolist() == pytest.approx(plain.tolist())
    for name, value in optimizers[0].state[plain].items():
        assert optimizers[1].state[other][name].tolist() == pytest.approx(value.tolist())


def test_settings_can_be_written_as_json_and_read_by_a_plain_optimizer():
    a = parameter([1.0], [0.5])
    optimizer = build_optimizer(OptimConfig(lr=0.25), [a])
    before = settings_of(optimizer)
    put_on_device(optimizer, torch.device("cpu"))
    assert settings_of(optimizer) == before
    assert json.loads(json.dumps(before))[0]["weight_decay"] == 0
    assert before[0]["lr"] == 0.25
