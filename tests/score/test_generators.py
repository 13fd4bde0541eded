"""What the tasks draw, against hand-worked examples, brute force and recognisers written another way."""

import itertools
import math
import re

import numpy as np
import pytest
import torch

from rnn_tui.score.adding import CHANCE, SHORTEST, Adding, adding
from rnn_tui.score.brackets import KINDS, Brackets, brackets, questions
from rnn_tui.score.copying import ALPHABET, BLANK, DELIMITER, SYMBOLS, Copying, copying
from rnn_tui.score.reber import SYMBOLS as LETTERS
from rnn_tui.score.reber import Reber, embedded, encode, inner, judge
from rnn_tui.score.task import corrected, log_uniform
from rnn_tui.tasks.task import IGNORED


@pytest.fixture
def draw():
    return np.random.default_rng(0)


class Oracle:
    """What `judge` asks of a model, answered by a function of ids (B, T) that gives logits (B, T, V)."""

    def __init__(self, logits):
        self.logits = logits

    def initial_state(self, rows):
        return None

    def __call__(self, inputs, state):
        return self.logits(inputs), state

    def outputs(self, features):
        return features


@pytest.mark.parametrize("lag", [1, 4, 30])
def test_copying(draw, lag):
    inputs, targets = copying(draw, 5, 3, lag)
    assert inputs.shape == targets.shape == (5, 6 + lag)
    for given, asked in zip(inputs.tolist(), targets.tolist(), strict=True):
        symbols = given[:3]
        assert set(symbols) <= set(range(8))
        assert given[3:] == [BLANK] * (lag - 1) + [DELIMITER] + [BLANK] * 3
        assert asked == [IGNORED] * (3 + lag) + symbols


def test_symbols_are_uniform_and_independent(draw):
    inputs, _ = copying(draw, 20_000, 2, 1)
    pairs = np.bincount(inputs[:, 0] * ALPHABET + inputs[:, 1], minlength=64)
    expected = 20_000 / 64
    assert (
        (pairs - expected) ** 2 / expected
    ).sum() < 110  # chi-squared, 63 degrees: 103.4 at one in a thousand


def test_lags_of_training(draw):
    task = Copying(40)
    lags = [task.batch(draw).inputs.shape[1] - 2 * SYMBOLS for _ in range(300)]
    assert min(lags) == 1
    assert 30 < max(lags) <= 40
    # each doubling as likely as another: ln 6.2 / ln 41 of them are up to 5
    assert sum(lag <= 5 for lag in lags) / 300 == pytest.approx(math.log(6) / math.log(41), abs=0.1)


def test_log_uniform_gives_both_ends(draw):
    assert {log_uniform(draw, 2, 5) for _ in range(200)} == {2, 3, 4, 5}


@pytest.mark.parametrize("length", [2, 7, 50])
def test_adding(draw, length):
    inputs, sums = adding(draw, 40, length)
    for row, total in zip(inputs.tolist(), sums.tolist(), strict=True):
        marked = [step for step, (_, mark) in enumerate(row) if mark == 1]
        assert len(marked) == 2
        assert marked[0] < length // 2 <= marked[1]
        assert all(mark in (0, 1) and 0 <= number < 1 for number, mark in row)
        assert total == pytest.approx(row[marked[0]][0] + row[marked[1]][0])


def test_chance_of_adding(draw):
    _, sums = adding(draw, 100_000, 10)
    assert ((sums - 1) ** 2).mean() == pytest.approx(1 / 6, abs=0.002)
    always_one = Oracle(lambda inputs: torch.ones_like(inputs))
    (measure,) = Adding(10).measure(always_one, draw)
    assert measure.points[0].value == pytest.approx(CHANCE, abs=0.04)
    assert measure.points[0].score < 0.25
    lengths = [Adding(9).batch(draw).inputs.shape[1] for _ in range(100)]
    assert set(lengths) == set(range(SHORTEST, 10))


# the same grammar as an expression, from the picture in Cleeremans et al.
LOOP = "(XT*VP)*"
REBER = re.compile(f"B(TS*X{LOOP}(S|XT*VV)|PT*V(V|P{LOOP}(S|XT*VV)))E")


def test_reber_strings(draw):
    for onward in (0.5, 0.95):
        for _ in range(300):
            assert REBER.fullmatch(inner(draw, onward)[0])
    assert REBER.fullmatch("BTSSXXTVVE")
    assert not REBER.fullmatch("BTXTE")


