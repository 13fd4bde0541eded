"""The measurements of `python -m benchmarks`: every part is there, and goals are judged the right way round."""

import importlib

import pytest
import torch

from benchmarks.__main__ import PARTS
from benchmarks.common import Goal, child, model_of, rungs_of
from benchmarks.sampling import own_loop
from rnn_tui.bench.timing import Spread


@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_there_and_says_what_it_measures(part):
    module, _, function = PARTS[part].partition(":")
    assert getattr(importlib.import_module(f"benchmarks.{module}"), function).__doc__


@pytest.mark.parametrize(
    ("goal", "figure", "verdict"),
    [
        (Goal(1.2, 1.5), 1.19, "1.19 x; goal 1.2, stretch 1.5: MISSED"),
        (Goal(1.2, 1.5), 1.2, "1.2 x; goal 1.2, stretch 1.5: reached"),
        (Goal(1.2, 1.5), Spread(2.0, 1.5, 2.25), "2 x (1.5 to 2.25); goal 1.2, stretch 1.5: stretch reached"),
        (Goal(0.95), Spread(0.5, 0.4, 0.6, True), "0.5 x (0.4 to 0.6, *disturbed); goal 0.95: MISSED"),
        (Goal(30.0, 15.0, "ms"), 31.0, "31 ms; goal 30, stretch 15: MISSED"),
        (Goal(30.0, 15.0, "ms"), 16.0, "16 ms; goal 30, stretch 15: reached"),
        (Goal(30.0, 15.0, "ms"), 9.0, "9 ms; goal 30, stretch 15: stretch reached"),
        (Goal(1.0), None, "not measured"),
    ],
)
def test_goals(goal, figure, verdict):
    assert goal.judge("it", figure) == f"it: {verdict}"


def test_rungs_that_a_cell_cannot_take_are_told(capsys):
    assert [rung for rung, _ in rungs_of("Branches", 8)] == ["loop"]
    assert "Branches: no eager rung: " in capsys.readouterr().out
    assert model_of("lstm", 8, "loop").engine()[0] == "loop"


def test_own_loop_counts_its_tokens():
    torch.manual_seed(0)
    assert own_loop(model_of("MinimalGated", 8, "loop"), 3)() == 75


def test_a_child_has_the_environment_that_it_is_to_have(monkeypatch, tmp_path):
    (tmp_path / "tells.py").write_text(
        "import json, os, sys\n"
        "print('something else')\n"
        "print(json.dumps([sys.argv[1:], os.environ.get('A_HERE'), os.environ.get('B_THERE')]))\n"
    )
    monkeypatch.setenv("A_HERE", "1")
    told = child("tells", 3, "x", PYTHONPATH=str(tmp_path), A_HERE=None, B_THERE="2")
    assert told == [["3", "x"], None, "2"]
