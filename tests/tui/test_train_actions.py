"""What the monitor can do to a run and how it can be looked at: every key once."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.containers import VerticalScroll
from textual.widgets import Input

from rnn_tui.errors import UsageError
from rnn_tui.tui.app import RnnTuiApp
from rnn_tui.tui.dialogs import Ask
from rnn_tui.tui.panes.fields import Field
from rnn_tui.tui.panes.run_log import RunLog, read_log
from rnn_tui.tui.panes.train_dialogs import ChooseRuns, ResumeDialog, Tick
from rnn_tui.tui.widgets.chart import Chart
from rnn_tui.tui.widgets.lines import Lines

pytestmark = pytest.mark.usefixtures("no_children")

MakeRun = Callable[..., Any]


async def test_ways_to_look_at_a_run(
    make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another axis, earlier samples, all notes with worker.log, another run laid over it, its units."""
    words = make_run("words")
    words.start(chars_per_token=4.0, tokenizer="word")
    words.train(5, 200)
    words.status("finished", 200)
    run = make_run("chars")
    run.hold()
    run.start()
    run.train(5, 300)
    for step in (100, 200, 300):
        run.events.write("sample", step, prompt="", text=f"written at {step}", temperature=0.8)
    run.events.write("warning", 300, message="careful [/b]\x1b[2J")
    run.folder.log_path.write_text("".join(f"line {n}\n" for n in range(100)))
    run.status("running", 300, total_steps=2000)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(140, 45)) as pilot:
        await until(pilot, lambda: "written at 300" in screen_text(app))
        loss, rate = app.query_one("#loss", Chart), app.query_one("#small-lr", Chart)
        seen = []
        for _ in range(4):
            await pilot.press("t")
            seen.append((loss.x_name, loss.x_format, rate.x_format, round(loss._series[0].x[-1], 3)))
        assert seen == [
            ("epoch", "number", "number", 0.682), ("tokens", "number", "number", 614_400),
            ("time", "duration", "duration", 15.0), ("step", "number", "number", 300),
        ]  # fmt: skip

        await pilot.press("k", "k", "k")
        await until(pilot, lambda: "sample at step 100 (1 of 3)" in screen_text(app))
        assert "written at 300" not in screen_text(app)
        run.events.write("sample", 400, prompt="", text="written at 400", temperature=0.8)
        await until(pilot, lambda: "sample at step 100 (1 of 4)" in screen_text(app))
        await pilot.press("j")
        await until(pilot, lambda: "sample at step 200 (2 of 4)" in screen_text(app))
        await pilot.press("j", "j")
        await until(pilot, lambda: "sample at step 400 (4 of 4)" in screen_text(app))

        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, RunLog) and "careful [/b]␛[2J" in screen_text(app))
        await pilot.press("tab")
        await until(pilot, lambda: "line 99" in screen_text(app))
        place = app.screen.query_one(VerticalScroll)
        await pilot.press("k", "j", "home")
        await until(pilot, lambda: place.scroll_offset.y == 0 and "line 0 " in screen_text(app))
        with run.folder.log_path.open("a") as log:
            log.write("line \x1b[31m100\n")
        await until(pilot, lambda: "line ␛[31m100" in app.screen.query_one("#text", Lines).text)
        assert place.scroll_offset.y == 0  # who reads above is not taken away from there
        await pilot.press("escape")

        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, ChooseRuns))
        assert "[ ] words  lstm, stdlib, finished" in screen_text(app)
        await pilot.press("j", "k", "space")
        await until(pilot, lambda: "[x] words" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "━ words" in screen_text(app))
        assert "loss, bits per character" in screen_text(app)
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, ChooseRuns))
        await pilot.press("space", "enter")
        await until(pilot, lambda: "━ words" not in screen_text(app))

        asked: list[Any] = []
        monkeypatch.setattr(app, "open_inspect", asked.append)
        await pilot.press("i")
        assert asked == ["chars"]


