import lzma
import math
from collections import Counter, defaultdict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from rnn_tui_text.char import CharTokenizer

from rnn_tui.corpus.baselines import _fit_scales, _Model, baselines, xz
from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.prepare import PreparedCorpus, prepare
from rnn_tui.errors import UsageError


class Slow:
    """The formulas of the module, with dictionaries and exact fractions."""

    def __init__(self, ids: list[int], vocab_size: int, a2: float, a3: float) -> None:
        self.ids, self.vocab_size, self.scales = ids, vocab_size, {1: Fraction(a2), 2: Fraction(a3)}
        self.after: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for order in (1, 2):
            for i in range(order, len(ids)):
                self.after[tuple(ids[i - order : i])][ids[i]] += 1

    def probability(self, context: tuple[int, ...], token: int) -> Fraction:
        if not context:
            return Fraction(self.ids.count(token) + 1, len(self.ids) + self.vocab_size)
        seen = self.after[context]
        shorter = self.probability(context[1:], token)
        if not seen:
            return shorter
        weight = self.scales[len(context)] * len(seen)
        return (seen[token] + weight * shorter) / (seen.total() + weight)

    def nats(self, ids: list[int], order: int = 2) -> float:
        values = [self.probability(tuple(ids[max(0, i - order) : i]), token) for i, token in enumerate(ids)]
        return -sum(math.log(value) for value in values) / len(ids)


@pytest.fixture
def ids() -> np.ndarray:
    """A small text over 5 of 6 symbols in which some follow others often."""
    random = np.random.default_rng(3)
    steps = random.choice([1, 2, 3], size=400, p=[0.7, 0.2, 0.1])
    return np.cumsum(steps) % 5


def test_by_hand() -> None:
    train, held_out = np.array([0, 0, 1, 2]), np.array([0, 3])
    found = baselines(train, held_out, 4)
    assert found.uniform == pytest.approx(math.log(4))
    assert found.unigram == pytest.approx(-(math.log(3 / 8) + math.log(1 / 8)) / 2)
    # 3 after 0: seen after 0 are 0 and 1, once each, so (0 + 2 * 1/8) / (2 + 2)
    assert found.bigram == found.trigram == pytest.approx(-(math.log(3 / 8) + math.log(1 / 16)) / 2)


@pytest.mark.parametrize(("a2", "a3"), [(1.0, 1.0), (0.25, 4.0)])
def test_trigram_equals_the_dictionary_form(ids: np.ndarray, a2: float, a3: float) -> None:
    train, held_out = ids[:300], np.concatenate([ids[300:], [5, 0, 5, 5, 1]])
    slow = Slow(train.tolist(), 6, a2, a3)
    fast = _Model(train, 6).look_up(held_out).trigram(a2, a3)
    assert -np.log(fast).mean() == pytest.approx(slow.nats(held_out.tolist()), rel=1e-12)


def test_the_whole_against_the_dictionary_form(ids: np.ndarray) -> None:
    train, held_out = ids[:300], ids[300:]
    slow = Slow(train.tolist(), 6, *_fit_scales(train, 6))
    found = baselines(train.astype(np.uint8), held_out, 6)
    assert found.trigram == pytest.approx(slow.nats(held_out.tolist()))
    assert found.bigram == pytest.approx(slow.nats(held_out.tolist(), order=1))


def test_every_context_gives_a_distribution(ids: np.ndarray) -> None:
    model = _Model(ids, 6)
    for u in range(6):
        for v in range(6):
            rows = [model.look_up(np.array([u, v, w])).trigram(0.5, 2.0) for w in range(6)]
            assert sum(row[2] for row in rows) == pytest.approx(1, abs=1e-12)
            assert min(row[2] for row in rows) > 0
        pairs = [model.look_up(np.array([u, w])) for w in range(6)]
        assert sum(found.bigram(0.5)[0] for found in pairs) == pytest.approx(1, abs=1e-12)
        assert sum(found.unigram[1] for found in pairs) == pytest.approx(1, abs=1e-12)


