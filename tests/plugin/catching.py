"""How the tests of the conformance kit break a law and look at what it says."""

import torch
from torch import nn

from rnn_tui.plugin import Cell
from rnn_tui.plugin.testing.laws import laws_of, try_law

FAR = "test_another_process_gives_the_same_numbers"
"""Starts a process that loads torch; tried only where it is what is asked for."""


class Elman(Cell):
    """h' = tanh(x W + h U + b), without options: what the broken ones are made of."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.output_size = hidden_size
        self.W = nn.Parameter(torch.empty(input_size, hidden_size))
        self.U = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.b = nn.Parameter(torch.empty(hidden_size))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hidden_size**-0.5), hidden_size**-0.5)

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return self.U.new_zeros(batch_size, len(self.U), device=device, dtype=dtype)

    def step(self, x, state):
        h = torch.tanh(x @ self.W + state @ self.U + self.b)
        return h, h


def tried(laws, law, **attributes):
    """Try one law of a class of laws with these attributes."""
    return try_law(type("Laws", (laws,), attributes)(), law)


def failing(laws, **attributes):
    """Return all laws that do not hold, by method."""
    case = type("Laws", (laws,), attributes)()
    return {law for law in laws_of(laws) if law != FAR and try_law(case, law).outcome == "FAIL"}


def says(verdict, words):
    """Whether a failed law's message holds each of the words that `|` separates."""
    assert verdict.outcome == "FAIL", verdict
    for part in words.split("|"):
        assert part in verdict.text, f"{part!r} is not in:\n{verdict.text}"
