from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnn_tui.corpus import counting
from rnn_tui.corpus.counting import Bar, TextCounter, count_tokens


def count(text: str, cuts: list[int] = []) -> TextCounter:  # noqa: B006
    counter = TextCounter()
    for a, b in pairwise(sorted([0, len(text), *(cut % (len(text) + 1) for cut in cuts)])):
        counter.add(text[a:b], training=True)
    counter.finish()
    return counter


def heights(bars: tuple[Bar, ...]) -> dict[int, int]:
    return {bar.low: bar.count for bar in bars if bar.count}


@given(st.text("ab \n\t\r\u3000深", max_size=80), st.lists(st.integers(0, 80), max_size=6))
def test_any_pieces_against_a_plain_count(text: str, cuts: list[int]) -> None:
    counter = count(text, cuts)
    words = [len(word) for word in text.split()]
    assert counter.words.total == len(words)
    assert counter.words.longest == max(words, default=0)
    assert heights(counter.words.bars()) == {size: words.count(size) for size in words if size < 30} | (
        {30: sum(size >= 30 for size in words)} if max(words, default=0) >= 30 else {}
    )
    lines = text.split("\n")
    lines = lines[:-1] if not lines[-1] else lines
    assert counter.lines.total == len(lines)
    assert counter.lines.characters == sum(map(len, lines))
    assert sum(heights(counter.lines.bars()).values()) == len(lines)
    filled = [line for line in lines if line.strip()]
    assert counter.lines.repeated() == pytest.approx(1 - len(set(filled)) / len(filled) if filled else 0)
    assert {chr(code) for code in np.flatnonzero(counter.seen_in_training)} == set(text)


def test_bars_of_lines_by_hand() -> None:
    bars = count("\na\nabc\nabcd\n" + "x" * 7 + "\n" + "y" * 8).lines.bars()
    assert bars == (Bar(0, 0, 1), Bar(1, 1, 1), Bar(2, 3, 1), Bar(4, 7, 2), Bar(8, 15, 1))


def test_a_very_long_line_is_not_held() -> None:
    counter = TextCounter()
    for _ in range(30):
        counter.add("x" * 200_000, training=True)
        assert len(counter.lines._open) <= 1 << 20
    counter.add("end\nnext", training=True)
    counter.finish()
    assert counter.lines.longest == 6_000_003
    assert counter.lines.total == 2


def test_many_lines_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_SAMPLED_LINES", 1000)
    text = "".join(f"{number}\n" for number in range(20_000)) * 2
    counter = count(text, list(range(0, len(text), 5000)))
    assert counter.lines._held <= 1000
    assert (
        counter.lines.repeated() == 0.5
    )  # every line twice: exact, since both copies are sampled or neither


def test_tokens() -> None:
    ids = np.array([0, 2, 2, 5], dtype=np.uint8)
    assert count_tokens([ids, ids[:1], ids[2:]], 7).tolist() == [2, 0, 3, 0, 0, 2, 0]
    assert count_tokens([], 2).tolist() == [0, 0]
