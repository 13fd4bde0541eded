"""What `plugins new` writes is installed as a stranger's package, keeps its laws, trains and is prompted.

A template that lags behind the interface fails here, and so does a command that `plugins new` tells its author to type.
"""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TINY = ["--hidden-size", "8", "--seq-len", "8", "--batch-size", "4", "--steps", "3", "--threads", "1"]


def shell(line, folder, environment):
    """Run one line as it would be typed; return its standard output."""
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def stranger(tmp_path):
    """Return a function that writes a package and installs it: `stranger(name, kind)` gives its folder and a function
    that runs Python in an environment with it."""
    site = tmp_path / "site"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "RNN_TUI_CACHE_DIR": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # those of this environment are nothing to a stranger
    }
    chosen = random.Random(1)
    words = "the quick brown fox jumps over a lazy dog and sleeps".split()
    text = "".join(" ".join(chosen.choices(words, k=8)) + "\n" for _ in range(300))
    (tmp_path / "fox.txt").write_text(text)

    def python(*arguments, folder=tmp_path):
        done = subprocess.run(
            [sys.executable, "-P", "-m", *arguments],  # -P: what is in the folder is not installed
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=580,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def make(name, kind):
        new = ["rnn_tui", "plugins", "new", name, "--kind", kind, "--into", str(tmp_path), "--json"]
        package = Path(json.loads(python(*new))["path"])
        offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
        python("pip", "install", "--quiet", *offline, "--target", str(site), str(package))
        return package, python

    return make


def tried(package, python, name, kind, *more):
    """Train and prompt it, and look for it in the list."""
    flag = "--tokenizer" if kind == "tokenizer" else "--arch"
    start = ["train", "fox.txt", flag, name, "--name", "first", "--foreground", "--json", *TINY, *more]
    ended = json.loads(python("rnn_tui", *start))
    assert ended["state"] == "finished"
    completion = python("rnn_tui", "prompt", "first", "the ", "--length", "10", "--seed", "1")
    assert completion.rstrip("\n")
    (row,) = json.loads(python("rnn_tui", "plugins", "show", name, "--json"))
    assert row["error"] is None
    assert row["package"] == package.name
    assert row["options"]


def test_a_new_cell_is_a_plugin_at_once(stranger):
    package, python = stranger("peephole-lstm", "cell")
    # but for the law that starts a process of its own, which the slow test runs
    passed = python("pytest", "-p", "no:cacheprovider", "-k", "not another_process", folder=package)
    assert " passed" in passed
    assert " failed" not in passed
    tried(package, python, "peephole-lstm", "cell", "--engine", "loop")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cell", "core", "tokenizer"])
def test_every_kind_keeps_its_laws_is_typed_and_trains(stranger, kind):
    name = f"my-{kind}"
    package, python = stranger(name, kind)
    assert " passed" in python("pytest", "-p", "no:cacheprovider", folder=package)
    python("mypy", "--strict", "--cache-dir", os.devnull, f"rnn_tui_my_{kind}", folder=package)
    python("rnn_tui", "plugins", "check", name)
    tried(package, python, name, kind)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """The `bin` of an environment that has the wheel of this tree and what that asks for, nothing else."""
    folder = tmp_path_factory.mktemp("clean")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    # packages come from where pip is told to look, and its own cache is kept
    pip = [str(folder / "venv/bin/python"), "-m", "pip", "install", "--quiet"]
    done = subprocess.run([*pip, str(next(folder.glob("*.whl")))], capture_output=True, text=True)
    if done.returncode and "No matching distribution" in done.stderr:
        pytest.skip("no package registry can be reached")
    assert done.returncode == 0, done.stderr
    return folder / "venv/bin"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cell", "core", "tokenizer"])
def test_the_lines_to_type_next_work_in_a_clean_environment(clean, tmp_path, kind):
    """From an empty folder to a sample, with nothing but what `plugins new` prints."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RNN_TUI", "PYTHON"))}
    environment |= {"HOME": str(tmp_path), "PATH": f"{clean}{os.pathsep}{os.environ['PATH']}"}
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        environment[f"XDG_{name}_HOME"] = str(tmp_path / name.lower())
    told = json.loads(shell(f"rnn-tui plugins new mine --kind {kind} --json", tmp_path, environment))
    folder = tmp_path
    for line in told["next"]:
        if line.startswith("cd "):
            folder = tmp_path / line.removeprefix("cd ")
        elif " score " in line:
            continue  # minutes of it, tested elsewhere
        else:
            printed = shell(line.replace("--minutes 1", "--minutes 0.05"), folder, environment)
    assert printed.strip()
    shell("python -m pip uninstall --quiet --yes rnn-tui-mine", tmp_path, environment)
