"""Ranks, coverage and the search, on texts that can be counted by hand."""

from pathlib import Path

import numpy as np
import pytest

from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.prepare import prepare
from rnn_tui.corpus.vocabulary import Entry, Vocabulary, first_place, vocabulary, zipf_slope


class Table:
    """Tokens by id; 0 is unknown."""

    unknown_id = 0

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self.vocab_size = len(texts)

    def token_text(self, token: int) -> str:
        return self.texts[token]

    def encode_stream(self, texts: list[str]) -> list[np.ndarray]:
        return [np.array([self.texts.index(char) if char in self.texts else 0 for char in "".join(texts)])]


def test_ranks_shares_and_coverage() -> None:
    # 10 tokens: c 5, a 3, b 2, d never
    words = Vocabulary(Table("<unk>", "a", "b", "c", "d"), np.array([0, 3, 2, 5, 0]))
    assert [words.entry(rank) for rank in range(2)] == [
        Entry(1, 3, "c", 5, 0.5, 0.5),
        Entry(2, 1, "a", 3, 0.3, 0.8),
    ]
    assert [words.entry(rank).token for rank in range(5)] == [3, 1, 2, 0, 4]  # those without a count by id
    assert (len(words), words.used, words.tokens) == (5, 3, 10)
    assert [words.needed(share) for share in (0.1, 0.5, 0.51, 0.8, 0.9, 1.0)] == [1, 1, 2, 2, 3, 3]
    assert words.coverage() == ([1, 2, 3], [0.5, 0.8, 1.0])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["the", " The", "\n", "12", "“", "é"]),
        ("the", ["the", " The"]),
        ("The", [" The"]),
        ("␣", [" The"]),
        ("␊", ["\n"]),
        ("U+201C", ["“"]),
        ("u+41", []),
        ("#2", ["the"]),
        ("2", ["the", "12"]),  # the id, and what holds the digit
        ("#99", []),
        ("#", []),
        ("É", []),
        ("é", ["é"]),
        ("no such", []),
    ],
)
def test_search(query: str, found: list[str]) -> None:
    words = Vocabulary(Table("“", "12", "the", "\n", " The", "é"), np.array([1, 2, 9, 3, 4, 0]))
    assert [words.entry(int(rank)).text for rank in words.search(query)] == found


def test_a_code_point_finds_the_tokens_that_encode_it() -> None:
    class Bytes(Table):
        unknown_id = None

        def encode_stream(self, texts: list[str]) -> list[np.ndarray]:
            return [np.frombuffer("".join(texts).encode(), np.uint8)]

    words = Vocabulary(Bytes(*(f"<{byte:02X}>" for byte in range(256))), np.zeros(256, np.int64))
    assert [words.entry(int(rank)).text for rank in words.search("U+E9")] == ["<A9>", "<C3>"]


def test_a_search_that_nobody_waits_for_ends() -> None:
    words = Vocabulary(Table(*"abc"), np.array([1, 1, 1]))
    assert len(words.search("a", lambda: True)) == 0


def test_of_a_prepared_text(tmp_path: Path, chars: type) -> None:
    (tmp_path / "t.txt").write_text("aab" * 30 + "z" * 10)
    prepared = prepare(CorpusConfig(source=str(tmp_path / "t.txt")), chars, None)
    words = vocabulary(prepared)
    assert [(words.entry(rank).text, words.entry(rank).count) for rank in range(2)] == [("a", 60), ("b", 30)]
    b = words.entry(1).token
    assert first_place(prepared, b) == 2
    assert first_place(prepared, 0) == 90  # unknown: the first z, in validation
    assert first_place(prepared, b, lambda: True) is None


def test_zipf() -> None:
    ranks = [1, 2, 4, 8]
    assert zipf_slope(ranks, [800, 400, 200, 100]) == pytest.approx(-1)
    assert zipf_slope(ranks, [8, 8, 8, 8]) == pytest.approx(0)
    assert zipf_slope([1, 2], [2, 1]) is None
