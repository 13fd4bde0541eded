import math

import pytest

from rnn_tui.training.config import OptimConfig
from rnn_tui.training.schedule import factor


def at(step=0, progress=0.0, plateau=1.0, **settings):
    return factor(
        OptimConfig(**{"warmup_steps": 0, **settings}), step=step, progress=progress, plateau=plateau
    )


def test_constant():
    assert [at(s, s / 10, schedule="constant") for s in range(3)] == [1, 1, 1]


def test_cosine_begins_at_one_and_ends_at_the_floor():
    assert at(progress=0.0, schedule="cosine", lr_floor=0.1) == 1
    assert at(progress=0.5, schedule="cosine", lr_floor=0.1) == pytest.approx(0.55)
    assert at(progress=0.25, schedule="cosine", lr_floor=0.0) == pytest.approx(
        (1 + math.cos(math.pi / 4)) / 2
    )
    assert at(progress=1.0, schedule="cosine", lr_floor=0.1) == pytest.approx(0.1)
    assert at(progress=1.7, schedule="cosine", lr_floor=0.1) == pytest.approx(0.1)


def test_step_falls_at_every_interval_down_to_the_floor():
    got = [at(s, schedule="step", step_every=10, factor=0.5, lr_floor=0.2) for s in (0, 9, 10, 19, 20, 30)]
    assert got == [1, 1, 0.5, 0.5, 0.25, 0.2]


def test_plateau_is_what_validation_made_of_it():
    assert at(plateau=0.25, schedule="plateau", lr_floor=0.0) == 0.25


def test_warm_up_multiplies():
    got = [at(s, schedule="constant", warmup_steps=4) for s in range(6)]
    assert got == [0.25, 0.5, 0.75, 1, 1, 1]
