import re
import sys
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnn_tui.corpus.config import Step
from rnn_tui.corpus.normalise import normalise
from rnn_tui.errors import UsageError

STEPS = get_args(Step)
texts = st.text(
    st.one_of(st.sampled_from("aZ \t\r\n.,-éßΣİ深\u3000"), st.characters(blacklist_categories=["Cs"])),
    max_size=30,
)


def whole(text: str, *steps: Step) -> str:
    return "".join(normalise([text], steps))


@given(
    texts, st.lists(st.integers(0, 30), max_size=5), st.lists(st.sampled_from(STEPS), min_size=1, max_size=3)
)
def test_any_cut_into_pieces_gives_the_same(text: str, cuts: list[int], steps: list[Step]) -> None:
    places = sorted([0, len(text), *(cut % (len(text) + 1) for cut in cuts)])
    pieces = [text[a:b] for a, b in pairwise(places)]
    assert "".join(normalise(pieces, steps)) == whole(text, *steps)


@given(texts)
def test_letters_only_is_the_books_expression(text: str) -> None:
    assert whole(text, "letters-only") == re.sub("[^A-Za-z]+", " ", text)


@given(texts.filter(lambda text: "Σ" not in text))
def test_lowercase_is_pythons(text: str) -> None:
    assert whole(text, "lowercase") == text.lower()


@pytest.mark.parametrize(
    ("step", "text", "expected"),
    [
        ("lowercase", "ΟΔΟΣ and ODOS", "οδοσ and odos"),
        ("letters-only", "The Time Machine, by\n H. G. Wells [1898]", "The Time Machine by H G Wells "),
        ("strip-punctuation", "«Où?» $5 — “no”, he said… don't。", "Où 5  no he said dont"),
        ("newlines-to-spaces", "a\nb\r\nc\rd\n\n", "a b c d  "),
        ("collapse-spaces", "a \t b\n \nc\u3000\u00a0d  ", "a b\n \nc d "),
        ("transliterate", "Šimon, 深圳, Ж!", "Simon, ShenZhen, Zh!"),
    ],
)
def test_steps_by_hand(step: Step, text: str, expected: str) -> None:
    assert whole(text, step) == expected


def test_steps_apply_in_order() -> None:
    assert whole("É\nA", "lowercase", "letters-only") == " a"
    assert whole("É\nA", "transliterate", "letters-only", "lowercase") == "e a"


def test_without_steps_nothing_changes() -> None:
    assert list(normalise(["a", "", "\r", "\n"], ())) == ["a", "\r", "\n"]


def test_transliterate_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anyascii", None)
    with pytest.raises(UsageError, match=r"pip install 'rnn-tui\[transliterate\]'"):
        list(normalise(iter(["é"]), ("transliterate",)))
    assert list(normalise(iter(["plain"]), ("transliterate",))) == ["plain"]
