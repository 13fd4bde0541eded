"""What mypy knows of a program that uses the library."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "library.md"

PROGRAM = """
import rnn_tui

model = rnn_tui.load("fox")
reveal_type(model.generate("x", seed=1))  # str
reveal_type(model.generate("x", n=3))  # list[str]
reveal_type(model.score("x").surprise.dtype)  # dtype[floating[_64Bit]] | dtype[float64]
reveal_type(rnn_tui.train(corpus="x").state)  # str
config: rnn_tui.Config = rnn_tui.configure(lr=1)
reveal_type(config.optim.lr)  # float
for piece in model.stream("x", length=3):
    reveal_type(piece)  # str
reveal_type(model.export("x").script)  # str
reveal_type(model.export("x", "onnx").opset)  # int
reveal_type(model.evaluate_labels().accuracy)  # float
model.generate("x", temprature=3)  # error
rnn_tui.lod("x")  # error
"""


def checked(tmp_path, program):
    """What mypy says of a program."""
    (tmp_path / "program.py").write_text(program)
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=cache", "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.slow
def test_the_opening_example_is_checked(tmp_path):
    example = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
    more = 'bits: float = model.evaluate().baselines["uniform"].bpc\n'
    done = checked(tmp_path, f"from typing import Any\nplt: Any = None\n{example}{more}")
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_a_program_is_checked(tmp_path):
    done = checked(tmp_path, PROGRAM)
    said = {}
    for line, kind, text in re.findall(r"^program\.py:(\d+): (error|note): (.*)$", done.stdout, re.MULTILINE):
        shown = re.search(r'Revealed type is "(?:builtins\.|numpy\.)?(.*)"', text)
        said.setdefault(int(line), shown[1] if shown else kind)
    for number, line in enumerate(PROGRAM.split("\n"), 1):
        expected = line.partition("  # ")[2]
        if expected:
            found = said.pop(number).replace("builtins.", "").replace("numpy.", "")
            assert found in expected.split(" | "), (line, done.stdout)
    assert said == {}, done.stdout
