"""What a stranger gets: the wheel, built from this tree, in an environment with nothing else in it."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return next(out.glob("*.whl"))


def test_the_wheel_holds_the_program_its_plugins_and_its_texts(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "rnn_tui/cli/__init__.py",
        "rnn_tui/py.typed",
        "rnn_tui/recipes/demo.toml",
        "rnn_tui/plugin/templates/pyproject.toml.tmpl",
        "rnn_tui/corpus/data/fables_en.txt",
        "rnn_tui/corpus/data/fables_zh.txt",
        "rnn_tui_scratch/lstm.py",
        "rnn_tui_torch/lstm.py",
        "rnn_tui_text/char.py",
    } <= names
    assert not [name for name in names if name.startswith(("tests/", "docs/", "benchmarks/", "plugins/"))]


@pytest.mark.slow
def test_installed_in_an_empty_environment_it_runs_the_demo(wheel, tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RNN_TUI", "PYTHON"))}
    environment["HOME"] = str(tmp_path)
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        environment[f"XDG_{name}_HOME"] = str(tmp_path / name.lower())
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    # packages come from where pip is told to look; its own cache is kept, so that torch is not fetched twice
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", str(wheel)]
    installed = subprocess.run(pip, capture_output=True, text=True)
    if installed.returncode and "No matching distribution" in installed.stderr:
        pytest.skip("no package registry can be reached")
    assert installed.returncode == 0, installed.stderr
    command = [str(venv / "bin" / "rnn-tui"), "demo", "--minutes", "0.15", "--json"]
    demo = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert demo.returncode == 0, demo.stderr
    told = json.loads(demo.stdout)
    perplexity = told["baselines"]
    assert perplexity["this model"] < perplexity["unigram"] < perplexity["uniform"], (
        "nine seconds beat letter counts"
    )
    assert (tmp_path / "runs" / told["run"] / "model.safetensors").is_file()
