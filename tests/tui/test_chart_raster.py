"""Dots by hand: each picture is drawn here as a reader would draw it."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from rnn_tui.tui.widgets.raster import cells, curve, horizontal, marks
from rnn_tui.tui.widgets.scales import Axis


def picture(dots: npt.NDArray[np.bool_]) -> list[str]:
    return ["".join("#" if dot else "." for dot in row) for row in dots]


def draw(
    x: list[float], y: list[float], *, x_axis: Axis | None = None, columns: int = 2, rows: int = 1
) -> list[str]:
    across = x_axis or Axis(0, 2 * columns - 1)
    down = Axis(0, 4 * rows - 1)
    return picture(curve(np.array(x, float), np.array(y, float), across, down, columns, rows).dots)


def test_a_diagonal() -> None:
    assert draw([0, 1, 2, 3], [0, 1, 2, 3]) == [
        "...#",
        "..#.",
        ".#..",
        "#...",
    ]


def test_a_flat_line_between_two_points_is_interpolated() -> None:
    assert draw([0, 3], [1, 1]) == [
        "....",
        "....",
        "####",
        "....",
    ]


def test_a_steep_line_has_no_holes() -> None:
    # from the bottom to the top within one column of dots: each column covers its half
    assert draw([0, 1], [0, 7], columns=1, rows=2) == [".#"] * 4 + ["#."] * 4


def test_many_points_in_a_column_keep_the_extremes() -> None:
    dots = draw([0, 0.1, 0.2, 0.3], [1, 3, 0, 1], columns=2)
    assert [row[0] for row in dots] == ["#", "#", "#", "#"]
    assert all(row[1:] == "..." for row in dots)


def test_nan_breaks_the_line_and_is_reported() -> None:
    drawn = curve(np.array([0.0, 1, 2, 3]), np.array([1.0, np.nan, 1, 1]), Axis(0, 3), Axis(0, 3), 2, 1)
    assert picture(drawn.dots) == ["....", "....", "#.##", "...."]
    assert drawn.bad.tolist() == [1]


def test_nan_between_two_points_of_neighbouring_columns_breaks_too() -> None:
    x, y = np.array([0.0, 0.4, 1.0]), np.array([3.0, np.inf, 0.0])
    drawn = curve(x, y, Axis(0, 3), Axis(0, 3), 2, 1)
    assert picture(drawn.dots) == ["#...", "....", "....", ".#.."]


def test_a_line_enters_and_leaves_the_window() -> None:
    # the window shows 10 to 13; both points lie outside
    dots = curve(np.array([0.0, 30]), np.array([2.0, 2]), Axis(10, 13), Axis(0, 3), 2, 1).dots
    assert picture(dots) == ["....", "####", "....", "...."]


def test_values_outside_the_y_axis_are_not_drawn_at_its_edge() -> None:
    assert draw([0, 3], [9, 9]) == ["....", "....", "....", "...."]


def test_a_single_point() -> None:
    assert draw([2], [0]) == ["....", "....", "....", "..#."]


def test_no_points() -> None:
    assert draw([], []) == ["....", "....", "....", "...."]


@pytest.mark.parametrize("seed", range(5))
def test_against_a_brute_force_version(seed: int) -> None:
    """Every column's span, worked out point by point in plain Python."""
    random = np.random.default_rng(seed)
    x = np.sort(random.uniform(0, 19, 60))
    y = random.uniform(0, 11, 60)
    dots = curve(x, y, Axis(0, 19), Axis(0, 11), 10, 3).dots
    spans: dict[int, list[float]] = {}
    enters: dict[int, float] = {}
    leaves: dict[int, float] = {}
    points = [(round(float(a)), 11 - float(b)) for a, b in zip(x, y, strict=True)]
    for i, (column, height) in enumerate(points):
        spans.setdefault(column, []).append(height)
        enters.setdefault(column, height)
        leaves[column] = height
        if i + 1 < len(points) and points[i + 1][0] > column + 1:
            width = points[i + 1][0] - column
            for k in range(1, width):
                between = height + (points[i + 1][1] - height) * k / width
                spans[column + k] = [between]
                enters[column + k] = leaves[column + k] = between
    for column in range(19):
        if column in leaves and column + 1 in enters:
            middle = (leaves[column] + enters[column + 1]) / 2
            spans[column].append(middle)
            spans[column + 1].append(middle)
    for column in range(20):
        expected = set()
        if column in spans:
            top = math.floor(min(spans[column]) + 0.5)
            bottom = max(top, math.ceil(max(spans[column]) - 0.5))
            expected = set(range(top, bottom + 1))
        assert set(np.flatnonzero(dots[:, column]).tolist()) == expected


def test_braille_patterns() -> None:
    dots = np.zeros((4, 4), dtype=np.bool_)
    dots[0, 0] = dots[3, 1] = True  # dots 1 and 8 of the first cell
    dots[:, 2:] = True
    assert [chr(0x2800 + int(code)) for code in cells(dots)[0]] == ["⢁", "⣿"]


def test_horizontal_line_and_blots() -> None:
    assert picture(horizontal(3, Axis(0, 3), 2, 1, every=2)) == ["#.#.", "....", "....", "...."]
    assert not horizontal(9, Axis(0, 3), 2, 1).any()
    blot = marks(np.array([1.0]), np.array([2.0]), Axis(0, 3), Axis(0, 3), 2, 1)
    assert picture(blot) == ["....", ".##.", ".##.", "...."]
    assert not marks(np.array([1.0, 9.0]), np.array([np.nan, 1.0]), Axis(0, 3), Axis(0, 3), 2, 1).any()
