"""The first row and the marks, cell by cell."""

from typing import Any

import numpy as np
import pytest

from rnn_tui.tui.widgets.marks import Mark, place
from rnn_tui.tui.widgets.picture import BAD, BEST, CURSOR, FAINT, SERIES, Picture
from rnn_tui.tui.widgets.plot import Frame, Layer, compose
from rnn_tui.tui.widgets.pyramid import Points


def layer(name: str, y: Any, colour: int = 0, **more: bool) -> Layer:
    points = Points()
    points.extend(np.arange(len(y), dtype=float), np.array(y, float))
    return Layer(name, points, points.raw, colour, **more)


def rows(picture: Picture) -> list[str]:
    return ["".join(row) for row in picture.chars]


def head(layers: list[Layer], frame: Frame, width: int) -> str:
    return rows(compose(layers, frame, width, 10))[0].rstrip()


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (80, "loss, nats  ━ training  ━ validation                  zoomed, log y, from a file"),
        (60, "loss  ━ training  ━ validation    zoomed, log y, from a file"),
        (46, "loss  ━ training  ━ validation   zoomed, log y"),
        (42, "loss  ━ training  ━ validation      zoomed"),
        (34, "loss  ━ train…  ━ valid…    zoomed"),
        (24, "loss  ━ train…  … zoomed"),
    ],
)
def test_what_is_left_out_of_the_legend(width: int, expected: str) -> None:
    frame = Frame(title="loss, nats", state="zoomed", settings="log y", note="from a file")
    assert head([layer("training", [1, 2]), layer("validation", [2, 1], 1)], frame, width) == expected


def test_names_lose_what_they_have_in_common() -> None:
    names = ["lstm-stdlib hidden 64", "lstm-stdlib hidden 128", "lstm-stdlib hidden 256"]
    curves = [layer(name, [1, 2], i) for i, name in enumerate(names)]
    assert head(curves, Frame(), 90).startswith("━ lstm-stdlib hidden 64  ━ lstm-stdlib hidden 128")
    assert head(curves, Frame(), 40) == "━ …64  ━ …128  ━ …256"
    # one name is all of what the others begin with
    assert (
        head([layer("long-name-of-a-run", [1, 2]), layer("long", [1, 2], 1)], Frame(), 21)
        == "━ long-name…  ━ long"
    )


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (60, "loss  step 2  ━ train 2 (7)  ━ validation 1.5"),
        (40, "step 2  ━ train 2 (7)  ━ validation 1.5"),
        (36, "step 2  ━ train 2  ━ validation 1.5"),
        (32, "step 2  ━ train 2  ━ valid… 1.5"),
        (22, "step 2  ━ 2  ━ 1.5"),
    ],
)
def test_what_is_left_out_of_the_read_out(width: int, expected: str) -> None:
    train = layer("train", [6, 7, 7, 9])
    train.points.smoothed(0)
    points = Points()
    points.extend(np.arange(4.0), np.array([4.0, 3, 2, 1]))
    smooth = Layer("train", train.points, points.raw, 0)
    raw = Layer("", train.points, train.points.raw, 0, faint=True)
    frame = Frame(title="loss, nats", x_name="step", cursor=2, tight=True)
    assert head([raw, smooth, layer("validation", [2, 2, 1.5, 1], 1)], frame, width) == expected


def test_the_nearest_point_may_have_no_value() -> None:
    curve = layer("a", [4, 3, float("nan"), 2, 1])
    assert head([curve], Frame(tight=True, cursor=2.2), 40) == "2.20  ━ a nan"
    assert head([curve], Frame(tight=True, cursor=2.8), 40) == "2.80  ━ a 2"


def test_a_duration_is_read_out_as_one() -> None:
    frame = Frame(x_name="after", x_format="duration", cursor=3720)
    curve = layer("a", np.linspace(2, 1, 7200))
    assert head([curve], frame, 60).startswith("after 1h02  ━ a 1.483")
    assert "1h" in rows(compose([curve], frame, 60, 10))[-1]


MARKS = (
    Mark(10, "checkpoint", "checkpoint 10"), Mark(50, "rate", "rate 0.001"), Mark(70, "checkpoint", "checkpoint 70"),
    Mark(70, "best", "best 1.5"), Mark(90, "switch", "compiled"), Mark(99, "end", "finished"),
)  # fmt: skip


