"""What the measurements share: models on a rung, goals beside figures, processes of their own."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rnn_tui.bench.timing import Spread
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrence import Engine
from rnn_tui.model.recurrent_model import RecurrentModel, build_model
from rnn_tui.plugin.registry import load_plugin

ROOT = Path(__file__).parents[1]
VOCABULARY = 97
RUNGS: tuple[Engine, ...] = ("loop", "eager", "compiled")


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line.

    Attributes:
        threads: for training and evaluation; sampling takes one.
        repeats: turns of each variant.
        seconds: of a turn, at least.
    """

    threads: int
    repeats: int
    seconds: float

    def take_threads(self) -> None:
        """Have torch use the threads for training."""
        torch.set_num_threads(self.threads)


@dataclass(frozen=True)
class Goal:
    """How far a figure has to come; where less is better, `least` is the larger of the two."""

    least: float
    stretch: float | None = None
    unit: str = "x"

    def judge(self, what: str, figure: Spread | float | None) -> str:
        """Return a line that holds a figure against the goal."""
        if figure is None:
            return f"{what}: not measured"
        middle, ends = figure, ""
        if isinstance(figure, Spread):
            middle = figure.median
            ends = f" ({figure.least:.3g} to {figure.most:.3g}{', *disturbed' if figure.busy else ''})"
        assert isinstance(middle, float)
        less = self.unit != "x"  # ratios are to be large, times and sizes small
        reached = middle <= self.least if less else middle >= self.least
        stretched = self.stretch is not None and (middle <= self.stretch if less else middle >= self.stretch)
        verdict = "stretch reached" if stretched else "reached" if reached else "MISSED"
        stretch = "" if self.stretch is None else f", stretch {self.stretch:g}"
        return f"{what}: {middle:.4g} {self.unit}{ends}; goal {self.least:g}{stretch}: {verdict}"


def test_cells() -> Any:
    """Return the module of cells that are written only as steps, from the tests."""
    spec = importlib.util.spec_from_file_location("cells", ROOT / "tests" / "model" / "recurrent_cells.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def architecture(name: str) -> type:
    """Return an installed architecture, or one of `test_cells`."""
    found: type = getattr(test_cells(), name) if name[0].isupper() else load_plugin("architecture", name)
    return found


def model_of(
    name: str, hidden: int, engine: Engine = "compiled", *, vocabulary: int = VOCABULARY, **more: Any
) -> RecurrentModel:
    """Build a model on a rung; `engine()` of it says which one it got."""
    config = ModelConfig(arch=name, hidden_size=hidden, **more)
    model = build_model(architecture(name), {}, config, vocabulary)
    model.select_engine(engine)
    return model


def rungs_of(name: str, hidden: int, **more: Any) -> Iterator[tuple[str, RecurrentModel]]:
    """Yield each rung that the cell can take, with a model on it; say which it cannot."""
    for rung in RUNGS:
        model = model_of(name, hidden, rung, **more)
        got, reason = model.engine()
        if got == rung:
            yield rung, model
        else:
            print(f"{name}: no {rung} rung: {reason}")


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Have torch use so many threads within."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def child(module: str, *arguments: object, **environment: str | None) -> Any:
    """Run `python -m MODULE ARGUMENTS` and return the JSON of its last line.

    Args:
        environment: changes to it; None takes a variable away.
    """
    changed = os.environ | {name: value for name, value in environment.items() if value is not None}
    for name, value in environment.items():
        if value is None:
            changed.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env=changed,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def busy_process() -> Iterator[None]:
    """Keep one core busy within."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()
