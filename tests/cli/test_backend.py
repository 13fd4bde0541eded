"""`--backend`: NumPy gives the same figures and the same text, without torch, and is taken where it is sooner done."""

import json
import os
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
def both(trained, cli, monkeypatch):
    """Run a command on the run `fox` in both ways; NumPy's in a process that fails if it loads torch."""
    folder, _ = trained
    monkeypatch.chdir(folder)

    def call(*arguments):
        torch = cli(*arguments, "--backend", "torch")
        assert torch.code == 0, torch.err
        numpy = subprocess.run(
            [sys.executable, "-c", CODE, *arguments, "--backend", "numpy"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert numpy.returncode == 0, numpy.stderr
        return torch.out, numpy.stdout

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


def test_auto_takes_numpy_where_it_is_sooner_done(trained, cli, monkeypatch):
    from rnn_tui.inference import reader

    folder, _ = trained
    on = [
        "prompt",
        "fox",
        "the ",
        "--runs-dir",
        str(folder / "runs"),
        "--seed",
        "3",
        "--length",
        "20",
        "--json",
    ]

    def answer(*arguments):
        return {key: value for key, value in cli(*on, *arguments).json.items() if key in ("text", "backend")}

    torch, numpy, auto = (answer(*how) for how in (["--backend", "torch"], ["--backend", "numpy"], []))
    assert torch == {"backend": "torch", "text": auto["text"]}
    assert numpy == auto
    assert auto["backend"] == "numpy"
    # 4 characters of the prompt and 20 tokens
    monkeypatch.setattr(reader, "NUMPY_TOKENS", 24)
    assert answer()["backend"] == "numpy"
    monkeypatch.setattr(reader, "NUMPY_TOKENS", 23)
    assert answer()["backend"] == "torch"
    monkeypatch.setattr(reader, "NUMPY_TOKENS", 63)
    assert cli(*on, "-n", "3").json[0]["backend"] == "torch"


def test_auto_takes_torch_for_what_numpy_lacks(model_header):
    from rnn_tui.inference.reader import choose_backend

    lstm, own = model_header("lstm"), model_header("mine")
    assert choose_backend(lstm, "auto", device="cpu", tokens=200) == "numpy"
    assert choose_backend(lstm, "auto", device="cuda", tokens=200) == "torch"
    assert choose_backend(own, "auto", device="cpu", tokens=200) == "torch"
    assert choose_backend(own, "numpy", device="cpu", tokens=200) == "numpy"  # refused when it is loaded
    assert choose_backend(lstm, "torch", device="cpu", tokens=200) == "torch"


@pytest.fixture
def model_header():
    from rnn_tui.model.header import ModelFile

    def header(name):
        record = {"name": name, "distribution": "rnn-tui", "version": "0"}
        return ModelFile(config={}, tokenizer=None, architecture=record, training={})

    return header


CODE_THREADS = """
import os, sys
from rnn_tui.cli.root import run
run(sys.argv[1:])
assert "torch" not in sys.modules
print(os.environ.get("OPENBLAS_NUM_THREADS"), file=sys.stderr)
"""


@pytest.mark.parametrize(("given", "told"), [({}, "1"), ({"OMP_NUM_THREADS": "2"}, "None")])
def test_numpy_multiplies_on_one_thread_unless_told_otherwise(trained, given, told):
    folder, _ = trained
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    done = subprocess.run(
        [sys.executable, "-c", CODE_THREADS, "prompt", "fox", "the ", "--length", "5"],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if key not in names} | given,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == told


def test_what_numpy_cannot_do(trained, cli):
    folder, _ = trained
    on = ["fox", "--runs-dir", str(folder / "runs"), "--backend", "numpy"]
    assert "use the backend torch" in cli("eval", *on, "--dynamic").refusal
    assert "use the backend torch" in cli("eval", *on, "--device", "auto").refusal
    assert "computes on the CPU, not on auto" in cli("prompt", *on, "the ", "--device", "auto").refusal
