"""What blocks and what goes on from before must equal what all points at once give, worked out in plain Python."""

import bisect
import math
from array import array
from typing import Any

import numpy as np
import pytest

from rnn_tui.tui.widgets.pyramid import DIRECT, Extremes, Growing, Points
from rnn_tui.tui.widgets.raster import curve
from rnn_tui.tui.widgets.scales import Axis
from rnn_tui.tui.widgets.series import Feed, Series


def test_what_grows_keeps_what_was_seen_of_it() -> None:
    growing = Growing(np.float64)
    growing.extend(np.arange(3.0))
    before = growing.values
    growing.extend(np.arange(1000.0))
    assert before.tolist() == [0, 1, 2]
    assert len(growing) == 1003
    assert growing.values.tolist() == [*range(3), *range(1000)]


@pytest.mark.parametrize("seed", range(4))
def test_extremes_of_stretches(seed: int) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=DIRECT + 5000)
    extremes = Extremes()
    for part in np.split(values, np.sort(random.integers(0, len(values), 30))):
        extremes.extend(part)
    # stretches of one point, within a block, over many blocks
    cuts = np.unique(np.r_[0, random.integers(0, len(values), 40), [64, 65, 128, 129, 191, 192], len(values)])
    low, high = extremes.over(cuts[:-1], cuts[1:])
    for i, (start, stop) in enumerate(zip(cuts.tolist(), cuts[1:].tolist(), strict=False)):
        assert low[i] == min(values[start:stop].tolist())
        assert high[i] == max(values[start:stop].tolist())


