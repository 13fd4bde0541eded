import time

import numpy as np
import pytest

from rnn_tui.tui.widgets.chart import changed_regions
from rnn_tui.tui.widgets.plot import (
    BAD,
    BASELINE,
    FAINT,
    SERIES,
    Baseline,
    Frame,
    Layer,
    Picture,
    compose,
    narrow,
)


def layer(name: str, y: list[float], colour: int = 0, **more: bool) -> Layer:
    return Layer(name, np.arange(len(y), dtype=float), np.array(y, dtype=float), colour, **more)


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
    picture = compose([layer(f"a rather long name {i}", [1, 2], i) for i in range(6)], Frame(), 50, 10)
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
    picture = compose([Layer("a", x, 1000 / (x + 1))], Frame(log_x=True, log_y=True, tight=True), 60, 12)
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


def test_a_million_points_in_a_moment() -> None:
    """The goal is 10 ms on a quiet machine; this bound only catches a loop over points in Python."""
    x = np.arange(1e6)
    big = Layer("a", x, np.sin(x / 1e5))
    compose([big], Frame(), 100, 30)
    begun = time.perf_counter()
    compose([big], Frame(), 100, 30)
    assert time.perf_counter() - begun < 1.0
