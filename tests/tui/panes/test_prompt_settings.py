"""Settings and slash commands of the prompt pane."""

import pytest

from rnn_tui.errors import UsageError
from rnn_tui.tui.panes.prompt_commands import COMMANDS, help_text, parse_command, read_count
from rnn_tui.tui.panes.prompt_dispatch import HANDLERS
from rnn_tui.tui.panes.prompt_settings import (
    SETTINGS,
    PromptSettings,
    apply_command,
    parse_setting,
    read_settings,
    show_setting,
)

BY_NAME = {setting.name: setting for setting in SETTINGS}


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("temperature", "0.5", 0.5),
        ("temperature", " 0 ", 0.0),
        ("top_k", "40", 40),
        ("top_p", "1", 1.0),
        ("min_p", "0.05", 0.05),
        ("greedy", "on", True),
        ("greedy", "No", False),
        ("seed", "7", 7),
        ("seed", "", None),
        ("seed", "random", None),
        ("length", "1", 1),
        ("stop", "\n\n|END", ("\n\n", "END")),
        ("stop", "", ()),
    ],
)
def test_values_as_typed(name: str, typed: str, value: object) -> None:
    assert parse_setting(BY_NAME[name], typed) == value


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        *[("temperature", text) for text in ("-0.1", "101", "nan", "warm", "")],
        *[("top_k", text) for text in ("1.5", "-1")],
        *[("top_p", text) for text in ("0", "1.01")],
        *[
            ("min_p", "2"),
            ("greedy", "maybe"),
            ("greedy", ""),
            ("seed", "-1"),
            ("length", "0"),
            ("length", "100001"),
        ],
    ],
)
def test_wrong_values_are_refused_in_words(name: str, typed: str) -> None:
    with pytest.raises(UsageError, match=f"^{BY_NAME[name].label} must be "):
        parse_setting(BY_NAME[name], typed)


def test_commands() -> None:
    assert parse_command("/temp 0.8") == ("temp", "0.8")
    assert parse_command("/continue  and then") == ("continue", " and then")
    with pytest.raises(UsageError, match="no command /tepm; did you mean 'temp'"):
        parse_command("/tepm 1")
    settings = apply_command(PromptSettings(), "top-k", "5")
    assert settings == PromptSettings(top_k=5)
    assert apply_command(settings, "greedy", "").greedy is True  # without a value a switch turns over
    assert apply_command(PromptSettings(greedy=True), "greedy", "").greedy is False


def test_what_is_shown_reads_back_as_the_same() -> None:
    settings = PromptSettings(0.25, 40, 0.9, 0.01, True, 12, 5, ("a b", "c"), True)
    for setting in SETTINGS:
        value = getattr(settings, setting.name)
        assert parse_setting(setting, show_setting(value)) == value


def test_the_engine_gets_its_settings_and_no_others() -> None:
    from rnn_tui.inference.config import SamplingConfig, sampling_config

    sent = PromptSettings(top_p=0.5, stop=("x",)).for_engine(9)
    assert sampling_config(sent) == SamplingConfig(
        temperature=0.8, top_p=0.5, seed=9, length=200, stop=("x",)
    )


def test_every_field_of_the_engines_settings_can_be_set() -> None:
    from dataclasses import fields

    from rnn_tui.inference.config import SamplingConfig

    assert {setting.name for setting in SETTINGS} == {field.name for field in fields(SamplingConfig)} | {
        "carry"
    }


def test_help_names_every_command_and_every_command_does_something() -> None:
    assert {command.name for command in COMMANDS} == set(HANDLERS)
    lines = help_text().splitlines()
    assert len(lines) == len(COMMANDS) + len(SETTINGS)
    assert max(map(len, lines)) <= 78  # an 80-column terminal shows it without wrapping
    for command in ("/retry", "/undo", "/branch", "/save", "/batch", "/temp", "/top-k", "/top-p", "/min-p", "/greedy",
                    "/seed", "/length", "/stop", "/carry", "/help"):  # fmt: skip
        assert any(line.startswith(f"{command} ") for line in lines)


def test_a_number_may_stand_before_the_text() -> None:
    assert read_count("3 a b", 5, 9) == (3, "a b")
    assert read_count("a 3", 5, 9) == (5, "a 3")
    assert read_count("", 5, 9) == (5, "")
    for wrong in ("0", "10", "-1 x"):
        with pytest.raises(UsageError, match="must be from 1 to 9"):
            read_count(wrong, 5, 9)


def test_remembered_settings_are_checked() -> None:
    kept = {"temperature": 0.5, "top_k": "many", "stop": ["a"], "colour": "red", "seed": None}
    assert read_settings(kept) == PromptSettings(temperature=0.5, stop=("a",))
    assert read_settings("broken") == PromptSettings()


def test_summary() -> None:
    assert PromptSettings().summary() == "temperature 0.8"
    assert PromptSettings(temperature=0).summary() == "greedy"
    assert PromptSettings(1.0, 40, 0.9, 0.1).summary() == "temperature 1 · top-k 40 · top-p 0.9 · min-p 0.1"