async def test_a_complete_run_goes_on_with_another_budget_and_is_exported(
    make_run: MakeRun,
    runs_dir: Path,
    tmp_path: Path,
    until: Any,
    screen_text: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = make_run("done")
    run.start()
    run.train(5, 300)
    run.events.write("end", 300, reason="finished", elapsed=15.0, epochs=0.68)
    run.status("finished", 300)
    run.folder.model_path.write_bytes(b"the model")
    done: list[Any] = []

    def extend(folder: Any, budget: dict[str, float]) -> None:
        if budget.get("steps", 1000) <= 300:
            raise UsageError("run done has done 300 steps already")
        done.append((folder.name, budget))

    monkeypatch.setattr("rnn_tui.training.stored.extend", extend)
    monkeypatch.setattr(
        "rnn_tui.runs.supervisor.start_worker", lambda folder, **how: done.append((folder.name, how))
    )
    monkeypatch.setattr(
        "rnn_tui.runs.surroundings.warnings", lambda folder: ["the place is [/b] open to others"]
    )
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await until(pilot, lambda: "R trains on" in screen_text(app))
        await pilot.press("r")  # there is nothing left to go on with
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, ResumeDialog))
        assert "300 done so far" in screen_text(app)
        await pilot.press(*"many", "enter")
        await until(pilot, lambda: "takes a number above 0" in screen_text(app))
        await pilot.press(*["backspace"] * 4, *"200", "enter")
        await until(pilot, lambda: "has done 300 steps already" in screen_text(app))
        assert done == []
        steps, _, minutes = app.screen.query(Field)
        steps.query_one(Input).value = "4,000"
        minutes.query_one(Input).value = "2.5"
        app.screen.query_one(Tick).focus()
        await pilot.press("space", "enter")
        await until(pilot, lambda: not isinstance(app.screen, ResumeDialog))
        assert done == [
            ("done", {"steps": 4000, "minutes": 2.5}), ("done", {"resume": True, "accept_data": True}),
        ]  # fmt: skip
        await until(pilot, lambda: "the place is [/b] open to others" in screen_text(app))

        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        app.screen.query_one(Input).value = str(tmp_path / "copy.safetensors")
        await pilot.press("enter")
        await until(pilot, lambda: (tmp_path / "copy.safetensors").exists())
        await until(pilot, lambda: "The model is in" in screen_text(app))
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, ResumeDialog))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, ResumeDialog))
    assert (tmp_path / "copy.safetensors").read_bytes() == b"the model"


WORKER = """
import sys, time
from pathlib import Path
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.lock import RunLock
from rnn_tui.runs.status import my_status, write_status
run = RunFolder(Path(sys.argv[1]))
lock = RunLock.acquire(run)
write_status(run, my_status("running", attempt=1, step=300))
print("alive", flush=True)
time.sleep(60)
"""


async def test_a_worker_that_is_killed_is_seen(
    make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run("killed")
    run.start()
    run.train(5, 300)
    resumed: list[Any] = []
    monkeypatch.setattr("rnn_tui.runs.supervisor.start_worker", lambda folder, **how: resumed.append(how))
    app = RnnTuiApp(runs_dir)
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(run.folder.path)], stdout=subprocess.PIPE
    ) as worker:
        try:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"alive\n"
            async with app.run_test(size=(100, 30)) as pilot:
                await until(pilot, lambda: "● running" in screen_text(app))
                await until(pilot, lambda: " MB" in screen_text(app))  # the load of that very process
                worker.send_signal(signal.SIGKILL)
                await until(pilot, lambda: "× crashed  press r to resume" in screen_text(app))
                await until(pilot, lambda: "the worker died without a word at step 300" in screen_text(app))
                assert "rnn-tui resume killed" in screen_text(app)
                assert " MB" not in screen_text(app)
                await pilot.press("r")
                await until(pilot, lambda: resumed == [{"resume": True, "accept_data": False}])
        finally:
            worker.kill()


def test_a_log_that_is_long_or_missing(make_run: MakeRun) -> None:
    run = make_run().folder
    assert read_log(run) == ""
    run.log_path.write_bytes(b"first\n" + b"x" * 300_000 + b"\nlast \xff\n")
    assert read_log(run) == "last �\n"  # what is cut in its middle is left out
