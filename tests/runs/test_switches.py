from rnn_tui.runs.events import Event
from rnn_tui.runs.switches import in_force, switch_line

START = {"arch": "lstm", "engine": "eager", "engine_reason": "traced", "threads": 4}
ENGINE = Event(
    2,
    1,
    0.0,
    "engine",
    10,
    {
        "from": "eager",
        "to": "compiled",
        "threads": 3,
        "reason": "it was faster",
        "before": 0.0124,
        "after": 0.0071,
    },
)
THREADS = Event(
    3, 1, 0.0, "threads", 20, {"from": 3, "to": 1, "reason": "busy", "before": "inf", "after": 0.02}
)


def test_the_newest_switch_is_in_force():
    after = in_force(START, ENGINE)
    assert after == {"arch": "lstm", "engine": "compiled", "engine_reason": "it was faster", "threads": 3}
    assert in_force(after, THREADS) == after | {"threads": 1}
    assert START["engine"] == "eager"


def test_a_switch_in_one_line():
    assert switch_line(ENGINE) == (
        "compiled in place of eager, threads: 3, 7.1 ms a step instead of 12.4; it was faster"
    )
    assert switch_line(THREADS) == "threads: 1 in place of 3; busy"
