"""From events to figures, and to lines."""

import math

import pytest

from rnn_tui.cli.following import Figures, Lines, narration, show_events
from rnn_tui.cli.launching import report
from rnn_tui.runs.events import Event
from rnn_tui.runs.layout import RunFolder


def event(kind, step=0, time=0.0, **data):
    return Event(1, 1, time, kind, step, data)


def test_figures_follow_the_events():
    figures = Figures()
    ended = {"reason": "stopped", "message": "", "exit_code": 0, "steps": 120, "epochs": 1.5, "elapsed": 7.0}
    losses = {"train_loss": "nan", "validation_loss": 2.75, "best_loss": 2.25, "best_step": 50}
    figures.take(event("end", 120, **ended, **losses))
    assert math.isnan(figures.train_loss)
    assert (figures.step, figures.epoch, figures.elapsed, figures.exit_code) == (120, 1.5, 7.0, 0)


def test_a_checkpoint_told_late_takes_no_step_back():
    figures = Figures()
    figures.take(event("train", 120, loss=1.0))
    figures.take(event("checkpoint", 100))
    assert figures.step == 120


def test_budget_in_minutes_and_steps_takes_the_nearer_end():
    figures = Figures()
    figures.take(event("start", total_steps=100, minutes=1))
    figures.take(event("train", 10, loss=1.0, elapsed=45.0))
    assert figures.share == 0.75
    assert Figures().share is None


def test_resume_forgets_how_the_attempt_before_ended():
    figures = Figures()
    figures.take(event("end", 5, reason="failed", message="no room", exit_code=5, steps=5))
    assert figures.exit_code == 5
    figures.take(event("resume", 5, from_step=5, total_steps=10))
    assert (figures.exit_code, figures.reason) == (None, "")


def test_lines_are_few_and_safe(capsys):
    figures = Figures()
    events = [event("train", step, loss=1.0) for step in range(50)]
    events += [event("warning", 50, message="odd \x1b[2J text"), event("sample", 50, prompt="a", text="b\nc")]
    show_events(events, Lines(), figures)
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines == ["step 0  loss 1.0000", "warning: odd ␛[2J text", "sample: ab␊c"]
    assert figures.step == 50


def test_a_validation_stands_only_where_it_was_measured(capsys):
    events = [
        event("start", measures=["perplexity"]),
        event("train", 5, loss=3.0),
        event("validation", 5, loss=2.5, perplexity=12.2, best=True),
        event("train", 10, loss=2.0),
    ]
    lines = Lines()
    figures = Figures()
    for each in events:
        lines._told = -1000.0
        figures.take(each)
        lines.show(each, figures)
    assert capsys.readouterr().err.splitlines()[1:] == [
        "step 5  loss 3.0000",
        "step 5  loss 3.0000  validation 2.5000  perplexity 12.2000  best 2.5000",
        "step 10  loss 2.0000  best 2.5000",
    ]


def test_the_speed_of_a_run_is_its_mean():
    """100 tokens in 1 s, 300 in 2 s; a point that goes back counts for nothing, and from there on 100 in 2 s."""
    figures = Figures()
    assert figures.mean_tokens_per_second is None
    for tokens, speed in ((100, 100.0), (400, 150.0), (200, 50.0), (300, 50.0)):
        figures.take(event("train", tokens, loss=1.0, tokens=tokens, tokens_per_second=speed))
    assert (figures.tokens_per_second, figures.mean_tokens_per_second) == (50.0, 100.0)


@pytest.mark.parametrize(
    ("saved", "next_"),
    [(True, "rnn-tui resume a   {log} may say more"), (False, "{log} may say more")],
)
def test_the_report_of_a_failed_run(tmp_path, capsys, saved, next_):
    run = RunFolder(tmp_path / "a")
    if saved:
        (run.checkpoints / "step-00000003").mkdir(parents=True)
        (run.checkpoints / "step-00000003" / "manifest.json").touch()
    figures = Figures(step=5, reason="failed", message="out of memory at step 5")
    report(run, figures, "failed", as_json=False)
    rows = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    told = {name: value.strip() for name, value in rows.items()}
    assert (told["state"], told["reason"]) == ("failed", "out of memory at step 5")
    assert told["next"] == next_.format(log=run.log_path)
    report(run, Figures(step=5, reason="finished", message="the budget is used"), "finished", as_json=False)
    assert "the budget is used" not in (out := capsys.readouterr().out)
    assert "rnn-tui eval a" in out


def test_what_happened_before_is_counted_and_not_shown(capsys):
    figures = Figures()
    show_events(
        [event("warning", 3, 10.0, message="old"), event("note", 9, 20.0, message="new")],
        Lines(),
        figures,
        since=15.0,
    )
    assert capsys.readouterr().err == "new\n"
    assert figures.step == 9


def test_narration():
    assert (
        narration(event("start", arch="gru", parameters=1500, device="cpu"))
        == "starting: gru, 1,500 parameters, on cpu"
    )
    exactness = "bit for bit on this machine"
    assert narration(event("start", arch="gru", device="cpu", exactness=exactness)).endswith(
        "on cpu; repeatable bit for bit on this machine"
    )
    assert narration(event("resume", 7, from_step=7, arch="gru", device_name="H", device="cuda")).startswith(
        "going on from step 7: gru"
    )
    assert (
        narration(event("command", 9, command="pause", origin="app")) == "pause at step 9 (asked for by app)"
    )
    assert narration(event("threads", 9, to=2, reason="busy", **{"from": 4})) == (
        "step 9: threads: 2 in place of 4; busy"
    )
    assert narration(event("train", 9, loss=1.0)) == ""
