"""Training from a program, and what becomes of a run."""

import dataclasses
import signal

import numpy as np
import pytest

import rnn_tui
from rnn_tui.errors import InputError
from rnn_tui.library import steering
from rnn_tui.runs.eventline import Event
from rnn_tui.runs.folder import create_run
from rnn_tui.runs.supervisor import stop_worker


@pytest.fixture
def started():
    """A list for runs that are to be gone when the test is over, whatever it found."""
    runs = []
    yield runs
    for run in runs:
        stop_worker(run._folder, timeout=10, kill=True)


def test_a_run_was_trained_from_a_dict(fox, here):
    run = rnn_tui.open_run("fox")
    assert (run.name, run.state, run.path) == ("fox", "finished", here / "runs" / "fox")
    asked = rnn_tui.configure(
        {"model": {"hidden_size": 16}, "seq_len": 16},
        batch_size=4,
        lr=0.02,
        warmup_steps=0,
        log_every=10,
        threads=1,
        engine="loop",
        steps=200,
        corpus=here / "fox.txt",
        tokenizer={"options": {"max_vocabulary": 0}},
    )
    assert dataclasses.replace(run.config, model=asked.model) == asked
    assert run.config.model.hidden_size == 16
    assert ("fox", "finished") in [(one.name, one.state) for one in rnn_tui.list_runs()]
    assert run.summary().step == 200
    assert "finished" in repr(run)


def test_every_event_was_told(fox, here):
    events = fox[1]
    assert events == rnn_tui.open_run("fox").events()
    assert (events[0].kind, events[-1].kind) == ("start", "end")


def test_history_is_what_the_log_holds(fox, here):
    events, history = fox[1], rnn_tui.open_run("fox").history()
    points = [event for event in events if event.kind == "train"]
    assert history.step.tolist() == [event.step for event in points] == list(range(10, 201, 10))
    assert history.loss.tolist() == [event.data["loss"] for event in points]
    assert history.loss[-1] < history.loss[0]
    assert (np.diff(history.seconds) >= 0).all()
    validations = [event for event in events if event.kind == "validation"]
    assert history.validation_step.tolist() == [event.step for event in validations]
    assert history.measures["perplexity"] == pytest.approx(np.exp(history.validation_loss))
    assert history.unit == "nats per token"


def test_a_run_that_has_ended_well_is_waited_for_in_no_time(here):
    told = []
    assert rnn_tui.open_run("fox").wait(told.append).state == "finished"
    assert told == []
    with pytest.raises(rnn_tui.UsageError, match="complete already"):
        rnn_tui.open_run("fox").resume()
    for request in (rnn_tui.Run.stop, rnn_tui.Run.pause):
        with pytest.raises(rnn_tui.InputError, match="is not running"):
            request(rnn_tui.open_run("fox"))


def test_a_recipe_is_interrupted_steered_and_ended(here, started):
    """Interruption ends the following and no run: that pauses, goes on and stops."""

    def interrupt(event):
        if event.kind == "start":
            signal.raise_signal(signal.SIGINT)

    small = {"corpus": here / "fox.txt", "hidden_size": 8, "sample_length": 0, "threads": 1, "engine": "loop"}
    with pytest.raises(KeyboardInterrupt) as caught:
        rnn_tui.train("timemachine-gru-scratch", steps=10**6, minutes=3, on_event=interrupt, **small)
    run = rnn_tui.open_run("timemachine-gru-scratch-1")
    started.append(run)
    assert f"rnn_tui.open_run({str(run.path)!r}) finds it" in caught.value.__notes__[0]
    assert (run.config.model.arch, run.config.budget.steps, run.config.budget.epochs) == ("gru", 10**6, 0)
    run.pause()
    assert run.state == "paused"
    with pytest.raises(rnn_tui.UsageError, match="is paused and goes on with its own budget"):
        run.resume(steps=5)
    assert run.resume(detach=True) is run
    with pytest.raises(rnn_tui.BusyError, match="already; wait"):
        run.resume()
    run.stop()
    assert run.state == "stopped"
    assert run.wait() is run
    assert run.model().info.step <= run.summary().step


# -- how a run ends, without a worker ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"reason": "failed", "message": "a bad cell", "exit_code": 8, "steps": 3}, rnn_tui.PluginError),
        ({"reason": "diverged", "message": "NaN", "exit_code": 6, "steps": 3}, rnn_tui.DivergedError),
        ({"reason": "failed", "message": "what?", "exit_code": 1, "steps": 3}, rnn_tui.RnnTuiError),
    ],
)
def test_a_failure_has_the_class_of_its_exit_code(tmp_path, monkeypatch, data, kind):
    run = rnn_tui.Run(create_run(tmp_path, "r", {}))
    events = [Event(1, 1, 0.0, "start", 0, {}), Event(2, 1, 0.0, "end", 3, data)]
    monkeypatch.setattr(steering.supervisor, "follow", lambda run: iter(events))
    with pytest.raises(kind, match=f"run r: {data['message']}") as caught:
        run.wait()
    assert type(caught.value) is kind


