"""The kit catches what it says it catches: laws of form and conduct, for each a layer that breaks it."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest
import torch
from torch import nn

from rnn_tui.plugin import Meta
from rnn_tui.plugin.testing import ArchitectureLaws
from rnn_tui.plugin.testing.laws import law_name

sys.path.insert(0, str(Path(__file__).parent))
from catching import Elman, failing, says, tried


class Undocumented(Elman):
    pass


class OfAnotherVersion(Elman):
    """Broken."""

    api_version = 2


class OfNoSize(Elman):
    """Broken."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.output_size = None


class Unhelpful(Elman):
    """Broken."""

    @dataclass(frozen=True)
    class Options:
        scale: float = 1.0

    def __init__(self, input_size, hidden_size, *, scale=1.0):
        super().__init__(input_size, hidden_size)


class FailsAtOneChoice(Elman):
    """Broken."""

    @dataclass(frozen=True)
    class Options:
        shape: Annotated[Literal["round", "square"], Meta(description="Its shape.")] = "round"

    def __init__(self, input_size, hidden_size, *, shape="round"):
        super().__init__(input_size, hidden_size)
        self.sides = {"round": 0}[shape]


class FailsAtZero(Elman):
    """Broken."""

    @dataclass(frozen=True)
    class Options:
        scale: Annotated[float, Meta(ge=0, le=2, description="What it is divided by.")] = 1.0

    def __init__(self, input_size, hidden_size, *, scale=1.0):
        super().__init__(input_size, hidden_size)
        self.scale = torch.tensor(scale)

    def step(self, x, state):
        y, h = super().step(x, state)
        return y / self.scale, h


class TooLargeAtItsEnd(Elman):
    """Broken."""

    @dataclass(frozen=True)
    class Options:
        slots: Annotated[int, Meta(ge=1, le=1_000_000, description="Places of memory.")] = 1

    def __init__(self, input_size, hidden_size, *, slots=1):
        super().__init__(input_size, hidden_size)
        self.memory = torch.zeros(slots, slots)


class TakesAnyOption(Elman):
    """Broken."""

    def __init__(self, input_size, hidden_size, **options):
        super().__init__(input_size, hidden_size)


class HasOtherDefaults(Elman):
    """Broken."""

    @dataclass(frozen=True)
    class Options:
        bias: Annotated[float, Meta(description="Where the bias starts.")] = 0.0

    def __init__(self, input_size, hidden_size, *, bias=1.0):
        super().__init__(input_size, hidden_size)
        nn.init.constant_(self.b, bias)


class ChangesItsState(Elman):
    """Broken: begins with a tensor, goes on with a tuple."""

    def step(self, x, state):
        h, _ = super().step(x, state[0] if isinstance(state, tuple) else state)
        return h, (h,)


class Squeezes(Elman):
    """Broken."""

    def step(self, x, state):
        y, h = super().step(x, state)
        return y.squeeze(), h


class HasTorchsStates(Elman):
    """Broken: (layers, batch, units)."""

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return super().initial_state(batch_size, device=device, dtype=dtype)[None]

    def step(self, x, state):
        y, h = super().step(x, state[0])
        return y, h[None]


class ReturnsOnlyItsState(Elman):
    """Broken."""

    def step(self, x, state):
        return super().step(x, state)[1]


class IgnoresTheAskedForType(Elman):
    """Broken."""

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return torch.zeros(batch_size, self.output_size, dtype=torch.float64)


class HidesSomethingInItsState(Elman):
    """Broken."""

    def step(self, x, state):
        y, h = super().step(x, state * getattr(state, "scale", 1.0))
        h.scale = 0.5
        return y, h


