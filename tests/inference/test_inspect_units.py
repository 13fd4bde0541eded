"""Scores, thresholds and maps against brute force, and the search against a cell whose units are known."""

import itertools
from typing import NamedTuple

import numpy as np
import pytest
import torch

from rnn_tui.errors import UsageError
from rnn_tui.inference.activations import heat_map, unit_values
from rnn_tui.inference.inspect_requests import MAP_LIMIT, PATTERNS
from rnn_tui.inference.parts import Part
from rnn_tui.inference.patterns import Marks, mark
from rnn_tui.inference.trace import read_trace, strands_of
from rnn_tui.inference.units import area, best_threshold, best_units, scores
from rnn_tui.model.recurrence import Stack, Unroll
from rnn_tui.model.recurrent_model import OneHot, RecurrentModel
from rnn_tui.plugin.core import Cell
from rnn_tui.plugin.registry import load_plugin

TEXT = 'He said "no (not\nnow)" and "yes".\nThen (he "left (me"), 3\n'


class Notes(NamedTuple):
    quoted: torch.Tensor
    line: dict


class Reader(Cell):
    """A reader that takes notes: in unit 2 of `quoted` whether a quotation is open, in `line` its place in the line."""

    def __init__(self, tokenizer):
        super().__init__()
        self.output_size = tokenizer.vocab_size
        self.register_buffer("ids", torch.tensor(tokenizer.encode('"\n').astype("int64")))

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return Notes(torch.zeros(batch_size, 4), {"place": torch.zeros(batch_size, 1)})

    def step(self, x, state):
        mark, newline = x[:, self.ids[0]], x[:, self.ids[1]]
        quoted = state.quoted.clone()
        quoted[:, 2] = (quoted[:, 2] - mark).abs()
        quoted[:, 0] = 0.5 * quoted[:, 0] + mark  # something else that has to do with it
        place = (state.line["place"] + 1) * (1 - newline[:, None])
        return x, Notes(quoted, {"place": place})


@pytest.fixture(scope="module")
def trace():
    tokenizer = load_plugin("tokenizer", "char").train([TEXT], None)
    size = tokenizer.vocab_size
    model = RecurrentModel(
        OneHot(size), Stack([Unroll(Reader(tokenizer), size)]), size, dropout=0.0, tied=False
    )
    return read_trace(model, strands_of(model), tokenizer, TEXT)


def test_the_search_finds_the_unit_that_is_the_pattern(trace):
    [quotes, place, letters] = best_units(
        trace.parts,
        [mark(trace.texts, name) for name in ("quotes", "line-position", "regex:e|h")],
        3,
    )
    best = quotes[0]
    assert (best.part, best.unit, best.layer) == ("layer 1 quoted", 2, 1)
    assert (best.score, best.mean_in, best.mean_out) == pytest.approx((1, 1, 0))
    assert (best.threshold, best.auc) == (0.5, 1.0)
    assert abs(quotes[1].score) < 0.9
    assert (place[0].part, place[0].unit, place[0].score) == ("layer 1 line.place", 0, pytest.approx(1))
    assert place[0].threshold is place[0].auc is None
    # the two units that never move are in no list
    assert {(found.part, found.unit) for found in letters} == {
        ("layer 1 quoted", 0),
        ("layer 1 quoted", 2),
        ("layer 1 line.place", 0),
    }


def test_the_values_of_the_unit_are_the_marks(trace):
    found = unit_values(trace.part("layer 1 quoted"), 2)
    assert found.values.tolist() == mark(trace.texts, "quotes").values.tolist()
    assert (found.low, found.high) == (0, 1)


def random_part(tokens=60, units=7, seed=0, name="layer 1 h"):
    values = np.random.default_rng(seed).normal(size=(tokens, units)).astype(np.float32)
    values[:, 3] = 0.25
    values[:, 4] = np.round(values[:, 4])  # with many equal ones
    return Part(name, 0, 1, values)


def random_marks(tokens=60, seed=1):
    generator = np.random.default_rng(seed)
    yes_no = (generator.random(tokens) < 0.3).astype(np.float32)
    number = generator.integers(0, 9, tokens).astype(np.float32)
    return Marks("quotes", "yes-no", yes_no), Marks("line-position", "number", number)


def test_scores_are_correlations():
    part, patterns = random_part(), random_marks()
    found = scores(part, patterns)
    for unit, (column, marks) in itertools.product(range(7), enumerate(patterns)):
        if unit != 3:
            expected = np.corrcoef(part.values[:, unit], marks.values)[0, 1]
            assert found[unit, column] == pytest.approx(expected, abs=1e-6)
    assert found[3].tolist() == [0, 0]


def test_score_of_values_far_from_zero():
    part = random_part()
    far = Part("far", 0, 1, part.values + 100)
    assert scores(far, random_marks()) == pytest.approx(scores(part, random_marks()), abs=1e-3)


