"""Plugins of one file: what a file is to be is read from its text, and nothing of it runs before it is asked for."""

import os
import sys

import pytest

from rnn_tui.paths import settings_file
from rnn_tui.plugin import single_file
from rnn_tui.plugin.registry import find_plugin, list_plugins, remedy
from rnn_tui.plugin.single_file import VARIABLE, Folder, plugins_folder

CELL = "from rnn_tui.plugin import Cell\nclass Good(Cell): ...\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of single files, and no other plugin."""
    path = tmp_path / "cells"
    path.mkdir()
    monkeypatch.setenv(VARIABLE, str(path))
    monkeypatch.setenv("RNN_TUI_PLUGINS", "plugins-dir")
    return path


def listed():
    return [(info.kind, info.name, info.target) for info in list_plugins()]


# ------------------------------------------------------------------------------------------------ what is in a file


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (CELL, [("architecture", "Good")]),
        ("from rnn_tui.plugin import Core as C\nclass A(C): ...", [("architecture", "A")]),
        ("import rnn_tui.plugin as p\nclass A(object, p.Tokenizer): ...", [("tokenizer", "A")]),
        ("from rnn_tui.plugin import *\nclass A(NumpyStep): ...", [("numpy-step", "A")]),
        ("import rnn_tui.plugin\nclass Cell(rnn_tui.plugin.Cell): ...", [("architecture", "Cell")]),
        (CELL + "class Better(Good): ...", [("architecture", "Better")]),
        (CELL + "class _Draft(Cell): ...\nclass Other: ...", [("architecture", "Good")]),
        (
            "from rnn_tui.plugin import Cell, NumpyStep\nclass A(Cell): ...\nclass B(NumpyStep): ...",
            [("architecture", "A"), ("numpy-step", "B")],
        ),
        # one that inherits from what the text does not show names the interface too
        (
            "from lib import LSTM\nfrom rnn_tui.plugin import Cell\nclass A(LSTM, Cell): ...",
            [("architecture", "A")],
        ),
        (b"# -*- coding: latin-1 -*-\n" + CELL.encode() + b"# \xe9", [("architecture", "Good")]),
        (b"\xef\xbb\xbf" + CELL.encode(), [("architecture", "Good")]),
        (
            CELL + "x = '\\d' is 3",
            [("architecture", "Good")],
        ),  # the parser warns, and warnings are errors here
    ],
)
def test_the_class_is_found_in_the_text(folder, source, found):
    (folder / "my_own.py").write_bytes(source.encode() if isinstance(source, str) else source)
    assert listed() == [(kind, "my-own", f"my_own.py:{name}") for kind, name in found]
    assert all(info.error is None and info.file == str(folder / "my_own.py") for info in list_plugins())


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("x = (", r"line 1: SyntaxError: '(' was never closed"),
        ("\0", "null bytes"),
        (b"\xff\xfe", "line 1: SyntaxError: (unicode error)"),
        ("# coding: nonsense", "unknown encoding: nonsense"),
        ("", "no class in it has Cell, Core, Tokenizer, NumpyStep of rnn_tui.plugin as a base"),
        ("class Cell: ...", "no class in it"),
        ("from other import Cell as C\nclass A(C): ...", "no class in it"),
        ("def f():\n  from rnn_tui.plugin import Cell\n  class A(Cell): ...", "no class in it"),
        (
            CELL + "class Bad(Cell): ...",
            "it has 2 classes for one architecture: Good in line 2 and Bad in line 3",
        ),
        ("from ._helpers import x\n" + CELL, "line 1 imports from beside it, and a plugin of one file"),
        ("a." * 100_000 + "b", "it is nested too deeply"),
        ("x = 1\n" * 100_000, "it has more than 262,144 bytes"),
    ],
)
def test_a_file_that_is_no_plugin_is_a_row_with_its_error(folder, source, error):
    (folder / "bad.py").write_bytes(source.encode() if isinstance(source, str) else source)
    (folder / "good.py").write_text(CELL)
    rows = {info.name: info for info in list_plugins()}
    assert set(rows) == {"bad", "good"}
    assert error in rows["bad"].error
    assert rows["good"].error is None


def test_what_is_no_file_of_its_own_is_a_row_or_nothing(folder):
    for name in ("_helpers.py", "__init__.py", ".hidden.py", "notes.txt", "good.py"):
        (folder / name).write_text(CELL)
    (folder / "folder.py").mkdir()
    os.mkfifo(folder / "pipe.py")
    (folder / "zero.py").symlink_to("/dev/zero")
    (folder / "gone.py").symlink_to("nowhere")
    (folder / "round.py").symlink_to("round.py")
    (folder / "link.py").symlink_to("good.py")
    rows = {info.name: info.error for info in list_plugins()}
    assert rows == {
        "good": None,
        "link": None,
        "folder": "it cannot be read: Is a directory",
        "gone": "it cannot be read: No such file or directory",
        "pipe": "it is no regular file",
        "round": "it cannot be read: Too many levels of symbolic links",
        "zero": "it is no regular file",
    }


