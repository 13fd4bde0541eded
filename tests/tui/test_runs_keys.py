"""What is done with the run under the cursor, under a pilot: each action of `RunKeys` is pressed."""

import sys
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import OptionList

from rnn_tui.runs.labels import Labels, read_labels
from rnn_tui.runs.trash import list_trash
from rnn_tui.tui.app import RnnTuiApp
from rnn_tui.tui.dialogs import Ask, Confirm
from rnn_tui.tui.panes import runs_dialogs
from rnn_tui.tui.panes.runs_dialogs import Evaluation, Trash, View
from rnn_tui.tui.widgets.line_input import LineInput

pytestmark = pytest.mark.usefixtures("no_children")


def told(app: RnnTuiApp) -> str:
    """Every message that was shown."""
    return "\n".join(notification.message for notification in app._notifications)


async def test_watching_and_what_leads_elsewhere(
    finished: Any,
    open_runs: Any,
    runs_dir: Path,
    until: Any,
    screen_text: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = finished("one", model={"arch": "lstm", "hidden_size": 77})
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        asked: list[tuple[Any, ...]] = []
        monkeypatch.setattr(app, "open_prompt", lambda name: asked.append(("prompt", name)))
        monkeypatch.setattr(app, "open_inspect", lambda name: asked.append(("inspect", name)))
        monkeypatch.setattr(app, "new_run", lambda settings: asked.append(("clone", settings["model"])))
        monkeypatch.setattr(app, "copy_to_clipboard", lambda text: asked.append(("copy", text)))
        resumed: list[str] = []
        monkeypatch.setattr("rnn_tui.runs.supervisor.resume_run", lambda run: resumed.append(run.name))
        pane = await open_runs(pilot, 1)
        for text in ("✓ finished", "1.234", "d Delete"):
            await until(pilot, lambda text=text: text in screen_text(app))
        await pilot.press("p", "i", "n", "Y")
        assert asked == [
            ("prompt", "one"),
            ("inspect", "one"),
            ("clone", {"arch": "lstm", "hidden_size": 77}),
            ("copy", str(runs_dir / "one")),
        ]
        await pilot.press("exclamation_mark", "y")  # which this driver has no way for
        await until(pilot, lambda: "cannot be left to a shell" in told(app))
        run.status("stopped", 100)
        pane._look()
        await until(pilot, lambda: "■ stopped" in screen_text(app))
        await pilot.press("r")
        await until(pilot, lambda: resumed == ["one"] and app.current_pane == "train")
        await pilot.press("5", "enter")
        await until(pilot, lambda: app.current_pane == "train" and "one" in screen_text(app))


async def test_tags_note_name_and_model(
    finished: Any, open_runs: Any, runs_dir: Path, until: Any, screen_text: Any, tmp_path: Path
) -> None:
    run = finished("one").folder
    run.model_path.write_bytes(b"model")
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(140, 24)) as pilot:
        pane = await open_runs(pilot, 1)

        async def answer(key: str, *typed: str) -> None:
            await pilot.press(key)
            await until(pilot, lambda: isinstance(app.screen, Ask))
            await pilot.press("ctrl+u", *typed, "enter")

        await answer("t", *"keep", "comma", "x")
        assert isinstance(app.screen, Ask)  # no tag has a comma
        assert "cannot be a tag" in screen_text(app)
        await pilot.press("backspace", "backspace", "space", "b", "enter")
        await until(pilot, lambda: read_labels(run).tags == ("keep", "b"))
        await answer("a", *"the", "space", *"one")
        await until(pilot, lambda: read_labels(run) == Labels(("keep", "b"), "the one"))
        await until(pilot, lambda: "the one" in screen_text(app) and "keep b" in screen_text(app))
        await until(pilot, lambda: "validation loss, nats" in screen_text(app))  # the panel has read it
        await pilot.press("E")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        app.screen.query_one(LineInput).value = str(tmp_path / "m")
        await pilot.press("enter")
        await until(pilot, lambda: (tmp_path / "m").is_file())
        await answer("f2", *"two")
        await until(pilot, lambda: pane.chosen == "two")
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, View) and "checkpoints" in screen_text(app))
        assert "stdlib" in screen_text(app)
        await pilot.press("j", "k", "escape")
        assert not isinstance(app.screen, View)