def test_marks_stand_on_the_axis() -> None:
    curve = layer("a", np.linspace(5, 1, 100))
    picture = compose([curve], Frame(tight=True, marks=MARKS), 60, 20)
    axis = rows(picture)[-2]
    assert [c for c in axis if c not in "└─┬ "] == ["▴", "↕", "★", "⇄", "■"]
    assert axis[picture.column_of(50) or 0] == "↕"
    assert picture.styles[-2, picture.column_of(70) or 0] == BEST
    plain = compose([curve], Frame(tight=True, marks=MARKS, ascii=True), 60, 20)
    assert [c for c in rows(plain)[-2] if c not in "+- "] == ["^", "~", "B", "%", "#"]


def test_the_read_out_tells_the_mark() -> None:
    curve = layer("a", np.linspace(5, 1, 100))
    told = head([curve], Frame(title="t", tight=True, marks=MARKS, cursor=70), 60)
    assert told == "t  70  ★ best 1.5 +1  ━ a 2.172"
    assert "rate" not in head([curve], Frame(tight=True, marks=MARKS, cursor=60), 60)
    hostile = head([curve], Frame(tight=True, marks=(Mark(60, "rate", "\x1b[2J你"),), cursor=60), 60)
    assert "↕ ␛[2J·" in hostile


@pytest.mark.parametrize(("y", "row"), [([5, 1], 0), ([1, 5], 0), ([3, 1, 3], 7)])
def test_without_a_line_they_never_hide_a_curve(y: list[float], row: int) -> None:
    # falling curves and rising ones leave the corners free; all marks go where there is room for all
    curve = layer("a", np.interp(np.linspace(0, len(y) - 1, 100), np.arange(len(y)), y))
    marks = tuple(Mark(x, "best", "b") for x in (45, 50, 55))
    bare = compose([curve], Frame(tight=True), 60, 10)
    picture = compose([curve], Frame(tight=True, marks=marks), 60, 10)
    assert ((bare.styles >= SERIES) == (picture.styles >= SERIES)).all()
    found = {r for r, c in np.argwhere(picture.styles == BEST).tolist() if r > 0}
    assert len(found) == 1


def test_many_checkpoints_merge() -> None:
    curve = layer("a", np.linspace(5, 1, 1000))
    marks = tuple(Mark(x, "checkpoint", f"checkpoint {x}") for x in range(0, 1000, 5))
    picture = compose([curve], Frame(tight=True, marks=(*marks, Mark(503, "best", "best"))), 64, 20)
    placed = place((*marks, Mark(503, "best", "best")), picture)
    assert sum(len(item.marks) for item in placed) == 201
    columns = [item.column for item in placed if item.marks[-1].kind == "checkpoint"]
    assert set(np.diff(columns).tolist()) <= {4, 8}
    assert rows(picture)[-2].count("▴") == len(columns)
    assert rows(picture)[-2].count("★") == 1


def test_signs_of_nan_and_the_read_out_line_stay_apart_from_marks() -> None:
    y = np.linspace(5, 1, 100)
    y[50] = np.nan
    marks = (Mark(50, "checkpoint", "c"),)
    picture = compose([layer("a", y)], Frame(tight=True, marks=marks, cursor=20), 60, 10)
    assert (picture.styles == BAD).sum() == 1
    assert (picture.styles[:, picture.column_of(20) or 0] == CURSOR).sum() >= 6


def test_without_colours_glyphs_tell_the_curves_apart() -> None:
    curves = [layer("", [3] * 50, 0, faint=True), layer("a", [2] * 50), layer("b", [1] * 50, 1)]
    picture = compose(curves, Frame(plain=True, tight=True), 60, 10)
    assert rows(picture)[0].startswith("○ a  □ b")
    assert sum(row.count("○") for row in rows(picture)) >= 4
    assert sum(row.count("□") for row in rows(picture)) >= 4
    assert {picture.chars[r, c] for r, c in np.argwhere(picture.styles == FAINT)} == {"·"}
    alone = compose([layer("a", [2] * 50)], Frame(plain=True, tight=True), 60, 10)
    assert "○" not in "".join(rows(alone)[1:])
