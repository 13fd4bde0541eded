import math

import numpy as np
import pytest

from rnn_tui.tui.widgets.scales import (
    Axis,
    finite_range,
    jump_limit,
    linear_ticks,
    log_ticks,
    nice_step,
    tick_label,
    tick_labels,
    value_axis,
)


@pytest.mark.parametrize(
    ("span", "parts", "step"), [(10, 5, 2), (1, 4, 0.5), (0.3, 3, 0.1), (100, 10, 10), (7, 7, 1), (7.1, 7, 2)]
)
def test_nice_step_is_one_two_or_five(span: float, parts: int, step: float) -> None:
    assert nice_step(span, parts) == pytest.approx(step)


def test_linear_ticks_are_multiples_inside() -> None:
    assert linear_ticks(1.4, 4.3, 4) == [2, 3, 4]
    assert linear_ticks(0, 1, 5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])


def test_there_are_always_three_ticks() -> None:
    # a step of 1 would leave only 2 and 3 in [1.9, 3.1]
    assert len(linear_ticks(1.9, 3.1, 2)) >= 3


def test_log_ticks() -> None:
    assert log_ticks(1, 1000, 4) == pytest.approx([1, 10, 100, 1000])
    assert log_ticks(1, 100, 6) == pytest.approx([1, 2, 5, 10, 20, 50, 100])
    # less than a decade and a half: round values, not powers
    assert log_ticks(1.4, 4.3, 4) == [2, 3, 4]


@pytest.mark.parametrize(
    ("value", "step", "label"),
    [
        (0, 1, "0"), (1.5, 0.5, "1.5"), (2.0, 0.5, "2.0"), (500, 500, "500"), (12000, 2000, "12k"),
        (12500, 500, "12.5k"), (2.5e6, 5e5, "2.5M"), (4e-4, 1e-4, "4e-4"), (1.5e-4, 5e-5, "1.5e-4"),
        (0.004, 0.001, "0.004"), (-3, 1, "-3"),
    ],
)  # fmt: skip
def test_tick_label(value: float, step: float, label: str) -> None:
    assert tick_label(value, step) == label


def test_tick_labels_of_a_log_axis_use_their_own_decade() -> None:
    assert tick_labels([1, 10, 100], log=True) == ["1", "10", "100"]
    assert tick_labels([0.1, 1.0, 10.0], log=True) == ["0.1", "1", "10"]


def test_jump_limit_with_a_total_halves_it_while_the_curve_fits() -> None:
    assert jump_limit(2000, 2000) == 2000
    assert jump_limit(1001, 2000) == 2000
    assert jump_limit(1000, 2000) == 1000
    assert jump_limit(300, 2000) == 500


def test_jump_limit_without_a_total_grows_by_half() -> None:
    assert jump_limit(0, None) == 100
    assert jump_limit(100, None) == 100
    assert jump_limit(101, None) == 150
    assert jump_limit(151, None) == pytest.approx(225)
    # a run that went past its plan does not leave the picture
    assert jump_limit(2100, 2000) >= 2100


def test_jump_limit_of_small_numbers() -> None:
    # epochs, or the first steps: at least half of the axis is in use
    assert jump_limit(3, None) == 3.125
    assert jump_limit(60, None) == 100
    assert jump_limit(0.9, 5) == 1.25


@pytest.mark.parametrize("axis", [Axis(3, 17), Axis(0.5, 4000, log=True)])
def test_edges_are_half_a_dot_around_the_middles(axis: Axis) -> None:
    edges = axis.edges(11)
    assert axis.place(edges) * 10 == pytest.approx(np.arange(12) - 0.5)


def test_axis_places_and_finds_values() -> None:
    linear, log = Axis(0, 10), Axis(1, 100, log=True)
    assert linear.place(2.5) == pytest.approx(0.25)
    assert log.place(10) == pytest.approx(0.5)
    assert linear.value(0.25) == pytest.approx(2.5)
    assert log.value(0.5) == pytest.approx(10)
    assert np.isnan(log.place([0, -1])).all()


def test_value_axis_holds_its_values_and_a_flat_curve() -> None:
    axis = value_axis(1.47, 4.17, log=False, parts=5)
    assert axis.low <= 1.47
    assert axis.high >= 4.17
    # quarters of the step 1
    assert (axis.low * 4) % 1 == 0
    flat = value_axis(2, 2, log=False, parts=5)
    assert flat.low < 2 < flat.high
    logged = value_axis(1.47, 4.17, log=True, parts=5)
    assert 0 < logged.low <= 1.47
    assert logged.high >= 4.17


def test_value_axis_of_nothing() -> None:
    axis = value_axis(math.nan, math.nan, log=False, parts=4)
    assert axis.low < axis.high


def test_finite_range() -> None:
    assert finite_range(np.array([3.0, 2, 5])) == (2, 5)
    assert finite_range(np.array([])) is None
    trimmed = finite_range(np.r_[np.linspace(1, 2, 1000), 50], trim=0.01)
    assert trimmed is not None
    assert 1 < trimmed[0] < trimmed[1] < 2
