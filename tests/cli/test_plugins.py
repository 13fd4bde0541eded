"""`rnn-tui plugins`, `--plugins-dir`, and what commands say of a plugin that is not there or broken."""

import json
import os
import subprocess
import sys

import pytest
from safetensors import safe_open

from rnn_tui.cli.root import cli as command
from rnn_tui.paths import settings_file
from rnn_tui.plugin.installing import install_command, uninstall_command

TOKENIZER = """
import os
from rnn_tui.plugin import Tokenizer
from rnn_tui_text.byte import ByteTokenizer
with open(os.environ["MARK"], "a") as mark:
    mark.write(f"{os.getpid()}\\n")
class Good(ByteTokenizer, Tokenizer):
    "A good one."
"""
BAD = {
    "import-error": "from os import nothing_like_it",
    "os-error": "raise OSError('libodbc.so: cannot open shared object file')",
    "exits": "import sys; sys.exit(0)",
    "crashes": "import ctypes; ctypes.string_at(0)",
    "meddles": "import sys, warnings\nsys.stdout = sys.stderr = None\nwarnings.simplefilter('error')",
    "storm": "import warnings\nfor i in range(3000): warnings.warn(f'no end {i}')",
    "first": "",
    "second": "",
}
"""Packages by name, and what stands before their class; the last two claim one name, and `exits` claims one of ours."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with one single file, `my_own.py`, that notes by which process it is imported."""
    path = tmp_path / "cells"
    path.mkdir()
    (path / "my_own.py").write_text(TOKENIZER)
    monkeypatch.setenv("MARK", str(tmp_path / "mark"))
    monkeypatch.setenv(
        "RNN_TUI_PLUGINS_DIR", ""
    )  # which --plugins-dir then replaces, and this fixture puts back
    return path


