from typing import Any

import numpy as np
import pytest

from rnn_tui.tui.widgets.grid import changed_regions
from rnn_tui.tui.widgets.picture import BAD, BASELINE, CHOSEN, FAINT, SERIES, Picture, narrow
from rnn_tui.tui.widgets.plot import Baseline, Frame, Layer, compose
from rnn_tui.tui.widgets.pyramid import Points


def layer(name: str, y: Any, colour: int = 0, x: Any = None, **more: bool) -> Layer:
    points = Points()
    points.extend(np.arange(len(y), dtype=float) if x is None else np.array(x, float), np.array(y, float))
    return Layer(name, points, points.raw, colour, **more)


def rows(picture: Picture) -> list[str]:
    return ["".join(row) for row in picture.chars]


def test_a_later_curve_replaces_the_cell() -> None:
    low, high = layer("a", [1.0] * 50, 0), layer("b", [1.0] * 50, 1)
    other = layer("c", [0.0, 2.0], 2)
    picture = compose([other, low, high], Frame(tight=True), 40, 8)
    drawn = picture.styles[1:-1, picture.left :]
    # b lies exactly on a: no cell of a is left, none is of both
    assert not (drawn == SERIES + 0).any()
    assert (drawn == SERIES + 1).sum() == picture.columns


def test_there_are_three_labels_at_least() -> None:
    for low, high in ((1.9, 3.1), (0.98, 1.02), (0, 1e6), (1e-4, 4e-3)):
        picture = compose([layer("a", [low, high])], Frame(), 60, 10)
        labels = [row[: picture.left - 1].strip() for row in rows(picture)[1:-1]]
        assert sum(1 for label in labels if label) >= 3, (low, high, labels)


def test_nan_is_marked_on_the_bottom_row() -> None:
    picture = compose([layer("a", [1, 2, float("nan"), 2, 1])], Frame(tight=True), 50, 10)
    assert (picture.styles[-2] == BAD).sum() == 1
    assert "×" in rows(picture)[-2]
    assert not (picture.styles[:-2] == BAD).any()


def test_a_curve_of_nothing_but_nan_is_still_a_picture() -> None:
    picture = compose([layer("a", [float("nan")] * 5)], Frame(tight=True), 50, 10)
    assert (picture.styles == BAD).sum() >= 5


def test_legend_and_title_and_note() -> None:
    curves = [layer("train", [1, 2]), layer("validation", [2, 1], 1)]
    picture = compose(curves, Frame(title="loss", note="log y"), 60, 10)
    assert rows(picture)[0].startswith("loss  ━ train  ━ validation")
    assert rows(picture)[0].endswith("log y")


def test_a_legend_too_long_is_cut_with_a_sign() -> None:
    picture = compose([layer(f"{i} is a rather long name", [1, 2], i) for i in range(9)], Frame(), 40, 10)
    assert rows(picture)[0].startswith("━ 0…  ━ 1…")
    assert rows(picture)[0].endswith("…")


def test_baselines_near_the_curve_have_a_line_and_a_label() -> None:
    frame = Frame(baselines=(Baseline("trigram", 2.3), Baseline("far", 90.0)), tight=True)
    picture = compose([layer("a", [4.0, 3.0, 2.0, 1.8, 1.8, 1.8])], frame, 60, 12)
    text = "\n".join(rows(picture))
    assert "trigram 2.30" in text
    assert "far" not in text
    assert (picture.styles == BASELINE).any()


def test_a_label_never_hides_a_curve() -> None:
    frame = Frame(baselines=(Baseline("level", 1.0),), tight=True)
    flat = layer("a", [1.0] * 200)
    picture = compose([layer("", [0.0, 2.0], 1), flat], frame, 60, 12)
    assert (picture.styles == SERIES).sum() >= picture.columns - 8


def test_cursor_reads_the_nearest_point() -> None:
    picture = compose([layer("train", [4.0, 3.0, 2.5])], Frame(tight=True, cursor=1.2, x_name="step"), 60, 10)
    assert "step 1.2" in rows(picture)[0]
    assert "train 3" in rows(picture)[0]


def test_window_shows_a_part() -> None:
    y = [*([5.0] * 50), *([1.0] * 51)]
    picture = compose([layer("a", y)], Frame(window=(60, 100)), 60, 10)
    assert picture.x_axis.low == 60
    assert picture.y_axis.high < 5


def test_log_axes() -> None:
    x = np.array([0.0, 1, 10, 100, 1000])
    picture = compose([layer("a", 1000 / (x + 1), x=x)], Frame(log_x=True, log_y=True, tight=True), 60, 12)
    assert picture.x_axis.log
    assert picture.x_axis.low == 1
    assert "10" in rows(picture)[-1]
    assert "1000" in rows(picture)[-1]


def test_ascii_uses_ascii_only() -> None:
    frame = Frame(title="loss", ascii=True, baselines=(Baseline("b", 2.0),), x_name="step", cursor=2)
    picture = compose(
        [layer("a", [1, 2, float("nan"), 3]), layer("f", [1, 1, 1, 1], faint=True)], frame, 60, 16
    )
    assert "\n".join(rows(picture)).isascii()
    assert {"*", "-", "!"} <= set("".join(rows(picture)))


