"""The monitor on a run whose worker is the test."""

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnn_tui.errors import DiskError
from rnn_tui.runs.control import Inbox
from rnn_tui.tui.app import RnnTuiApp
from rnn_tui.tui.dialogs import Ask, Confirm
from rnn_tui.tui.panes.monitor import Monitor
from rnn_tui.tui.panes.prompt import PromptPane
from rnn_tui.tui.panes.train import TrainPane
from rnn_tui.tui.widgets.chart import Chart
from rnn_tui.tui.widgets.lines import Lines

pytestmark = pytest.mark.usefixtures("no_children")

MakeRun = Callable[..., Any]


def live(make_run: MakeRun, steps: int = 300) -> Any:
    run = make_run()
    run.hold()
    run.start()
    run.train(5, steps)
    run.status("running", steps, total_steps=2000)
    return run


@pytest.mark.parametrize(
    ("width", "height"), [(80, 24), pytest.param(100, 30, marks=pytest.mark.slow), (140, 45), (40, 12)]
)
async def test_a_live_run_at_each_size(
    make_run: MakeRun, runs_dir: Path, width: int, height: int, until: Any, screen_text: Any
) -> None:
    run = live(make_run)
    run.events.write("sample", 300, prompt="def ", text="main():\n    pass", temperature=0.8)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(width, height)) as pilot:
        await until(pilot, lambda: "def main():" in screen_text(app) or height < 20)
        await until(pilot, lambda: "lstm-stdlib-1  ● running" in screen_text(app))
        shown = screen_text(app)
        if width >= 80:
            assert "15 %  step 300 of 2,000" in shown
            assert "ETA 1:25" in shown  # 1700 steps of 0.05 s
            # 4.17 · 300^-0.13 = 1.987
            assert "1.987" in shown
        for widget in app.query("*") if width >= 80 else ():  # smaller must live, not look good
            if widget.display and widget.region.area and widget.parent is not None:
                assert widget.region.right <= width, widget
                assert widget.region.bottom <= height or widget.parent.max_scroll_y > 0, widget  # type: ignore[attr-defined]


async def test_new_points_appear(make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any) -> None:
    run = live(make_run)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "step 300 " in screen_text(app))
        run.train(305, 400)
        await until(pilot, lambda: "step 400 " in screen_text(app))


async def test_nothing_is_repainted_while_nothing_happens(
    make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any
) -> None:
    live(make_run)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "step 300 " in screen_text(app))
        painted: list[object] = []
        monitor = app.query_one(Monitor)
        for widget in (*monitor.query(Chart), *monitor.query(Lines)):
            original = widget.refresh

            def record(*regions: Any, original: Any = original, **kwargs: Any) -> Any:
                painted.append(original)
                return original(*regions, **kwargs)

            widget.refresh = record  # type: ignore[method-assign]
        for _ in range(30):  # on a busy machine what was to be painted before may come late
            painted.clear()
            monitor.draw()
            await asyncio.sleep(1.2)
            if not painted:
                break
        assert painted == []


async def test_a_dead_worker_is_seen(make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any) -> None:
    run = live(make_run)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "● running" in screen_text(app))
        run.let_go()
        await until(pilot, lambda: "× crashed  press r to resume" in screen_text(app))
        await until(pilot, lambda: "r Resume" in screen_text(app))
        assert "p Pause" not in screen_text(app)


async def test_commands_reach_the_inbox(
    make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any
) -> None:
    run = live(make_run)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "● running" in screen_text(app))
        await pilot.press("p", "c", "s")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await pilot.press("l")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press(*["backspace"] * 10, *"zero", "enter")
        await until(pilot, lambda: "is not a number" in screen_text(app))
        await pilot.press(*["backspace"] * 10, *"0.002", "enter")
        await until(pilot, lambda: len(Inbox(run.folder).poll()) == 4)
    commands = [(command.command, command.args, command.origin) for command in Inbox(run.folder).poll()]
    assert commands == [
        ("pause", {}, "app"), ("checkpoint", {}, "app"), ("stop", {}, "app"), ("set", {"lr": 0.002}, "app"),
    ]  # fmt: skip


async def test_no_is_no(make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any) -> None:
    run = live(make_run)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "● running" in screen_text(app))
        for answer in ("n", "escape"):
            await pilot.press("s")
            await until(pilot, lambda: isinstance(app.screen, Confirm))
            await pilot.press(answer)
            await until(pilot, lambda: not isinstance(app.screen, Confirm))
    assert Inbox(run.folder).poll() == []


async def test_axes_and_smoothing_by_key(
    make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any
) -> None:
    live(make_run)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "● running" in screen_text(app))
        chart = app.query_one("#loss", Chart)
        await pilot.press("y", "x", "right_square_bracket")
        await until(pilot, lambda: "smoothing 0.8, log y, log x" in screen_text(app))
        await pilot.press(*["left_square_bracket"] * 9, "y", "x")
        await pilot.pause()
        assert (chart.smoothing, chart.log_y, chart.log_x) == (0.0, False, False)


