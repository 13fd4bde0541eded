"""Waiting for what a worker agreed to do, and resuming."""

import re
import shutil
from pathlib import Path

import pytest

from rnn_tui.errors import DiskError, InputError
from rnn_tui.runs.asking import wait_for_checkpoint
from rnn_tui.runs.events import EventReader, EventWriter
from rnn_tui.runs.folder import create_run
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.lock import RunLock
from rnn_tui.runs.status import my_status, write_status


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


@pytest.fixture
def paused(tmp_path):
    """A run whose worker is alive and paused, as far as anybody can see."""
    run = create_run(tmp_path / "runs", "a", {"budget": {"steps": 9}})
    with RunLock.acquire(run):
        write_status(run, my_status("paused", attempt=1, step=4))
        yield run


@pytest.mark.parametrize(
    "flags", [["--foreground"], ["--steps", "99"], ["--minutes", "1"], ["--accept-data"]]
)
def test_what_takes_effect_at_a_start_is_refused_for_a_paused_run(cli, paused, flags):
    done = cli("resume", "a", *flags)
    assert done.code == 2
    assert "run a is paused" in done.refusal
    assert "rnn-tui stop a" in done.refusal
    assert paused.read_config() == {"budget": {"steps": 9}}


def test_a_run_that_trains_gets_no_other_budget(cli, paused):
    write_status(paused, my_status("running", attempt=1, step=4))
    done = cli("resume", "a", "--steps", "99")
    assert done.code == 4
    assert "run a is running already" in done.refusal
    assert paused.read_config() == {"budget": {"steps": 9}}


@pytest.mark.parametrize(
    "flags", [["--steps", "0"], ["--epochs", "0"], ["--minutes", "-1"], ["--steps", "many"]]
)
def test_a_budget_is_a_number_above_nothing(cli, flags):
    assert cli("resume", "a", *flags).code == 2


@pytest.fixture
def fox(trained, tmp_path):
    """A copy of a finished run of 40 steps."""
    folder, _ = trained
    shutil.copytree(folder / "runs" / "fox", tmp_path / "runs" / "fox")
    return RunFolder(tmp_path / "runs" / "fox")


def test_a_complete_run_says_how_it_may_go_on(cli, fox):
    done = cli("resume", "fox")
    assert done.code == 2
    assert done.refusal == (
        "rnn-tui: error: run fox is complete already; rnn-tui resume fox --steps N (or --epochs, --minutes) gives it "
        "more to do"
    )
    done = cli("resume", "fox", "--steps", "40")
    assert done.code == 2
    assert "run fox has done 40 steps already" in done.refusal


def test_a_complete_run_is_given_more_to_do(shell, fox):
    done = shell("resume", "fox", "--steps", "50", "--foreground", "--json")
    assert done.code == 0, done.err
    assert (done.json["state"], done.json["steps"]) == ("finished", 50)
    lines = done.err.splitlines()
    assert lines[0] == "fox: to be trained for 50 steps in all"
    [begun] = [line for line in lines if line.startswith("going on from step 40: lstm, ")]
    assert "; repeatable bit for bit on this machine with torch" in begun
    [told] = [line for line in lines if line.startswith("settings changed")]
    assert told.startswith(
        "settings changed since step 40: budget.steps 40 is now 50; the cosine of the learning rate"
    )
    shown = shell("runs", "show", "fox")
    assert re.search(r"^repeatable +bit for bit on this machine", shown.out, re.MULTILINE)


def test_another_corpus_has_to_be_accepted(shell, fox):
    source = Path(fox.read_config()["corpus"]["source"])
    other = fox.path.parent / "other.txt"
    other.write_text(source.read_text().replace("fox", "cat"))
    text = fox.config_path.read_text()
    fox.config_path.write_text(text.replace(str(source), str(other)))
    refused = shell("resume", "fox", "--steps", "45", "--foreground")
    assert refused.code == 3
    assert "is not what run fox began with" in refused.err
    assert "rnn-tui resume fox --accept-data" in refused.err
    done = shell("resume", "fox", "--accept-data", "--foreground", "--json")
    assert done.code == 0, done.err
    assert done.json["steps"] == 45
    assert "warning: resuming is not bit-exact: the corpus" in done.err


def test_a_new_run_begins_with_the_weights_of_another(cli, shell, fox, tmp_path):
    source = fox.read_config()["corpus"]["source"]
    where = ["--name", "cub", "--warm-start", "fox"]
    done = cli("train", source, *where, "--hidden-size", "32")
    assert done.code == 2
    assert "model.hidden_size 16 is now 32; leave them out" in done.refusal
    assert not (tmp_path / "runs" / "cub").exists()
    done = shell("train", source, *where, "--steps", "2", "--batch-size", "4", "--foreground", "--json")
    assert done.code == 0, done.err
    assert done.json["steps"] == 2
    assert re.search(
        r"^began with the weights of run fox at step \d+; the optimiser is new$", done.err, re.MULTILINE
    )
