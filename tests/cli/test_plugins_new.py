"""`rnn-tui plugins new`: what it prints and refuses. What it writes is in tests/plugin/test_scaffold.py."""

import subprocess
import sys
from pathlib import Path

from click.shell_completion import ShellComplete

from rnn_tui.cli.root import cli as root
from rnn_tui.plugin.registry import list_plugins


def test_the_files_are_data_and_what_to_type_is_narration(cli):
    done = cli("plugins", "new", "peephole-lstm")
    assert done.code == 0
    package = Path("rnn-tui-peephole-lstm")
    files = [Path(line) for line in done.out.splitlines()]
    assert package / "rnn_tui_peephole_lstm/__init__.py" in files
    assert package / "tests/test_peephole_lstm.py" in files
    assert set(files) == {path for path in package.rglob("*") if path.is_file()}
    typed = [line.strip() for line in done.err.splitlines()]
    assert typed[:2] == ["next:", "cd rnn-tui-peephole-lstm"]
    assert "rnn-tui plugins check peephole-lstm" in typed


def test_json_has_the_files_and_what_to_type(cli, tmp_path):
    made = cli("plugins", "new", "pairs", "--kind", "tokenizer", "--into", "there", "--json")
    assert made.err == ""
    assert made.json["class"] == "Pairs"
    assert made.json["kind"] == "tokenizer"
    assert made.json["path"] == "there/rnn-tui-pairs"
    assert all((tmp_path / path).is_file() for path in made.json["files"])
    assert made.json["next"][0] == "cd there/rnn-tui-pairs"


def test_a_single_file_goes_where_such_plugins_are_looked_for(cli, monkeypatch, tmp_path):
    (tmp_path / "cells").mkdir()
    done = cli("--plugins-dir", "cells", "plugins", "new", "sketch", "--single-file", "--json")
    assert [Path(path).name for path in done.json["files"]] == ["sketch.py"]
    assert (tmp_path / "cells/sketch.py").is_file()
    monkeypatch.setenv("RNN_TUI_PLUGINS_DIR", str(tmp_path / "cells"))
    (found,) = [info for info in list_plugins("architecture") if info.name == "sketch"]
    assert found.error is None
    assert found.target == "sketch.py:Sketch"


def test_a_folder_that_is_not_there_is_refused(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("RNN_TUI_PLUGINS_DIR", str(tmp_path / "cells"))
    done = cli("plugins", "new", "sketch", "--single-file")
    assert done.code == 2
    assert "choose another folder with --into" in done.refusal
    assert cli("plugins", "new", "sketch", "--single-file", "--into", "cells").code == 0
    assert (tmp_path / "cells/sketch.py").is_file()


def test_what_is_there_is_refused(cli):
    assert cli("plugins", "new", "mine").code == 0
    again = cli("plugins", "new", "mine")
    assert again.code == 4
    assert "rnn-tui-mine exists already" in again.refusal


def test_a_name_that_is_taken_is_refused(cli, tmp_path):
    done = cli("plugins", "new", "lstm")
    assert done.code == 2
    assert "such as 'my-lstm'" in done.refusal
    assert list(tmp_path.iterdir()) == []


def test_the_shell_completes_kinds():
    def completed(*typed, incomplete):
        found = ShellComplete(root, {}, "rnn-tui", "_RNN_TUI_COMPLETE").get_completions(
            list(typed), incomplete
        )
        return [item.value for item in found]

    assert completed("plugins", "new", "x", "--kind", incomplete="c") == ["cell", "core"]


def test_it_does_not_load_torch(tmp_path):
    """Nor does it import a plugin, which the folder of single files here would tell."""
    (tmp_path / "loud.py").write_text(
        "from rnn_tui.plugin import Cell\nprint('imported')\nclass Loud(Cell): ..."
    )
    program = (
        "import sys; from rnn_tui.cli.root import run\n"
        "assert run(['--plugins-dir', '.', 'plugins', 'new', 'mine']) == 0\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "imported" not in done.stdout
