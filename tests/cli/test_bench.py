"""`rnn-tui bench`: a tiny measurement, its document, and plugins that break."""

import shutil
import subprocess
import sys

import pytest

SMALL = "--hidden-size 8 --batch-size 2 --seq-len 6 --threads 1 --repeats 2".split()

BROKEN = "raise RuntimeError('half of it is missing')\n"
FAILS = """
import torch
from rnn_tui.plugin import Cell

class Fails(Cell):
    '''A cell that cannot take a step.'''
    api_version = 1

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.output_size = hidden_size
        self.W = torch.nn.Parameter(torch.zeros(hidden_size, hidden_size))

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return torch.zeros(batch_size, self.output_size)

    def step(self, x, state):
        raise ValueError("this cell never worked")
"""


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    """Turns as short as they can be; small limits; the environment as it was, afterwards."""
    from rnn_tui.bench import measure
    from rnn_tui.bench.machine import large_products, streaming
    from rnn_tui.bench.report import Plan

    monkeypatch.setenv("GOMP_SPINCOUNT", "10000")
    monkeypatch.setattr(measure, "large_products", lambda device: large_products(device, 64))
    monkeypatch.setattr(
        measure, "streaming", lambda device, size=1 << 20: streaming(device, min(size, 1 << 20))
    )
    monkeypatch.setattr("rnn_tui.bench.report.Plan", lambda **given: Plan(**{"seconds": 0.001} | given))


def install(folder, monkeypatch, name, source):
    """Leave a distribution with one architecture where an installer would."""
    module = name.replace("-", "_")
    (folder / f"{module}.py").write_text(source)
    about = folder / f"{module}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[rnn_tui.architectures]\n{name} = {module}:Fails\n")
    monkeypatch.syspath_prepend(str(folder))


def test_document(cli):
    done = cli("bench", "rnn", "nn-lstm", "--json", *SMALL)
    assert done.code == 0, done.err
    report = done.json
    assert set(report) == {"machine", "plan", "seconds", "complete", "groups", "broken"}
    assert report["complete"]
    assert report["broken"] == {}
    assert report["plan"]["hidden_sizes"] == [8]
    assert [group["what"] for group in report["groups"]] == ["train", "sample"]
    for group, limits in zip(report["groups"], [["products", "memory"], ["memory", "weights"]], strict=True):
        assert (group["hidden_size"], group["threads"]) == (8, 1)
        assert list(group["limits"]) == limits
        rows = {row["name"]: row for row in group["rows"]}
        assert [row["role"] for row in group["rows"]].count("architecture") == 2
        assert (
            rows["nn-lstm"]["engine"]
            == {"train": "own", "sample": "compiled" if shutil.which("cc") else "traced"}[group["what"]]
        )
        assert rows["nn-lstm"]["nn"] in ("nn.LSTM one-hot", "nn.LSTM embedding")
        assert rows["rnn"]["tutorial"] == "tutorial RNN"
        best = max(("nn.RNN one-hot", "nn.RNN embedding"), key=lambda name: rows[name]["rate"]["median"])
        assert rows["rnn"]["nn"] == best
        for row in rows.values():
            assert row["error"] == ""
            assert len(row["repeats"]) == 2
            assert 0 < row["rate"]["least"] <= row["rate"]["median"] <= row["rate"]["most"]
        weights = 8 * 8 + 8 * 97  # of the rnn: its state's product and the head's
        cost = {"train": 6, "sample": 4}[group["what"]]
        assert rows["rnn"]["achieved"] == pytest.approx(cost * weights * rows["rnn"]["rate"]["median"] / 1e9)
        first, second = (turn["rate"] for turn in rows["rnn"]["repeats"])
        beside = [turn["rate"] for turn in rows["tutorial RNN"]["repeats"]]
        if not any(turn["busy"] for row in rows.values() for turn in row["repeats"]):
            ratio = (first / beside[0] + second / beside[1]) / 2
            assert rows["rnn"]["tutorial_ratio"]["median"] == pytest.approx(ratio)


def test_written(cli):
    done = cli("bench", "gru", "--what", "train", *SMALL, "--num-layers", "2", "--engine", "loop")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[2] == "training 2x8, vocabulary 97, batch 2, seq_len 6, 1 thread"
    assert lines[3].split() == "rung tokens/s least to most x nn x tut GFLOP/s of limit".split()
    assert lines[4].split()[:2] == ["gru", "loop"]
    assert [line.split("  ")[0] for line in lines[5:8]] == [
        "nn.GRU one-hot",
        "nn.GRU embedding",
        "tutorial GRU",
    ]
    assert lines[8].startswith("this machine reaches ")
    assert "training at 2x8 on 1 thread" in done.err
    assert "about " in done.err


def test_a_large_vocabulary_has_no_one_hot_baseline(cli):
    done = cli("bench", "rnn", "--what", "train", "--json", "--vocab-size", "300", *SMALL)
    names = [row["name"] for row in done.json["groups"][0]["rows"]]
    assert names == ["rnn", "nn.RNN embedding", "tutorial RNN"]


def test_broken_plugins_are_listed_and_harm_nobody(cli, tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, "no-import", BROKEN)
    install(tmp_path, monkeypatch, "no-step", FAILS)
    done = cli("bench", "--json", "no-import", "no-step", "rnn", *SMALL)
    assert done.code == 0, done.err
    assert "half of it is missing" in done.json["broken"]["no-import"]
    for group in done.json["groups"]:
        rows = {row["name"]: row for row in group["rows"]}
        assert rows["no-step"]["error"] == "ValueError: this cell never worked"
        assert rows["rnn"]["rate"]["median"] > 0
    text = cli("bench", "no-import", "no-step", "--what", "sample", *SMALL).out
    assert "no-step: ValueError: this cell never worked" in text
    assert "no-import cannot be used: " in text


def test_threads_are_timed_by_the_first_that_works(cli, tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, "a-fails", FAILS)
    monkeypatch.setattr("rnn_tui.bench.measure.best_threads", lambda step: (1, step()))
    done = cli("bench", "--json", "a-fails", "rnn", "--what", "train", "--hidden-size", "8", "--repeats", "1")
    assert done.code == 0, done.err
    assert {row["name"]: row["error"] for row in done.json["groups"][0]["rows"]}["rnn"] == ""


def test_an_interruption_shows_what_is_known(cli, monkeypatch):
    calls = []

    def interrupted(device):
        def run():
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return 1.0

        return run

    monkeypatch.setattr("rnn_tui.bench.measure.large_products", interrupted)
    done = cli("bench", "rnn", "--json", *SMALL)
    assert done.code == 130
    assert not done.json["complete"]
    [group] = done.json["groups"]
    assert [len(row["repeats"]) for row in group["rows"] if row["name"] == "rnn"] == [1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["lstmm"], "did you mean 'lstm'"),
        (["--engine", "steam"], "'steam'"),
        (["--engine", "graph"], "on cuda only"),
        (["--device", "abacus"], "'abacus'"),
    ],
)
def test_refusals(cli, arguments, told):
    done = cli("bench", *arguments)
    assert done.code == 2
    assert told in done.refusal


def test_nothing_to_measure(cli, monkeypatch):
    monkeypatch.setenv("RNN_TUI_PLUGINS", "")
    done = cli("bench")
    assert done.code == 2
    assert "no architecture is installed" in done.refusal


def test_help_is_light():
    code = "import sys; from rnn_tui.cli.root import run; run(['bench', '--help']); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "--hidden-size" in done.stdout