def test_an_unreadable_file_is_a_row(folder, monkeypatch):
    (folder / "secret.py").write_text(CELL)

    def refused(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(single_file, "_read", refused)
    assert list_plugins()[0].error == "it cannot be read: Permission denied"


@pytest.mark.parametrize(
    "name", [b"odd name", b"esc\x1b[31m", b"\xff", "ünïcode".encode(), b"n" * 65, b"a.b", b"-x"]
)
def test_a_file_name_that_could_do_harm_is_an_error(folder, name):
    with open(os.path.join(os.fsencode(folder), name + b".py"), "w") as file:
        file.write(CELL)
    [info] = list_plugins()
    assert (info.kind, info.name) == ("unknown", "?")
    assert "cannot name a plugin; use up to 64 letters" in info.error
    assert info.error.isprintable()
    (info.error + info.file).encode()


def test_two_files_for_one_name(folder):
    (folder / "my-cell.py").write_text(CELL)
    (folder / "my_cell.py").write_text(CELL)
    assert [(info.name, info.error) for info in list_plugins()] == [
        ("my-cell", None),
        ("my-cell", "my-cell.py gives the same name"),
    ]
    assert find_plugin("architecture", "my-cell").target == "my-cell.py:Good"


def test_a_folder_of_scripts_is_cut_short(folder, monkeypatch):
    monkeypatch.setattr(single_file, "MOST", 2)
    for name in "abc":
        (folder / f"{name}.py").write_text(CELL)
    assert [info.name for info in list_plugins()] == ["a", "b", "?"]
    assert list_plugins()[2].error == f"{folder} has 3 files of Python; those after the first 2 are left out"


def test_nothing_is_run_and_nothing_is_written(folder, tmp_path):
    (folder / "eager.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')\n" + CELL)
    before = set(sys.modules)
    assert find_plugin("architecture", "eager").error is None
    assert not (tmp_path / "mark").exists()
    assert [name for name in set(sys.modules) - before if "eager" in name] == []
    assert os.listdir(folder) == ["eager.py"]


# ------------------------------------------------------------------------------------------------ the folder


def test_where_the_folder_comes_from(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert plugins_folder() == Folder(None, "")
    file = settings_file()
    file.parent.mkdir(parents=True)
    (file.parent / "mine").mkdir()
    file.write_text('[plugins]\ndir = "mine"\n')  # relative: from the file, wherever one is
    assert plugins_folder() == Folder(file.parent / "mine", str(file))
    monkeypatch.setenv("HOME", str(file.parent))
    file.write_text('[plugins]\ndir = "~/mine"\n')
    assert plugins_folder() == Folder(file.parent / "mine", str(file))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs").mkdir()
    monkeypatch.setenv(VARIABLE, "theirs")
    assert plugins_folder() == Folder(tmp_path / "theirs", VARIABLE)
    monkeypatch.setenv(VARIABLE, "")  # none, whatever the file says
    assert plugins_folder() == Folder(None, VARIABLE)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[plugins]\ndir = 3", "plugins.dir in {} must be the path of a folder"),
        ("plugins = 3", "plugins.dir in {} must be the path of a folder"),
        ("[plugins]\ndirs = 'x'", "{} sets plugins.dirs, which there is not; plugins.dir there is"),
        ("[plugins]\ndir = '/nowhere/at/all'", "/nowhere/at/all of {} is no folder"),
    ],
)
def test_a_folder_that_is_wrong_is_a_row_and_takes_nothing_away(monkeypatch, text, fault):
    monkeypatch.delenv(VARIABLE, raising=False)
    file = settings_file()
    file.parent.mkdir(parents=True)
    ours = list_plugins()
    file.write_text(text)
    *others, row = list_plugins()
    assert others == ours
    assert (row.kind, row.name, row.error) == ("unknown", "?", fault.format(file))


def test_a_folder_whose_name_no_json_could_hold(tmp_path, monkeypatch):
    path = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(path)
    monkeypatch.setenv(VARIABLE, os.fsdecode(path))
    assert "is not UTF-8" in list_plugins()[-1].error


@pytest.mark.parametrize("switch", ["", "rnn-tui", "nobody"])
def test_the_switch_turns_them_off_too(folder, monkeypatch, switch):
    (folder / "good.py").write_text(CELL)
    (folder / "bad.py").write_text("x = (")
    monkeypatch.setenv("RNN_TUI_PLUGINS", switch)
    assert [info for info in list_plugins() if not info.ours] == []


def test_what_is_said_of_one_that_is_not_there(folder, monkeypatch):
    named = "name the folder of my_cell.py by rnn-tui --plugins-dir DIR"
    assert remedy("plugins-dir", "my-cell") == f"{named} (there is none in {folder})"
    monkeypatch.setenv(VARIABLE, "")
    assert remedy("plugins-dir", "my-cell") == named
    monkeypatch.setenv("RNN_TUI_PLUGINS", "")
    assert remedy("plugins-dir", "my-cell") == "RNN_TUI_PLUGINS (or --no-plugins) leaves it out"