def test_area_and_threshold_against_all_pairs_and_all_cuts():
    part, (marks, _) = random_part(), random_marks()
    inside = marks.values > 0
    for unit in range(7):
        values = part.values[:, unit].astype(np.float64)
        pairs = [(a > b) + (a == b) / 2 for a in values[inside] for b in values[~inside]]
        assert area(values, inside) == pytest.approx(np.mean(pairs))

        def gain(cut, values=values):
            return abs((values[inside] > cut).mean() - (values[~inside] > cut).mean())

        best = max(map(gain, values))
        assert gain(best_threshold(values, inside)) == pytest.approx(best)


def test_best_units_over_several_parts_in_order():
    parts, (yes_no, number) = [random_part(name="a"), random_part(seed=5, name="b")], random_marks()
    [first, second] = best_units(parts, [yes_no, number], 20)
    assert len(first) == len(second) == 12  # two of the fourteen never move
    sizes = [abs(found.score) for found in first]
    assert sizes == sorted(sizes, reverse=True)
    for found, marks in [(first[0], yes_no), (second[3], number)]:
        values = next(part for part in parts if part.name == found.part).values[:, found.unit]
        high = marks.values > (0 if marks is yes_no else marks.values.mean())
        assert found.score == pytest.approx(np.corrcoef(values, marks.values)[0, 1], abs=1e-6)
        assert found.mean_in == pytest.approx(values[high].mean(), abs=1e-6)
        assert found.mean_out == pytest.approx(values[~high].mean(), abs=1e-6)


def test_a_pattern_that_does_not_vary_finds_nothing():
    assert best_units([random_part()], [Marks("digits", "yes-no", np.zeros(60, np.float32))], 5) == [[]]


def test_values_beyond_one_are_divided_by_a_robust_maximum():
    values = np.zeros((1000, 2), np.float32)
    values[:, 0] = np.linspace(-8, 8, 1000)
    values[0, 0] = -500
    part = Part("layer 1 c", 0, 1, values)
    found = unit_values(part, 0)
    assert found.scale == pytest.approx(np.percentile(np.abs(values[:, 0]), 99))
    assert 7.8 < found.scale < 8
    assert found.values[0] == -1
    assert found.values[600] == pytest.approx(values[600, 0] / found.scale)
    assert (found.low, found.high) == (-500, 8)
    assert unit_values(part, 1).scale == 1  # of a unit that is 0 throughout
    with pytest.raises(UsageError, match="layer 1 c has the units 0 to 1, not 2"):
        unit_values(part, 2)


def test_values_between_minus_one_and_one_are_shown_as_they_are():
    part = Part("layer 1 h", 0, 1, np.array([[0.1], [-0.9], [0.2]], np.float32))
    assert unit_values(part, 0).values == pytest.approx([0.1, -0.9, 0.2])
    assert unit_values(part, 0).scale == heat_map(part, 1, 1).scale == 1


@pytest.mark.parametrize(("height", "width"), [(3, 7), (7, 60), (100, 1000), (1, 1), (2, 59)])
@pytest.mark.parametrize(("begin", "end"), [(0, None), (11, 50)])
def test_map_keeps_the_farthest_value_of_each_block(height, width, begin, end):
    part = random_part()
    order = np.array([6, 2, 4, 0, 3, 5, 1])
    found = heat_map(part, height, width, begin=begin, end=end, order=order)
    count = (end or 60) - begin
    assert found.cells.shape == (min(height, 7), min(width, count))
    assert list(itertools.chain(*found.units)) == order.tolist()
    assert found.starts[0] == begin
    assert len(found.starts) == found.cells.shape[1]
    ends = [*found.starts[1:], begin + count]
    for row, units in enumerate(found.units):
        for column, (first, last) in enumerate(zip(found.starts, ends, strict=True)):
            block = [part.values[t, unit] for t in range(first, last) for unit in units]
            expected = max(block, key=abs) / part.scale
            assert found.cells[row, column] == pytest.approx(np.clip(expected, -1, 1), abs=1e-6)
    sizes = {last - first for first, last in zip(found.starts, ends, strict=True)}
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("size", "span"),
    [((0, 1), (0, 9)), ((1, MAP_LIMIT[1] + 1), (0, 9)), ((1, 1), (9, 9)), ((1, 1), (60, 70))],
)
def test_map_that_cannot_be(size, span):
    with pytest.raises(UsageError, match=r"a map has 1 to|there are no tokens from"):
        heat_map(random_part(), *size, begin=span[0], end=span[1])


def test_every_pattern_can_be_scored(trace):
    patterns = [mark(trace.texts, name) for name in PATTERNS]
    assert np.isfinite(scores(trace.parts[0], patterns)).all()