class HidesAWeight(Elman):
    """Broken: drawn at the start, and in no file."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.mask = torch.rand(hidden_size)

    def step(self, x, state):
        y, h = super().step(x, state)
        return y * self.mask, h


class IsOfOneType(Elman):
    """Broken."""

    def step(self, x, state):
        y, h = super().step(x, state)
        return y + torch.zeros(1, self.output_size, dtype=torch.float64), h


class KnowsTwoTypes(Elman):
    """Broken."""

    def step(self, x, state):
        x = x if x.dtype == torch.float64 else x.float()
        return super().step(x, state)


class IsLazy(Elman):
    """Broken."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.gate = nn.LazyLinear(hidden_size)


class MakesAParameterLater(Elman):
    """Broken."""

    def step(self, x, state):
        if not hasattr(self, "late"):
            self.late = nn.Parameter(torch.ones(self.output_size, dtype=x.dtype))
        y, h = super().step(x, state)
        return y * self.late, h


class CountsItsSteps(Elman):
    """Broken."""

    steps = 0

    def step(self, x, state):
        self.steps += 1
        return super().step(x, state)


class KeepsItsStateOnSelf(Elman):
    """Broken."""

    last = 0.0

    def step(self, x, state):
        y, state = super().step(x, state + self.last)
        self.last = y.detach().mean()
        return y, state


class NormalisesTheBatch(Elman):
    """Broken."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.norm = nn.BatchNorm1d(hidden_size)

    def step(self, x, state):
        y, h = super().step(x, state)
        return (self.norm(y) if len(y) > 1 else y), h


class MixesRows(Elman):
    """Broken."""

    def step(self, x, state):
        return super().step(x - x.mean(0), state)


class WritesToItsState(Elman):
    """Broken."""

    def step(self, x, state):
        y, _ = super().step(x, state)
        return y, state.copy_(y.detach())


class DrawsNumbers(Elman):
    """Broken."""

    def step(self, x, state):
        y, state = super().step(x, state)
        return y + torch.randn_like(y), state


class StartsWithNumPy(Elman):
    """Broken."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.b = nn.Parameter(torch.from_numpy(np.random.default_rng().random(hidden_size)))


class Prints(Elman):
    """Broken."""

    def step(self, x, state):
        print("state", state.shape)
        return super().step(x, state)


class Raises(Elman):
    """Broken."""

    def step(self, x, state):
        raise ValueError("no step today")


