"""Importing a single file: by its path, under a name of its own, and what it says when that fails."""

import inspect
import json
import os
import sys

import pytest

from rnn_tui.errors import PluginError, UsageError
from rnn_tui.plugin import loading
from rnn_tui.plugin.describe import describe_plugins
from rnn_tui.plugin.loading import blamed
from rnn_tui.plugin.registry import find_plugin, list_plugins, load_plugin, plugin_record, recorded_name
from rnn_tui.plugin.single_file import VARIABLE

TOKENIZER = """
from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from rnn_tui.plugin import Meta, Tokenizer
from rnn_tui_text.byte import ByteTokenizer


class Good(ByteTokenizer, Tokenizer):
    "A good one."

    @dataclass(frozen=True)
    class Options:
        size: Annotated[int, Meta(ge=1, le=9, description="How big.")] = 4

    @property
    def vocab_size(self):
        return int("many")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of single files, with `good.py` in it, and a place for packages beside it."""
    path = tmp_path / "cells"
    path.mkdir()
    (path / "good.py").write_text(TOKENIZER)
    monkeypatch.setenv(VARIABLE, str(path))
    monkeypatch.setattr(loading, "_loaded", {})
    before = set(sys.modules)
    yield path
    for name in set(sys.modules) - before:
        if name.startswith("rnn_tui_file_"):
            del sys.modules[name]


def test_it_loads_from_its_path_alone(folder):
    path = list(sys.path)
    plugin = load_plugin("tokenizer", "good")
    assert (plugin.__doc__, plugin.Options().size) == (
        "A good one.",
        4,
    )  # its annotations are text: looked up by module
    info = find_plugin("tokenizer", "good")
    assert plugin.__module__ == info.module == f"rnn_tui_file_good_{info.version.removeprefix('sha256:')}"
    assert sys.modules[plugin.__module__].Good is plugin
    assert inspect.getsource(plugin) in TOKENIZER
    assert load_plugin("tokenizer", "plugins-dir:good") is plugin
    assert sys.path == path
    assert os.listdir(folder) == ["good.py"]  # no bytecode, which a change within a second would not outdate


def test_what_is_noted_of_it(folder):
    import hashlib

    record = plugin_record("tokenizer", "good")
    digest = hashlib.sha256(TOKENIZER.encode()).hexdigest()[:12]
    assert record == {"name": "good", "distribution": "plugins-dir", "version": f"sha256:{digest}"}
    assert recorded_name(record) == "plugins-dir:good"


def test_a_changed_file_is_another_plugin_and_the_old_one_is_what_it_was(folder):
    old = load_plugin("tokenizer", "good")
    (folder / "good.py").write_text(
        TOKENIZER.replace("A good one", "A newer one")
    )  # of one length, in one second
    new = load_plugin("tokenizer", "good")
    assert (old.__doc__, new.__doc__) == ("A good one.", "A newer one.")
    assert old.__module__ != new.__module__


def test_what_is_run_is_what_was_looked_at(folder):
    info = find_plugin("tokenizer", "good")
    (folder / "good.py").write_text("raise SystemExit")
    with pytest.raises(PluginError, match=r"good.py was changed in this moment; try again"):
        loading.load_target(info)
    (folder / "good.py").unlink()
    with pytest.raises(PluginError, match="can no longer be read"):
        loading.load_target(info)
    assert info.module not in sys.modules


@pytest.mark.parametrize("name", ["json", "numpy", "rnn_tui", "site"])
def test_a_file_shadows_no_module(folder, name):
    (folder / f"{name}.py").write_text(TOKENIZER)
    was = sys.modules.get(name)
    assert load_plugin("tokenizer", name.replace("_", "-")).__doc__ == "A good one."
    assert sys.modules.get(name) is was
    assert json.__file__.startswith(os.path.dirname(os.__file__))


