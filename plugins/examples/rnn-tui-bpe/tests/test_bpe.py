"""Byte pairs: the laws of every tokenizer, and a reference that counts and joins by brute force."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pytest
from rnn_tui_bpe import BytePairTokenizer, pieces
from rnn_tui_bpe.pieces import LONGEST, LOOK, PIECE, pieces_of

from rnn_tui.plugin.testing import TokenizerLaws

TEXT = (
    "It's the first of 1,024 lines: \"don't\", he said -- and l’eau, naïve café.\n"
    "\tif there:\n        return there  # the indent\n"
    "床前明月光,疑是地上霜。举头望明月,低头思故乡。\n हिन्दी ελληνικά 😀 e\u0301\n\n"
) * 3


def _train(text: str, **options: int) -> BytePairTokenizer:
    return BytePairTokenizer.train([text], BytePairTokenizer.Options(**options))


class TestBytePairs(TokenizerLaws):
    """The laws of every tokenizer, as `rnn-tui plugins check` has them."""

    tokenizer_class = BytePairTokenizer
    text = TEXT

    @pytest.fixture(autouse=True)
    def small_blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Cut where the generated texts reach, not every 64 K characters."""
        monkeypatch.setattr(pieces, "_AT_ONCE", 7)


class TestFewPairs(TestBytePairs):
    """The same laws, with options that are not at their defaults."""

    options: ClassVar = {"max_vocabulary": 270, "min_frequency": 4}


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("Well, well...\n", ["Well", ",", " well", "...", "\n"]),
        ("don't 'tis l’eau", ["don", "'t", " '", "tis", " l", "’eau"]),
        ("a  b   c\n\n  d ", ["a", " ", " b", "  ", " c", "\n\n ", " d", " "]),
        ("x = y12345", ["x", " =", " y", "123", "45"]),
        ("明月光,故乡。", ["明月光", ",", "故乡", "。"]),
        ("cafe\u0301 हिन्दी ½", ["cafe\u0301", " हिन्दी", " ½"]),
        ("w" * 50, ["w" * 48, "ww"]),
        (" " * 70 + "x", [" " * 64, " " * 5, " x"]),
        ("=" * 17, ["=" * 16, "="]),
        ("a\ud800b", ["a\ufffdb"]),
    ],
)
def test_pieces(text: str, cut: list[str]) -> None:
    assert [piece for some in pieces_of([text]) for piece in some] == cut


@pytest.mark.parametrize("symbol", ["a", " ", ".", "7", "明", "\n"])
def test_what_has_no_end_is_not_held_back(symbol: str) -> None:
    """One run of a million characters: no piece of it waits for its end, and none is cut elsewhere."""
    given = 0

    def parts() -> Iterator[str]:
        nonlocal given
        for _ in range(100):
            given += 10_000
            yield symbol * 10_000

    seen, cut = 0, []
    for some in pieces_of(parts()):
        seen += sum(map(len, some))
        cut += some
        assert given - seen <= 2 * 65_536 + LOOK
    assert cut == PIECE.findall(symbol * 1_000_000)


def _brute_force(text: str, merges: int, min_frequency: int) -> list[list[int]]:
    """Count all pairs, join the most frequent one everywhere, and again."""
    words = [(list(piece.encode()), count) for piece, count in Counter(PIECE.findall(text)).items()]
    found: list[list[int]] = []
    while len(found) < merges:
        pairs: Counter[tuple[int, int]] = Counter()
        for word, count in words:
            for pair in pairwise(word):
                pairs[pair] += count
        if not pairs:
            break
        pair, count = min(pairs.items(), key=lambda item: (-item[1], item[0]))
        if count < min_frequency:
            break
        words = [(_join(word, pair, 256 + len(found)), count) for word, count in words]
        found.append(list(pair))
    return found


def _join(word: list[int], pair: tuple[int, int], token: int) -> list[int]:
    joined: list[int] = []
    for number in word:
        if joined and (joined[-1], number) == pair:
            joined[-1] = token
        else:
            joined.append(number)
    return joined


