"""The wheels of rnn-tui and of the examples, built from this tree, in an environment with nothing else in it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "plugins" / "examples"
NAMES = {"rnn-tui-mingru": "mingru", "rnn-tui-lnlstm": "lnlstm", "rnn-tui-bpe": "bpe"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Return the programs of a virtual environment, and the variables to run them with."""
    home = tmp_path_factory.mktemp("clean")
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("RNN_TUI", "PYTHON"))}
    variables |= {"HOME": str(home), "OMP_NUM_THREADS": "1"}
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        variables[f"XDG_{name}_HOME"] = str(home / name.lower())
    for tree in (ROOT, *(EXAMPLES / name for name in NAMES)):
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(home), str(tree)]
        subprocess.run(build, check=True, capture_output=True, text=True)
    host, *others = sorted(home.glob("*.whl"), key=lambda wheel: not wheel.name.startswith("rnn_tui-"))
    subprocess.run([sys.executable, "-m", "venv", str(home / "venv")], check=True)
    # packages come from where pip is told to look; its own cache is kept, so that torch is not fetched twice
    pip = [str(home / "venv" / "bin" / "python"), "-m", "pip", "install", "--quiet", f"{host}[testing]"]
    installed = subprocess.run([*pip, *map(str, others)], capture_output=True, text=True)
    if installed.returncode and "No matching distribution" in installed.stderr:
        pytest.skip("no package registry can be reached")
    assert installed.returncode == 0, installed.stderr
    return home / "venv" / "bin", variables


@pytest.fixture
def run(environment, tmp_path):
    """Return a function that runs a program of the environment in an empty folder and returns what it prints."""

    def run(program, *arguments):
        done = subprocess.run(
            [str(environment[0] / program), *map(str, arguments)],
            cwd=tmp_path,
            env=environment[1],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_all_are_listed_without_an_error(run):
    rows = json.loads(run("rnn-tui", "plugins", "list", "--json"))
    assert [row["error"] for row in rows] == [None] * len(rows)
    assert set(NAMES) < {row["package"] for row in rows}


@pytest.mark.parametrize("distribution", NAMES)
def test_its_own_tests_and_the_laws(run, distribution):
    folder = EXAMPLES / distribution
    ini = ["-q", "-p", "no:cacheprovider", "-c", folder / "pyproject.toml"]
    assert " passed" in run("python", "-m", "pytest", *ini, folder / "tests")
    assert " 0 failed" in run("rnn-tui", "plugins", "check", NAMES[distribution])


def test_a_model_of_two_of_them_learns(run, tmp_path):
    start = ["train", "fables-en", "--arch", "mingru", "--tokenizer", "bpe", "-t", "max_vocabulary=512"]
    run("rnn-tui", *start, "--minutes", "0.2", "--name", "first", "--foreground", "--json")
    assert len(run("rnn-tui", "prompt", "first", "The fox ", "--length", "40", "--seed", "1")) > 40
    measured = json.loads(run("rnn-tui", "eval", "first", "--json"))
    assert measured["bpb"] < measured["baselines"]["unigram"]["bpb"]
    assert (tmp_path / "runs" / "first" / "model.safetensors").is_file()