def test_a_file_takes_no_name_from_others(folder, installed):
    (folder / "char.py").write_text(TOKENIZER)
    (folder / "zippy.py").write_text(TOKENIZER)
    installed("other-dist", tokenizer="zippy")
    installed("plugins-dir", tokenizer="fine")  # no package passes for the folder
    infos = {info.name: info for info in list_plugins("tokenizer")}
    assert set(infos) == {
        "byte",
        "char",
        "good",
        "word",
        "plugins-dir:char",
        "plugins-dir:zippy",
        "other-dist:zippy",
    }
    assert infos["char"].ours
    assert infos["plugins-dir:char"].clash.startswith("the name char belongs to rnn-tui ")
    with pytest.raises(UsageError, match="several packages claim the tokenizer 'zippy'"):
        find_plugin("tokenizer", "zippy")
    assert load_plugin("tokenizer", "plugins-dir:zippy").__module__.startswith("rnn_tui_file_zippy_")


def test_one_that_is_asked_for_as_what_it_is_not(folder):
    with pytest.raises(
        UsageError, match=r"there is no architecture 'good' .*tokenizer good \(file good.py\)$"
    ):
        find_plugin("architecture", "good")
    (folder / "torn.py").write_text("\nx = (")
    for kind in ("architecture", "tokenizer"):
        with pytest.raises(PluginError, match=r"^plugin torn \(file torn.py\): line 2: SyntaxError: '\('"):
            find_plugin(kind, "torn")
    with pytest.raises(UsageError, match=r"the name of a single file is without .py"):
        find_plugin("tokenizer", "good.py")


def test_each_failure_is_its_own_row_and_names_the_line(folder, monkeypatch):
    monkeypatch.setenv("RNN_TUI_PLUGINS", "plugins-dir")
    head = "from rnn_tui.plugin import Tokenizer\n"
    tail = "\nclass Good(Tokenizer):\n    api_version = 1\n"
    (folder / "_helpers.py").write_text("x = 1")
    for name, line in {
        "raises": "import nowhere_at_all",
        "helper": "import _helpers",
        "exits": "raise SystemExit('goodbye')",
        "crashes": "import ctypes; ctypes.string_at(0)",
        "hangs": "import time; time.sleep(1000)",
        "storm": "import warnings\nfor i in range(3000): warnings.warn(f'no end {i}')",
        "strict": "import warnings; warnings.simplefilter('error')",
        "stdout": "import sys; sys.stdout = None",
    }.items():
        (folder / f"{name}.py").write_text(head + line + tail)
    (folder / "late.py").write_text(head + tail + "return 3\n")
    (folder / "old.py").write_text((head + tail).replace("= 1", "= 2"))
    found = {one.info.name: one for one in describe_plugins(timeout=4)}
    errors = {name: one.error for name, one in found.items() if one.error}
    assert errors == {
        "raises": "importing raises.py:Good failed in line 2: ModuleNotFoundError: No module named 'nowhere_at_all'",
        "helper": "importing helper.py:Good failed in line 2: ModuleNotFoundError: No module named '_helpers'",
        "exits": "importing exits.py:Good failed in line 2: SystemExit: goodbye",
        "crashes": "its import ended the process (SIGSEGV)",
        "hangs": "its import takes longer than 4 s",
        "late": "importing late.py:Good failed: SyntaxError: 'return' outside function in line 5 of "
        f"{folder / 'late.py'}: return 3",
        "old": "written for plugin interface 2, this rnn-tui has 1; install versions that go together",
    }
    assert all(found[name].advice.startswith(f"mend {folder / name}.py, or") for name in errors)
    assert {name: one.changes for name, one in found.items() if one.changes} == {
        "strict": "its import changes the filters of warnings; rnn-tui undoes what it can",
        "stdout": "its import changes the interpreter (stdout); rnn-tui undoes what it can",
    }
    assert {"good", "storm"} == {name for name, one in found.items() if not one.remark}


def test_what_goes_wrong_later_is_blamed_on_its_line(folder):
    tokenizer = load_plugin("tokenizer", "good").from_state({})
    with pytest.raises(ValueError, match="many") as caught:
        _ = tokenizer.vocab_size
    line = TOKENIZER.split("\n").index('        return int("many")') + 1
    assert str(blamed(caught.value)) == (
        f"tokenizer good (file good.py): ValueError: invalid literal for int() with base 10: 'many' in line {line}"
    )
