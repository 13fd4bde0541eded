from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnn_tui.tui.app import RnnTuiApp
from rnn_tui.tui.dialogs import Confirm
from rnn_tui.tui.panes.runs import RunsPane, differences, fitting

pytestmark = pytest.mark.usefixtures("no_children")

MakeRun = Callable[..., Any]


def finished(make_run: MakeRun, name: str, **config: Any) -> Any:
    tables = {"corpus": {"source": "stdlib"}, "tokenizer": {"name": "char"}, "model": {"arch": "lstm"}}
    run = make_run(name, tables | config)
    run.start()
    run.train(5, 200)
    run.status("finished", 200, total_steps=200, best_loss=1.234)
    return run


def test_columns_give_way_from_the_right() -> None:
    assert [key for key, _, _ in fitting(200)][-1] == "size"
    narrow = [key for key, _, _ in fitting(78)]
    assert narrow[:4] == ["name", "state", "step", "loss"]
    assert sum(width + 2 for _, _, width in fitting(78)) <= 78


def test_differences_only() -> None:
    rows = differences(
        [
            ("a", {"model": {"arch": "lstm", "hidden_size": 256}, "about": {"created": 1}}),
            ("b", {"model": {"arch": "gru\x1b", "hidden_size": 256}, "about": {"created": 2}}),
        ]
    )
    assert rows == [("model.arch", ["lstm", "gru␛"])]


async def test_the_table_shows_and_opens_runs(
    make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any
) -> None:
    finished(make_run, "one")
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: "✓ finished" in screen_text(app) and "1.234" in screen_text(app))
        await until(pilot, lambda: "x Delete" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "one  ✓ finished" in screen_text(app))
        assert app.current_pane == "train"


async def test_prompt_asks_for_that_run(
    make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(make_run, "one")
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        asked: list[str] = []
        await until(pilot, lambda: app.ready)
        monkeypatch.setattr(app.pane("prompt"), "load", lambda name, **_: asked.append(name))
        await pilot.press("4")
        await until(pilot, lambda: "1.234" in screen_text(app))
        await pilot.press("p")
        await until(pilot, lambda: asked == ["one"])


async def test_delete_asks_first(make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any) -> None:
    finished(make_run, "one")
    finished(make_run, "two")
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: "one" in screen_text(app) and "two" in screen_text(app))
        pane = app.query_one(RunsPane)
        await until(pilot, lambda: pane.chosen != "")
        chosen = pane.chosen
        for answer, there in (("n", True), ("y", False)):
            await pilot.press("x")
            await until(pilot, lambda: isinstance(app.screen, Confirm))
            await pilot.press(answer)
            await until(pilot, lambda: not isinstance(app.screen, Confirm))
            await until(pilot, lambda there=there: (runs_dir / chosen).exists() == there)  # type: ignore[misc]
        await until(pilot, lambda: list(pane._shown) == [{"one": "two", "two": "one"}[chosen]])


async def test_a_living_run_is_not_deleted(
    make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any
) -> None:
    run = finished(make_run, "one")
    run.hold()
    run.status("running", 200)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: "● running" in screen_text(app))
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await pilot.pause(0.5)
        assert (runs_dir / "one").exists()


async def test_marked_runs_are_compared(
    make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any
) -> None:
    finished(make_run, "one", model={"arch": "lstm"})
    finished(make_run, "two", model={"arch": "gru"})
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: "one" in screen_text(app) and "two" in screen_text(app))
        await pilot.press("m", "down", "m")
        await until(pilot, lambda: "model.arch" in screen_text(app))
        assert "validation loss, nats per token  ━ 1  ━ 2" in screen_text(app)
        await pilot.press("m", "up", "m")
        await until(pilot, lambda: "model.arch" not in screen_text(app))


async def test_losses_of_another_kind_are_not_overlaid(
    make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any
) -> None:
    for name, unit in (("one", "nats per token"), ("two", "squared error")):
        run = make_run(name, {"task": {"name": "series" if name == "two" else "next-token"}})
        run.start(unit=unit)
        run.train(5, 200)
        run.status("finished", 200, best_loss=1.234)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: "series" in screen_text(app) and "next-token" in screen_text(app))
        await pilot.press("m", "down", "m")
        await until(pilot, lambda: "Not in the chart, because their losses" in screen_text(app))
        assert "━ 1" in screen_text(app)
        assert "━ 2" not in screen_text(app)


async def test_a_damaged_run_is_listed_and_harms_nothing(
    make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any
) -> None:
    finished(make_run, "good")
    bad = finished(make_run, "bad")
    bad.folder.config_path.write_bytes(b"\x1b[2J[/] not toml")
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: "× damaged" in screen_text(app) and "✓ finished" in screen_text(app))
        for key in ("n", "r", "m", "enter"):
            await pilot.press(key)
            await pilot.pause(0.2)
        assert app.is_running


async def test_cells_that_say_the_same_are_left_alone(
    make_run: MakeRun, runs_dir: Path, until: Any, screen_text: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished(make_run, "one")
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: "1.234" in screen_text(app))
        pane = app.query_one(RunsPane)
        changed: list[str] = []
        original = pane._table.update_cell

        def record(row: str, column: str, value: Any) -> None:
            changed.append(column)
            original(row, column, value)

        monkeypatch.setattr(pane._table, "update_cell", record)
        pane._look()
        await pilot.pause(0.5)
        assert set(changed) <= {"updated"}
        run.status("stopped", 200, total_steps=200, best_loss=1.111)
        pane._look()
        await until(pilot, lambda: "1.111" in screen_text(app))
        assert {"state", "loss"} <= set(changed)


async def test_no_runs_says_where_to_go(runs_dir: Path, until: Any, screen_text: Any) -> None:
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: "No runs here yet" in screen_text(app))
