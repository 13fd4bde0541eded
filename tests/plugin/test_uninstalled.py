"""A plugin that lies in a folder here and was not installed: asked for, its command is told."""

import pytest

from rnn_tui.errors import UsageError
from rnn_tui.plugin.registry import find_plugin

PROJECT = """
[project]
name = "{project}"
version = "0.1"
[project.entry-points."rnn_tui.architectures"]
peephole-lstm = "rnn_tui_peephole_lstm:PeepholeLSTM"
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Return a function that writes a pyproject.toml into a folder of the current one, and the folder itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RNN_TUI_PLUGINS", raising=False)

    def write(folder, text=PROJECT, project="rnn-tui-peephole-lstm"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "pyproject.toml").write_text(text.format(project=project))
        return tmp_path / folder

    return write


def refusal(name="peephole-lstm"):
    with pytest.raises(UsageError) as refused:
        find_plugin("architecture", name)
    return str(refused.value)


@pytest.mark.parametrize("folder", ["rnn-tui-peephole-lstm", "any name"])
def test_a_folder_here_is_told_with_its_command(here, folder):
    here(folder)
    said = refusal()
    assert f"; the folder {folder} here is not installed: " in said
    quoted = f"'./{folder}'" if " " in folder else f"./{folder}"
    assert said.endswith(f" --editable {quoted}")
    assert "did you mean" not in said
    assert f"the folder {folder} here" in refusal("rnn-tui-peephole-lstm:peephole-lstm")


def test_so_is_the_folder_itself(here, monkeypatch):
    monkeypatch.chdir(here("mine"))
    assert "; this folder is not installed: " in refusal()
    assert refusal().endswith(" --editable .")


def test_one_installed_before_it_had_the_plugin_is_to_be_installed_again(here):
    here("older", project="msgspec")
    assert "the folder older here has it, and was installed without it; install it again: " in refusal()


def test_others_are_left_alone(here, monkeypatch):
    here("broken", text="[project")
    here("odd", text='[project]\nname = 3\nentry-points = "x"\n')
    here("another", text=PROJECT.replace("peephole", "other"))
    assert " here " not in refusal()
    assert refusal("nn-lsm").endswith("; did you mean 'nn-lstm'?")
    here("mine")
    monkeypatch.setenv("RNN_TUI_PLUGINS", "rnn-tui")  # it may well be installed
    assert " here " not in refusal()
