"""Nothing that came from outside is run: a scan of all sources, and the cache of compiled steps."""

import ast
import hashlib
import os
import stat
import subprocess
from pathlib import Path

import pytest
import rnn_tui_scratch

import rnn_tui
from rnn_tui.model.recurrence.native import toolchain

# ---- what the sources could run ----

MODULES = frozenset(
    "pickle cPickle _pickle dill cloudpickle joblib shelve marshal yaml dbm runpy code codeop imp xmlrpc socket "
    "multiprocessing socketserver http urllib ftplib smtplib telnetlib ssl asyncore requests httpx aiohttp ctypes cffi "
    "webbrowser".split()
)
"""Modules that read code from data, load code, or talk to a network."""
NAMES = frozenset({"eval", "exec", "compile", "__import__"})
ATTRIBUTES = frozenset(
    "system popen import_module spec_from_file_location exec_module CDLL load_library load_inline load_url "
    "start_server create_server create_connection open_connection start_unix_server create_subprocess_shell".split()
)
ARGUMENTS = frozenset({"shell", "allow_pickle", "weights_only"})

ALLOWED = {
    # names of our own modules and of entry points, which are installed code; never from a file that is read
    ("rnn_tui/cli/base.py", "import_module"),
    ("rnn_tui/tui/app.py", "import_module"),
    ("rnn_tui/tui/machine.py", "import_module"),
    ("rnn_tui/__init__.py", "import_module"),
    ("rnn_tui/plugin/__init__.py", "import_module"),
    ("rnn_tui/plugin/testing/__init__.py", "import_module"),
    ("rnn_tui/plugin/loading.py", "import_module"),
    # single files of the folder that the user named for that, each when it is asked for by name
    ("rnn_tui/plugin/single_file.py", "spec_from_file_location"),
    ("rnn_tui/plugin/single_file.py", "exec_module"),
    # a line that a person is to type
    ("rnn_tui/plugin/scaffold.py", "a Python without -P"),
    # the plugin that is checked, once more in a process of its own
    ("rnn_tui/plugin/testing/elsewhere.py", "import_module"),
    ("rnn_tui/plugin/testing/elsewhere.py", "spec_from_file_location"),
    ("rnn_tui/plugin/testing/elsewhere.py", "exec_module"),
    # processes that are forked, and bytes between them: nothing is pickled
    ("rnn_tui/score/child.py", "multiprocessing"),
    ("rnn_tui/score/child.py", "multiprocessing.connection"),
    ("rnn_tui/score/child.py", "multiprocessing.context"),
    # downloads: over TLS, of a known SHA-256
    ("rnn_tui/corpus/download.py", "http.client"),
    ("rnn_tui/corpus/download.py", "ssl"),
    ("rnn_tui/corpus/download.py", "urllib.error"),
    ("rnn_tui/corpus/download.py", "urllib.parse"),
    ("rnn_tui/corpus/download.py", "urllib.request"),
    # a file: URL, taken apart
    ("rnn_tui/plugin/source.py", "urllib.parse"),
    # functions of the C library
    ("rnn_tui/plugin/probe.py", "ctypes"),
    ("rnn_tui/plugin/probe.py", "CDLL"),
    ("rnn_tui/runs/process.py", "ctypes"),
    ("rnn_tui/runs/process.py", "CDLL"),
    ("rnn_tui/training/setup.py", "ctypes"),
    ("rnn_tui/training/setup.py", "CDLL"),
    # steps that were compiled here, from a cache that nobody else can write: see below
    ("rnn_tui/model/recurrence/native/toolchain.py", "ctypes"),
    ("rnn_tui/model/recurrence/native/toolchain.py", "CDLL"),
    ("rnn_tui/model/recurrence/native/function.py", "ctypes"),
}


