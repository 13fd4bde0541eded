"""Repeated passages against a comparison of every stretch of 60 bytes with every other."""

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rnn_tui.corpus import grams
from rnn_tui.corpus import passages as module
from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.passages import Passages, passages
from rnn_tui.corpus.prepare import PreparedCorpus, prepare
from rnn_tui.errors import InputError


def made(path: Path, text: str, tokenizer: Any, **settings: Any) -> PreparedCorpus:
    path.write_text(text, newline="")
    return prepare(CorpusConfig(source=str(path), **settings), tokenizer, None)


def noise(chosen: random.Random, length: int, letters: int = 26) -> str:
    return "".join(chr(97 + chosen.randrange(letters)) for _ in range(length))


def covered(text: str, begin: int, end: int, known: set[str] | None = None) -> list[bool]:
    """Which characters of text[begin:end] lie in 60 that are in `known`, or that began before in text[begin:]."""
    marks = [False] * (end - begin)
    seen: set[str] = set()
    for i in range(begin, end - 59):
        if text[i : i + 60] in (seen if known is None else known):
            marks[i - begin : i - begin + 60] = [True] * 60
        seen.add(text[i : i + 60])
    return marks


def longest_repeat(text: str) -> int:
    suffixes = sorted(text[i:] for i in range(len(text)))
    return max(
        next(
            (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
        )
        for one, other in pairwise(suffixes)
    )


def patchwork(chosen: random.Random, letters: list[int]) -> str:
    """Noise of so many letters and copies of what came before."""
    text = ""
    while len(text) < 2500:
        begin = chosen.randrange(len(text) + 1)
        copied = text[begin : begin + chosen.randrange(20, 200)] if chosen.random() < 0.4 else ""
        text += copied or noise(chosen, chosen.randrange(1, 120), chosen.choice(letters))
    return text


@pytest.mark.parametrize("seed", range(10))
def test_like_brute_force(tmp_path: Path, chars: type, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    chosen = random.Random(seed)
    piece = chosen.choice([64, 257, 1000])
    monkeypatch.setattr(grams, "PIECE", piece)
    monkeypatch.setattr(module, "PIECE", piece)
    text = patchwork(chosen, [2, 26])
    prepared = made(tmp_path / "t.txt", text, chars, validation=0.25, test=0.125)
    told = passages(prepared)
    marks = covered(text, 0, len(text))
    assert told.share == sum(marks) / len(text)
    assert told.count == sum(
        mark and not before for mark, before in zip(marks, [False, *marks], strict=False)
    )
    assert (told.minimum, told.found_from) == (60, 60)
    end = prepared.splits["train"].chars
    trained = {text[i : i + 60] for i in range(end - 59)}
    for name in ("validation", "test"):
        part = prepared.splits[name]
        expected = covered(text, part.start_char, part.start_char + part.chars, trained)
        assert told.known[name] == sum(expected) / part.chars, name
    assert told.longest[0].chars == longest_repeat(text)
    for passage in told.longest:
        again = text[passage.char :][: passage.chars]
        assert passage.text == again[:80]
        places = [i for i in range(len(text)) if text.startswith(again, i)]
        assert [passage.char, passage.again] == places[:2]
        assert passage.times == len(places)


@pytest.mark.parametrize("seed", range(5))
def test_long_rows_of_a_letter_hide_little(tmp_path: Path, chars: type, seed: int) -> None:
    """The gram of such a row occurs at more places than are compared: then less may be found, never more."""
    text = patchwork(random.Random(seed), [1, 2, 26])
    told = passages(made(tmp_path / "t.txt", text, chars))
    expected = sum(covered(text, 0, len(text))) / len(text)
    assert 0.95 * expected <= told.share <= expected


def test_a_quotation_by_hand(tmp_path: Path, chars: type) -> None:
    chosen = random.Random(1)
    quoted = "静夜思 " + noise(chosen, 95) + "é"  # 9 + 1 + 95 + 2 bytes
    text = (
        "A"
        + quoted
        + "B"
        + noise(chosen, 1000)
        + "C"
        + quoted
        + "D"
        + noise(chosen, 100)
        + "E"
        + quoted
        + "F"
    )
    told = passages(made(tmp_path / "t.txt", text, chars, validation=0.1))
    size = len(text.encode())
    assert told.share == 2 * 107 / size
    assert told.count == 2
    [passage] = told.longest  # the third copy is the same passage
    assert (passage.char, passage.again) == (1, 1103)
    assert (passage.chars, passage.times, passage.text) == (100, 3, quoted[:80])
    # of 1,406 characters the last 141 hold the third copy whole
    assert told.known == {"validation": 107 / len(text[-141:].encode())}


def test_passages_end_at_whole_characters(tmp_path: Path, chars: type) -> None:
    chosen = random.Random(1)
    common = noise(chosen, 80)
    # 漢 and 漣 begin with the same two bytes, 人 and 水 do not end alike; 慢 and 椢 end with the same byte
    text = "慢" + common + "漢" + noise(chosen, 50) + "椢" + common + "漣" + noise(chosen, 50)
    [passage] = passages(made(tmp_path / "t.txt", text, chars)).longest
    assert (passage.char, passage.again, passage.chars, passage.text) == (1, 133, 80, common)


def test_short_repeats_do_not_count(tmp_path: Path, chars: type) -> None:
    chosen = random.Random(1)
    line = noise(chosen, 59)
    text = "".join(chr(65 + i) + line for i in range(20))
    told = passages(made(tmp_path / "t.txt", text, chars))
    assert (told.share, told.count, told.longest) == (0, 0, ())
    longer = passages(made(tmp_path / "u.txt", text.replace("A", "Az").replace("B", "Az"), chars))
    assert longer.longest[0].chars == 61
    assert longer.count == 1


def test_a_text_of_one_letter(tmp_path: Path, chars: type) -> None:
    told = passages(made(tmp_path / "t.txt", "a" * 5000, chars, validation=0.5))
    assert told.share == 4999 / 5000  # all but the first lie in 60 that began one earlier
    assert told.known == {"validation": 1}
    [passage] = told.longest
    assert (passage.char, passage.again, passage.chars, passage.times) == (0, 1, 4999, 2)


@pytest.mark.parametrize("length", [10, 39, 40, 59, 60, 61])
def test_texts_too_short_for_a_passage(tmp_path: Path, chars: type, length: int) -> None:
    told = passages(made(tmp_path / "t.txt", "ab" * length, chars, validation=0.5))
    assert told == passages(made(tmp_path / "t.txt", "ab" * length, chars, validation=0.5))
    assert (told.share > 0) == (2 * length >= 62)
    assert (told.known["validation"] > 0) == (length >= 60)


def test_a_text_longer_than_the_index(tmp_path: Path, chars: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer places the index finds long passages still, and says from where on."""
    monkeypatch.setattr(grams, "_MOST", 100)
    chosen = random.Random(1)
    quoted = noise(chosen, 800)
    text = quoted + noise(chosen, 10_000) + quoted + noise(chosen, 3000)
    told = passages(made(tmp_path / "t.txt", text, chars))
    stride = -(-(len(text) - 39) // 100)
    assert told.found_from == 39 + stride
    assert told.share == 800 / len(text)
    assert told.longest[0].chars == 800


def test_it_is_json(tmp_path: Path, chars: type) -> None:
    told = passages(made(tmp_path / "t.txt", "To be or not to be. " * 30, chars))
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(told)), Passages) == told


def test_a_deleted_cache_is_said(tmp_path: Path, chars: type) -> None:
    prepared = made(tmp_path / "t.txt", "To be or not to be. " * 30, chars)
    prepared.snapshot.path.unlink()
    with pytest.raises(InputError, match="the cache was deleted"):
        passages(prepared)
