"""Waiting for what a worker agreed to do."""

import pytest

from rnn_tui.cli.control import wait_for_checkpoint
from rnn_tui.errors import DiskError, InputError
from rnn_tui.runs.events import EventReader, EventWriter
from rnn_tui.runs.folder import create_run


@pytest.fixture
def asked(tmp_path):
    """A run whose worker has logged a request for a checkpoint, and its log."""
    run = create_run(tmp_path / "runs", "a", {})
    with EventWriter(run.events_path, 1) as log:
        log.write("checkpoint", 3, name="step-00000003", reason="time")
        log.write("command", 5, id="x", command="checkpoint")
        yield run, EventReader(run.events_path).poll()[-1], log


def test_a_checkpoint_that_was_written(asked):
    run, answer, log = asked
    log.write("checkpoint", 5, name="step-00000005", reason="request")
    wait_for_checkpoint(run, answer)


def test_a_checkpoint_that_could_not_be_written_is_a_failure(asked):
    run, answer, log = asked
    message = "could not save step-00000005: no space left on the disk"
    log.write("warning", 5, message=message, unsaved="request")
    with pytest.raises(DiskError, match="run a: could not save"):
        wait_for_checkpoint(run, answer)


def test_what_became_of_another_checkpoint_is_no_answer(asked):
    """One may have been written beside training when this one was asked for."""
    run, answer, log = asked
    log.write("checkpoint", 4, name="step-00000004", reason="time")
    log.write("warning", 5, message="could not save step-00000005: no space left on the disk", unsaved="best")
    with pytest.raises(InputError, match="ended before it was written"):
        wait_for_checkpoint(run, answer)
    log.write("checkpoint", 5, name="step-00000005", reason="request")
    wait_for_checkpoint(run, answer)


def test_a_worker_that_died_over_it(asked):
    run, answer, _ = asked  # nobody holds its lock
    with pytest.raises(InputError, match="ended before it was written"):
        wait_for_checkpoint(run, answer)
