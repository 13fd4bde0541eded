import math
from collections.abc import Callable
from typing import Any

import pytest

from rnn_tui.runs.events import Event, EventReader, effective
from rnn_tui.tui.history import History
from rnn_tui.tui.looks import Transcription


def event(kind: str, step: int, attempt: int = 1, **data: Any) -> Event:
    return Event(1, attempt, 0.0, kind, step, data)


def test_points_become_tracks() -> None:
    history = History()
    history.add([event("train", 5, loss=2.0, lr=0.1), event("train", 10, loss="nan", lr=0.1)])
    assert list(history.loss.steps) == [5, 10]
    assert history.loss.values[0] == 2.0
    assert math.isnan(history.loss.values[1])
    assert list(history.tracks["lr"].values) == [0.1, 0.1]
    assert history.step == 10


def test_best_is_the_lowest_finite_validation() -> None:
    history = History()
    history.add([event("validation", s, loss=v) for s, v in ((10, 2.0), (20, 1.5), (30, "nan"), (40, 1.7))])
    assert history.best == (20, 1.5)


def test_a_resume_drops_what_lay_beyond() -> None:
    history = History()
    history.add([event("train", s, loss=3.0) for s in (5, 10, 15)])
    history.add(
        [event("validation", 10, loss=1.5), event("validation", 15, loss=1.0), event("sample", 15, text="x")]
    )
    history.add([event("resume", 10, attempt=2, from_step=10), event("train", 15, attempt=2, loss=2.5)])
    assert list(history.loss.steps) == [5, 10, 15]
    assert list(history.loss.values) == [3.0, 3.0, 2.5]
    assert history.best == (10, 1.5)
    assert not history.samples
    assert history.step == 15


def test_a_resume_drops_a_forecast_and_an_evaluation_that_lay_beyond() -> None:
    history = History()
    shown = {"begin": 0, "every": 1, "truth": [1.0], "forecasts": {"1": [1.0]}}
    history.add([event("forecast", 10, **shown), event("evaluation", 10, warm={"loss": 1.0})])
    assert history.forecast is not None
    assert history.evaluation
    history.add([event("resume", 10, attempt=2, from_step=10)])
    assert history.forecast is not None
    assert not history.evaluation
    history.add([event("resume", 5, attempt=3, from_step=5)])
    assert history.forecast is None


def test_transcriptions_stand_with_the_samples() -> None:
    history = History()
    history.add([event("transcription", 3, source="hello", text="ohlol")])
    assert list(history.samples) == [Transcription(3, "hello", "ohlol")]


def test_baselines_are_those_of_the_run() -> None:
    history = History()
    history.add([event("start", 0, baselines={"mean": 0.8, "persistence": "nan"})])
    assert history.baselines() == [("mean", 0.8)]
    for wrong in (None, 3, ["mean"]):
        history.add([event("start", 0, baselines=wrong)])
        assert history.baselines() == []


def test_a_second_start_begins_from_nothing() -> None:
    history = History()
    history.add([event("start", 0), event("validation", 0, loss=4.0), event("train", 5, loss=3.0)])
    history.add([event("start", 0, attempt=2), event("train", 5, attempt=2, loss=2.0)])
    assert list(history.loss.values) == [2.0]
    assert not len(history.validation)


@pytest.mark.parametrize("cut", [0, 7, 12, 40])
def test_it_agrees_with_effective(cut: int, make_run: Callable[..., Any]) -> None:
    """`runs.events.effective` is the definition of what counts."""
    run = make_run()
    run.start()
    run.train(1, 60, every=1)
    run.events.attempt = 2
    run.events.write("resume", cut, from_step=cut)
    run.train(cut + 1, cut + 10, every=1)
    events = EventReader(run.folder.events_path).poll()
    history = History()
    history.add(events)
    expected = [e.step for e in effective(events) if e.kind == "train"]
    assert list(history.loss.steps) == expected


def test_share_of_the_budget() -> None:
    history = History()
    assert history.share is None
    history.add([event("start", 0, total_steps=200), event("train", 50, loss=1.0)])
    assert history.share == 0.25
    timed = History()
    timed.add([event("start", 0, total_steps=None, minutes=2), event("train", 50, loss=1.0, elapsed=30)])
    assert timed.share == 0.25
    timed.add([event("end", 60, reason="finished")])
    assert timed.share == 1.0