def package(site, name, source, *, plugin=None):
    module = name.replace("-", "_")
    (site / f"{module}.py").write_text(source)
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[rnn_tui.tokenizers]\n{plugin or name} = {module}:Good\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of packages, on the path of this process and of those that it starts."""
    path = tmp_path / "site"
    path.mkdir()
    monkeypatch.syspath_prepend(str(path))
    monkeypatch.setenv("PYTHONPATH", str(path))
    return path


# ------------------------------------------------------------------------------------------------ list and show

CODE = """
import json, os, sys
from rnn_tui.cli.root import run
code = run(sys.argv[1:])
found = [name for name in sys.modules if name.startswith(("rnn_tui_file_", "rnn_tui_text", "healthy"))]
print(json.dumps({"pid": os.getpid(), "code": code, "found": found}), file=sys.stderr)
"""


def test_the_process_that_lists_imports_no_plugin(folder, site, tmp_path, monkeypatch):
    package(site, "healthy", TOKENIZER)
    monkeypatch.setenv(
        "RNN_TUI_PLUGINS", "plugins-dir,healthy"
    )  # ours would have the other process load torch
    for _ in range(2):  # the second time from the cache, where nobody imports them
        done = subprocess.run(
            [sys.executable, "-c", CODE, "--plugins-dir", folder, "plugins", "list", "--json"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        about = json.loads(done.stderr)
        assert (about["code"], about["found"]) == (0, [])
        assert {"healthy", "my-own"} <= {row["name"] for row in json.loads(done.stdout)}
        imported_by = (tmp_path / "mark").read_text().split()
        assert len(imported_by) == 2
        assert str(about["pid"]) not in imported_by


def test_a_row_says_all_of_a_plugin(cli, folder):
    (folder / "torn.py").write_text("x = (")
    rows = {row["name"]: row for row in cli("--plugins-dir", str(folder), "plugins", "list", "--json").json}
    keys = "kind name package version class file editable form summary doc options error advice clash changes install"
    assert all(list(row) == keys.split() for row in rows.values())
    own, torn, lstm = rows["my-own"], rows["torn"], rows["nn-lstm"]
    assert (own["kind"], own["form"], own["package"]) == ("tokenizer", "Tokenizer", "plugins-dir")
    assert (own["file"], own["class"]) == (str(folder / "my_own.py"), "my_own.py:Good")
    assert own["version"].startswith("sha256:")
    assert own["install"] == f"rnn-tui --plugins-dir {folder}"
    assert (own["error"], own["advice"], own["clash"], own["changes"]) == (None, None, None, None)
    assert (torn["kind"], torn["error"]) == ("unknown", "line 1: SyntaxError: '(' was never closed")
    assert torn["advice"] == f"mend {folder / 'torn.py'}, or leave it out with a name that begins with _"
    assert (lstm["package"], lstm["install"]) == ("rnn-tui", install_command("rnn-tui"))
    assert lstm["file"].endswith(f"{os.sep}rnn_tui_torch{os.sep}numpy_steps.py")
    assert (own["editable"], torn["editable"]) == (False, False)
    text = cli("--plugins-dir", str(folder), "plugins", "list").out
    assert "file my_own.py" in text
    assert "SyntaxError: '(' was never closed; mend " in text
    shown = cli("--plugins-dir", str(folder), "plugins", "show", "torn")
    assert shown.code == 0
    assert f"file     {folder / 'torn.py'}" in shown.out
    assert not shown.out.endswith("\n\n")


def test_broken_packages_change_nothing_but_their_own_rows(cli, site):
    good = TOKENIZER.replace('open(os.environ["MARK"], "a")', "open(os.devnull)").replace("mark.write", "str")
    package(site, "healthy", good)
    before = cli("plugins", "list", "--json").json
    shown = cli("plugins", "show", "lstm", "--json").json
    for name, line in BAD.items():
        plugin = {"first": "same", "second": "same", "exits": "char"}.get(name)
        package(site, name, f"{line}\n{good}", plugin=plugin)
    rows = cli("plugins", "list", "--json").json
    assert [row for row in rows if row["package"] not in BAD] == before
    assert cli("plugins", "show", "lstm", "--json").json == shown
    theirs = {row["package"]: row for row in rows if row["package"] in BAD}
    assert [name for name, row in theirs.items() if row["changes"]] == ["meddles"]
    works = {name for name, row in theirs.items() if row["error"] is None}
    assert works == {"meddles", "storm", "first", "second"}
    assert {name: row["name"] for name, row in theirs.items() if row["clash"]} == {
        "first": "first:same",
        "second": "second:same",
        "exits": "exits:char",
    }
    assert theirs["import-error"]["advice"].endswith(f"install it again: {install_command('import-error')}")
    assert theirs["os-error"]["advice"] == (
        "it needs the system library libodbc.so, which is missing here; install what has it"
    )
    assert theirs["crashes"]["advice"] == (
        f"tell the author of crashes, or take it out: {uninstall_command('crashes')}; it harms nothing else"
    )
    text = cli("plugins", "list").out
    assert "SIGSEGV" in text
    assert cli("plugins", "show", "healthy").code == 0


# ------------------------------------------------------------------------------------------------ the option


def test_the_option_the_variable_and_the_file(cli, folder, monkeypatch, tmp_path):
    def dir_and_origin(*options):
        found = cli(*options, "config", "show", "--json").json["plugins.dir"]
        return found["value"], found["origin"]

    assert dir_and_origin() == ("", "RNN_TUI_PLUGINS_DIR")
    monkeypatch.delenv("RNN_TUI_PLUGINS_DIR")
    assert dir_and_origin() == ("", "default")
    file = settings_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"[plugins]\ndir = '{folder}'\n")
    assert dir_and_origin() == (str(folder), str(file))
    assert cli("plugins", "show", "my-own").code == 0
    assert cli("--no-plugins", "plugins", "show", "my-own").code == 2
    monkeypatch.delenv("RNN_TUI_PLUGINS")
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("RNN_TUI_PLUGINS_DIR", "other")
    assert dir_and_origin() == (str(tmp_path / "other"), "RNN_TUI_PLUGINS_DIR")
    assert dir_and_origin("--plugins-dir", "cells") == (str(folder), "--plugins-dir")
    assert os.environ["RNN_TUI_PLUGINS_DIR"] == str(folder)  # absolute, for a process elsewhere


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--plugins-dir", "nowhere", "plugins", "list"], "--plugins-dir: there is no folder nowhere"),
        (["--no-plugins", "--plugins-dir", "cells", "plugins", "list"], "give one of the two"),
        (["train", "x", "--plugins-dir", "cells"], "stands before the command: rnn-tui --plugins-dir …"),
        (["--plugins-dir", "cells", "plugins", "show", "my-onn"], "did you mean 'my-own'?"),
        (["plugins", "show", "plugins-dir:a-b"], "name the folder of a_b.py by rnn-tui --plugins-dir DIR"),
        (["train", "stdlib", "--arch", "mgu.py"], "its folder is given with --plugins-dir"),
        (["train", "stdlib", "--tokenizer", "plugins-dir:my-own"], "name the folder of my_own.py by"),
        (["train", "stdlib", "--arch", "rnn-tui-mgu:mgu"], f"install it with: {install_command('rnn-tui-mgu')}"),
        (["train", "stdlib", "--arch", "rnn-tui:mgu"], "is installed without it; another version may have it"),
        (["train", "stdlib", "--arch", "-r x:mgu"], "no package can have that name"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_to_do(cli, folder, arguments, says):
    done = cli(*arguments)
    assert done.code == 2
    assert says in done.refusal


def test_a_broken_file_is_named_where_it_is_asked_for(cli, folder):
    (folder / "torn.py").write_text("\nx = (")
    for option in ("--arch", "--tokenizer"):
        done = cli("--plugins-dir", str(folder), "train", "stdlib", option, "torn")
        assert done.code == 8
        assert done.refusal.endswith("plugin torn (file torn.py): line 2: SyntaxError: '(' was never closed")


def test_the_shell_completes_the_names_of_files(folder, monkeypatch):
    from click.shell_completion import ShellComplete

    def completed(*arguments, incomplete):
        shell = ShellComplete(command, {}, "rnn-tui", "_RNN_TUI_COMPLETE")
        return [item.value for item in shell.get_completions(list(arguments), incomplete)]

    assert completed("plugins", "show", incomplete="my-") == []
    assert completed("--plugins-dir", str(folder), "plugins", "show", incomplete="my-") == ["my-own"]


def test_doctor_names_the_folder_and_what_is_broken(folder, monkeypatch):
    from rnn_tui.cli.doctor import plugins

    monkeypatch.setenv("RNN_TUI_PLUGINS_DIR", str(folder))
    (folder / "torn.py").write_text("x = (")
    checks = {check.name: check for check in plugins()}
    assert "my-own" in checks["plugins"].value
    assert checks["plugin"] == (
        "plugin",
        "problem",
        "plugin torn (file torn.py): line 1: SyntaxError: '(' was never closed",
        f"mend {folder / 'torn.py'}, or leave it out with a name that begins with _",
    )
    assert checks["plugins dir"].value == f"{folder}, by RNN_TUI_PLUGINS_DIR"


def test_a_package_of_ones_own_is_to_be_mended_where_it_lies(cli, site):
    package(site, "mine", f"{TOKENIZER})\n")
    about = {"url": f"file://{site}/my%20folder", "dir_info": {"editable": True}}
    (site / "mine-1.0.dist-info" / "direct_url.json").write_text(json.dumps(about))
    [row] = cli("plugins", "show", "mine", "--json").json
    assert (row["file"], row["editable"]) == (str(site / "mine.py"), True)
    assert row["error"].endswith(f"SyntaxError: unmatched ')' in line 9 of {site / 'mine.py'}: )")
    assert row["advice"] == f"mend it in {site}/my folder, or take it out: {uninstall_command('mine')}"
    assert row["install"] == install_command("--editable", f"{site}/my folder")
    shown = cli("plugins", "show", "mine").out
    assert f"file       {site / 'mine.py'} (editable)" in shown
    assert not shown.endswith("\n\n")
    (site / "mine.py").write_text("import nowhere_at_all")
    [row] = cli("plugins", "show", "mine", "--json").json
    assert row["advice"] == "it needs the module nowhere_at_all, which is missing here; install what has it"


@pytest.mark.slow
def test_a_run_is_the_same_beside_broken_packages(shell, corpus, tiny, site):
    """Weights, completion and score, bit for bit, with bad plugins installed for every kind and without."""
    good = TOKENIZER.replace('open(os.environ["MARK"], "a")', "open(os.devnull)").replace("mark.write", "str")

    def outcome(name):
        flags = ["--steps", "20", "--foreground", "--engine", "loop", "--name", name, *tiny]
        assert shell("train", "fox.txt", *flags).code == 0
        with safe_open(corpus.parent / "runs" / name / "model.safetensors", "numpy") as file:
            weights = {key: file.get_tensor(key).tobytes() for key in file.keys()}  # noqa: SIM118  it is no mapping
        evaluated = shell("eval", name, "fox.txt", "--json").json["perplexity"]
        return weights, shell("prompt", name, "the ", "--seed", "1", "--length", "40").out, evaluated

    alone = outcome("alone")
    for name, line in (BAD | {"hangs": "import time; time.sleep(1000)"}).items():
        package(site, name, f"{line}\n{good}")
    assert outcome("beside") == alone
