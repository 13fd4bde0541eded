"""A step that asks how many rows there are: no faster way drops what it does for some number of them."""

import shutil
import sys
from pathlib import Path

import pytest
import torch

from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrence import graph, unroll
from rnn_tui.model.recurrence.loop import run_loop
from rnn_tui.model.recurrence.stepper import Stepper
from rnn_tui.model.recurrent_model import build_model

sys.path.insert(0, str(Path(__file__).parent))
import recurrent_cells as cells

I, H = 5, 8  # noqa: E741
MANY = "something else for another number of rows"


class HalvesAbove16(cells.Base):
    def step(self, x, state):
        if len(x) > 16:
            state = state / 2
        h = torch.tanh(self.input(x) + self.recurrent(state))
        return h, h


class HalvesAbove1000(cells.Base):
    def step(self, x, state):
        h = torch.tanh(self.input(x) + self.recurrent(state))
        return (h / 2 if x.size(0) > 1000 else h), h


class CutsGradientsAbove16(cells.Base):
    """The same numbers, and no gradient through the state."""

    def step(self, x, state):
        h = torch.tanh(self.input(x) + self.recurrent(state.detach() if len(x) > 16 else state))
        return h, h


class HalvesASingleRow(cells.Base):
    def step(self, x, state):
        h = torch.tanh(self.input(x) + self.recurrent(state / 2 if x.shape[0] == 1 else state))
        return h, h


class CutsGradientsOfASingleRow(cells.Base):
    def step(self, x, state):
        h = torch.tanh(self.input(x) + self.recurrent(state.detach() if x.shape[0] == 1 else state))
        return h, h


class Attends(cells.Base):
    """Right, though torch takes another way for one row: `einsum` leaves out what has size 1, `reshape` copies."""

    def step(self, x, state):
        keys = torch.einsum("bi,bj->bij", state, self.input(x)).softmax(-1)
        heads = torch.einsum("bij,bj->bi", keys, state).view(len(x), 2, -1).transpose(0, 1)
        mixed = self.recurrent(
            heads.reshape(-1, H // 2).view(2, len(x), -1).transpose(0, 1).reshape(len(x), -1)
        )
        h = torch.tanh(mixed + torch.ones(x.shape[0], 1))
        return h, h


class HasAnOperatorOfItsOwn(cells.Base):
    """torch does not know what shape it gives, so it runs on numbers alone."""

    def step(self, x, state):
        h = torch.ops.rnn_tui_tests.twice(torch.tanh(self.input(x) + self.recurrent(state)))
        return h, h


class HasOneAndHalves(HasAnOperatorOfItsOwn):
    def step(self, x, state):
        return super().step(x, state / 2 if len(x) > 16 else state)


@pytest.fixture(scope="module", autouse=True)
def operator():
    library = torch.library.Library("rnn_tui_tests", "DEF")
    library.define("twice(Tensor x) -> Tensor")
    library.impl("twice", lambda x: torch.from_numpy(2 * x.detach().numpy()), "CPU")
    yield
    library._destroy()


BRANCHES = {
    HalvesAbove16: MANY,
    HalvesAbove1000: MANY,
    CutsGradientsAbove16: MANY,
    HalvesASingleRow: "for a single row would not be those of the loop",
    CutsGradientsOfASingleRow: "for a single row would not be those of the loop",
    HasOneAndHalves: MANY,
}


@pytest.mark.parametrize("rung", ["eager", "compiled"])
@pytest.mark.parametrize("kind", BRANCHES, ids=lambda kind: kind.__name__)
def test_a_branch_on_the_rows_keeps_the_loop(kind, rung):
    torch.manual_seed(0)
    core = unroll(kind(I, H), I, rung)
    assert core.engine == "loop"
    assert BRANCHES[kind] in core.engine_reason
    for rows in (1, 3, 40):
        xs, state = torch.randn(rows, 4, I), torch.randn(rows, H)
        assert torch.equal(core(xs, state)[0], run_loop(core.cell, xs, state)[0])


@pytest.mark.parametrize("rung", ["eager", *(["compiled"] if shutil.which("cc") else [])])
@pytest.mark.parametrize("rows", [1, 2, 40])
def test_one_row_and_many_on_a_faster_way(rows, rung):
    torch.manual_seed(0)
    core = unroll(cells.LayerNormLSTM(I, H), I, rung)
    assert core.engine == rung, core.engine_reason
    xs, state = torch.randn(rows, 7, I), core.initial_state(rows)
    torch.testing.assert_close(core(xs, state)[0], run_loop(core.cell, xs, state)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [Attends, cells.FreshTensors, cells.ThreeLeaves])
def test_what_only_uses_the_rows_is_taken_apart(kind):
    core = unroll(kind(I, H), I, "eager")
    assert core.engine == "eager", core.engine_reason


def test_a_step_that_needs_numbers_is_traced_with_numbers():
    """A custom operator cannot be differentiated either, so this is the trace alone."""
    cell = HasAnOperatorOfItsOwn(I, H)

    def examples(rows):
        return [torch.randn(rows, I), torch.randn(rows, H)]

    with torch.no_grad():
        traced = graph.trace_foreign(lambda x, h: [cell.step(x, h)[0]], examples)
    assert torch.ops.rnn_tui_tests.twice.default in {node.target for node in traced.nodes}


@pytest.mark.parametrize("kind", BRANCHES, ids=lambda kind: kind.__name__)
def test_sampling_steps_as_the_model_does(kind, monkeypatch):
    monkeypatch.setenv("RNN_TUI_CC", "")
    torch.manual_seed(1)
    stepper = Stepper(build_model(kind, {}, ModelConfig(hidden_size=H), 11))
    reason = stepper.prepare()
    if kind is CutsGradientsOfASingleRow:  # there are none
        assert reason == ""
    else:
        assert reason.endswith(MANY if BRANCHES[kind] == MANY else "for a single row")
    model = stepper.model.eval()
    with torch.inference_mode():
        for rows in (1, 3, 40):
            ours, state = stepper.initial_state(rows), model.initial_state(rows)
            for ids in torch.arange(4 * rows).view(4, rows) % 11:
                found, ours = stepper.step(ids, ours)
                expected, state = model.step(ids, state)
                torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
