"""Answers that are none, and keys pressed faster than a screen goes: each cost the app its life once."""

import contextlib

import pytest
from payloads import ARGUMENTS, misshown
from textual.app import App
from textual.widgets import OptionList

from rnn_tui.errors import RnnTuiError, UsageError
from rnn_tui.preferences import Preferences
from rnn_tui.tui.app import RnnTuiApp
from rnn_tui.tui.dialogs import Confirm
from rnn_tui.tui.jump import Jump
from rnn_tui.tui.keys import bind, check_keymap, named
from rnn_tui.tui.panes.inspect_answers import Part
from rnn_tui.tui.panes.inspect_units import unit_named
from rnn_tui.tui.panes.prompt_commands import read_count
from rnn_tui.tui.panes.prompt_files import _path
from rnn_tui.tui.panes.prompt_model import resolve_model
from rnn_tui.tui.panes.runs_rows import fitting
from rnn_tui.tui.panes.train_dialogs import ChooseRuns
from rnn_tui.tui.widgets.token_lines import wrap


@pytest.mark.parametrize("text", [*ARGUMENTS, "a\0b", "a\ud83d"])
def test_an_answer_that_is_none_is_refused(text, tmp_path):
    """In a sentence; any other exception ends the app."""
    for read in (
        lambda: resolve_model(text, tmp_path / "none"),
        lambda: read_count(text, 5, 9),
        lambda: unit_named(text, [Part("layer 1 h", 1, 8)], "layer 1 h"),
        lambda: _path(text, "/file FILE"),
    ):
        with contextlib.suppress(RnnTuiError):
            read()


def test_numbers_that_python_does_not_read():
    assert read_count("3 of it", 5, 9) == (3, "of it")
    assert read_count("--5", 5, 9) == (5, "--5")
    for text in ("9" * 5000, "-1", "0"):
        with pytest.raises(UsageError, match="from 1 to 9"):
            read_count(text, 5, 9)


def test_a_folder_that_is_gone(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert str(_path("/a", "")) == "/a"
    with pytest.raises(UsageError, match="is gone"):
        _path("a", "")


@pytest.mark.parametrize("key", ["\ufeffx", "\x1b[2J", "a b", "x" * 41, "\u202e", "e\u0301", "\n"])
def test_a_key_that_is_none_reaches_no_footer(key):
    tables = {"app": named("app", [bind("f1", "help", "Help", "Help")])}
    usable, told = check_keymap({"app.help": key}, tables)
    assert usable == {}
    assert len(told) == 1
    for good in ("f2", "ctrl+k", "question_mark", "?", "ä", "é", "upper_a,ctrl+shift+x"):
        assert check_keymap({"app.help": good}, tables) == ({"app.help": good}, [])


def test_marks_of_many_tokens_do_not_stack():
    pieces = [("e", 0, 1, False), *(("\u0301", i, 1, False) for i in range(1, 60))]
    for look in ("shades", "plain"):
        (row,) = wrap(pieces, 40, look)
        text = "".join(text for text, _ in row.line(range(0)))
        assert text == "e" + "\u0301" * 8
        assert misshown(text) == []
    (row,) = wrap([("é", 0, 1, False), ("深", 1, 1, False)], 40, "shades")
    assert row.line(range(0)) == (("é", "even"), ("深", "odd"))


def test_a_table_of_no_width_keeps_a_column():
    assert [column.key for column in fitting(0)] == ["name"]


@pytest.mark.usefixtures("patient_pilot")
async def test_two_keys_close_one_dialog():
    """The second of two that come before the first has acted closes nothing, and no screen below."""
    app = App()
    async with app.run_test() as pilot:
        for low, high in ((Confirm("a"), Confirm("b")), (Confirm("a"), Jump([]))):
            await app.push_screen(low)
            await app.push_screen(high)
            high.dismiss(None)
            high.dismiss(None)
            await pilot.pause()
            assert app.screen is low
            low.dismiss(None)
            low.dismiss(None)
            await pilot.pause()
            assert len(app.screen_stack) == 1


@pytest.mark.usefixtures("patient_pilot")
async def test_page_keys_right_after_the_options(tmp_path, monkeypatch):
    """And a cut of nothing leaves the clipboard alone."""
    for name in ("STATE", "CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"RNN_TUI_{name}_DIR", str(tmp_path / name.lower()))
    app = RnnTuiApp(tmp_path / "runs", preferences=Preferences())
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(ChooseRuns("a", {str(n): "" for n in range(30)}, [], 8))
        options = app.screen.query_one(OptionList)
        await pilot.pause()
        options.set_options([str(n) for n in range(30)])
        options.highlighted = 3
        options.action_page_down()
        await pilot.pause()
        options.action_page_down()
        assert options.highlighted > 3
        app.copy_to_clipboard("")
        assert not (tmp_path / "state" / "copied.txt").exists()
