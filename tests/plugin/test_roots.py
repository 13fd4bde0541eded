"""One fault breaks many laws: which one is said to be the first."""

import sys
from pathlib import Path

import torch

from rnn_tui.plugin.testing import ArchitectureLaws, TokenizerLaws
from rnn_tui.plugin.testing.laws import laws_of, try_law
from rnn_tui.plugin.testing.roots import _ROOTS, in_order, root_of

sys.path.insert(0, str(Path(__file__).parent))
from catching import FAR, Elman


class KeepsItsCell(Elman):
    """Broken: an LSTM's cell on self, made anew by initial_state."""

    def initial_state(self, batch_size, *, device=None, dtype=None):
        h = super().initial_state(batch_size, device=device, dtype=dtype)
        self.c = h.clone()
        return h

    def step(self, x, state):
        y, h = super().step(x, state + self.c)
        self.c = 0.5 * self.c + y
        return y, h


class WritesToItsState(Elman):
    """Broken."""

    def step(self, x, state):
        return super().step(x, state.mul_(0.9))


class MixesRows(Elman):
    """Broken, and a part of it is unused too, which has nothing to do with it."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.W = torch.nn.Parameter(torch.cat([self.W, self.W], 1))

    def step(self, x, state):
        h = torch.tanh((x - x.mean(0)) @ self.W[:, : self.output_size] + state @ self.U + self.b)
        return h, h


class Raises(Elman):
    def step(self, x, state):
        raise ValueError("no step today")


def related(architecture):
    """Return the laws that fail, in the order in which they are tried, with what each may follow from."""
    case, found = type("Laws", (ArchitectureLaws,), {"architecture": architecture})(), {}
    for law in in_order(laws_of(ArchitectureLaws)):
        if law != FAR and try_law(case, law).outcome == "FAIL":
            found[law] = root_of(law, found)
    return found


def test_a_state_kept_on_self_comes_first_and_explains_the_rest():
    found = related(KeepsItsCell)
    first, *others = found
    assert (first, found[first]) == ("test_nothing_is_kept_on_self", None)
    assert len(others) >= 8
    assert {found[law] for law in others} == {first}
    case = type("Laws", (ArchitectureLaws,), {"architecture": KeepsItsCell})()
    assert "came      attribute `c` changed during step" in try_law(case, first).text


def test_a_write_in_place_explains_the_gradients_that_fail():
    first, *others = found = related(WritesToItsState)
    assert first == "test_inputs_are_not_written_to"
    assert {found[law] for law in others} <= {first}


def test_what_is_another_fault_stands_for_itself():
    assert related(MixesRows) == {
        "test_rows_do_not_mix": None,
        "test_a_reset_is_a_fresh_start": "test_rows_do_not_mix",
        "test_gradients_reach_every_part": None,
    }


def test_what_does_not_run_says_so_once():
    found = related(Raises)
    declares = found.pop("test_it_declares_itself")
    assert declares is None  # it has no docstring
    assert found.pop("test_it_runs") is None
    assert set(found.values()) == {"test_it_runs"}


def test_roots_come_first_and_no_law_is_lost():
    laws = laws_of(ArchitectureLaws)
    assert set(_ROOTS) < set(laws)
    assert in_order(laws)[: len(_ROOTS)] == list(_ROOTS)
    assert sorted(in_order(laws)) == sorted(laws)
    assert in_order(laws_of(TokenizerLaws)) == laws_of(TokenizerLaws)
