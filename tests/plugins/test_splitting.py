"""The places where tokens start, beside those that the regular expression finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rnn_tui_text.splitting import LOOK, TOKEN, token_starts
from rnn_tui_text.surrogates import without_surrogates

_NEAR_LIMITS = [1, 2, 11, 12, 13, 14, 25, 47, 48, 49, 50, 62, 63, 64, 65, 66, 96, 97, 128, 129]
_FRAGMENTS = st.one_of(
    st.sampled_from("ab _1'’-.,\n\t\u3000\u00a0\u2028\0é漢か😀\u0300\u200d\u0964\U00020000"),
    st.builds(
        lambda char, count: char * count, st.sampled_from("aé' .-\n\t漢"), st.sampled_from(_NEAR_LIMITS)
    ),
    st.text("ab'’", max_size=40),
    st.text(st.characters(exclude_categories=[]), max_size=8).map(without_surrogates),
)


def by_expression(text: str) -> list[int]:
    return [match.start() for match in TOKEN.finditer(text)]


@given(st.lists(_FRAGMENTS, max_size=14).map("".join))
@settings(max_examples=500)
def test_any_text(text: str) -> None:
    assert token_starts(text).tolist() == by_expression(text)


@given(st.lists(_FRAGMENTS, max_size=14).map("".join))
def test_a_token_looks_no_further_than_it_says(text: str) -> None:
    """What the word tokenizer's blocks rest on: cut anywhere, tokens that start well before the cut are the same."""
    for end in {0, len(text) // 3, len(text) // 2, len(text)}:
        starts = token_starts(text[:end])
        final = starts[starts < end - LOOK].tolist()
        assert final == token_starts(text).tolist()[: len(final)]


@pytest.mark.parametrize("around", ["a{0}a'{0}{0}b {0}  {0}-{0}", " {0} {0}{0} ", "\n {0}", "{0}'{0}’{0}"])
def test_characters_of_every_kind(around: str) -> None:
    """All up to U+3200, the ends of the blocks that stand alone, and every 97th of the rest."""
    ends = [0x3400, 0x4DBF, 0x4E00, 0x9FFF, 0xF900, 0xFAFF, 0x20000, 0x3FFFF]
    near = [code + step for code in ends for step in (-1, 0, 1)]
    codes = [*range(0x3200), *near, *range(0x3200, 0xD800, 97), *range(0xE000, 0x110000, 97)]
    text = "".join(around.format(chr(code)) for code in codes)
    assert token_starts(text).tolist() == by_expression(text)


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("", []),
        ("a", [1]),
        ("rock'n'roll'n'all", [6, 1, 6, 1, 3]),  # rock'n ' roll'n ' all
        ("a'" + "b" * 12 + "'c", [14, 1, 1]),  # a tail of twelve is the whole tail
        ("a'" + "b" * 13 + "'c", [14, 3]),  # the thirteenth letter begins a word, with a tail of its own
        ("a'" + "b" * 13 + "'" + "c" * 13 + "'d", [14, 14, 3]),
        ("a'" + "b" * 61 + "'c", [14, 48, 3]),
        (" " + "a" * 50 + "'s", [49, 4]),
        ("a''b 'c' d'", [1, 2, 1, 2, 1, 1, 2, 1]),
        (" " * 66 + "x", [64, 1, 2]),
        (" " * 66, [64, 2]),
        (" " + "-" * 65 + "x", [65, 1, 1]),
    ],
)
def test_by_hand(text: str, lengths: list[int]) -> None:
    starts = token_starts(text)
    assert np.diff(starts, append=len(text)).tolist() == lengths