async def test_deleting_and_bringing_back(
    finished: Any, make_run: Any, open_runs: Any, runs_dir: Path, until: Any, screen_text: Any
) -> None:
    for made, name in enumerate("abc"):
        finished(name, made)
    alive = make_run("alive", {"about": {"created": 9.0}})
    alive.start()
    alive.hold()
    alive.status("running", 5)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 30)) as pilot:
        pane = await open_runs(pilot, 4)
        await pilot.press("d")
        await until(pilot, lambda: "run alive is running; stop it first" in told(app))
        await pilot.press("j", "j", "d")
        await until(pilot, lambda: list(pane._shown) == ["alive", "c", "a"])
        await until(pilot, lambda: pane.chosen == "a")  # the cursor stays at its place
        await until(pilot, lambda: "1 in the trash" in screen_text(app))
        await pilot.press("u")
        await until(pilot, lambda: list(pane._shown) == ["alive", "c", "b", "a"])
        for left in (["alive", "c", "b"], ["alive", "c"]):
            await pilot.press("G", "d")
            await until(pilot, lambda left=left: list(pane._shown) == left)
        await pilot.press("T")
        await until(pilot, lambda: isinstance(app.screen, Trash) and "2 deleted runs" in screen_text(app))
        assert app.screen.query_one(OptionList).option_count == 2
        await pilot.press("down", "enter")  # the one deleted first
        await until(pilot, lambda: list(pane._shown) == ["alive", "c", "a"])
        await pilot.press("T")
        await until(pilot, lambda: isinstance(app.screen, Trash) and "1 deleted run," in screen_text(app))
        await pilot.press("E")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: list_trash(runs_dir) == [])


async def test_a_living_run_is_told_what_to_do(
    finished: Any,
    open_runs: Any,
    runs_dir: Path,
    until: Any,
    screen_text: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = finished("one")
    run.hold()
    run.status("running", 200)
    app = RnnTuiApp(runs_dir)
    sent: list[tuple[Any, ...]] = []

    def send(folder: Any, command: str, args: Any, *, origin: str) -> str:
        sent.append((folder.name, command, args, origin))
        return ""

    monkeypatch.setattr("rnn_tui.runs.control.send", send)
    async with app.run_test(size=(80, 24)) as pilot:
        pane = await open_runs(pilot, 1)
        await until(pilot, lambda: "● running" in screen_text(app))
        await pilot.press("z", "c")
        await until(pilot, lambda: len(sent) == 2)
        await pilot.press("l")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press(*"x", "enter")
        assert "is not a number" in screen_text(app)
        await pilot.press("backspace", *"0.001", "enter")
        await until(pilot, lambda: len(sent) == 3)
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: len(sent) == 4)
        run.status("paused", 200)
        pane._look()
        await until(pilot, lambda: "‖ paused" in screen_text(app))
        await pilot.press("r")
        await until(pilot, lambda: len(sent) == 5)
    assert {entry[0] for entry in sent} == {"one"}
    assert sorted((entry[1], entry[2]) for entry in sent if entry[1] != "set") == [
        ("checkpoint", None), ("pause", None), ("resume", None), ("stop", None),
    ]  # fmt: skip
    assert ("one", "set", {"lr": 0.001}, "app") in sent


async def test_an_evaluation_is_a_process_that_can_be_left(
    finished: Any,
    open_runs: Any,
    runs_dir: Path,
    until: Any,
    screen_text: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    run = finished("one")
    run.events.write("evaluation", 200, split="validation", warm={"loss": 1.5}, train_loss=1.25)
    codes = iter(
        [
            'print(\'{"loss": 1.75, "tokens": 12345, "baselines": {"uniform": {"loss": 4.5}}}\')',
            "import sys; sys.exit('rnn-tui: error: no such\\x1b corpus')",
            f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)",
        ]
    )
    monkeypatch.setattr(runs_dialogs, "evaluation_command", lambda path: [sys.executable, "-c", next(codes)])
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_runs(pilot, 1)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, Evaluation) and "1.500" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "1.7500" in screen_text(app))
        assert "12,345" in screen_text(app)
        assert "baselines: uniform" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: "no such␛ corpus" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text() != "")
        child = int((tmp_path / "pid").read_text())
        await pilot.press("escape")
        await until(pilot, lambda: not Path(f"/proc/{child}").exists())
        assert app.is_running
