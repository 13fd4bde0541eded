"""The table of the Runs pane and what is compared below it, under a pilot."""

import os
from pathlib import Path
from typing import Any

import pytest

from rnn_tui.runs.labels import set_labels
from rnn_tui.tui.app import RnnTuiApp
from rnn_tui.tui.panes.runs import RunsPane

pytestmark = pytest.mark.usefixtures("no_children")


async def test_order_filter_and_the_place_of_the_cursor(
    finished: Any, open_runs: Any, runs_dir: Path, until: Any, screen_text: Any
) -> None:
    for made, (name, best) in enumerate([("a", 1.5), ("b", 1.1), ("c", 1.9)]):
        finished(name, made, best, model={"arch": "gru" if name == "b" else "lstm"})
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 30)) as pilot:
        pane = await open_runs(pilot, 3)

        def rows() -> str:
            return "".join(pane._table._names)

        assert (rows(), pane.chosen) == ("cba", "c")
        await pilot.press("j", "j", "k")
        assert pane.chosen == "b"
        await pilot.press("greater_than_sign")
        assert (rows(), pane.chosen) == ("abc", "b")
        await pilot.press("greater_than_sign", "greater_than_sign", "greater_than_sign")
        assert (rows(), pane.chosen) == ("bac", "b")
        await until(pilot, lambda: "best loss ▲" in screen_text(app))
        await pilot.press("o")
        await until(pilot, lambda: "best loss ▼" in screen_text(app))
        assert (rows(), app.recall("runs.order")) == ("cab", "-loss")
        await pilot.press("less_than_sign", "less_than_sign", "less_than_sign", "less_than_sign")
        assert (rows(), app.recall("runs.order")) == ("cba", "created")
        await pilot.click("RunTable", offset=(2, 0))
        await until(pilot, lambda: rows() == "abc")
        await pilot.click("RunTable", offset=(2, 0))
        await until(pilot, lambda: rows() == "cba")
        assert pane.chosen == "b"
        await pilot.press("slash", *"arch:ls")
        await until(pilot, lambda: rows() == "ca" and "2 of 3 runs" in screen_text(app))
        await pilot.press("enter")
        assert pane._table.has_focus
        assert "2 of 3 runs like arch:ls" in screen_text(app)
        await pilot.press("slash", *" nothing")
        await until(pilot, lambda: "None of the 3 runs is like that. Escape shows all." in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: rows() == "cba")
        await pilot.press("slash", *"los<1")
        await until(pilot, lambda: "did you mean 'loss'" in screen_text(app))
        await pilot.press("escape", "home")
        assert pane.chosen == "c"
        await pilot.press("G")
        assert pane.chosen == "a"
        finished("d", 9.0)  # a new one comes in above: the cursor stays on its run
        pane._look()
        await until(pilot, lambda: rows() == "dcba")
        assert pane.chosen == "a"


async def test_marked_runs_are_compared(
    finished: Any, open_runs: Any, runs_dir: Path, until: Any, screen_text: Any
) -> None:
    finished("one", 2.0, model={"arch": "lstm"})
    second = finished("two", 1.0, model={"arch": "gru"})
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await open_runs(pilot, 2)
        assert not pane.check_action("log_axis", ("x",))
        await pilot.press("m", "down", "space")
        await until(pilot, lambda: "model.arch" in screen_text(app))
        assert "validation loss, nats per token  ━ 1  ━ 2" in screen_text(app)
        assert "best loss" in screen_text(app)
        chart = pane._compared.chart
        for axis in ("epoch", "tokens", "time", "step"):
            await pilot.press("b")
            assert chart.x_name == axis
        await pilot.press("f")
        await until(pilot, lambda: "training loss, nats per token  ━ 1" in screen_text(app))
        await pilot.press("x", "y", "right_square_bracket", "right_square_bracket", "left_square_bracket")
        assert (chart.log_x, chart.log_y, chart.smoothing) == (True, True, 0.3)
        await pilot.press("x", "y", "f", "w")
        second.train(205, 400)  # what is compared grows
        second.status("finished", 400, best_loss=1.0)
        pane._look()
        await until(pilot, lambda: pane._compared._histories[second.folder.path].step == 400)
        await pilot.press("up", "m")  # the number and colour of the other one stay
        await until(pilot, lambda: "Mark another run" in screen_text(app))
        await until(pilot, lambda: "━ 2" in screen_text(app) and "━ 1" not in screen_text(app))
        await pilot.press("m")
        await until(pilot, lambda: "━ 1  ━ 2" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: not pane._compared.display)


async def test_states_of_the_folder(
    finished: Any, runs_dir: Path, until: Any, screen_text: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "No runs here yet" in screen_text(app))
        await pilot.press("m", "d", "r", "enter", "t", "v", "e", "j", "greater_than_sign")
        bad = finished("bad")
        bad.folder.config_path.write_bytes(b"\x1b[2J[/] not toml")
        finished("good")
        await until(pilot, lambda: "× damaged" in screen_text(app) and "✓ finished" in screen_text(app))
        pane = app.query_one(RunsPane)
        pane._table.move_cursor(row=pane._table._names.index("bad"))
        await until(pilot, lambda: "config.toml is damaged" in screen_text(app))
        for key in ("n", "r", "m", "enter"):
            await pilot.press(key)
            await pilot.pause(0.1)
        await pilot.press("5")
        scandir = os.scandir

        def refuse(path: Any) -> Any:
            if Path(path) == runs_dir:
                raise PermissionError(13, "Permission denied")
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)
        await until(pilot, lambda: "cannot list the runs" in screen_text(app))
        monkeypatch.setattr(os, "scandir", scandir)
        await until(pilot, lambda: "✓ finished" in screen_text(app))


async def test_many_runs_and_only_what_changed(
    finished: Any, make_run: Any, open_runs: Any, runs_dir: Path, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished("r000", 1.0)
    for number in range(1, 130):
        make_run(f"r{number:03}", {"about": {"created": 2.0 + number}}).status("stopped", number)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        pane = await open_runs(pilot, 130)
        table = pane._table
        await until(pilot, lambda: len(table._names) == 130)
        assert table._names[0] == "r129"
        await pilot.press(*["pagedown"] * 2)
        chosen, top = pane.chosen, table.scroll_offset.y
        assert top > 0
        changed: list[tuple[str, str]] = []
        original = table.update_cell

        def record(row: str, column: str, value: Any) -> None:
            changed.append((row, column))
            original(row, column, value)

        monkeypatch.setattr(table, "update_cell", record)
        run.status("stopped", 200, total_steps=200, best_loss=1.111)
        set_labels(run.folder, tags=["x"])
        pane._look()
        await until(pilot, lambda: ("r000", "loss") in changed)
        assert {row for row, column in changed if column != "updated"} == {"r000"}
        assert (pane.chosen, table.scroll_offset.y) == (chosen, top)
        await pilot.press("slash", *"r01")
        await until(pilot, lambda: table._names == [f"r{number:03}" for number in range(19, 9, -1)])
        await pilot.press("escape")
        await until(pilot, lambda: len(table._names) == 130)
        app.theme = "rnn-light"
        await pilot.pause()
        assert table.row_count == 130
