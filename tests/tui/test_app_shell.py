import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from textual.binding import Binding
from textual.command import CommandPalette

from rnn_tui.errors import UsageError
from rnn_tui.tui import theme
from rnn_tui.tui.app import RnnTuiApp, run_app
from rnn_tui.tui.crash import write_report
from rnn_tui.tui.dialogs import Help
from rnn_tui.tui.memory import read_memory, write_memory
from rnn_tui.tui.panes.base import Pane
from rnn_tui.tui.panes.prompt import PromptPane

pytestmark = pytest.mark.usefixtures("no_children")

PANES = ["corpus", "train", "prompt", "inspect", "runs", "plugins"]


async def test_panes_by_key_by_click_and_while_typing(runs_dir: Path, until: Any) -> None:
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        assert app.current_pane == "train"
        assert [pane.id for pane in app.query(Pane)] == ["train"]
        for number, name in enumerate(PANES, 1):
            await pilot.press(f"alt+{number}")
            assert app.current_pane == name
            assert [pane.id for pane in app.query(Pane) if pane.display] == [name]
        await pilot.press("ctrl+pagedown")
        assert app.current_pane == "corpus"
        await pilot.press("ctrl+pageup")
        assert app.current_pane == "plugins"
        await pilot.click("#tabs", offset=(14, 0))
        assert app.current_pane == "train"
        await pilot.press("5")
        assert app.current_pane == "runs"


@pytest.mark.parametrize("size", [(80, 24), pytest.param((140, 45), marks=pytest.mark.slow)])
async def test_every_pane_composes_without_overflow(runs_dir: Path, size: tuple[int, int]) -> None:
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=size) as pilot:
        for number in range(1, 7):
            await pilot.press(f"alt+{number}")
            for widget in app.query("*"):
                if widget.display and widget.region.area:
                    assert widget.region.right <= size[0], (number, widget)
            shown = {
                active.binding.action
                for active in app.screen.active_bindings.values()
                if active.binding.show and active.enabled
            }
            assert len(shown) <= 9, (number, shown)  # eight and the palette


async def test_help_and_palette_come_from_the_table(runs_dir: Path, until: Any, screen_text: Any) -> None:
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 40)) as pilot:
        for number in range(1, 7):
            await pilot.press(f"alt+{number}")
        commands = [command.title for command in app.get_system_commands(app.screen)]
        for title, table, name in app.tables():
            node = app.pane(name) if name else app
            for row in table:
                assert isinstance(row, Binding)
                assert row.tooltip
                # what the table names can be done
                method = f"action_{row.action.split('(')[0]}"
                assert hasattr(node, method) or any(hasattr(child, method) for child in node.query("*")), (
                    title, row.action,
                )  # fmt: skip
                wanted = f"{title}: {row.description}" if name else row.description
                assert any(command.startswith(wanted) for command in commands), wanted
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, Help))
        await until(
            pilot,
            lambda: "Leave the app; training goes on" in screen_text(app) or "Train" in screen_text(app),
        )
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Help))
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await pilot.press(*"log y")
        await until(pilot, lambda: "Train: Log y  (y)" in screen_text(app))


async def test_quit_by_q_and_ctrl_q(runs_dir: Path) -> None:
    for key in ("q", "ctrl+q"):
        app = RnnTuiApp(runs_dir)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press(key)
        assert app.return_code == 0


async def test_a_pane_is_built_once_when_it_is_first_asked_for(
    runs_dir: Path, until: Any, monkeypatch: Any
) -> None:
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.descriptions is not None)
        for name in ("corpus", "plugins", "corpus", "plugins"):
            app.show_pane(name)
        assert app.current_pane == "train"
        assert [pane.id for pane in app.query(Pane)] == ["train"]
        await until(pilot, lambda: app.current_pane == "plugins")
        assert [pane.id for pane in app.query(Pane)] == ["train", "corpus", "plugins"]
        assert app.pane("plugins")._known == app.descriptions  # they were known before
        # what is asked of a pane that is not there is done when it is, and keys go where they would have gone
        asked: list[str] = []
        monkeypatch.setattr(PromptPane, "load", lambda self, name, **_: asked.append(name))
        app.open_prompt("some-run")
        await until(pilot, lambda: asked == ["some-run"])
        assert app.current_pane == "prompt"
        await pilot.press("alt+5", "ctrl+pageup", "ctrl+pageup")
        assert app.current_pane == "prompt"
        await pilot.press(*"a b")
        assert app.pane("prompt").line.input.value == "a b"


async def test_help_knows_panes_that_are_not_there(runs_dir: Path, until: Any) -> None:
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        assert [title for title, *_ in app.tables()] == [
            "Train", "Everywhere", *(name.capitalize() for name in PANES if name != "train")
        ]  # fmt: skip
        commands = {command.title: command.callback for command in app.get_system_commands(app.screen)}
        assert [pane.id for pane in app.query(Pane)] == ["train"]
        commands["Runs: Filter  (/)"]()
        await until(pilot, lambda: app.focused is not None and app.focused.id == "filter")
        assert app.current_pane == "runs"


