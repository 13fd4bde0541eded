"""The page that says how to write a plugin is followed to the letter."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "plugins" / "README.md"


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """Follow the page to where its package is installed; return the folder and an environment."""
    folder = tmp_path_factory.mktemp("author")
    text = PAGE.read_text()
    files = dict(
        re.findall(
            r"`(rnn-tui-mgu/[\w./]+)`[^`]*?:[^`]*?\n\n```\w+\n(.*?)^```$", text, re.DOTALL | re.MULTILINE
        )
    )
    assert [Path(name).name for name in files] == ["__init__.py", "test_mgu.py", "rnn_tui_mgu_numpy.py"]
    (more,) = re.findall(
        r"^and into `pyproject.toml`.*?:\n\n```toml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE
    )
    installed = folder / "site"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(installed), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "RNN_TUI_CACHE_DIR": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    author = folder, environment
    _run(author, "rnn_tui", "plugins", "new", "mgu")
    for name, content in files.items():
        (folder / name).write_text(content)
    with open(folder / "rnn-tui-mgu" / "pyproject.toml", "a") as file:
        file.write(more)
    pip = ["pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    _run(author, *pip, "--target", str(installed), "./rnn-tui-mgu")
    return author


def _run(author, *command):
    folder, environment = author
    result = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_example_keeps_the_laws(example):
    passed = re.search(r"(\d+) passed", _run(example, "pytest", "-p", "no:cacheprovider", "rnn-tui-mgu"))
    assert int(passed[1]) > 15


def test_the_example_is_listed_trained_and_prompted(example):
    shown = _run(example, "rnn_tui", "plugins", "show", "mgu")
    assert "Minimal gated unit: one gate both forgets and updates." in shown
    assert "gate_bias" in shown
    (example[0] / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 60)
    small = ["--hidden-size", "16", "--seq-len", "16", "--batch-size", "8", "--steps", "20"]
    start = ["train", "text.txt", "--arch", "mgu", "-o", "gate_bias=1", "--name", "first", "--foreground"]
    _run(example, "rnn_tui", *start, *small, "--set", "runtime.threads=1")
    prompt = ["prompt", "first", "the ", "--length", "40", "--seed", "1"]
    completion = _run(example, "rnn_tui", *prompt)
    assert len(completion.rstrip("\n")) == 40
    assert _run(example, "rnn_tui", *prompt, "--backend", "numpy") == completion
