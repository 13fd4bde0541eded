"""The kit catches a step that asks how many rows there are, in each form that such a branch has."""

import sys
from pathlib import Path

import pytest

from rnn_tui.plugin.testing import ArchitectureLaws

sys.path.insert(0, str(Path(__file__).parent))
from catching import Elman, failing, says, tried

LAW = "test_rows_do_not_mix"


class HalvesAbove16(Elman):
    """Broken."""

    def step(self, x, state):
        return super().step(x, state / 2 if len(x) > 16 else state)


class HalvesOneRow(Elman):
    """Broken."""

    def step(self, x, state):
        y, h = super().step(x, state)
        return y / 2 if x.shape[0] == 1 else y, h


class ForgetsInALargeBatch(Elman):
    """Broken in its state alone."""

    def step(self, x, state):
        y, h = super().step(x, state)
        return y, h * (1 - 1e-6) if x.size(0) > 100 else h


class Chunks(Elman):
    """Right: what it does otherwise for many rows gives the same numbers."""

    def step(self, x, state):
        if len(x) <= 16:
            return super().step(x, state)
        h = x.new_empty(len(x), self.output_size)
        for start in range(0, len(x), 16):
            h[start : start + 16] = super().step(x[start : start + 16], state[start : start + 16])[0]
        return h, h.clone()


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (HalvesAbove16, "1 of 257 rows was run without the others"),
        (HalvesOneRow, "1 of 257 rows was run without the others"),
        (ForgetsInALargeBatch, "of 257 rows was run"),
    ],
)
def test_a_branch_on_the_number_of_rows_is_caught(broken, words):
    says(tried(ArchitectureLaws, LAW, architecture=broken), f"{words}|step asks how many rows there are")


def test_no_other_law_is_broken_by_one_and_none_by_the_same_numbers():
    assert failing(ArchitectureLaws, architecture=HalvesAbove16) == {LAW}
    assert tried(ArchitectureLaws, LAW, architecture=Chunks).outcome == "pass"
