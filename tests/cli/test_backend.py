"""`--backend numpy`: the same figures and the same text, without torch."""

import json
import subprocess
import sys

import pytest

CODE = """
import sys
from rnn_tui.cli.root import run
code = run(sys.argv[1:])
sys.exit("torch was imported" if "torch" in sys.modules else code)
"""


@pytest.fixture
def both(trained):
    """Run a command on the run `fox` in both ways; NumPy's in a process that fails if it loads torch."""
    folder, _ = trained

    def call(*arguments):
        outputs = []
        for backend, code in (("torch", ["-m", "rnn_tui"]), ("numpy", ["-c", CODE])):
            done = subprocess.run(
                [sys.executable, *code, *arguments, "--backend", backend],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert done.returncode == 0, done.stderr
            outputs.append(done.stdout)
        return outputs

    return call


def test_a_seed_gives_the_same_text(both):
    torch, numpy = both("prompt", "fox", "the quick", "--seed", "7", "--length", "120")
    assert numpy == torch
    assert len(torch) == 121


def test_eval_gives_the_same_figures(both):
    torch, numpy = map(json.loads, both("eval", "fox", "--no-cold", "--json"))
    for figure in ("loss", "perplexity", "bpc", "bpb"):
        assert numpy[figure] == pytest.approx(torch[figure], rel=1e-5)
    assert numpy["baselines"] == torch["baselines"]
    assert (numpy["tokens"], numpy["lanes"]) == (torch["tokens"], torch["lanes"])
    assert numpy["cold"] is None


def test_what_numpy_cannot_do(trained, cli):
    folder, _ = trained
    on = ["fox", "--runs-dir", str(folder / "runs"), "--backend", "numpy"]
    assert "use --backend torch" in cli("eval", *on, "--dynamic").refusal
    assert "use --backend torch" in cli("eval", *on, "--device", "auto").refusal
    assert "computes on the CPU, not on auto" in cli("prompt", *on, "the ", "--device", "auto").refusal