def test_faint_spikes_do_not_set_the_scale() -> None:
    raw = [2.0] * 300
    raw[150] = 500.0
    picture = compose([layer("", raw, faint=True), layer("train", [2.0, *[1.9] * 299])], Frame(), 60, 12)
    assert picture.y_axis.high < 10
    assert (picture.styles == FAINT).any() or (picture.styles == SERIES).any()


@pytest.mark.parametrize(("width", "height"), [(0, 0), (1, 1), (5, 3), (12, 4), (200, 60)])
def test_any_size(width: int, height: int) -> None:
    picture = compose([layer("a", [1, 2, 3])], Frame(title="a title", x_name="step"), width, height)
    assert picture.chars.shape == (height, width)


def test_names_become_safe_and_one_cell_wide() -> None:
    assert narrow("a\x1b[2J你b") == "a␛[2J·b"


def test_only_changed_cells_are_repainted() -> None:
    y = [4.0 - 0.02 * i for i in range(60)]
    before = compose([layer("a", y)], Frame(total=100), 60, 12)
    same = compose([layer("a", y)], Frame(total=100), 60, 12)
    after = compose([layer("a", [*y, 2.8])], Frame(total=100), 60, 12)
    assert changed_regions(before, same) == []
    regions = changed_regions(before, after)
    assert regions
    assert sum(region.width * region.height for region in regions) <= 3


def test_the_y_axis_stays_while_the_curves_fill_it() -> None:
    first = compose([layer("a", [4.0, 2.1])], Frame(tight=True), 60, 12)
    assert (first.y_axis.low, first.y_axis.high) == (2, 4)

    def after(*y: float, **more: Any) -> tuple[float, float]:
        axis = compose([layer("a", y)], Frame(tight=True, before=first, **more), 60, 12).y_axis
        return axis.low, axis.high

    assert after(3.9, 2.2) == (2, 4)  # alone this would be 2.125 to 4
    assert after(3.0, 2.0) == (2, 3)  # half of it would be empty
    # beyond it: a fifth of 4 - 1.9 in reserve, and to a quarter of the step of 1
    assert after(4.0, 1.9) == (1.25, 4)
    assert after(4.0, 0.2) == (0, 4)  # no reserve below zero
    # another x axis paints all anew anyway
    assert after(3.9, 2.2, 3.9) == (2.125, 4)
    assert after(3.9, 2.2, log_y=True) == pytest.approx((2.2, 3.9))


def test_the_first_fall_of_a_long_curve_does_not_set_the_scale() -> None:
    y = np.r_[np.linspace(9, 2, 8), np.full(1992, 1.5)]
    assert compose([layer("a", y)], Frame(tight=True), 60, 12).y_axis.high < 3
    raw, smooth = layer("", y, faint=True), layer("a", y)
    assert compose([raw, smooth], Frame(tight=True), 60, 12).y_axis.high < 3
    # of a short one, or where a logarithmic x axis gives it room, it does
    assert compose([layer("a", y[:100])], Frame(tight=True), 60, 12).y_axis.high == 9
    assert compose([raw, smooth], Frame(tight=True, log_x=True), 60, 12).y_axis.high >= 8


def test_zero_on_a_logarithmic_y_axis_does_not_set_the_scale() -> None:
    picture = compose([layer("a", [0, 0.5, 50, 0, -3, 5])], Frame(tight=True, log_y=True), 60, 12)
    assert 0.1 < picture.y_axis.low <= 0.5
    nothing = compose([layer("a", [0, 0, 0])], Frame(tight=True, log_y=True), 60, 12)
    assert nothing.y_axis.log


def test_a_window_of_y() -> None:
    frame = Frame(tight=True, y_window=(1.2, 1.7))
    picture = compose([layer("a", np.linspace(0, 3, 100))], frame, 60, 12)
    assert (picture.y_axis.low, picture.y_axis.high) == (1.2, 1.7)
    labels = [row[: picture.left - 1].strip() for row in rows(picture)[1:-1]]
    assert [label for label in labels if label] == ["1.7", "1.6", "1.5", "1.4", "1.3", "1.2"]


def test_places_of_the_picture_and_values_are_inverse() -> None:
    picture = compose([layer("a", np.linspace(0, 3, 100))], Frame(tight=True), 60, 20)
    for column in (picture.left, picture.left + 7, picture.left + picture.columns - 1):
        assert picture.column_of(picture.x_of(column)) == column
    for row in (picture.top, picture.top + 5, picture.top + picture.rows - 1):
        assert picture.row_of(picture.y_of(row)) == row
        assert picture.over_plot(picture.left, row)
    assert not picture.over_plot(picture.left - 1, picture.top)


def test_the_range_that_is_chosen_is_marked() -> None:
    picture = compose([layer("a", [1, 2])], Frame(chosen=(20, 29, 2, 4)), 60, 12)
    assert (picture.styles >= CHOSEN).sum() == 30
    assert (picture.styles[2:5, 20:30] >= CHOSEN).all()
