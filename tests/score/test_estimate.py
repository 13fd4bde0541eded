"""How long a card takes: by hand."""

import pytest

from rnn_tui.score.estimate import BUILDING, RACING, STARTING, TRAINING, roughly, seconds
from rnn_tui.score.tasks import all_tasks
from rnn_tui.score.wire import Job, Subject


def jobs(what, count, **more):
    return [Job(what=what, subjects=(Subject("gru"),), **more)] * count


@pytest.mark.parametrize("quick", [False, True])
def test_every_group_has_its_time(quick):
    assert set(TRAINING[quick]) == set(all_tasks(quick=quick))


def test_jobs_share_the_cores():
    copy = BUILDING + 2 * TRAINING[False]["copy"]
    text = BUILDING + 2 * TRAINING[False]["text"]
    wanted = [*jobs("copy", 3, seeds=(1, 2)), *jobs("text", 1, seeds=(1, 2))]
    assert seconds(wanted, 1, 0, quick=False) == STARTING + 3 * copy + text
    assert (
        seconds(wanted, 2, 4, quick=False) == STARTING + 2 * copy + 4 * RACING[False]
    )  # text beside the third
    assert seconds(wanted, 9, 0, quick=False) == STARTING + copy
    assert seconds(jobs("copy", 1, seeds=(1, 2), limit=5.0), 1, 0, quick=False) == STARTING + BUILDING + 5
    (large,) = jobs("copy", 1, seeds=(1, 2), parameters=20_000 * 32, limit=9999.0)
    assert seconds([large], 1, 0, quick=False) == pytest.approx(STARTING + BUILDING + 8 * (copy - BUILDING))
    assert seconds([], 4, 2, quick=True) == STARTING + 2 * RACING[True]


def test_words():
    assert [roughly(value) for value in (2, 44, 89, 90, 200)] == [
        "10 s",
        "40 s",
        "90 s",
        "2 minutes",
        "3 minutes",
    ]
