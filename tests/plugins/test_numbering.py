"""The numbers of tokens, beside a plain dictionary."""

from itertools import accumulate

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rnn_tui_text import numbering
from rnn_tui_text.numbering import Numbers, slices

# prefixes of each other, lengths around the two words of eight bytes, characters of one to four bytes
_TOKENS = st.one_of(
    st.builds(lambda char, count: char * count, st.sampled_from("a\0é漢😀\x7f"), st.integers(1, 20)),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6),
)
_BLOCKS = st.lists(st.lists(_TOKENS, max_size=20), max_size=5)


def joined(tokens: list[str]) -> tuple[str, np.ndarray]:
    return "".join(tokens), np.array([0, *accumulate(map(len, tokens))][:-1], np.int64)


@pytest.fixture(params=["spread", "all in one slot"])
def _spread(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "spread":
        monkeypatch.setattr(numbering, "_MIX_FIRST", np.uint64(0))


@pytest.mark.usefixtures("_spread")
@given(blocks=_BLOCKS, others=st.lists(_TOKENS, max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_as_a_dictionary(blocks: list[list[str]], others: list[str]) -> None:
    plain: dict[str, int] = {}
    numbers = Numbers()
    for block in blocks:
        expected = [plain.setdefault(token, len(plain) + 1) for token in block]
        assert numbers.number(*joined(block)).tolist() == expected
    assert list(numbers) == list(plain)
    assert len(numbers) == len(plain)
    block = [*others, *plain]
    expected = [plain.get(token, 0) for token in block]
    assert numbers.find(*joined(block)).tolist() == expected
    assert Numbers(list(plain)).find(*joined(block)).tolist() == expected


def test_many_tokens() -> None:
    """More than the first table holds, in several blocks: it grows and loses none."""
    tokens = [f"{number}{'x' * (number % 17)}" for number in range(20_000)]
    numbers = Numbers()
    for start in range(0, len(tokens), 3_000):
        block = tokens[start : start + 3_000] + tokens[:start:7]
        expected = [*range(start + 1, min(start + 3_000, len(tokens)) + 1), *range(1, start + 1, 7)]
        assert numbers.number(*joined(block)).tolist() == expected
    assert numbers.find(*joined(tokens)).tolist() == list(range(1, 20_001))
    assert Numbers(tokens).find(*joined(tokens[::-1])).tolist() == list(range(20_000, 0, -1))


def test_a_long_token_is_not_its_beginning() -> None:
    numbers = Numbers(["a" * 15, "a" * 17])
    assert numbers.find(*joined(["a" * 16, "a" * 15, "a" * 17, "a" * 18, "a" * 14])).tolist() == [
        0,
        1,
        2,
        0,
        0,
    ]


def test_slices() -> None:
    text, starts = joined(["one", " two", "é", "!"])
    assert slices(text, starts, np.array([1, 3])) == [" two", "!"]