def brute_force(x: Any, y: Any, x_axis: Axis, y_axis: Axis, columns: int, rows: int) -> tuple[Any, set[int]]:
    """Draw all points one after the other: the rules of `raster.curve`, without numpy's help and without blocks."""
    width, height = 2 * columns, 4 * rows
    edges = x_axis.edges(width).tolist()

    def place(value: float, axis: Axis) -> float:
        if not axis.log:
            return (value - axis.low) / (axis.high - axis.low)
        return math.log(value / axis.low) / math.log(axis.high / axis.low) if value > 0 else math.nan

    def column_of(at: float) -> int | None:
        where = place(at, x_axis) * (width - 1)
        if math.isnan(where):
            return None
        if edges[0] <= at < edges[-1]:
            return bisect.bisect_right(edges, at) - 1
        return min(-1, round(where)) if at < edges[0] else max(width, round(where))

    def down(value: float) -> float:
        dots = (1 - place(value, y_axis)) * (height - 1)
        return 1e7 if math.isnan(dots) else min(max(dots, -1e7), 1e7)

    bad = {c for a, b in zip(x, y, strict=True) if not math.isfinite(b) and (c := column_of(a)) is not None}
    # Runs of points without a gap; of those outside only the neighbours of the picture count.
    runs: list[list[tuple[int, float]]] = [[]]
    for a, b in zip(x, y, strict=True):
        column = column_of(a)
        if not math.isfinite(b):
            runs.append([])
        elif column is not None:
            runs[-1].append((column, down(b)))
    spans: dict[int, list[float]] = {c: [] for c in range(width)}
    enter: dict[int, float] = {}
    leave: dict[int, float] = {}
    joints: list[tuple[int, int]] = []
    for run in runs:
        inside = [i for i, (c, _) in enumerate(run) if 0 <= c < width]
        before = [i for i, (c, _) in enumerate(run) if c < 0][-1:]
        after = [i for i, (c, _) in enumerate(run) if c >= width][:1]
        kept = [run[i] for i in (*before, *inside, *after)]
        for i, (column, value) in enumerate(kept):
            if 0 <= column < width:
                spans[column].append(value)
                enter.setdefault(column, value)
                leave[column] = value
            if i + 1 == len(kept):
                continue
            to, then = kept[i + 1]
            for between in range(max(column + 1, 0), min(to, width)):
                middle = value + (between - column) / (to - column) * (then - value)
                spans[between].append(middle)
                enter[between] = leave[between] = middle
            if to > column:
                joints += [(c, c + 1) for c in range(max(column, 0), min(to, width - 1))]
    met = {(c, d): (leave[c] + enter[d]) / 2 for c, d in joints if c in leave and d in enter}
    for (left, right), middle in met.items():
        spans[left].append(middle)
        spans[right].append(middle)
    dots = np.zeros((height, width), dtype=bool)
    for column, values in spans.items():
        if values:
            top = math.floor(min(values) + 0.5)
            bottom = max(top, math.ceil(max(values) - 0.5))
            dots[max(top, 0) : max(bottom + 1, 0), column] = True
    return dots, {c for c in bad if 0 <= c < width}


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_the_picture_is_that_of_all_points(seed: int, log: bool) -> None:
    random = np.random.default_rng(seed)
    n = [3, 50, 2000, 24_000, 24_000][seed]
    # dense and sparse stretches, points on one place, spikes, zeros, gaps of one and of many
    x = np.cumsum(random.choice([0.0, 0.01, 1.0, 40.0], size=n, p=[0.1, 0.6, 0.29, 0.01]))
    y = np.exp(random.normal(size=n) * 0.3) + 3 * np.exp(-np.arange(n) / (n / 5))
    y[random.random(n) < 0.001] *= 50
    y[random.random(n) < 0.001] = 0
    for start in random.integers(0, n, 4 if n > 3 else 0):
        y[start : start + random.choice([1, 2, n // 50 + 1])] = random.choice([math.nan, math.inf])
    points = Points()
    for part in np.split(np.arange(n), np.sort(random.integers(0, n, 5))):
        points.extend(x[part], y[part])
    last = float(x[-1]) + 1
    for low, high in ((0.01, last), (last * 0.3, last * 0.34), (last * 0.5, last * 2)):
        x_axis, y_axis = Axis(low, high, log), Axis(0.4, 6, log)
        expected, bad = brute_force(x.tolist(), y.tolist(), x_axis, y_axis, 30, 6)
        drawn = curve(points, points.raw, x_axis, y_axis, 30, 6)
        assert set(drawn.bad.tolist()) == bad
        assert np.array_equal(drawn.dots, expected)


def test_smoothing_by_hand() -> None:
    # weight 1/2 over 4, 2, 6: a = 2, 2, 4; debiased by 1/2, 3/4, 7/8
    points = Points()
    points.extend(np.arange(3.0), np.array([4.0, 2, 6]))
    assert points.smoothed(0.5).values == pytest.approx([4, 2 / 0.75, 4 / 0.875])
    assert points.smoothed(0).values.tolist() == [4, 2, 6]


@pytest.mark.parametrize("weight", [0.5, 0.9, 0.99])
def test_smoothing_goes_on_as_the_curve_grows(weight: float) -> None:
    values = np.random.default_rng(0).normal(size=700)
    values[[3, 200, 201]] = [math.nan, math.inf, -math.inf]
    last, count, expected = 0.0, 0, []
    for value in values:
        if math.isfinite(value):
            last, count = weight * last + (1 - weight) * value, count + 1
            expected.append(last / (1 - weight**count))
    points, begin = Points(), 0
    for end in (1, 2, 65, 66, 300, 700):
        points.extend(np.arange(begin, end, dtype=float), values[begin:end])
        points.smoothed(weight)
        begin = end
    assert points.smoothed(weight).values == pytest.approx(expected)
    constant = Points()
    constant.extend(np.arange(300.0), np.full(300, 3.0))
    assert constant.smoothed(weight).values == pytest.approx([3.0] * 300)


def test_x_that_goes_back_or_is_no_number() -> None:
    points = Points()
    points.extend(np.array([math.nan, 1, 3, 2, math.inf, 4]), np.arange(6.0))
    points.extend(np.array([3.5, 5]), np.array([6.0, math.nan]))
    assert points.x.tolist() == [1, 3, 3, 4, 4]
    assert points.raw.values.tolist() == [1, 2, 3, 5, 6]
    assert points.gaps.tolist() == [0, 3, 5]
    assert points.bad.tolist() == [5]
    assert (points.first, points.last) == (1, 5)


def test_a_series_is_followed() -> None:
    x, y = array("d", [1, 2, 3]), array("d", [5, math.nan, 7])
    feed = Feed()
    assert not feed.follow(Series("a", x, y))
    first = feed.points
    x.append(4)  # nothing holds on to the arrays
    y.append(8)
    assert not feed.follow(Series("a", x, y))
    assert feed.points is first
    assert feed.points.raw.values.tolist() == [5, 7, 8]
    y[-1] = 9  # the last step again
    assert feed.follow(Series("a", x, y))
    assert feed.points.raw.values.tolist() == [5, 7, 9]
    del x[2:], y[2:]  # back to a checkpoint
    assert feed.follow(Series("a", x, y))
    assert feed.points.raw.values.tolist() == [5]


def test_a_rewind_that_grew_beyond_is_seen() -> None:
    feed = Feed()
    feed.follow(Series("a", list(range(100)), [1.0] * 100))
    other = [1.0] * 70 + [2.0] * 60
    assert feed.follow(Series("a", list(range(130)), other))
    assert feed.points.raw.values.tolist() == other
    assert not feed.follow(Series("a", np.arange(130), np.array(other)))