def test_every_short_string_comes_and_what_may_follow_is_told(draw):
    language = {
        f"B{''.join(middle)}E"
        for length in range(3, 8)
        for middle in itertools.product("TPSXV", repeat=length)
        if REBER.fullmatch(f"B{''.join(middle)}E")
    }
    drawn = [inner(draw) for _ in range(3000)]
    assert {text for text in language if len(text) <= 6} <= {text for text, _ in drawn}
    checked = 0
    for text, legal in drawn:
        assert len(legal) == len(text)
        for length in range(
            1, min(len(text), 4)
        ):  # what follows so short a beginning, some string of 9 shows
            follow = {
                each[length] for each in language if each.startswith(text[:length]) and len(each) > length
            }
            assert set(legal[length - 1]) == follow
            checked += 1
    assert checked > 3000


def test_embedded_strings(draw):
    seen = set()
    for _ in range(100):
        text, legal = embedded(draw)
        assert text[0] == "B"
        assert text[1] == text[-2]
        assert text[-1] == "E"
        assert REBER.fullmatch(text[2:-2])
        assert all(following in may for following, may in zip(text[1:], legal, strict=False))
        assert (legal[0], legal[1], legal[-3], legal[-2], legal[-1]) == ("TP", "B", text[1], "E", "")
        seen.add(text[1])
    assert seen == {"T", "P"}
    assert 30 <= len(embedded(draw, 0.93, range(30, 46))[0]) - 4 <= 45


def test_encoding_by_hand():
    inputs, targets = encode(["BTE", "BPBTE"])
    assert inputs.tolist() == [[0, 1, 0, 0], [0, 2, 0, 1]]
    assert targets.tolist() == [[1, 6, IGNORED, IGNORED], [2, 0, 1, 6]]


def test_judging_one_who_knows_and_one_who_forgets(draw):
    strings = [embedded(draw) for _ in range(200)]
    legal = dict(strings)

    def knowing(inputs, forget=False):
        logits = torch.zeros(*inputs.shape, len(LETTERS))
        for row, (text, _) in enumerate(strings):
            for step, may in enumerate(legal[text][:-1]):
                if forget and step == len(text) - 3:
                    may = "T"
                for symbol in may:
                    logits[row, step, LETTERS.index(symbol)] = 1.0
        return logits

    memory, right, chance = judge(Oracle(knowing), strings)
    assert (memory, right) == (1, 1)
    # positions at which two of seven may follow, and those at which one may: 1/21 and 1/7
    counts = [len(may) for _, each in strings for may in each[:-1]]
    assert chance == pytest.approx(np.mean([1 / 21 if count == 2 else 1 / 7 for count in counts]))
    memory, right, _ = judge(Oracle(lambda inputs: knowing(inputs, forget=True)), strings)
    assert memory == pytest.approx(sum(text[1] == "T" for text, _ in strings) / 200)
    assert right < 1


@pytest.mark.parametrize(("length", "depth"), [(4, 2), (24, 3), (80, 10)])
def test_brackets(draw, length, depth):
    ids = brackets(draw, 20, length, depth)
    assert ids.shape == (20, length)
    everything, memory = questions(ids)[1], questions(ids, memory=True)[1]
    for row, asked, hard in zip(ids.tolist(), everything.tolist(), memory.tolist(), strict=True):
        stack, deepest = [], 0
        for step, symbol in enumerate(row):
            if symbol < KINDS:
                stack.append((step, symbol))
                deepest = max(deepest, len(stack))
                expected = expected_hard = IGNORED
            else:
                opened, kind = stack.pop()
                assert symbol == kind + KINDS
                expected = symbol
                expected_hard = IGNORED if opened == step - 1 else symbol
            if step:
                assert (asked[step - 1], hard[step - 1]) == (expected, expected_hard)
        assert not stack
        assert deepest == depth
    assert questions(ids)[0].tolist() == ids[:, :-1].tolist()


def test_chance_of_brackets(draw):
    logits = torch.zeros(2 * KINDS)
    logits[KINDS + 2] = 1.0  # always the same kind
    depths, long = Brackets().measure(Oracle(lambda ids: logits.expand(*ids.shape, 2 * KINDS)), draw)
    for point in (*depths.points, *long.points):
        assert point.value == pytest.approx(1 / KINDS, abs=0.05)
        assert point.score < 0.07
    assert [point.beyond for point in depths.points] == [False] * 4 + [True] * 3


def test_corrected():
    assert corrected(0.125, 1 / 8) == 0
    assert corrected(1.0, 1 / 8) == 1
    assert corrected(0.75, 0.5) == 0.5
    assert corrected(0.2, 0.5) == 0


def test_tasks_draw_the_same_again():
    for task in (Copying(20), Adding(20), Reber(), Brackets()):
        first, second = (task.batch(np.random.default_rng(3)) for _ in range(2))
        assert torch.equal(first.inputs, second.inputs)
        assert torch.equal(first.targets, second.targets)
