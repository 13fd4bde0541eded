"""Toys whose memory is known by construction, and trainings that go wrong."""

import math

import pytest
import torch
from torch import nn

from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin import Cell, Core
from rnn_tui.plugin.registry import load_plugin
from rnn_tui.score.adding import Adding
from rnn_tui.score.brackets import Brackets
from rnn_tui.score.copying import ALPHABET, DELIMITER, SYMBOLS, Copying
from rnn_tui.score.learning import FLOOR, NOT_FINITE, WARMUP, _share, learn
from rnn_tui.score.reber import Reber
from rnn_tui.score.text import Text


class Tape(Core):
    """Keeps the first symbols for ever, and shows the first after the delimiter, then the second, and so on."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.input_size, self.output_size = input_size, ALPHABET

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return torch.zeros(batch_size, SYMBOLS, ALPHABET), torch.zeros(batch_size, 2, dtype=torch.long)

    def forward(self, xs, state, *, reset=None):
        kept, counts = (leaf.clone() for leaf in state)
        rows, ys = torch.arange(len(xs)), []
        for given in xs.argmax(-1).unbind(1):
            read, shown = counts.clone().unbind(1)
            new = read < SYMBOLS
            kept[rows[new], read[new], given[new]] = 1
            counts[:, 0] += new
            counts[:, 1] += ~new & ((given == DELIMITER) | (shown > 0))
            place = (counts[:, 1] - 2).clamp(0, SYMBOLS - 1)
            ys.append(kept[rows, place] * (counts[:, 1:] >= 2))
        return torch.stack(ys, 1), (kept, counts)


class Forgetful(Core):
    """Its output is a function of its input alone."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.input_size, self.output_size = input_size, hidden_size
        self.layer = nn.Linear(input_size, hidden_size)

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return torch.zeros(batch_size, 1)

    def forward(self, xs, state, *, reset=None):
        return torch.tanh(self.layer(xs)), state


class Broken(Cell):
    """Gives NaN, or raises, from a step on that training does not see at once."""

    kind = "nan"

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.output_size = hidden_size
        self.layer = nn.Linear(input_size, hidden_size)

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return torch.zeros(batch_size, self.output_size)

    def step(self, x, state):
        if self.kind == "raise":
            raise ValueError("this cell never worked")
        return self.layer(x) * math.nan, state


def model_of(plugin, task, hidden_size=8, seed=1):
    torch.manual_seed(seed)
    return build_model(plugin, {}, ModelConfig(hidden_size=hidden_size), **task.inputs)


def scores(measure):
    return [point.score for point in measure.points]


def test_a_perfect_memory_solves_copying():
    task = Copying(6, (12,), updates=40, rate=0.1)
    learned = learn(model_of(Tape, task), task, seed=1)
    (measure,) = learned.measures
    assert [(point.at, point.score, point.beyond) for point in measure.points] == [
        (6, 1, False),
        (12, 1, True),
    ]
    assert (learned.updates, learned.stopped) == (40, "")


@pytest.mark.parametrize(
    "task", [Copying(6, updates=60), Adding(8, updates=150), Brackets(updates=60)], ids=lambda task: task.name
)
def test_no_memory_is_chance(task):
    learned = learn(model_of(Forgetful, task), task, seed=1)
    for measure in learned.measures:
        assert max(scores(measure)) < 0.15  # what does not follow from the input alone


def test_no_memory_knows_no_second_symbol_of_reber(monkeypatch):
    monkeypatch.setattr("rnn_tui.score.reber.TESTED", 64)
    task = Reber(updates=100)
    memory, legal = learn(model_of(Forgetful, task), task, seed=1).measures
    assert max(scores(memory)) < 0.2
    # the last symbol tells what may follow only where it is in one state: not T, P, S, X and V
    assert 0.2 < legal.points[0].value < 0.8


def test_text_and_reach():
    task = Text(updates=100, farthest=5)
    text, *reach = learn(model_of(Forgetful, task, 32), task, seed=1).measures
    assert text.name == "text"
    assert [measure.name for measure in reach] == [
        f"reach to 1/{part}, {when}" for when in ("trained", "untrained") for part in (2, 100)
    ]
    uniform = math.log2(task.inputs["vocab_size"])
    assert text.chance == pytest.approx(uniform)
    assert 2 < text.points[0].value < uniform
    # the state is never read: no gradient reaches it at any distance, so that it is below any share from the first on
    assert [measure.points[0].value for measure in reach] == [0] * 4


def test_an_lstm_beats_a_guess():
    task = Adding(4, updates=300)
    lstm = load_plugin("architecture", "lstm")
    assert learn(model_of(lstm, task, 16), task, seed=1).measures[0].points[0].score > 0.5


def test_the_same_seed_gives_the_same():
    task = Copying(5, updates=20)
    rnn = load_plugin("architecture", "rnn")
    first, second, other = (learn(model_of(rnn, task, seed=s), task, seed=s) for s in (1, 1, 2))
    assert (first.loss, first.measures) == (second.loss, second.measures)
    assert first.loss != other.loss


def test_what_is_not_finite_is_given_up():
    task = Copying(5, updates=50)
    learned = learn(model_of(Broken, task), task, seed=1)
    assert learned.updates == NOT_FINITE
    assert learned.stopped == "its loss is not finite from update 1 on"
    assert learned.measures == ()


def test_out_of_time_is_measured_where_it_is():
    task = Copying(5, updates=50)
    told = []
    learned = learn(model_of(Forgetful, task), task, seed=1, limit=0.0, told=told.append)
    assert (learned.updates, told) == (1, [1])
    assert learned.stopped == "out of time after 1 of 50 updates"
    assert len(learned.measures) == 1


def test_the_rate_rises_and_falls():
    shares = [_share(done, 400) for done in range(400)]
    assert shares[0] == pytest.approx(1 / WARMUP, rel=0.01)
    assert shares.index(max(shares)) == WARMUP - 1
    assert shares[-1] == pytest.approx(FLOOR, abs=0.001)