async def test_zoom_pan_and_read_out(make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any) -> None:
    live(make_run)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "● running" in screen_text(app))
        chart = app.query_one("#loss", Chart)
        await until(pilot, lambda: chart._picture is not None and chart.has_focus)
        await pilot.press("plus")
        assert chart._window == (150.0, 300.0)
        await pilot.press("left")
        assert chart._window == (112.5, 262.5)
        await pilot.press("0")
        assert chart._window is None
        await pilot.press("shift+left")
        await until(pilot, lambda: "validation 2.037" in screen_text(app))
        await pilot.hover("#loss", offset=(40, 5))
        await until(pilot, lambda: "step" in screen_text(app).splitlines()[3])


@pytest.mark.parametrize("size", [(80, 24), pytest.param((140, 45), marks=pytest.mark.slow)])
async def test_hostile_text_is_shown_as_text(
    make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any, size: tuple[int, int]
) -> None:
    hostile = "[/bold][@click=app.quit]x[/] \x1b]52;c;aGVsbG8=\x1b\\ \x1b[2J \x9b31m \x7f \u202e \ud800"
    run = make_run()
    run.hold()
    run.start(arch=hostile, corpus=hostile, engine=hostile, device="gpu")
    run.train(5, 100)
    run.events.write("sample", 100, prompt=hostile, text=hostile * 5, temperature=1.0)
    run.events.write("warning", 100, message=hostile)
    run.status("running", 100, message=hostile)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: screen_text(app).count("[/bold]") >= 2)
        shown = screen_text(app)
        assert not {c for c in shown if ord(c) < 32 and c != "\n"}
        assert not set("\x7f\x9b\u202e") & set(shown)
        assert "[@click=app.quit]" in shown


def series(make_run: MakeRun) -> Any:
    run = make_run()
    run.hold()
    run.start(task="series", unit="squared error", measures=["mse", "rmse"], baselines={"persistence": 0.15})
    run.events.write("train", 5, loss=0.2, lr=0.01)
    run.events.write("validation", 5, loss=0.1, mse=0.05, rmse=0.22)
    truth = [round(math.sin(t / 8), 2) for t in range(100)]
    run.events.write(
        "forecast", 5, columns=["x"], begin=600, every=4, truth=truth,
        forecasts={"1": truth, "64": [None] * 10 + truth[10:]},
        errors={"1": 0.0512, "64": 0.47}, persistence={"1": 0.08, "64": 0.31},
    )  # fmt: skip
    run.status("running", 5)
    return run


async def test_a_series_shows_its_forecast_in_turn_with_the_loss(
    make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any
) -> None:
    series(make_run)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(
            pilot, lambda: "loss, squared error" in screen_text(app) and "f Forecast" in screen_text(app)
        )
        shown = screen_text(app)
        assert "persistence 0.15" in shown
        assert "squared error   0.0512    0.47" in shown  # below the charts
        assert "rmse         0.220" in shown
        await pilot.press("f")
        await until(pilot, lambda: "━ truth  ━ 1 ahead (0.051)  ━ 64 (0.47)" in screen_text(app))
        axis = next(row for row in screen_text(app).splitlines() if row.rstrip().endswith("row"))
        assert axis.split()[:2] == ["600", "700"]
        chart = app.query_one("#forecast", Chart)
        await until(pilot, lambda: chart.has_focus)
        await pilot.press("plus")  # its keys act on it
        assert chart._window is not None
        await pilot.press("5", "2")
        await until(pilot, lambda: chart.has_focus)  # also after another pane was shown
        await pilot.press("f")
        await until(pilot, lambda: "loss, squared error" in screen_text(app))
        assert "━ truth" not in screen_text(app)


async def test_a_wide_screen_has_room_for_both(
    make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any
) -> None:
    series(make_run)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(140, 45)) as pilot:
        await until(
            pilot, lambda: "━ truth" in screen_text(app) and "loss, squared error" in screen_text(app)
        )
        chart = app.query_one("#forecast", Chart)
        await pilot.press("f")
        await until(pilot, lambda: chart.has_focus)
        assert "loss, squared error" in screen_text(app)
        await pilot.press("f")
        await until(pilot, lambda: app.query_one("#loss", Chart).has_focus)


@pytest.mark.parametrize("size", [pytest.param((80, 24), marks=pytest.mark.slow), (140, 45)])
async def test_labels_are_shown_beside_their_source(
    make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any, size: tuple[int, int]
) -> None:
    run = make_run()
    run.hold()
    run.start(task="aligned", unit="nats per label", measures=["accuracy", "exact"], baselines={})
    run.events.write("train", 1, loss=1.5)
    run.events.write("transcription", 1, source="hello", text="ooooo")
    run.events.write("transcription", 2, source="hello", text="ohlol")
    run.status("running", 2)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: all(word in screen_text(app) for word in ("hello → ohlol", "accuracy")))
        shown = screen_text(app)
        assert "transcription at step 2" in shown
        assert "step 1: hello → ooooo" in shown
        assert "loss, nats per label" in shown
        assert "f Forecast" not in shown


