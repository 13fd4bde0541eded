"""The page that says how to write a plugin is followed to the letter."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "plugins" / "README.md"


@pytest.fixture
def example(tmp_path):
    """Write the page's files and the metadata that an installer would; return the folder and an environment."""
    text = PAGE.read_text()
    files = dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    assert set(files) == {"pyproject.toml", "rnn_tui_mgu.py", "test_rnn_tui_mgu.py", "rnn_tui_mgu_numpy.py"}
    (more,) = re.findall(
        r"^and into `pyproject.toml`:\n\n```toml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE
    )
    files["pyproject.toml"] += more
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    project = tomllib.loads(files["pyproject.toml"])["project"]
    info = tmp_path / f"rnn_tui_mgu-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "RNN_TUI_CACHE_DIR": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    return tmp_path, environment


def _run(example, *command):
    folder, environment = example
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
    assert re.search(r"1[0-9] passed", _run(example, "pytest", "-p", "no:cacheprovider"))


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
