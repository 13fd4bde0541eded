import math
from typing import Any

import pytest
from rich.cells import cell_len

from rnn_tui.corpus.copied import Copied
from rnn_tui.runs.events import Event
from rnn_tui.tui import looks_view
from rnn_tui.tui.looks import Forecast, Sample, Transcription, newest, read_look

COPIED = Copied(
    novel=0.83, n=8, held_out=0.46, longest=23, at=3, mark=24, spans=((3, 6),), chars=10, compared=1.0
)
SAVED: dict[str, Any] = {
    "columns": ["x"], "begin": 600, "every": 4, "truth": [0.5, 1.0, None],
    "forecasts": {"1": [0.4, 0.9, 0.2], "64": [None, 0.1, None]},
    "errors": {"1": 0.051, "64": None}, "persistence": {"1": 0.08, "64": 0.3},
}  # fmt: skip


def event(kind: str, **data: Any) -> Event:
    return Event(1, 1, 0.0, kind, 7, data)


def forecast(**changes: Any) -> Forecast:
    found = read_look(event("forecast", **(SAVED | changes)))
    assert isinstance(found, Forecast)
    return found


def test_a_sample_is_read_with_what_it_copied() -> None:
    found = read_look(event("sample", prompt="a", text="bc", temperature=0.5, **COPIED.fields()))
    assert found == Sample(7, "a", "bc", 0.5, COPIED)


@pytest.mark.parametrize("fields", [{}, {"novel": "much"}, COPIED.fields() | {"chars": 0}])
def test_a_sample_without_a_usable_measure(fields: dict[str, Any]) -> None:
    found = read_look(event("sample", text="bc", **fields))
    assert isinstance(found, Sample)
    assert found.copied is None


def test_a_forecast_has_the_rows_of_its_points() -> None:
    found = forecast()
    assert found.rows == (600.0, 604.0, 608.0)
    assert found.truth[:2] == (0.5, 1.0)
    assert math.isnan(found.truth[2])  # a hole in the middle or at the end is shown as one
    assert found.forecasts[1] == ((600.0, 604.0, 608.0), (0.4, 0.9, 0.2))
    rows, values = found.forecasts[64]
    assert rows == (604.0, 608.0)  # the horizon does not reach the first row
    assert values[0] == 0.1
    assert math.isnan(values[1])
    assert found.errors[1] == 0.051
    assert math.isnan(found.errors[64])
    assert found.persistence == {1: 0.08, 64: 0.3}


@pytest.mark.parametrize(
    "wrong", [{"truth": 3}, {"forecasts": {"soon": [1]}}, {"errors": [1]}, {"begin": "x"}]
)
def test_what_is_no_forecast_is_left_out(wrong: dict[str, Any]) -> None:
    assert read_look(event("forecast", **(SAVED | wrong))) is None


def test_newest_step() -> None:
    old, one, two = Transcription(1, "a", "b"), Transcription(2, "c", "d"), Transcription(2, "e", "f")
    assert newest([old, one, two]) == [one, two]


# -- as text ----------------------------------------------------------------------------------------------------------


def test_novelty_by_hand() -> None:
    assert looks_view.novelty(COPIED) == "new 83 % of 8-grams (held-out text 46 %), longest copy 23"


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ((), [(0, 10, False)]),
        (((3, 6),), [(0, 3, False), (3, 6, True), (6, 10, False)]),
        (((0, 4), (8, 30)), [(0, 4, True), (4, 8, False), (8, 10, True)]),
        (((-5, 2), (12, 15)), [(0, 2, True), (2, 10, False)]),
    ],
)
def test_stretches(spans: tuple[tuple[int, int], ...], expected: list[tuple[int, int, bool]]) -> None:
    assert looks_view.stretches(spans, 10) == expected


def test_copied_passages_are_marked() -> None:
    shown = looks_view.content([Sample(7, "", "abcdefghij", 0.8, COPIED)], width=60, roomy=False)
    assert shown.plain == "abcdefghij"
    marked = [span for span in shown.spans if span.style == looks_view.COPIED]
    assert [(span.start, span.end) for span in marked] == [(3, 6)]
    assert "underline" in looks_view.COPIED


def test_samples_of_a_step_get_a_row_each_where_room_is_short() -> None:
    looks = [Sample(5, "p", "old", 0.1), Sample(7, "p", "a\nb" * 90, 0.1, COPIED), Sample(7, "q", "two", 0.8)]
    shown = looks_view.content(looks, width=40, roomy=False).plain.split("\n")
    assert shown[0].startswith("temperature 0.1, new 83 %: pa␊b")
    assert shown[1:] == ["temperature 0.8: qtwo", "step 5: pold"]
    assert all(cell_len(row) <= 40 for row in shown)
    assert looks_view.title(looks[1:], 78, roomy=False) == "samples at step 7"


def test_samples_with_room_keep_their_lines() -> None:
    looks = [Sample(5, "p", "old", 0.1), Sample(7, "p", "a\nb", 0.1, COPIED), Sample(7, "q", "two", 0.8)]
    shown = looks_view.content(looks, width=40, roomy=True).plain
    assert shown == (
        "temperature 0.1: new 83 % of 8-grams (held-out text 46 %), longest copy 23\npa\nb\n\n"
        "temperature 0.8\nqtwo\n\nat step 5\npold"
    )


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (100, "sample at step 7, temperature 0.8: new 83 % of 8-grams (held-out text 46 %), longest copy 23"),
        (78, "sample at step 7: new 83 % of 8-grams (held-out text 46 %), longest copy 23"),
        (66, "sample: new 83 % of 8-grams (held-out text 46 %), longest copy 23"),
        (40, "sample at step 7, temperature 0.8"),
    ],
)
def test_the_title_says_what_fits(width: int, expected: str) -> None:
    assert looks_view.title([Sample(7, "", "x", 0.8, COPIED)], width, roomy=False) == expected


def test_transcriptions() -> None:
    looks = [Transcription(1, "hello", "ho\x1b[2J"), Transcription(2, "hello", "ohlol")]
    shown = looks_view.content(looks, width=40, roomy=True)
    assert shown.plain == "hello → ohlol\nstep 1: hello → ho␛[2J"
    assert looks_view.title(looks[1:], 40, roomy=True) == "transcription at step 2"
    assert looks_view.content(looks, width=40, roomy=False, ascii=True).plain.startswith("hello -> ohlol")


def test_the_table_of_a_forecast() -> None:
    shown = looks_view.forecast_table(forecast()).plain.split("\n")
    assert [row.split() for row in shown] == [
        ["rows", "ahead", "1", "64"],
        ["squared", "error", "0.051", "nan"],
        ["persistence", "0.08", "0.3"],
    ]
    assert looks_view.forecast_title(forecast()) == "forecast of x at step 7"


def test_the_curves_of_a_forecast() -> None:
    curves = looks_view.forecast_series(forecast(errors={"1": 0.0512}))
    assert [curve.name for curve in curves] == ["truth", "1 ahead (0.051)", "64"]
    assert len({curve.colour for curve in curves}) == 3
    assert list(curves[2].x) == [604.0, 608.0]
