"""Medians, spread and ratios by hand; the order of turns; load."""

import pytest

from rnn_tui.bench import timing
from rnn_tui.bench.machine import Moment, foreign_cores, is_busy
from rnn_tui.bench.timing import Repeat, Spread, Timings, interleave, spread, table


@pytest.mark.parametrize(
    ("values", "busy", "expected"),
    [
        ([5.0, 1.0, 3.0], None, Spread(3.0, 1.0, 5.0)),
        ([4.0, 1.0, 2.0, 8.0], None, Spread(3.0, 1.0, 8.0)),
        ([7.0], [False], Spread(7.0, 7.0, 7.0)),
        ([7.0], [True], Spread(7.0, 7.0, 7.0, True)),
        # two quiet ones are enough to leave the busy ones out
        ([1.0, 10.0, 2.0, 12.0], [True, False, True, False], Spread(11.0, 10.0, 12.0)),
        ([1.0, 10.0, 4.0], [True, False, True], Spread(4.0, 1.0, 10.0, True)),
    ],
)
def test_spread(values, busy, expected):
    assert spread(values, busy) == expected


def test_nothing_has_no_spread():
    assert spread([]) is None
    assert Timings().rate("a") is None
    assert Timings().ratio("a", "b") is None
    assert Timings().foreign() == 0


def test_a_ratio_is_of_turns_that_stood_side_by_side():
    timings = Timings(
        {
            # a machine that halves its speed from turn to turn: each pair says 2, 2, 4; the medians would say 2
            "a": [Repeat(80.0, 0.5), Repeat(40.0, 0.0), Repeat(40.0, 1.0)],
            "b": [Repeat(40.0, 0.5), Repeat(20.0, 2.0)],
            "c": [Repeat(40.0), Repeat(20.0), Repeat(10.0)],
        }
    )
    assert timings.ratio("a", "c") == Spread(2.0, 2.0, 4.0)
    assert timings.ratio("a", "b") == Spread(2.0, 2.0, 2.0)  # the third turn of b was interrupted
    assert timings.foreign() == pytest.approx(4.0 / 8)


def test_a_turn_is_busy_when_either_side_was():
    timings = Timings(
        {
            "a": [Repeat(1.0, 2.0, True), Repeat(6.0), Repeat(8.0)],
            "b": [Repeat(1.0), Repeat(2.0), Repeat(2.0)],
        }
    )
    assert timings.ratio("a", "b") == Spread(3.5, 3.0, 4.0)


class Clock:
    """Stands in for the clocks: a variant moves it on."""

    def __init__(self, monkeypatch):
        self.wall, self.busy, self.own = 100.0, 1000.0, 10.0
        monkeypatch.setattr(timing, "now", lambda: Moment(self.wall, self.busy, self.own))
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.wall)
        monkeypatch.setattr(timing, "cpu_count", lambda: 4)

    def variant(self, calls, name, seconds, units, foreign=0.0):
        def run():
            calls.append(name)
            self.wall += seconds
            self.own += seconds
            self.busy += seconds * (1 + foreign)
            return units

        return run


def test_turns_are_interleaved_and_the_first_is_not_measured(monkeypatch):
    clock, calls, told = Clock(monkeypatch), [], []
    variants = {
        "slow": clock.variant(calls, "slow", 2.0, 100.0),
        "fast": clock.variant(calls, "fast", 0.5, 50.0, foreign=2.5),
    }
    timings = interleave(variants, 2, seconds=1.0, threads=2, told=told.append)
    once = ["slow", "fast", "fast"]  # a turn of `fast` takes two calls to last a second
    assert calls == ["slow", "fast", *once, *once]
    assert told == ["slow", "fast"] * 3
    assert timings.repeats["slow"] == [Repeat(50.0)] * 2
    # 2 threads and 2.5 cores of others do not fit on 4
    assert timings.repeats["fast"] == [Repeat(100.0, 2.5, True)] * 2


def test_a_variant_that_raises_is_left_out_and_the_others_go_on():
    calls = []

    def third_time():
        calls.append(1)
        if len(calls) == 3:
            raise ValueError("no such thing\nand more")
        return 1.0

    timings = interleave({"bad": third_time, "good": lambda: 1.0}, 4)
    assert len(calls) == 3
    assert [len(timings.repeats[name]) for name in ("bad", "good")] == [1, 4]
    assert timings.errors == {"bad": "ValueError: no such thing"}


def test_an_interruption_keeps_what_was_measured():
    calls = []

    def interrupted():
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return 1.0

    timings = Timings()
    with pytest.raises(KeyboardInterrupt):
        interleave({"first": lambda: 1.0, "second": interrupted}, 5, into=timings)
    assert [len(timings.repeats[name]) for name in ("first", "second")] == [2, 1]


def test_foreign_load_by_hand():
    # in 2 s the processors were busy for 5 s, 3 of them with us
    assert foreign_cores(Moment(0, 100, 10), Moment(2, 105, 13)) == 1.0
    assert foreign_cores(Moment(0, 100, 10), Moment(2, 101, 12)) == 0  # the ticks of the two clocks differ
    assert is_busy(1.3, threads=3, cores=4)
    assert not is_busy(1.1, threads=3, cores=4)
    assert not is_busy(2.9, threads=1, cores=4)


def test_table():
    timings = Timings(
        {
            "ours": [Repeat(3000.0), Repeat(2000.0), Repeat(1000.0)],
            "theirs": [Repeat(1000.0, 3.0, True)] * 3,
        },
        {"bad": "ValueError: x"},
    )
    assert table(timings, "tokens/s", "theirs").splitlines() == [
        "        tokens/s  least to most   x theirs",
        "ours    2,000     1,000 to 3,000  2.00",
        "theirs  1,000*    1,000 to 1,000  1.00",
        "bad: ValueError: x",
    ]
