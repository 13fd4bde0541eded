"""What a run's charts draw: over which x, with which marks, beside which others."""

from array import array
from pathlib import Path
from typing import Any

import pytest

from rnn_tui.runs.events import Event
from rnn_tui.tui import curves
from rnn_tui.tui.curves import LaidOver
from rnn_tui.tui.follower import News
from rnn_tui.tui.history import History
from rnn_tui.tui.laid_over import Others
from rnn_tui.tui.track import Clock


def event(kind: str, step: int, attempt: int = 1, **data: Any) -> Event:
    return Event(1, attempt, 0.0, kind, step, data)


def point(step: int, elapsed: float, attempt: int = 1) -> Event:
    """Of a run of 100 tokens a step and 40 steps an epoch."""
    return event("train", step, attempt, loss=2.0, epoch=step / 40, tokens=100 * step, elapsed=elapsed)


def test_places_of_points_and_between_them() -> None:
    clock = Clock()
    for step in (10, 20, 40):
        clock.add(step, {"epoch": step / 40, "tokens": 100 * step, "elapsed": step / 2})
    steps = array("d", [10, 20, 40])
    assert list(clock.places("step", steps)) == [10, 20, 40]
    assert list(clock.places("epoch", steps)) == [0.25, 0.5, 1.0]
    # before the first point in proportion, after the last one at its place
    assert clock.between("time", [0, 4, 15, 30, 99]) == [0, 2, 7.5, 15, 20]
    assert list(clock.places("tokens", array("d", [20, 30]))) == [2000, 3000]


def test_an_epoch_that_begins_anew_stands_still() -> None:
    clock = Clock()
    for step, epoch in ((10, 1.5), (20, 1.0), (30, 1.8)):
        clock.add(step, {"epoch": epoch})
    assert list(clock.places("epoch", array("d", [10, 20, 30]))) == [1.5, 1.5, 1.8]
    assert not clock.knows("time")


def test_time_is_that_of_the_run_over_resumes_and_rollbacks() -> None:
    history = History()
    history.add([point(10, 5.0), point(20, 10.0), point(30, 15.0)])
    # killed, and resumed from the checkpoint of step 20 much later
    history.add([event("resume", 20, 2, from_step=20), point(30, 15.5, 2), point(40, 20.0, 2)])
    assert list(history.clock.places("time", history.loss.steps)) == [5.0, 10.0, 15.5, 20.0]
    # what a rollback gave up took its time
    history.add([event("rollback", 40, 2, to_step=10), point(20, 25.0, 2)])
    assert list(history.clock.places("time", history.loss.steps)) == [5.0, 25.0]
    assert list(history.clock.places("epoch", history.loss.steps)) == [0.25, 0.5]


def test_where_each_axis_ends() -> None:
    history = History()
    history.add([event("start", 0, total_steps=200, steps_per_epoch=40, minutes=3), point(10, 5.0)])
    ends = {axis: history.total_on(axis) for axis in ("step", "epoch", "tokens", "time")}
    assert ends == {"step": 200, "epoch": 5.0, "tokens": 20_000, "time": 180}
    history.add([event("train", 20, tokens=2_017)])  # batches of different sizes
    assert history.total_on("tokens") is None
    assert History().total_on("time") is None


@pytest.mark.parametrize(
    ("start", "axis", "last", "end"),
    [
        ({"total_steps": 200}, "step", 90, 200), ({"total_steps": 200}, "step", 201, 400), ({}, "step", 0, 100),
        ({}, "step", 100, 100), ({}, "step", 101, 200), ({}, "step", 6000, 6400), ({}, "time", 500, 960),
        ({}, "epoch", 0.3, 1), ({"minutes": 3}, "time", 20, 180),
    ],
)  # fmt: skip
def test_an_axis_whose_end_is_not_known_doubles(
    start: dict[str, Any], axis: str, last: float, end: float
) -> None:
    history = History()
    history.add([event("start", 0, **start)])
    assert curves.end_of_axis(history, axis, last) == end


def test_the_axis_of_a_run_that_ended_is_used_to_its_end() -> None:
    history = History()
    history.add([event("start", 0), event("end", 77, reason="stopped")])
    assert curves.end_of_axis(history, "step", 77) == 77


def test_the_axis_has_the_word_of_the_task() -> None:
    series = History()
    series.add([event("start", 0, task="series"), point(10, 5.0)])
    assert curves.axis_name(series, "tokens") == "rows"
    assert curves.axes_of(series) == ["step", "epoch", "tokens", "time"]
    assert curves.axes_of(History()) == ["step"]
    drawing = curves.loss_drawing(series, "time")
    assert (drawing.x_name, drawing.x_format, list(drawing.series[0].x)) == ("time", "duration", [5.0])


def marks(history: History, axis: str = "step") -> list[tuple[float, str, str]]:
    return [(mark.x, mark.kind, mark.label) for mark in curves.marks(history, axis)]