def test_bits_per_character_of_words() -> None:
    history = History()
    history.add([event("start", 0, chars_per_token=4.0)])
    # 4 nats for a word of 4 characters: 1 nat each, which is 1 / ln 2 bits
    assert history.per_character(4.0) == pytest.approx(1 / math.log(2))
    assert history.per_character(None) is None


def test_notes_are_safe() -> None:
    history = History()
    history.add(
        [
            event("warning", 3, message="a\x1b]52;c;aGk=\x07[/bold]"),
            event("end", 9, reason="failed", message="x"),
        ]
    )
    assert [note.kind for note in history.notes] == ["warning", "end"]
    assert "\x1b" not in history.notes[0].text
    assert history.notes[0].text.startswith("a␛]52")
    assert history.notes[1].text == "failed: x"


def test_a_malformed_event_does_no_harm() -> None:
    history = History()
    history.add(
        [
            event("train", 1, loss={"a": 1}),
            event("resume", 1, from_step="x"),
            event("sample", 1),
            event("forecast", 1, truth="x"),
            event("transcription", 1),
            event("new", 2),
        ]
    )
    assert history.step >= 1


def test_the_newest_switch_is_what_is_shown() -> None:
    history = History()
    switch = {
        "from": "eager",
        "to": "compiled",
        "threads": 3,
        "reason": "faster",
        "before": 0.2,
        "after": 0.1,
    }
    history.add(
        [
            event("start", 0, engine="eager", threads=4, arch="lstm"),
            event("engine", 10, **switch),
            event("threads", 20, **{"from": 3, "to": 2, "reason": "busy"}),
        ]
    )
    assert (history.start["arch"], history.start["engine"], history.start["threads"]) == (
        "lstm",
        "compiled",
        2,
    )
    assert [(note.step, note.text) for note in history.notes] == [
        (10, "compiled in place of eager, threads: 3, 100.0 ms a step instead of 200.0; faster"),
        (20, "threads: 2 in place of 3; busy"),
    ]
    history.add([event("resume", 5, 2, from_step=5, engine="eager", threads=4)])  # from before either
    assert (history.start["engine"], history.start["threads"]) == ("eager", 4)


def test_a_rollback_drops_what_lay_beyond_as_a_resume_does() -> None:
    events = [event("train", s, loss=3.0) for s in (5, 10, 15)]
    events += [event("validation", 10, loss=1.5), event("validation", 15, loss=1.0), event("checkpoint", 15)]
    events += [
        event("divergence", 17, message="the loss is nan"),
        event("rollback", 17, to_step=10, message="back to 10"),
    ]
    events += [event("train", 15, loss=2.5)]
    history = History()
    history.add(events)
    assert list(history.loss.steps) == [5, 10, 15]
    assert list(history.loss.values) == [3.0, 3.0, 2.5]
    assert history.best == (10, 1.5)
    assert history.checkpoint == 10
    assert [(note.kind, note.text) for note in history.notes] == [
        ("divergence", "the loss is nan"), ("rollback", "back to 10"),
    ]  # fmt: skip
    kept = [e.step for e in effective(events) if e.kind == "train"]
    assert kept == list(history.loss.steps)


def test_what_two_attempts_measured_at_one_step_stands_once() -> None:
    """A kill between the last step and the end of a run."""
    last = [("train", {"loss": 2.0}), ("sample", {"text": "a"}), ("sample", {"text": "b"})]
    events = [event("train", 5, loss=3.0), event("sample", 5, text="x")]
    events += [event(kind, 10, **data) for kind, data in last]
    events += [event("resume", 10, 2, from_step=10)] + [event(kind, 10, 2, **data) for kind, data in last]
    history = History()
    history.add(events)
    assert list(zip(history.loss.steps, history.loss.values, strict=True)) == [(5, 3.0), (10, 2.0)]
    assert [sample.step for sample in history.samples] == [5, 10, 10]
    kept = [(e.kind, e.step) for e in effective(events) if e.kind != "resume"]
    assert kept == [("train", 5), ("sample", 5), ("train", 10), ("sample", 10), ("sample", 10)]
