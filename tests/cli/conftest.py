"""Ways to run the command line: in this process, or as a user does, in one of its own."""

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from rnn_tui.cli.root import run


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self):
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)

    @property
    def refusal(self):
        """The one line, on standard error alone, that tells of a failure."""
        assert self.out == ""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("rnn-tui: error: ")
        return lines[0]


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """`cli("runs", "list")` in this process, from an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code = run(list(arguments))
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return call


def process(*arguments, cwd, stdin="", timeout=120, **environment):
    """`python -m rnn_tui ARGUMENTS` to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "rnn_tui", *arguments],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        env=os.environ | environment,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def shell(tmp_path):
    """`shell("runs", "list")` in a process of its own, from an empty folder unless `cwd` says otherwise."""

    def call(*arguments, cwd=tmp_path, **more):
        return process(*arguments, cwd=cwd, **more)

    return call


@pytest.fixture
def corpus(tmp_path):
    """A small text in the current folder."""
    return write_corpus(tmp_path)


def write_corpus(folder: Path, lines=300) -> Path:
    """Sentences of eight words out of eleven, always the same."""
    words = "the quick brown fox jumps over a lazy dog and sleeps".split()
    chosen = random.Random(1)
    path = folder / "fox.txt"
    path.write_text("".join(" ".join(chosen.choices(words, k=8)) + "\n" for _ in range(lines)))
    return path


TINY = ["--hidden-size", "16", "--batch-size", "4", "--seq-len", "16", "--threads", "1"]
TINY += ["--set", "runtime.engine=loop"]  # tracing the step takes longer than all steps of these runs


@pytest.fixture
def tiny():
    """Flags of a model that trains in no time."""
    return TINY


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with the corpus fox.txt and the finished run `fox` in runs/; what `train --json` said of it."""
    folder = tmp_path_factory.mktemp("trained")
    write_corpus(folder)
    done = process(
        *["train", "fox.txt", "--name", "fox", "--steps", "40", "--foreground", "--json", *TINY],
        *["--lr", "0.02", "--set", "optim.warmup_steps=0"],
        cwd=folder,
        RNN_TUI_CACHE_DIR=str(tmp_path_factory.getbasetemp() / "cache"),
        RNN_TUI_CONFIG_DIR=str(folder / "config"),
        RNN_TUI_DATA_DIR=str(folder / "data"),
    )
    assert done.code == 0, done.err
    return folder, done