CASES = [
    (Undocumented, "it_declares_itself", "no docstring", []),
    (OfAnotherVersion, "it_declares_itself", "api_version|expected  1|came      2", []),
    (OfNoSize, "it_runs", "output_size|came      None|does not set self.output_size", ["shapes"]),
    (Unhelpful, "it_declares_itself", "option scale has no help|description=", []),
    (
        FailsAtOneChoice,
        "every_option_runs_at_its_ends",
        "option shape='square'|KeyError: 'square'\nin        |test_laws_catch.py:|self.sides",
        [],
    ),
    (FailsAtZero, "every_option_runs_at_its_ends", "option scale=0.0|came      NaN or infinity", []),
    (
        TooLargeAtItsEnd,
        "every_option_runs_at_its_ends",
        "slots=1000000|memory; a bound is a promise: lower it",
        [],
    ),
    (TakesAnyOption, "options_are_only_those_declared", "no_such_option=1|TypeError|name each option", []),
    (
        HasOtherDefaults,
        "options_are_only_those_declared",
        "`b`|expected  0|came      1;|default in __init__",
        [],
    ),
    (
        ChangesItsState,
        "shapes",
        "a state as before: float64 (3, 8)|came      (float64 (3, 8))",
        ["a_reset_is_a_fresh_start"],
    ),
    (
        Squeezes,
        "shapes",
        "1 rows of 6 positions|an axis of size 1",
        ["a_reset_is_a_fresh_start", "rows_do_not_mix"],
    ),
    (
        HasTorchsStates,
        "shapes",
        "the initial state of 3 rows|dimension 0 is the batch, 3|came      (1, 3, 8)|as in (layers, batch, units)",
        ["a_reset_is_a_fresh_start", "rows_do_not_mix"],
    ),
    (
        ReturnsOnlyItsState,
        "shapes",
        "step was called|an output, which is a tensor, and a state|a Tensor",
        ...,
    ),
    (
        IgnoresTheAskedForType,
        "the_initial_state_is_where_it_is_asked_for",
        "dtype=torch.float32|came      torch.float64 on cpu|new_zeros",
        [],
    ),
    (
        HidesSomethingInItsState,
        "a_state_is_its_tensors",
        "taken apart into its tensors|something besides tensors",
        [],
    ),
    (HidesAWeight, "weights_survive_a_file", "read into another layer|is no parameter and no buffer", ...),
    (
        IsOfOneType,
        "float32_gives_the_same_numbers",
        "outputs of torch.float32|new_zeros",
        ["bfloat16_is_near"],
    ),
    (KnowsTwoTypes, "bfloat16_is_near", "6 positions were run in torch.bfloat16|two types meet in step", []),
    (
        IsLazy,
        "no_parameter_is_made_later",
        "`gate.weight` is made when the layer is first run|a lazy module",
        ...,
    ),
    (MakesAParameterLater, "no_parameter_is_made_later", "`late` is made when the layer is first run", ...),
    (CountsItsSteps, "nothing_is_kept_on_self", "attribute `steps` was made during step|into the state", []),
    (
        KeepsItsStateOnSelf,
        "a_split_changes_nothing",
        "something is kept on self: attribute `last` changed during step",
        ...,
    ),
    (
        NormalisesTheBatch,
        "nothing_is_kept_on_self",
        "in training mode|buffer `norm.running_mean` changed during step",
        ["rows_do_not_mix", "a_reset_is_a_fresh_start"],
    ),
    (
        MixesRows,
        "rows_do_not_mix",
        "row 1 of the outputs|row 1 changed when row 0 did: a mean or a norm over dimension 0?",
        ["a_reset_is_a_fresh_start"],
    ),
    (
        WritesToItsState,
        "inputs_are_not_written_to",
        "the state is written to in place: use h = h * f, not h.mul_(f)",
        ...,
    ),
    (DrawsNumbers, "the_same_call_gives_the_same_numbers", "draws random numbers in evaluation mode", ...),
    (StartsWithNumPy, "the_same_seed_gives_the_same_weights", "torch.manual_seed(0); `b`|numpy", ...),
    (Prints, "it_prints_nothing", "it printed: state torch.Size([3, 8])|a print()", []),
    (Raises, "causality", "ValueError: no step today|test_laws_catch.py|step: raise ValueError", ...),
]


@pytest.mark.parametrize(("broken", "law", "words", "_"), CASES)
def test_a_broken_layer_is_caught(broken, law, words, _):
    verdict = tried(ArchitectureLaws, f"test_{law}", architecture=broken)
    says(verdict, words)
    assert verdict.law == law_name(f"test_{law}")


@pytest.mark.slow
@pytest.mark.parametrize(("broken", "law", "_", "related"), [case for case in CASES if case[3] is not ...])
def test_no_unrelated_law_is_broken(broken, law, _, related):
    assert failing(ArchitectureLaws, architecture=broken) == {f"test_{each}" for each in [law, *related]}


def test_the_whole_one_keeps_them_all():
    assert failing(ArchitectureLaws, architecture=Elman) == set()


class DependsOnTheProcess(Elman):
    """Broken, anywhere but in the process that runs the tests."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        with torch.no_grad():
            self.b += os.environ.get("PYTHONHASHSEED") == "1"


def test_dependence_on_the_process_is_caught(monkeypatch):
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    law = "test_another_process_gives_the_same_numbers"
    assert tried(ArchitectureLaws, law, architecture=Elman).outcome == "pass"
    verdict = tried(ArchitectureLaws, law, architecture=DependsOnTheProcess)
    says(verdict, "by another process, after the same seed; `b`|the order of a set of strings")
    hidden = type("Local", (Elman,), {"__qualname__": "test.<locals>.Local"})
    assert "made inside a function" in tried(ArchitectureLaws, law, architecture=hidden).text
