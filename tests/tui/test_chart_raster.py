"""Dots by hand: each picture is drawn here as a reader would draw it."""

import math

import numpy as np
import numpy.typing as npt

from rnn_tui.tui.widgets.pyramid import Points
from rnn_tui.tui.widgets.raster import Curve, blots, cells, curve, horizontals
from rnn_tui.tui.widgets.scales import Axis


def picture(dots: npt.NDArray[np.bool_]) -> list[str]:
    return ["".join("#" if dot else "." for dot in row) for row in dots]


def points(x: list[float] | npt.NDArray[np.float64], y: list[float] | npt.NDArray[np.float64]) -> Points:
    made = Points()
    made.extend(np.array(x, float), np.array(y, float))
    return made


def drawn(x: list[float], y: list[float], x_axis: Axis, y_axis: Axis, columns: int, rows: int) -> Curve:
    made = points(x, y)
    return curve(made, made.raw, x_axis, y_axis, columns, rows)


def draw(
    x: list[float], y: list[float], *, x_axis: Axis | None = None, columns: int = 2, rows: int = 1
) -> list[str]:
    across = x_axis or Axis(0, 2 * columns - 1)
    down = Axis(0, 4 * rows - 1)
    return picture(drawn(x, y, across, down, columns, rows).dots)


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
    left = drawn([0, 1, 2, 3], [1, math.nan, 1, 1], Axis(0, 3), Axis(0, 3), 2, 1)
    assert picture(left.dots) == ["....", "....", "#.##", "...."]
    assert left.bad.tolist() == [1]


def test_nan_between_two_points_of_neighbouring_columns_breaks_too() -> None:
    left = drawn([0, 0.4, 1], [3, math.inf, 0], Axis(0, 3), Axis(0, 3), 2, 1)
    assert picture(left.dots) == ["#...", "....", "....", ".#.."]


def test_a_line_enters_and_leaves_the_window() -> None:
    # the window shows 10 to 13; both points lie outside
    assert picture(drawn([0, 30], [2, 2], Axis(10, 13), Axis(0, 3), 2, 1).dots) == [
        "....",
        "####",
        "....",
        "....",
    ]


def test_values_outside_the_y_axis_are_not_drawn_at_its_edge() -> None:
    assert draw([0, 3], [9, 9]) == ["....", "....", "....", "...."]


def test_a_single_point() -> None:
    assert draw([2], [0]) == ["....", "....", "....", "..#."]


def test_no_points() -> None:
    assert draw([], []) == ["....", "....", "....", "...."]


def test_zero_lies_far_below_a_logarithmic_axis() -> None:
    # from 10 at the top the line falls out of the picture, and comes back
    left = drawn([0, 1, 2, 3], [10, 0, -1, 1], Axis(0, 3), Axis(1, 1000, log=True), 2, 1)
    assert picture(left.dots) == ["....", "....", "#...", "#..#"]


def test_a_logarithmic_x_axis_leaves_out_what_it_has_no_place_for() -> None:
    left = drawn([-5, 0, 1, 10, 100, 1000], [0, 3, 0, 1, 2, 3], Axis(1, 1000, log=True), Axis(0, 3), 2, 1)
    assert picture(left.dots) == ["...#", "..#.", ".#..", "#..."]


def test_braille_patterns() -> None:
    dots = np.zeros((4, 4), dtype=np.bool_)
    dots[0, 0] = dots[3, 1] = True  # dots 1 and 8 of the first cell
    dots[:, 2:] = True
    assert [chr(0x2800 + int(code)) for code in cells(dots)[0]] == ["⢁", "⣿"]


def test_horizontal_line_and_blots() -> None:
    assert picture(horizontals([3, 9, 0], Axis(0, 3), 2, 1, every=2)) == ["#.#.", "....", "....", "#.#."]
    one, none = points([1.0], [2.0]), points([1.0, 9.0], [np.nan, 1.0])
    assert picture(blots(one, one.raw, Axis(0, 3), Axis(0, 3), 2, 1)) == ["....", ".##.", ".##.", "...."]
    assert not blots(none, none.raw, Axis(0, 3), Axis(0, 3), 2, 1).any()
    many = points(np.linspace(0, 3, 50), np.ones(50))
    assert not blots(many, many.raw, Axis(0, 3), Axis(0, 3), 2, 1).any()
