"""What training would take: sizes worked out by hand, and a child that may do whatever it likes."""

import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rnn_tui.errors import PluginError, UsageError
from rnn_tui.training import estimate as module
from rnn_tui.training.config import RunConfig, resolve
from rnn_tui.training.estimate import Estimate, estimate

SMALL = {"arch": "nn-rnn", "hidden_size": 8}


def config(**sections: dict[str, Any]) -> RunConfig:
    return resolve(
        [
            ("test", {"runtime": {"threads": 1}, "data": {"batch_size": 4, "seq_len": 16}, "model": SMALL}),
            ("test", sections),
        ]
    ).config


def test_text_model() -> None:
    settings = config(budget={"epochs": 3.0}, optim={"optimizer": "adam"})
    found = estimate(settings, 50, vocab_size=5)
    # one-hot 5 to 8, recurrence, two biases, head
    parameters = 5 * 8 + 8 * 8 + 2 * 8 + 8 * 5 + 5
    assert found.parameters == parameters
    memory, seconds = found.memory, found.seconds_per_step
    assert memory is not None
    assert seconds is not None
    # adam keeps two values for each parameter, and a step count in float32 for each of the six tensors
    assert (memory.weights, memory.gradients, memory.optimiser) == (
        4 * parameters,
        4 * parameters,
        8 * parameters + 24,
    )
    assert memory.peak == memory.working + memory.weights + memory.gradients + memory.optimiser
    assert 50e6 < memory.base < 2e9
    assert 0 < seconds < 1
    assert found.tokens_per_second == pytest.approx(4 * 16 / seconds)
    assert found.seconds_per_epoch == pytest.approx(50 * seconds)
    assert found.steps == 150
    assert found.seconds == pytest.approx(150 * seconds)
    assert (found.threads, found.engine, found.note) == (1, "own", "")


def test_series_model_within_minutes() -> None:
    settings = config(
        task={"name": "series"},
        budget={"minutes": 0.001, "steps": 1_000_000},
        optim={"optimizer": "sgd"},
        model={"arch": "rnn", "hidden_size": 8},
        runtime={"engine": "loop"},
        data={"seq_len": 9, "seq_len_min": 5},
    )
    found = estimate(settings, 0, columns=3)
    assert found.memory is not None
    assert found.memory.optimiser == 0
    assert found.seconds_per_step is not None
    assert found.tokens_per_second == pytest.approx(4 * 7 / found.seconds_per_step)  # 5 to 9 rows a window
    assert (found.seconds_per_epoch, found.seconds, found.engine) == (0, 0.06, "loop")


def test_bidirectional_model_of_lines() -> None:
    settings = config(task={"name": "aligned"}, model={**SMALL, "bidirectional": True})
    found = estimate(settings, 7, vocab_size=6, seq_len=11)
    assert found.parameters == 2 * (6 * 8 + 8 * 8 + 16) + 16 * 6 + 6
    assert found.steps == 70  # ten epochs without a budget
    assert found.tokens_per_second == pytest.approx(4 * 11 / (found.seconds_per_step or 0))


@pytest.mark.parametrize(
    ("model", "kind", "message"),
    [
        ({"options": {"nonlinearity": "rely"}}, UsageError, "must be one of tanh, relu"),
        pytest.param({"arch": "nn-rnm"}, UsageError, "did you mean 'nn-rnn'", marks=pytest.mark.slow),
        ({"tie_weights": True, "encoder": "embedding", "embedding_size": 5}, UsageError, "model.tie_weights"),
    ],
)
def test_what_cannot_be_built_is_one_sentence(model: dict[str, Any], kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        estimate(config(model=model), 50, vocab_size=5)


def test_the_caller_does_without_torch() -> None:
    code = "import sys, rnn_tui.training.survey; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def told_by(
    script: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: RunConfig | None = None,
    **more: Any,
) -> Estimate:
    """The estimate where this shell script stands in for the child."""
    program = tmp_path / "child"
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(program))
    return estimate(settings or config(), 50, vocab_size=5, **more)


def test_a_child_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = told_by("""echo '{"parameters": 7}'; kill -9 $$""", tmp_path, monkeypatch)
    assert (found.parameters, found.memory, found.seconds) == (7, None, None)
    assert "memory ran out" in found.note
    assert "SIGSEGV" in told_by("kill -SEGV $$", tmp_path, monkeypatch).note


def test_a_child_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOADING", 3.0 - module.LIMIT)
    begin = time.monotonic()
    found = told_by("""echo '{"parameters": 7}'; sleep 60""", tmp_path, monkeypatch)
    assert (found.parameters, found.note) == (7, "it was given up after 3 s")
    asked = iter([False, True])
    monkeypatch.setattr(module, "_LOADING", 60)
    found = told_by("sleep 60", tmp_path, monkeypatch, cancelled=lambda: next(asked))
    assert found.note
    assert time.monotonic() - begin < 50


def test_a_child_that_says_what_is_no_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = """echo '{"parameters": 7, "note": "slow"}'; echo 'what a plugin prints'"""
    found = told_by(script, tmp_path, monkeypatch)
    assert (found.parameters, found.note) == (7, "slow")


def test_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(PluginError, match="no process could be started"):
        estimate(config(), 50, vocab_size=5)


@pytest.mark.skipif(not (shutil.which("gcc") or shutil.which("clang")), reason="there is no compiler")
@pytest.mark.parametrize(("engine", "compiles"), [("compiled", True), ("auto", False)])
def test_what_a_run_would_compile_is_compiled(
    engine: str, compiles: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten steps are over before a compiler is. On a busy machine that takes longer than an estimate otherwise may."""
    patient = "from rnn_tui.training import estimate; estimate.LIMIT = 60.0; from rnn_tui.training.trial import main"
    settings = config(
        model={"arch": "rnn", "hidden_size": 8}, runtime={"engine": engine}, budget={"steps": 10}
    )
    found = told_by(f"exec {sys.executable} -c '{patient}; main()'", tmp_path, monkeypatch, settings)
    assert (found.engine == "compiled", found.note) == (compiles, "")
