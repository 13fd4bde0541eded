"""The table of keys: ids, a user's own keys, what clashes."""

from typing import Any

import pytest
from textual.binding import Binding

from rnn_tui.preferences import Preferences
from rnn_tui.tui.app import RnnTuiApp
from rnn_tui.tui.dialogs import Help
from rnn_tui.tui.jump import LETTERS, Jump
from rnn_tui.tui.key_tables import key_tables
from rnn_tui.tui.keys import bind, check_keymap, in_force, named, rows

pytestmark = pytest.mark.usefixtures("no_children")


def table(owner: str = "train") -> list[Binding]:
    made = [
        bind("p", "pause", "Pause", "Pause training"),
        bind("p", "go_on", "Go on", "Go on"),
        bind("left", "move(-1)", "Read out", "To the left"),
        bind("right", "move(1)", "Read out", "To the right"),
        Binding("x", "hidden", "Hidden"),
    ]
    return rows(named(owner, made))


def test_ids_are_owner_and_label_and_go_with_the_key() -> None:
    assert [row.id for row in table()] == ["train.pause", "train.pause", "train.read-out", "train.read-out-2"]


def test_keys_of_a_user() -> None:
    tables = {"train": table(), "app": rows(named("app", [bind("q", "quit", "Quit", "Leave")]))}
    assert check_keymap({"train.pause": "z, f8", "app.quit": "Q"}, tables) == (
        {"train.pause": "z,f8", "app.quit": "Q"},
        [],
    )
    changed = in_force(tables["train"], {"train.pause": "z"})
    assert [row.key for row in changed] == ["z", "z", "left", "right"]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"train.pase": "z"}, "app.keys: there is no 'train.pase'; did you mean 'train.pause'?"),
        ({"train.pause": " "}, "app.keys: train.pause needs a key"),
        (
            {"train.pause": "left"},
            "app.keys: train.pause = 'left' is the key of train.read-out; give that another one",
        ),
        ({"train.pause": "q"}, "app.keys: train.pause = 'q' is the key of app.quit; give that another one"),
        ({"app.quit": "p"}, "app.keys: app.quit = 'p' is the key of train.pause; give that another one"),
    ],
)
def test_keys_that_cannot_be(wanted: dict[str, str], told: str) -> None:
    tables = {"train": table(), "app": rows(named("app", [bind("q", "quit", "Quit", "Leave")]))}
    assert check_keymap(wanted, tables) == ({}, [told])


def test_two_may_change_places() -> None:
    wanted = {"train.read-out": "right", "train.read-out-2": "left"}
    assert check_keymap(wanted, {"train": table(), "app": []}) == (wanted, [])


def test_every_row_of_the_app_has_an_id_of_its_own() -> None:
    for owner, listed in key_tables().items():
        keys: dict[str, set[str]] = {}
        for row in listed:
            assert row.id, (owner, row)
            keys.setdefault(row.id, set()).add(row.key)
        assert all(len(found) == 1 for found in keys.values()), (owner, keys)


async def test_a_key_of_a_user_acts_and_is_shown(runs_dir: Any, until: Any, screen_text: Any) -> None:
    chosen = Preferences(keys={"app.help": "f12", "train.nonsense": "a"}, theme="no-such-theme")
    app = RnnTuiApp(runs_dir, preferences=chosen)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await until(pilot, lambda: "there is no theme 'no-such-theme'" in screen_text(app))
        await until(pilot, lambda: "there is no 'train.nonsense'" in screen_text(app))
        await pilot.press("question_mark")
        await pilot.pause()
        assert not isinstance(app.screen, Help)
        await pilot.press("f12")
        await until(pilot, lambda: isinstance(app.screen, Help))
        shown = [row for _, rows, _ in app.tables() for row in rows if row.action == "help"]
        assert [app.get_key_display(row) for row in shown] == ["f12", "f1"]


async def test_jump_settings_and_undo(runs_dir: Any, until: Any, screen_text: Any) -> None:
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.press("alt+1")
        await until(pilot, lambda: app.current_pane == "corpus")
        await pilot.press("ctrl+g")
        await until(pilot, lambda: isinstance(app.screen, Jump))
        await pilot.pause()
        assert LETTERS[0] in screen_text(app)
        await pilot.press("s")
        await until(pilot, lambda: not isinstance(app.screen, Jump))
        second = app.focused
        await pilot.press("ctrl+g", "escape")
        await until(pilot, lambda: not isinstance(app.screen, Jump))
        assert app.focused is second is not None

        await pilot.press("f9")
        await until(pilot, lambda: "Settings of the app" in screen_text(app))
        field = next(field for field in app.screen.query("Field") if field.info.name == "fps")  # type: ignore[attr-defined]
        field.set_value("99")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "must be a whole number from 0 up to 60" in screen_text(app))
        field.set_value("20")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "Settings of the app" not in screen_text(app))

        taken: list[str] = []
        app.offer_undo("Deleted x", lambda: taken.append("back"))
        await until(pilot, lambda: "Deleted x; u takes it back" in screen_text(app))
        app.action_undo_last()
        app.action_undo_last()
        assert taken == ["back"]