def test_what_happened_is_marked() -> None:
    history = History()
    history.add([
        event("start", 0), event("checkpoint", 0, reason="start", name="step-0"), point(10, 5.0),
        event("command", 10, command="set", args={"lr": 0.002}), event("command", 12, command="pause", args={}),
        event("engine", 14, to="compiled"), event("validation", 20, loss=1.5), point(20, 10.0),
        event("checkpoint", 20, reason="best", name="step-20"), event("threads", 22, to=3), point(30, 15.0),
        event("end", 30, reason="finished"),
    ])  # fmt: skip
    assert marks(history) == [
        (20, "checkpoint", "checkpoint (best)"), (10, "rate", "learning rate set to 2.00e-3"),
        (14, "switch", "compiled"), (22, "switch", "3 threads"), (30, "end", "finished"), (20, "best", "best 1.500"),
    ]  # fmt: skip
    assert [x for x, _, _ in marks(history, "time")] == [10, 5, 7, 11, 15, 10]


def test_marks_that_a_resume_and_a_rollback_leave() -> None:
    history = History()
    history.add([
        event("start", 0), point(20, 10.0), event("command", 25, command="set", args={"lr": 0.002}),
        event("checkpoint", 25, reason="time"), point(30, 15.0), event("end", 30, reason="stopped"),
        event("resume", 20, 2, from_step=20),
    ])  # fmt: skip
    # the rate will be set again at step 25, which is not reached yet
    assert marks(history) == [(20, "switch", "resumed")]
    history.add([point(30, 15.0, 2)])
    assert [(x, kind) for x, kind, _ in marks(history)] == [(25, "rate"), (20, "switch")]
    history.add(
        [event("divergence", 31, 2, what="not-finite"), event("rollback", 31, 2, to_step=20, lr=0.001)]
    )
    assert marks(history)[0] == (20, "switch", "resumed")
    assert marks(history)[1:] == [(20, "rate", "went back from 31, learning rate 1.00e-3")]
    history.add([event("start", 0, 3)])
    assert marks(history) == []


def test_odd_events_make_no_marks_that_break() -> None:
    history = History()
    history.add([
        event("command", 1, command="set", args="x"), event("resume", 1, from_step="x"),
        event("engine", 1, to=["\x1b"]), event("rollback", 1, to_step=None, lr="x"), event("end", 1, reason={}),
    ])  # fmt: skip
    assert all("\x1b" not in label for _, _, label in marks(history))


def other(ratio: float, unit: str = "nats per token", loss: float = 2.0) -> History:
    history = History()
    history.add([
        event("start", 0, unit=unit, chars_per_token=ratio, baselines={"unigram": 3.0}), point(10, 5.0),
        event("validation", 10, loss=loss),
    ])  # fmt: skip
    return history


def test_runs_of_one_unit_are_laid_over_as_they_are() -> None:
    drawing = curves.loss_drawing(other(1.0), "time", [LaidOver("b", other(1.0, loss=1.5), 4)])
    assert [(s.name, list(s.x), list(s.y), s.colour) for s in drawing.series] == [
        ("b", [5.0], [1.5], 4), ("train", [5.0], [2.0], 0), ("validation", [5.0], [2.0], 1),
    ]  # fmt: skip
    assert (drawing.title, drawing.note) == ("loss, nats per token", "")


def test_runs_with_other_tokenizers_are_compared_in_bits_per_character() -> None:
    others = [LaidOver("words", other(4.0), 2), LaidOver("sine", other(1.0, "squared error"), 3)]
    drawing = curves.loss_drawing(other(1.0), "step", others)
    # 2 nats are 2.885 bits; of a token of four characters a quarter each
    assert [(s.name, round(s.y[0], 3)) for s in drawing.series] == [
        ("words", 0.721), ("train", 2.885), ("validation", 2.885),
    ]  # fmt: skip
    assert drawing.baselines == [("unigram", pytest.approx(4.328, abs=1e-3))]
    assert (drawing.title, drawing.note) == ("loss, bits per character", "1 of another unit")


def test_each_run_keeps_its_colour(tmp_path: Path) -> None:
    a, b, c = (tmp_path / name for name in "abc")
    others = Others(lambda news: None)

    def colours(*paths: Path) -> dict[str, int]:
        others.set(paths)
        for path in paths:
            others.take(News(path, None, history=other(1.0)))  # type: ignore[arg-type]
        return {one.name: one.colour for one in others.shown(None)}

    assert colours(a, b) == {"a": 2, "b": 3}
    assert colours(b) == {"b": 3}
    assert colours(b, c) == {"b": 3, "c": 2}
    assert colours(b, c, a) == {"b": 3, "c": 2, "a": 4}  # its own is taken
    assert [one.name for one in others.shown(b)] == ["c", "a"]
    assert not others.take(News(tmp_path, None))  # type: ignore[arg-type]
    others.set(())
