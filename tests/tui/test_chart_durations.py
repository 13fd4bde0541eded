import pytest

from rnn_tui.tui.widgets.durations import clock_step, duration, duration_labels, duration_ticks
from rnn_tui.tui.widgets.scales import Axis


@pytest.mark.parametrize(
    ("seconds", "step", "text"),
    [
        (0, 30, "0"), (30, 30, "0:30"), (300, 60, "5:00"), (3599, 1, "59:59"), (3600, 3600, "1h"), (3600, 1800, "1h00"),
        (5400, 1800, "1h30"), (5405, 1, "1h30:05"), (172_800, 86_400, "2d"), (194_400, 21_600, "2d06"),
        (172_800, 43_200, "2d"), (178_200, 600, "2d01:30"), (178_205, 1, "2d01:30:05"), (1.5, 0.5, "0:01.5"),
        (59.96, 0.1, "1:00.0"), (-90, 1, "-1:30"), (float("nan"), 1, "-"),
    ],
)  # fmt: skip
def test_a_duration(seconds: float, step: float, text: str) -> None:
    assert duration(seconds, step) == text


@pytest.mark.parametrize(
    ("span", "parts", "step"),
    [(100, 5, 30), (60, 6, 10), (3600, 4, 900), (10_000, 4, 3600), (500_000, 6, 86_400), (3e6, 5, 864_000),
     (0.5, 5, 0.1)],
)  # fmt: skip
def test_steps_are_those_of_a_clock(span: float, parts: int, step: float) -> None:
    assert clock_step(span, parts) == pytest.approx(step)


def test_ticks_and_their_labels() -> None:
    assert duration_ticks(Axis(0, 7200), 4) == [0, 1800, 3600, 5400, 7200]
    assert duration_labels([0, 1800, 3600, 5400]) == ["0", "30:00", "1h00", "1h30"]
    assert duration_labels([0, 3600, 7200]) == ["0", "1h", "2h"]
    assert duration_ticks(Axis(600, 660), 3) == [600, 630, 660]
    assert duration_labels([600, 630, 660]) == ["10:00", "10:30", "11:00"]


def test_a_logarithmic_axis_has_about_a_factor_of_ten_between_ticks() -> None:
    found = duration_ticks(Axis(5, 50_000, log=True), 6)
    assert found == [10, 60, 600, 3600, 36_000]
    assert duration_labels(found, log=True) == ["0:10", "1:00", "10:00", "1h", "10h"]
    # less than a factor of twenty: as on a linear axis
    assert duration_ticks(Axis(60, 180, log=True), 4) == [60, 90, 120, 150, 180]