def test_the_scales_are_the_best_of_the_grid_for_the_tail(ids: np.ndarray) -> None:
    a2, a3 = _fit_scales(ids, 6)
    head, tail = ids[:360].tolist(), ids[360:].tolist()
    chosen = Slow(head, 6, a2, a3).nats(tail)
    assert all(chosen <= Slow(head, 6, a2, other).nats(tail) + 1e-12 for other in (0.0625, 0.25, 1.0, 4.0))


def test_order_helps_where_there_is_order(ids: np.ndarray) -> None:
    found = baselines(ids[:300], ids[300:], 5)
    assert found.trigram < found.unigram - 0.3
    assert found.bigram < found.unigram - 0.3
    source = -sum(p * math.log(p) for p in (0.7, 0.2, 0.1))  # the entropy that the text was drawn with
    assert found.trigram > source - 0.15


def test_the_limit(ids: np.ndarray) -> None:
    noise = np.full(500, 4)
    found = baselines(np.concatenate([noise, ids[:100]]), np.concatenate([ids[300:400], noise]), 5, limit=100)
    assert found == baselines(ids[:100], ids[300:400], 5)


@pytest.mark.parametrize("train", [[0, 1], [0], [1, 1, 1]])
@pytest.mark.parametrize("held_out", [[0], [1, 0], [2, 2, 2, 2]])
def test_tiny_texts(train: list[int], held_out: list[int]) -> None:
    found = baselines(np.array(train), np.array(held_out), 3)
    assert found.trigram == pytest.approx(Slow(train, 3, 1, 1).nats(held_out))


def test_a_large_vocabulary_does_not_overflow() -> None:
    size = 3_000_000  # its cube is above 2**63
    random = np.random.default_rng(0)
    few = random.integers(size - 1000, size, size=20)
    train, held_out = random.choice(few, size=150), random.choice(few, size=30)
    slow = Slow(train.tolist(), size, *_fit_scales(train, size))
    found = baselines(train.astype(np.uint32), held_out.astype(np.uint32), size)
    assert found.trigram == pytest.approx(slow.nats(held_out.tolist()))


@pytest.fixture
def text() -> str:
    """Lines that repeat words but not each other, with letters of one and of two bytes."""
    random = np.random.default_rng(1)
    words = ["über", "the", "cat", "öl", "sat", "schön", "mat", "and"]
    return "\n".join(" ".join(random.choice(words, 9)) for _ in range(400))


def prepared(path: Path, text: str, validation: float) -> PreparedCorpus:
    path.write_text(text)
    return prepare(CorpusConfig(source=str(path), validation=validation), CharTokenizer, None)


def xz_size(data: bytes) -> int:
    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def test_xz_is_how_much_longer_the_file_becomes(tmp_path: Path, text: str) -> None:
    corpus = prepared(tmp_path / "a.txt", text, 0.25)
    cut = int(len(text) * 0.75)
    before, after = text[:cut].encode(), text[cut:].encode()
    found = xz(corpus, corpus, "validation")
    assert found.bits == 8 * (xz_size(before + after) - xz_size(before))
    assert (found.chars, found.bytes, found.train_chars) == (len(text) - cut, len(after), cut)
    assert found.bytes > found.chars
    # a character is a token
    assert found.nats_per_token == pytest.approx(found.bits * math.log(2) / (len(text) - cut))
    assert found.bits < 8 * xz_size(after)  # the training text helps


def test_xz_of_another_text_and_its_limits(tmp_path: Path, text: str) -> None:
    own, other = prepared(tmp_path / "a.txt", text, 0.25), prepared(tmp_path / "b.txt", text[::-1], 0.0)
    train = text[: int(len(text) * 0.75)]
    found = xz(own, other, "train", train_limit=700, limit=500)
    before, after = train[-700:].encode(), text[::-1][:500].encode()
    assert found.bits == 8 * (xz_size(before + after) - xz_size(before))
    assert (found.chars, found.bytes, found.train_chars) == (500, len(after), 700)
    with pytest.raises(UsageError, match="no split 'validation'"):
        xz(own, other, "validation")
