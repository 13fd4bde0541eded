"""What a command costs before it does anything: the heavy modules stay out."""

import subprocess
import sys

import pytest

CODE = """
import sys
from rnn_tui.cli.root import run
code = run(sys.argv[2:])
found = [name for name in sys.argv[1].split(",") if name in sys.modules]
sys.exit(f"exit code {code}, imported {found}" if code or found else 0)
"""


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], "torch,textual,numpy,rich,msgspec"),
        (["--version"], "torch,textual,numpy,rich,msgspec"),
        (["completion", "bash"], "torch,textual,numpy,rich,msgspec"),
        (["train", "--help"], "torch,textual,numpy,rich"),
        (["runs", "list"], "torch,textual,numpy"),
        (["plugins", "list"], "torch,textual,numpy"),
        (["recipes", "list"], "torch,textual,numpy"),
        (["corpus", "list"], "torch,textual"),
        (["config", "show"], "torch,textual,numpy"),
    ],
    ids=" ".join,
)
def test_stays_light(arguments, heavy, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CODE, heavy, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
