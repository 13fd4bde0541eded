"""What `plugins new` writes, before any of it is run."""

import ast
import errno
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from rnn_tui import __version__
from rnn_tui.errors import BusyError, DiskError, UsageError
from rnn_tui.plugin.options import option_infos
from rnn_tui.plugin.scaffold import LONGEST, Form, class_name_of, next_commands, scaffold, write_scaffold

FORMS = get_args(Form)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("peephole-lstm", "PeepholeLSTM"),
        ("gru", "GRU"),
        ("mgu2", "MGU2"),
        ("my-bpe", "MyBPE"),
        ("mingru", "MinGRU"),
        ("lnlstm", "LNLSTM"),
        ("qrnn", "QRNN"),
        ("fast-weights", "FastWeights"),
        ("x2-y", "X2Y"),
        ("cfc", "CfC"),
    ],
)
def test_the_class_is_named_after_the_plugin(name, expected):
    assert class_name_of(name) == expected


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("PeepholeLSTM", "peephole-lstm"),
        ("my_cell", "my-cell"),
        ("rnn-tui-mgu", "mgu"),
        ("a b", "a-b"),
        ("-x-", "x"),
    ],
)
def test_a_name_that_is_nearly_one_is_refused_with_the_one_that_was_meant(name, better, tmp_path):
    with pytest.raises(UsageError, match=f"did you mean '{better}'"):
        scaffold(name, "cell", tmp_path)


@pytest.mark.parametrize("name", ["", "2fast", "é", "a" * (LONGEST + 1), "../x", "x\x1b"])
def test_what_cannot_name_a_plugin_is_refused(name, tmp_path):
    with pytest.raises(UsageError, match="cannot name a plugin"):
        scaffold(name, "cell", tmp_path)


@pytest.mark.parametrize(
    ("name", "form", "why"),
    [
        ("lambda", "cell", "a word of Python's own"),
        ("none", "cell", "a word of Python's own"),
        ("cell", "cell", "hides another of that name"),
        ("decoder", "tokenizer", "hides another of that name"),
        ("exception", "core", "hides another of that name"),
        ("gru", "core", "the architecture gru is rnn-tui's own"),
        ("word", "tokenizer", "the tokenizer word is rnn-tui's own"),
        ("torch", "cell", "the module rnn_tui_torch is rnn-tui's own"),
    ],
)
def test_a_name_that_would_lead_elsewhere_is_refused(name, form, why, tmp_path):
    with pytest.raises(UsageError, match=why):
        scaffold(name, form, tmp_path)


def test_a_name_of_another_kind_is_free(tmp_path):
    assert scaffold("word", "cell", tmp_path).warnings == ()


def test_a_name_that_is_installed_is_a_warning(installed, tmp_path):
    installed("rnn-tui-mine", architecture="mine")
    installed("other", architecture="theirs", version="2.0")
    (own,) = scaffold("mine", "cell", tmp_path).warnings
    assert own == "rnn-tui-mine 1.0 is installed; this package would take its place"
    (other,) = scaffold("theirs", "cell", tmp_path).warnings
    assert "architecture theirs (other 2.0)" in other
    assert "rnn-tui-theirs:theirs" in other


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["abc", "long-name-of-a-cell-thirty-two-c"])
def test_what_is_written_is_formatted_and_parses(form, name, tmp_path):
    new = scaffold(name, form, tmp_path)
    write_scaffold(new)
    ruff = [sys.executable, "-m", "ruff"]
    rules = ["--select", "A,B,E,F,I,UP,SIM,C4,PT,RET"]
    for command in (["format", "--check", "--diff"], ["check", *rules]):
        done = subprocess.run(
            [*ruff, *command, "--no-cache", "."], cwd=new.path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    project = tomllib.loads((new.path / "pyproject.toml").read_text())["project"]
    group = "rnn_tui.tokenizers" if form == "tokenizer" else "rnn_tui.architectures"
    module = f"rnn_tui_{name.replace('-', '_')}"
    assert project["name"] == f"rnn-tui-{name}"
    assert project["dependencies"] == [f"rnn-tui>={__version__}"]
    assert project["optional-dependencies"] == {"test": ["rnn-tui[testing]"]}
    assert project["entry-points"] == {group: {name: f"{module}:{new.class_name}"}}
    assert "authors" not in project
    source = ast.parse((new.path / module / "__init__.py").read_text())
    assert new.class_name in [node.name for node in source.body if isinstance(node, ast.ClassDef)]
    assert "${{ matrix.python }}" in (new.path / ".github/workflows/tests.yml").read_text()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["ab", "long-name-of-a-cell-thirty-two-c"])
def test_comments_of_shell_lines_stand_below_each_other(form, name, tmp_path):
    lines = scaffold(name, form, tmp_path).files["README.md"].splitlines()
    places = [line.index("  # ") for line in lines if "  # " in line]
    assert len(places) >= 3
    assert len(set(places)) == 1
    assert min(places) == max(len(line.partition("  # ")[0].rstrip()) for line in lines if "  # " in line)