async def test_pane_and_theme_are_remembered(runs_dir: Path, until: Any) -> None:
    first = RnnTuiApp(runs_dir)
    async with first.run_test(size=(80, 24)) as pilot:
        assert first.theme == theme.DARK
        first.theme = theme.LIGHT
        await pilot.press("5")
        await until(pilot, lambda: first.current_pane == "runs")
    again = RnnTuiApp(runs_dir)
    async with again.run_test(size=(80, 24)):
        assert again.current_pane == "runs"
        assert again.theme == theme.LIGHT


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '{"pane": 7, "theme": ["x"], "run": "y"}', "\x00" * 100, '{"pane": "#bad id["}']
)
async def test_damaged_memory_is_no_obstacle(runs_dir: Path, text: str) -> None:
    path = Path(os.environ["RNN_TUI_STATE_DIR"]) / "app.json"
    path.parent.mkdir()
    path.write_text(text)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)):
        assert app.current_pane == "train"
    assert json.loads(path.read_text())["pane"] == "train"


def test_memory_on_a_disk_that_refuses(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    write_memory(tmp_path / "file" / "app.json", {"a": 1})
    assert read_memory(tmp_path / "file" / "app.json") == {}


@pytest.mark.parametrize(
    "name",
    [
        theme.LIGHT,
        "ansi-dark",
        *(pytest.param(n, marks=pytest.mark.slow) for n in (theme.DARK, "ansi-light", "nord")),
    ],
)
async def test_themes(runs_dir: Path, make_run: Any, until: Any, screen_text: Any, name: str) -> None:
    run = make_run()
    run.start()
    run.train(5, 200)
    run.status("finished", 200)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        app.theme = name
        await until(pilot, lambda: "✓ finished" in screen_text(app))


async def test_no_color(
    runs_dir: Path, make_run: Any, until: Any, screen_text: Any, monkeypatch: Any
) -> None:
    """A Segment without a Style ends the app in Textual's monochrome filter."""
    monkeypatch.setenv("NO_COLOR", "1")
    run = make_run()
    run.start()
    run.train(5, 200)
    run.status("finished", 200)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "✓ finished" in screen_text(app))
        for number in range(1, 7):
            await pilot.press(f"alt+{number}")
            await pilot.pause(0.1)


async def test_messages_from_outside_are_text(runs_dir: Path, until: Any, screen_text: Any) -> None:
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        app.fail("cannot read [/bold]\x1b[2J")
        await until(pilot, lambda: "[/bold]␛[2J" in screen_text(app))


async def test_a_crash_leaves_a_report_and_exit_code_1(runs_dir: Path, capsys: Any) -> None:
    app = RnnTuiApp(runs_dir)

    async def crash() -> None:
        secret = "a value that no report may hold"
        async with app.run_test(size=(80, 24)) as pilot:
            app.pane("train").unsaved = lambda: "a text \x1b[2J of the screen"
            app.call_later(lambda: len(secret) / 0)
            await pilot.pause(0.2)

    with pytest.raises(ZeroDivisionError):
        await crash()
    assert app.return_code == 1
    reports = list((Path(os.environ["RNN_TUI_STATE_DIR"]) / "crashes").glob("crash-*.txt"))
    assert len(reports) == 1
    text = reports[0].read_text()
    assert "ZeroDivisionError" in text
    assert "a value that no report may hold" not in text
    printed = capsys.readouterr()
    shown = printed.out + printed.err
    assert "Your runs are safe" in shown
    assert "What was on the screen is in" in shown
    (saved,) = reports[0].parent.glob("train-*.txt")
    assert saved.read_text() == "a text ␛[2J of the screen"
    assert saved.stat().st_mode & 0o777 == 0o600
    assert "Traceback" not in shown


def test_ten_reports_are_kept(tmp_path: Path) -> None:
    for i in range(15):
        (tmp_path / f"crash-2026010{i % 10}-00000{i}.txt").write_text("")
    assert write_report(ValueError("x"), tmp_path) is not None
    assert len(list(tmp_path.glob("crash-*.txt"))) == 10


def test_without_a_terminal_it_says_so(runs_dir: Path) -> None:
    with pytest.raises(UsageError, match="needs a terminal"):
        run_app(runs_dir)


def test_the_ui_never_imports_torch_and_paints_before_numpy(tmp_path: Path) -> None:
    program = """
import sys
import rnn_tui.tui.app
early = sorted({"torch", "numpy", "rnn_tui_torch"} & set(sys.modules))
import asyncio, pathlib
from rnn_tui.tui.app import RnnTuiApp
import rnn_tui.plugin.describe as describe
describe.describe_plugins = lambda **_: []
async def main():
    app = RnnTuiApp(pathlib.Path(sys.argv[1]))
    async with app.run_test(size=(80, 24)) as pilot:
        for key in ("alt+1", "alt+2", "alt+3", "alt+4", "alt+5", "alt+6", "alt+2", "n"):
            await pilot.press(key)
            await pilot.pause(0.3)
asyncio.run(main())
print(early, "torch" in sys.modules)
"""
    environment = os.environ | {
        f"RNN_TUI_{n}_DIR": str(tmp_path / n) for n in ("STATE", "CACHE", "CONFIG", "DATA")
    }
    result = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "runs")],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert result.stdout.strip() == "[] False", result.stderr


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SSH_CONNECTION": "1 2 3 4"}, "none 15"),
        ({"SSH_CONNECTION": "1 2 3 4", "TEXTUAL_FPS": "30"}, "none 30"),
        ({}, "full 60"),
    ],
)
def test_over_ssh_it_is_calm(environment: dict[str, str], expected: str) -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TEXTUAL", "SSH"))}
    program = "import rnn_tui.tui, textual.constants as c; print(c.TEXTUAL_ANIMATIONS, c.MAX_FPS)"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=clean | environment, check=True
    )
    assert result.stdout.strip() == expected