async def test_what_has_memorised_is_told_on_top(
    make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any
) -> None:
    run = live(make_run, 100)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "step 100 " in screen_text(app))
        assert "memorised" not in screen_text(app)
        run.events.write("train", 105, loss=0.01, lr=0.01)
        await until(pilot, lambda: "memorised: 0.01 bits per character" in screen_text(app).splitlines()[3])


async def test_the_footer_says_what_p_does(
    make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any
) -> None:
    run = live(make_run)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "p Pause" in screen_text(app))
        run.status("paused", 300)
        await until(pilot, lambda: "p Go on" in screen_text(app))
        assert "p Pause" not in screen_text(app)
        await pilot.press("p")
        await until(pilot, lambda: bool(Inbox(run.folder).poll()))
    assert [command.command for command in Inbox(run.folder).poll()] == ["resume"]


async def test_a_run_is_found_again(make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any) -> None:
    live(make_run)
    newer = make_run("newer")
    newer.status("finished", 10)
    first = RnnTuiApp(runs_dir)
    async with first.run_test(size=(80, 24)) as pilot:
        # the one that is training comes before the newest
        await until(pilot, lambda: "lstm-stdlib-1  ● running" in screen_text(first))
        first.open_run("newer")
        await until(pilot, lambda: "newer  ✓ finished" in screen_text(first))
        await pilot.press("q")
    again = RnnTuiApp(runs_dir)
    async with again.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "lstm-stdlib-1  ● running" in screen_text(again))


async def test_the_demo_opens_the_prompt_when_it_ends(
    make_run: MakeRun, runs_dir: Path, monkeypatch: pytest.MonkeyPatch, until: Any, screen_text: Any
) -> None:
    run = live(make_run)
    monkeypatch.setattr("rnn_tui.training.launch.prepare_run_config", lambda layers: _Resolved(layers))
    monkeypatch.setattr("rnn_tui.training.launch.start", lambda *_: run.folder)
    app = RnnTuiApp(runs_dir, demo=True)
    async with app.run_test(size=(80, 24)) as pilot:
        asked: list[tuple[str, dict[str, Any]]] = []
        monkeypatch.setattr(PromptPane, "load", lambda _, name, **wishes: asked.append((name, wishes)))
        await until(pilot, lambda: "● running" in screen_text(app))
        assert asked == []
        run.events.write("end", 300, reason="finished", message="")
        run.status("finished", 300)
        run.let_go()
        await until(pilot, lambda: bool(asked))
        assert asked == [("lstm-stdlib-1", {"prompt": "def ", "go": True})]
        assert app.current_pane == "prompt"


class _Resolved:
    def __init__(self, layers: list[tuple[str, dict[str, Any]]]) -> None:
        assert layers[0][1]["corpus"]["source"] == "stdlib"
        self.config = None


async def test_nothing_there_offers_the_demo_and_the_form(
    runs_dir: Path, until: Any, screen_text: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(
            pilot, lambda: "Press d to train on the built-in corpus (about a minute)" in screen_text(app)
        )
        await until(pilot, lambda: "d Demo" in screen_text(app))

        def full(*_: Any, **__: Any) -> None:
            raise DiskError("no space left on the disk")

        monkeypatch.setattr("rnn_tui.training.launch.prepare_run_config", full)
        await pilot.press("d")
        await until(pilot, lambda: "The demo could not start; press d to try again" in screen_text(app))
        await pilot.press("n")
        await until(pilot, lambda: "learning rate" in screen_text(app))
        assert app.query_one(TrainPane)._mode == "form"


async def test_ascii(make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any) -> None:
    live(make_run)
    app = RnnTuiApp(runs_dir, ascii=True)
    async with app.run_test(size=(140, 45)) as pilot:
        await until(pilot, lambda: "* running" in screen_text(app))
        await pilot.pause(0.5)
        lines = screen_text(app).splitlines()[:-1]  # the footer is Textual's
        assert all(line.isascii() for line in lines), [line for line in lines if not line.isascii()]


async def test_actions_from_the_palette(
    make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any
) -> None:
    live(make_run)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "● running" in screen_text(app))
        await pilot.press("5")
        commands = {command.title: command.callback for command in app.get_system_commands(app.screen)}
        commands["Train: Log y  (y)"]()
        commands["Train: Zoom in  (+)"]()
        assert app.current_pane == "train"
        chart = app.query_one("#loss", Chart)
        await until(pilot, lambda: chart.log_y and chart._window == (150.0, 300.0))


@pytest.mark.parametrize("key", ["enter", *(pytest.param(key, marks=pytest.mark.slow) for key in "wP")])
async def test_prompt_this_run(
    make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    live(make_run)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        asked: list[str] = []
        monkeypatch.setattr(PromptPane, "load", lambda _, name, **wishes: asked.append(name))
        await until(pilot, lambda: "● running" in screen_text(app))
        await pilot.press(key)
        await until(pilot, lambda: asked == ["lstm-stdlib-1"])