@pytest.mark.parametrize(("steps", "left"), [(0, False), (4, True)])
def test_a_run_that_could_not_begin_leaves_nothing(tmp_path, monkeypatch, steps, left):
    folder = create_run(tmp_path, "r", {})
    end = Event(
        1, 1, 0.0, "end", steps, {"reason": "failed", "exit_code": 3, "steps": steps, "message": "no"}
    )
    monkeypatch.setattr(steering.supervisor, "follow", lambda run: iter([end]))
    with pytest.raises(InputError):
        steering.follow(folder, None, fresh=True)
    assert folder.path.exists() == left


def test_a_run_that_ends_without_a_word_is_told(tmp_path):
    run = rnn_tui.Run(create_run(tmp_path, "r", {}))
    with pytest.raises(rnn_tui.RnnTuiError, match=r"run r: never started; .*worker\.log may say more"):
        run.wait()


# -- settings ---------------------------------------------------------------------------------------------------------


def test_settings_are_named_in_several_ways():
    config = rnn_tui.configure(
        {"model": {"arch": "gru", "options": {"reset": "after"}}, "steps": 7},
        hidden_size=32,
        corpus="fables-en",
        tokenizer="word",
        task="aligned",
        optim={"lr": 0.5},
        clip=2,
    )
    assert (config.model.arch, config.model.options, config.model.hidden_size) == (
        "gru",
        {"reset": "after"},
        32,
    )
    assert (config.corpus.source, config.tokenizer.name, config.task.name) == ("fables-en", "word", "aligned")
    assert (config.optim.lr, config.optim.clip, config.budget.steps) == (0.5, 2, 7)
    assert rnn_tui.configure() == rnn_tui.Config()
    assert rnn_tui.configure(config, arch="lstm").model.options == {}  # those were of another
    assert rnn_tui.configure(config, minutes=1).budget == dataclasses.replace(
        config.budget, steps=0, minutes=1
    )


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        (None, {"hiden_size": 3}, "settings: there is no setting 'hiden_size'; did you mean 'hidden_size'"),
        (None, {"lr": -1}, "settings: optim.lr must be a number above 0 up to 1000000, not -1"),
        (
            None,
            {"options": {}},
            r"'options' is the name of 2 settings; give tokenizer=\{'options': …\} or model",
        ),
        (None, {"model": "gru"}, "model must be a dict of the section's settings, not 'gru'"),
        (None, {"corpus": 3}, "or a text: its source, not 3"),
        (None, {"optim": {"lr": 0.1}, "lr": 0.2}, "settings: optim.lr is given twice"),
        ({"modle": {}}, {}, "config: there is no setting 'modle'; did you mean 'model'"),
        ({"model": {"arhc": "x"}}, {}, "config: there is no setting model.arhc; did you mean 'arch'"),
        ("timemachine-gru", {}, "there is no recipe 'timemachine-gru'; did you mean 'timemachine-gru-nn'"),
        (3, {}, "config must be a Config, the name of a recipe or a dict of sections, not int"),
    ],
)
def test_wrong_settings_are_told(config, settings, message):
    with pytest.raises(rnn_tui.UsageError, match=message):
        rnn_tui.configure(config, **settings)


def test_a_corpus_in_the_place_of_a_recipe_is_told(here):
    with pytest.raises(
        rnn_tui.UsageError, match=r"to train on the file fox\.txt, give it as corpus='fox\.txt'"
    ):
        rnn_tui.train("fox.txt")


def test_what_cannot_be_trained_leaves_nothing(here):
    with pytest.raises(
        rnn_tui.UsageError, match="architecture gru has no option 'rest'; did you mean 'reset'"
    ):
        rnn_tui.train(corpus="fox.txt", arch="gru", model={"options": {"rest": "after"}}, name="x")
    with pytest.raises(rnn_tui.InputError, match=r"nowhere\.txt"):
        rnn_tui.train(corpus="nowhere.txt", name="x")
    with pytest.raises(rnn_tui.UsageError, match="cannot name a run"):
        rnn_tui.train(corpus="fox.txt", name="../x")
    with pytest.raises(rnn_tui.BusyError, match="already a run named fox"):
        rnn_tui.train(corpus="fox.txt", name="fox")
    assert [run.name for run in rnn_tui.list_runs() if run.name == "x"] == []
    with pytest.raises(rnn_tui.InputError, match="there is no run 'fx' in runs; did you mean 'fox'"):
        rnn_tui.open_run("fx")