def ways_in(name, source):
    """What in a source can run, or fetch, what came from outside."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {(name, each.name) for each in node.names if each.name.split(".")[0] in MODULES}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if node.module.split(".")[0] in MODULES:
                found.add((name, node.module))
        elif isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and called.id in NAMES | ATTRIBUTES:
                found.add((name, called.id))
            elif isinstance(called, ast.Attribute):
                text = ast.unparse(called)
                if called.attr in ATTRIBUTES or text in (
                    "torch.load",
                    "torch.hub.load",
                    "torch.jit.load",
                    "builtins.exec",
                ):
                    found.add((name, called.attr if called.attr in ATTRIBUTES else text))
            found |= {(name, f"{each.arg}=") for each in node.keywords if each.arg in ARGUMENTS}
        elif (
            isinstance(node, ast.List)
            and len(node.elts) > 1
            and ast.unparse(node.elts[0]) == "sys.executable"
            and ast.unparse(node.elts[1])
            not in ("'-P'", "'-I'")  # without it modules of the current folder come first
        ):
            found.add((name, "a Python without -P"))
    return found


def sources():
    package, plugins = Path(rnn_tui.__file__).parent, Path(rnn_tui_scratch.__file__).parent.parent
    for root in (package, *(path for path in plugins.iterdir() if path.name.startswith("rnn_tui_"))):
        for path in root.rglob("*.py"):
            yield f"{root.name}/{path.relative_to(root)}", path.read_text(encoding="utf-8")


def test_no_source_can_run_what_came_from_outside(figures):
    """An exact list: an exception that is not needed any more has to go from it."""
    count, found = 0, set()
    for name, source in sources():
        count += 1
        found |= ways_in(name, source)
    assert count > 200
    assert found == ALLOWED
    figures(
        "ways in",
        f"{count} sources: no pickle, eval, exec, marshal or YAML; {len(ALLOWED)} places with their reason",
    )


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from pickle import loads", "eval(text)", "exec(text)", "compile(text, '', 'exec')",
        "import yaml", "torch.load(path)", "torch.load(path, weights_only=True)", "numpy.load(path, allow_pickle=True)",
        "import marshal",
        "__import__(name)", "importlib.import_module(name)", "subprocess.run(text, shell=True)", "os.system(text)",
        "import socket", "ctypes.CDLL(path)", "from ctypes import CDLL", "CDLL(path)",
        "run([sys.executable, '-m', 'x'])",
    ],
)  # fmt: skip
def test_the_scan_sees(line):
    assert ways_in("a.py", f"def f():\n    {line}\n")


# ---- compiled steps ----


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A compiled function in a cache of its own, and how to ask for it as a fresh process does."""
    try:
        toolchain._find_compiler()
    except toolchain.NoCompiler:
        pytest.skip("no C compiler here")
    monkeypatch.setenv("RNN_TUI_CACHE_DIR", str(tmp_path / "cache"))

    def ask(answer="1"):
        monkeypatch.setattr(toolchain, "_results", {})
        return toolchain.compile_library(f"int answer(void) {{ return {answer}; }}").answer()

    assert ask() == 1
    (kept,) = (tmp_path / "cache" / "native").iterdir()
    return kept, ask


def planted(kept):
    """Write another library, whole and working, in the place of the one that is kept."""
    other = kept.with_name("other.c")
    other.write_text("int answer(void) { return 666; }")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(kept.with_name("other.so")), str(other)], check=True)
    other.unlink()
    return kept.with_name("other.so")


def load_planted(kept, ask, how):
    """Plant a hostile library and return the answer of what is loaded then: 1 is ours, 666 theirs."""
    evil = planted(kept)
    digest = hashlib.sha256(evil.read_bytes()).hexdigest()
    true_name = kept.with_name(f"{kept.name.split('.')[0]}.{digest}.so")
    if how == "another's content under our name":
        os.replace(evil, kept)
    else:
        kept.unlink()
        if how == "a link to it":
            evil.rename(kept.parents[1] / "evil.so")
            true_name.symlink_to(kept.parents[1] / "evil.so")
        else:
            evil.rename(true_name)
            true_name.chmod(0o600)
    if how == "in a folder that all may write":
        kept.parent.chmod(0o777)
    elif how == "in a folder that its group may write":
        kept.parent.chmod(0o770)
    elif how == "in another user's folder":
        os.chown(kept.parent, 54321, -1)
    elif how == "a file of another user":
        os.chown(true_name, 54321, -1)
    elif how == "a file that all may write":
        true_name.chmod(0o666)
    return ask()


HOW = [
    "another's content under our name",
    "a link to it",
    "in a folder that all may write",
    "a file that all may write",
]
HOW += ["in a folder that its group may write"]
HOW += ["in another user's folder", "a file of another user"] if os.geteuid() == 0 else []


@pytest.mark.parametrize("how", HOW)
def test_a_library_that_another_could_have_put_there_is_not_loaded(library, how):
    assert load_planted(*library, how) == 1


def test_checks_of_the_cache_that_are_left_out_are_noticed(library, monkeypatch, figures):
    kept, ask = library
    monkeypatch.setattr(toolchain, "_check_ours", lambda path: None)
    assert load_planted(kept, ask, "in a folder that all may write") == 666
    figures(
        "ways in",
        f"{len(HOW)} ways to plant a compiled step: none loaded; broken on purpose: owner not checked: loaded",
    )


def test_the_cache_of_compiled_steps_is_the_users_alone(library):
    kept, _ = library
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert kept.name.split(".")[1] == hashlib.sha256(kept.read_bytes()).hexdigest()
