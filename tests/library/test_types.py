"""What mypy knows of a program that uses the library."""

import re
import subprocess
import sys

import pytest

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
model.generate("x", temprature=3)  # error
rnn_tui.lod("x")  # error
"""


@pytest.mark.slow
def test_a_program_is_checked(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=cache", "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
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
