"""Jobs as they are done in a process of their own, done here; and a real process that hangs."""

import pytest

from rnn_tui.score import jobs
from rnn_tui.score.copying import Copying
from rnn_tui.score.process import child_process
from rnn_tui.score.text import Text
from rnn_tui.score.wire import Ended, Failed, Job, Progress, Ready, Subject, Trained

HANGS = """
import time, torch
from rnn_tui.plugin import Cell

class Hangs(Cell):
    '''It is never built.'''
    api_version = 1

    def __init__(self, input_size, hidden_size):
        super().__init__()
        time.sleep(3600)
"""


@pytest.fixture(autouse=True)
def small(monkeypatch):
    tasks = {"copy": [Copying(2, updates=3), Copying(3, updates=3)], "text": [Text(updates=1)]}
    monkeypatch.setattr(jobs, "all_tasks", lambda *, quick=False: tasks)


def done(job):
    messages = []
    jobs.perform(4, job, messages.append)
    assert {message.job for message in messages} <= {4}
    return messages


def copy(name="nn-gru", **more):
    return Job(what="copy", subjects=(Subject(name),), seeds=(1, 2), parameters=500, **more)


def test_every_task_with_every_seed_and_the_same_again():
    first, second = (
        [message.training for message in done(copy()) if isinstance(message, Trained)] for _ in range(2)
    )
    assert [(each.seed, each.measures[0].points[0].at) for each in first] == [(1, 2), (1, 3), (2, 2), (2, 3)]
    assert [each.measures for each in first] == [each.measures for each in second]
    assert [each.loss for each in first] == [each.loss for each in second]
    assert {each.loss for each in first[:2]}.isdisjoint({each.loss for each in first[2:]})
    assert {(each.engine, each.updates, each.problem) for each in first} == {("own", 3, "")}
    shares = [message.share for message in done(copy()) if isinstance(message, Progress)]
    assert shares == sorted(shares)
    assert shares[0] == 0


def test_no_time_left():
    trainings = [message.training for message in done(copy(limit=0.0)) if isinstance(message, Trained)]
    assert [each.problem for each in trainings] == ["out of time before its turn"] * 4
    assert {(each.updates, each.loss, each.measures) for each in trainings} == {(0, None, ())}


def test_what_cannot_be_had_is_a_failure():
    (failed,) = done(copy("no-such-cell"))
    assert isinstance(failed, Failed)
    assert "there is no architecture 'no-such-cell'" in failed.problem
    (failed,) = done(Job(what="trial", subjects=(Subject("lstm", {"colour": "red"}),)))
    assert "colour" in failed.problem
    assert done(Job(what="trial", subjects=(Subject("nn-gru"),), parameters=500)) == []


@pytest.mark.slow
def test_what_hangs_is_ended(tmp_path, monkeypatch):
    (tmp_path / "hangs.py").write_text(HANGS)
    monkeypatch.setenv("RNN_TUI_PLUGINS_DIR", str(tmp_path))
    job = Job(what="reber", subjects=(Subject("hangs"),), quick=True, seeds=(1,), silence=15.0)
    with child_process() as child:
        assert isinstance(child.hear(120), Ready)
        assert list(child.ask([job])) == [
            Failed(0, "it gave no sign for 15 s and was ended"),
            Ended(0),
        ]
    assert child.process.poll() is not None