@pytest.mark.parametrize("min_frequency", [2, 6])
def test_merges_and_ids_are_those_of_brute_force(min_frequency: int) -> None:
    tokenizer = _train(TEXT, max_vocabulary=330, min_frequency=min_frequency)
    merges = _brute_force(TEXT, 330 - 256, min_frequency)
    assert tokenizer.to_state() == {"merges": merges}
    assert 256 < tokenizer.vocab_size <= 330
    text = "He said: the naïve first 1,024 indents, 故乡明月.\n\n      return"
    expected: list[int] = []
    for piece in PIECE.findall(text):
        word = list(piece.encode())
        for number, pair in enumerate(merges):
            word = _join(word, (pair[0], pair[1]), 256 + number)
        expected += word
    assert tokenizer.encode(text).tolist() == expected


def test_two_ways_to_one_token() -> None:
    """a, bc and ab, c are both abc: one id, and each pair is joined to it."""
    merges = [[98, 99], [97, 256], [97, 98], [258, 99]]
    tokenizer = BytePairTokenizer.from_state({"merges": merges})
    assert tokenizer.vocab_size == 259
    assert tokenizer.decode([256, 257, 258]) == "bcabcab"
    assert tokenizer.encode("abc").tolist() == [257]
    assert tokenizer.to_state() == {"merges": merges}


def test_ids_widen_with_the_vocabulary() -> None:
    assert _train(TEXT, max_vocabulary=256).encode("ab").tolist() == [97, 98]
    assert _train(TEXT, max_vocabulary=256).encode("ab").dtype == np.uint8
    assert _train(TEXT, max_vocabulary=257).encode("ab").dtype == np.uint16
    assert _train(TEXT).encode("ab").flags.writeable  # as torch asks


def test_decoding_waits_for_whole_characters() -> None:
    decoder = BytePairTokenizer([]).decoder()
    assert [decoder.push(byte) for byte in "é明😀".encode()] == ["", "é", "", "", "明", "", "", "", "😀"]
    assert [decoder.push(0xE6), decoder.push(0x61), decoder.push(0xE6)] == ["", "\ufffda", ""]
    assert decoder.flush() == "\ufffd"


def test_tokens_shown_in_a_table() -> None:
    tokenizer = BytePairTokenizer([(0x20, 0xE6), (97, 98)])
    assert [tokenizer.token_text(token) for token in (97, 0xE6, 256, 257)] == ["a", "\\xe6", " \\xe6", "ab"]


_LONG = [[97, 97], *([256 + n, 256 + n] for n in range(7))]  # 2, 4, ... 256 bytes


@pytest.mark.parametrize(
    ("merges", "message"),
    [
        ([[97, 256]], "not there yet"),
        ([[97, -1]], "not there yet"),
        ([[97, 98], [97, 98]], "twice"),
        (_LONG, f"over {LONGEST} bytes"),
        ([[a, b] for a in range(256) for b in range(256)], "over 65536 tokens"),
        ([[97]], r"is \{'merges'"),
        ([[97, 98, 99]], r"is \{'merges'"),
        ([[97, True]], r"is \{'merges'"),
        ([[97, 1.5]], r"is \{'merges'"),
        ("ab", r"is \{'merges'"),
    ],
)
def test_a_hostile_state_is_refused(merges: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BytePairTokenizer.from_state({"merges": merges})


_HASH = """
import hashlib, json, sys
from rnn_tui_bpe import BytePairTokenizer
options = BytePairTokenizer.Options(max_vocabulary=400, min_frequency=1)
tokenizer = BytePairTokenizer.train(json.load(sys.stdin), options)
print(hashlib.sha256(json.dumps(tokenizer.to_state()).encode()).hexdigest())
"""


def test_threads_and_their_number_change_nothing() -> None:
    """Merges are counted by threads that finish in any order, and most pairs of this text are tied."""
    words = [f"{a}{b}{c} " for a in "abcdef" for b in "ghijkl" for c in "mnopqr"]
    printed = {
        subprocess.run(
            [sys.executable, "-c", _HASH],
            input=json.dumps(words * 3),
            env={
                **os.environ,
                "TOKENIZERS_PARALLELISM": parallel,
                "RAYON_NUM_THREADS": threads,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for parallel, threads in (("false", "1"), ("true", "2"), ("true", "7"))
    }
    assert len(printed) == 1
