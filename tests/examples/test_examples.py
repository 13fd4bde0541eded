"""The example distributions, installed by pip and used as those of a stranger.

What takes long is marked slow; the rest shows that each installs, keeps some of its own tests, and serves the host.
"""

import ast
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import shared_folder

EXAMPLES = Path(__file__).parents[2] / "plugins" / "examples"
DISTRIBUTIONS = ("rnn-tui-mingru", "rnn-tui-lnlstm", "rnn-tui-bpe")
SMALL = "--hidden-size 16 --seq-len 16 --batch-size 8 --steps 20 --set runtime.threads=1 --foreground".split()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder into which pip installed all three, made once for all processes of the session."""
    shared = shared_folder(tmp_path_factory)
    folder = shared / "examples"
    with open(shared / "examples.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _pip(folder, *(EXAMPLES / name for name in DISTRIBUTIONS))
    return folder


def _pip(folder, *packages):
    # --no-deps: torch is there already; --no-build-isolation: so is hatchling, and nothing is fetched
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder)]
    command = [sys.executable, "-m", "pip", "install", *options, *map(str, packages)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=240)


def _python(where, *arguments, paths=(), timeout=240):
    """Run this Python in the folder `where` with `paths` before its own; return what it prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=where,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _rnn_tui(where, *arguments, paths=()):
    return _python(where, "-m", "rnn_tui", *arguments, paths=paths)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_they_import_nothing_of_the_host_but_its_plugin_interface(name):
    allowed = {"rnn_tui.plugin", "rnn_tui.plugin.tokenizer", "numpy", "tokenizers", name.replace("-", "_")}
    allowed |= set() if name == "rnn-tui-bpe" else {"torch"}
    for source in (EXAMPLES / name / name.replace("-", "_")).glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for module in modules:
                first = module.partition(".")[0]
                assert {module, first} & (allowed | sys.stdlib_module_names), f"{source} imports {module}"


def test_a_part_of_their_own_tests(site, tmp_path):
    """One of each kind: a law, values by hand or by brute force, a hostile state; all of them in the slow test."""
    some = "shapes or fresh_start or worked_out or single or hostile or brute_force or half_characters"
    suites = [EXAMPLES / name / "tests" for name in DISTRIBUTIONS]
    told = _python(tmp_path, "-m", "pytest", "-p", "no:cacheprovider", "-k", some, *suites, paths=[site])
    assert "failed" not in told
    assert int(told.split(" passed")[0].split()[-1]) > 40


@pytest.mark.slow
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_all_of_their_own_tests(site, tmp_path, name):
    ini = ["-c", EXAMPLES / name / "pyproject.toml"]
    told = _python(
        tmp_path, "-m", "pytest", "-p", "no:cacheprovider", *ini, EXAMPLES / name / "tests", paths=[site]
    )
    assert int(told.split(" passed")[0].split()[-1]) > 40


def test_a_broken_one_beside_them_changes_no_other_row(site, tmp_path):
    rows = json.loads(_rnn_tui(tmp_path, "plugins", "list", "--json", paths=[site]))
    mine = {
        (row["kind"], row["name"], row["package"], row["error"])
        for row in rows
        if row["package"] != "rnn-tui"
    }
    assert mine == {
        ("architecture", "mingru", "rnn-tui-mingru", None),
        ("architecture", "lnlstm", "rnn-tui-lnlstm", None),
        ("tokenizer", "bpe", "rnn-tui-bpe", None),
    }
    broken = tmp_path / "broken"
    info = broken / "rnn_tui_broken-1.0.dist-info"
    info.mkdir(parents=True)
    (broken / "rnn_tui_broken.py").write_text("from rnn_tui.plugin import Cell, Gadget\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rnn-tui-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rnn_tui.architectures]\nbroken = rnn_tui_broken:Broken\n")
    beside = json.loads(_rnn_tui(tmp_path, "plugins", "list", "--json", paths=[broken, site]))
    (new,) = [row for row in beside if row["name"] == "broken"]
    assert "Gadget" in new["error"]
    assert [row for row in beside if row["name"] != "broken"] == rows


@pytest.mark.parametrize(
    ("arch", "tokenizer"),
    [("mingru", "bpe"), pytest.param("lnlstm", "char", marks=pytest.mark.slow)],
)
def test_trained_measured_and_prompted(site, tmp_path, arch, tokenizer):
    (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog — naïve café 明月. " * 60)
    start = ["train", "text.txt", "--arch", arch, "--tokenizer", tokenizer, "--name", "first"]
    told = json.loads(_rnn_tui(tmp_path, *start, *SMALL, "--json", paths=[site]))
    assert told["steps"] == 20
    assert 0 < told["measures"]["bpb"] < 8
    prompt = ["prompt", "first", "the ", "--length", "40", "--seed", "1"]
    assert len(_rnn_tui(tmp_path, *prompt, paths=[site])) > 20