def test_the_author_is_in_the_metadata(tmp_path):
    def authors(text):
        new = scaffold("mine", "cell", tmp_path, author=text)
        return tomllib.loads(new.files["pyproject.toml"])["project"]["authors"]

    assert authors("Ada Lovelace <ada@example.org>") == [{"name": "Ada Lovelace", "email": "ada@example.org"}]
    assert authors('É "Q" \\ 明') == [{"name": 'É "Q" \\ 明'}]


@pytest.mark.parametrize("author", ["", " ", "<a@b.c>", "ada@example.org", "Ada <ada>", "A\nB", "A\udce9"])
def test_an_author_that_is_no_name_is_refused(author, tmp_path):
    with pytest.raises(UsageError, match="is not a name"):
        scaffold("mine", "cell", tmp_path, author=author)


def test_a_single_file_is_the_same_module(tmp_path):
    whole = scaffold("my-cell", "cell", tmp_path)
    single = scaffold("my-cell", "cell", tmp_path / "cells", single_file=True)
    write_scaffold(single)
    assert (tmp_path / "cells/my_cell.py").read_text() == whole.files["rnn_tui_my_cell/__init__.py"]
    assert [path.name for path in (tmp_path / "cells").iterdir()] == ["my_cell.py"]
    with pytest.raises(BusyError, match=r"my_cell\.py exists already"):
        write_scaffold(single)


def test_nothing_is_overwritten(tmp_path):
    new = scaffold("mine", "cell", tmp_path)
    (tmp_path / "rnn-tui-mine").mkdir()
    write_scaffold(new)  # an empty folder is as good as none
    (new.path / "README.md").write_text("mine by now")
    with pytest.raises(BusyError, match="exists already"):
        write_scaffold(new)
    assert (new.path / "README.md").read_text() == "mine by now"


def test_a_failure_leaves_nothing_half(tmp_path, monkeypatch):
    new = scaffold("mine", "cell", tmp_path)
    written = []

    def full(path, text, **_):
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        path.write_bytes(text.encode())

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(DiskError, match="nothing is there: no space left"):
        write_scaffold(new)
    assert list(tmp_path.iterdir()) == []


def test_what_is_typed_next_names_what_was_written(tmp_path):
    place = tmp_path / "two words"
    lines = next_commands(scaffold("mine", "cell", place))
    assert lines[0] == f"cd '{place}/rnn-tui-mine'"
    assert lines[1].endswith("install --editable '.[test]'")
    assert lines[-1] == 'rnn-tui prompt first-mine "def "'
    assert "rnn-tui plugins score mine" in lines
    tokenizer = next_commands(scaffold("mine", "tokenizer", place, single_file=True))
    given = f"rnn-tui --plugins-dir '{place}' "
    assert all(line.startswith(given) for line in tokenizer)
    assert not any("score" in line for line in tokenizer)
    assert "--tokenizer mine" in tokenizer[-2]


# -------------------------------------------------------------------------- what it computes


def loaded(form):
    """The names of the rendered module."""
    names = {"__name__": "rendered"}
    exec(scaffold("mine", form, Path()).files["rnn_tui_mine/__init__.py"], names)
    return names


@pytest.mark.parametrize("form", FORMS)
def test_it_has_an_option_with_bounds_and_help(form):
    (option,) = option_infos(loaded(form)["Mine"].Options)
    assert option.minimum is not None
    assert option.maximum is not None
    assert option.help


def test_the_scan_of_the_core_is_the_recurrence():
    """Beside a loop over numbers, at lengths that fill their blocks, and others."""
    import torch

    scan = loaded("core")["scan"]
    for length in (1, 2, 3, 4, 5, 8, 9, 10, 17):
        torch.manual_seed(length)
        keep, write = torch.rand(2, 2, length, 3, dtype=torch.float64)
        start = torch.rand(2, 3, dtype=torch.float64)
        found = scan(keep, write, start)
        for row in range(2):
            for unit in range(3):
                c = start[row, unit].item()
                for t in range(length):
                    c = keep[row, t, unit].item() * c + write[row, t, unit].item()
                    assert found[row, t, unit].item() == pytest.approx(c, abs=1e-12)


def test_the_tokenizer_streams():
    """A pair whose halves come in two pieces is a pair; what cannot become one is not waited for."""
    module = loaded("tokenizer")["Mine"]
    tokenizer = module.train(["abab"], module.Options(pairs=1))
    assert tokenizer.to_state() == {"tokens": ["a", "b", "ab"]}
    parts = [part.tolist() for part in tokenizer.encode_stream(["a", "b", "b", "", "ab", "xa"])]
    assert parts == [[], [3], [], [], [2, 3], [0], [1]]
