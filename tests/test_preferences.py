"""The section [app] of the settings file: what is read, what is told, what is written."""

import os
import tomllib

import pytest

from rnn_tui.errors import InputError
from rnn_tui.paths import settings_file
from rnn_tui.preferences import Preferences, prepare_environment, read, with_setting, write


def put(text):
    settings_file().parent.mkdir(parents=True, exist_ok=True)
    settings_file().write_text(text)


def test_the_environment_is_stronger_than_the_file():
    put('[app]\ntheme = "nord"\nfps = 30\nmouse = false\n[app.keys]\n"train.pause" = "z"\n')
    chosen, told, origins = read({"RNN_TUI_APP_THEME": "dracula", "RNN_TUI_APP_ASCII": "true"})
    assert chosen == Preferences(theme="dracula", fps=30, mouse=False, ascii=True, keys={"train.pause": "z"})
    assert told == []
    of_file = dict.fromkeys(("fps", "mouse", "keys"), str(settings_file()))
    assert origins == of_file | {"theme": "RNN_TUI_APP_THEME", "ascii": "RNN_TUI_APP_ASCII"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[app]\ncolour = "16"\n', ["there is no setting app.colour; did you mean 'color'?"]),
        ("[app]\nfps = 900\n", ["app.fps is a whole number from 0 up to 60, not '900'"]),
        ('[app]\ncolor = "many"\n', ["app.color is one of auto, truecolor, 256, 16, none, not 'many'"]),
        ("[app]\nkeys = 3\n", ["app.keys is a table of texts, not '3'"]),
        ('app = "x"\n', ["[app] must be a table of settings"]),
        ("[app\n", []),  # a command that reads the whole file says what is wrong with it
        ("", []),
    ],
)
def test_what_is_wrong_is_told_and_left_out(text, expected):
    put(text)
    assert read({}) == (Preferences(), expected, {})


@pytest.mark.parametrize(
    ("environment", "chosen", "expected"),
    [
        ({}, {}, {}),
        ({"SSH_CONNECTION": "1 2 3 4"}, {}, {"TEXTUAL_ANIMATIONS": "none", "TEXTUAL_FPS": "15"}),
        ({"SSH_CONNECTION": "1 2 3 4"}, {"fps": 30}, {"TEXTUAL_ANIMATIONS": "none", "TEXTUAL_FPS": "30"}),
        ({"TEXTUAL_FPS": "9"}, {"fps": 30}, {}),
        ({"TMUX": "x"}, {}, {"TEXTUAL_SMOOTH_SCROLL": "0"}),
        ({}, {"color": "none"}, {"NO_COLOR": "1"}),
        ({}, {"color": "16"}, {"TEXTUAL_COLOR_SYSTEM": "standard"}),
        ({"TERM": "xterm-ghostty"}, {}, {"TEXTUAL_COLOR_SYSTEM": "truecolor"}),
        ({"TERM": "xterm-ghostty", "COLORTERM": "truecolor"}, {}, {}),
        ({"TERM": "xterm-256color"}, {}, {}),
    ],
)
def test_switches_of_textual(environment, chosen, expected):
    after = dict(environment)
    prepare_environment(Preferences(**chosen), after)
    assert {key: after[key] for key in after if key not in environment} == expected


def test_a_setting_is_changed_and_the_rest_of_the_file_stays():
    before = '# mine\n[optim]\nlr = 0.001 # slow\n\n[app] # the app\n# calm\ntheme = "nord"\n\n[app.keys]\na = "b"\n'
    assert with_setting(before, "theme", "dracula") == before.replace('"nord"', '"dracula"')
    assert with_setting(before, "theme", None) == before.replace('theme = "nord"\n', "")
    assert with_setting(before, "fps", 20) == before.replace("# the app\n", "# the app\nfps = 20\n")
    assert with_setting("", "mouse", False) == "[app]\nmouse = false\n"
    assert (
        with_setting("[optim]\nlr = 1.0", "theme", 'a"b') == '[optim]\nlr = 1.0\n\n[app]\ntheme = "a\\"b"\n'
    )
    assert with_setting("[optim]\n", "theme", None) == "[optim]\n"


def test_written_and_read_again():
    put("[optim]\nlr = 0.5\n")
    write("theme", "nord")
    write("smoothing", 0.9)
    assert tomllib.loads(settings_file().read_text()) == {
        "optim": {"lr": 0.5},
        "app": {"theme": "nord", "smoothing": 0.9},
    }
    write("theme", None)
    write("smoothing", None)
    assert read({}) == (Preferences(), [], {})
    assert settings_file().stat().st_mode & 0o077 == 0 or os.name == "nt"


@pytest.mark.parametrize(
    "text", ["[app\n", 'app = {theme = "x"}\n', '[app]\n"theme" = "x"\n', "app.theme = 'x'\n"]
)
def test_a_file_that_only_its_owner_can_change_is_left_alone(text):
    put(text)
    with pytest.raises(InputError, match=r"config\.toml"):
        write("theme", "nord")
    assert settings_file().read_text() == text
