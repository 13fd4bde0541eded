import io
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rnn_tui_text.byte import ByteTokenizer
from rnn_tui_text.char import CharTokenizer
from rnn_tui_text.word import WordTokenizer

from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.normalise import normalise
from rnn_tui.corpus.pairs import Pairs, PreparedPairs, prepare_pairs, prepare_pairs_with
from rnn_tui.errors import InputError, PluginError, UsageError

TEN = "".join(f"{'ab'[i % 2] * (i + 1)}\t{'xy'[i % 2] * (i + 1)}\n" for i in range(10))
"""Ten lines of 1 to 10 characters: a-x, bb-yy, aaa-xxx, ..."""


def write(path: Path, text: str, **settings: Any) -> CorpusConfig:
    path.write_bytes(text.encode())
    os.utime(path, (time.time() - 60,) * 2)
    return CorpusConfig(source=str(path), **settings)


@pytest.fixture
def prepared(tmp_path: Path, chars: type) -> Any:
    def prepare(text: str, **settings: Any) -> PreparedPairs:
        return prepare_pairs(write(tmp_path / "t.tsv", text, **settings), chars, None)

    return prepare


def texts(found: PreparedPairs, split: str) -> list[tuple[str, str]]:
    return [found.text(split, line) for line in range(len(found.split(split)))]


def test_the_hello_corpus_by_hand(chars: type) -> None:
    found = prepare_pairs(CorpusConfig(source="hello"), chars, None)
    assert (found.name, list(found.splits)) == (
        "hello",
        ["train"],
    )  # one line: it trains, nothing is held out
    assert found.tokenizer.symbols == ["\n", "e", "h", "l", "o"]
    train = found.splits["train"]
    assert train.inputs.tolist() == [3, 2, 4, 4, 5]
    assert train.targets.tolist() == [5, 3, 4, 5, 4]
    assert train.offsets.tolist() == [0, 5]
    assert (len(train), train.tokens, train.chars, train.lengths.tolist()) == (1, 5, 5, [5])
    assert train.inputs.dtype == train.targets.dtype == np.uint8
    assert found.text("train", 0) == ("hello", "ohlol")
    with pytest.raises(UsageError, match="the corpus hello has no split 'trian', only train; did you mean"):
        found.split("trian")


def test_splits_are_lines_from_the_end(prepared: Any) -> None:
    found = prepared(TEN, validation=0.2, test=0.1)
    assert {name: len(split) for name, split in found.splits.items()} == {
        "train": 7,
        "validation": 2,
        "test": 1,
    }
    assert texts(found, "validation") == [("b" * 8, "y" * 8), ("a" * 9, "x" * 9)]
    assert texts(found, "test") == [("b" * 10, "y" * 10)]
    validation = found.splits["validation"]
    assert (validation.name, validation.offsets.tolist(), validation.chars) == ("validation", [0, 8, 17], 17)
    inputs, targets = validation.line(1)
    assert inputs.tolist() == [2] * 9  # \n, a, b, x, y are 1 to 5
    assert targets.tolist() == [4] * 9


@pytest.mark.parametrize(
    ("lines", "validation", "test", "sizes"),
    [
        (1, 0.1, 0.0, (1, 0, 0)),
        (1, 0.5, 0.4, (1, 0, 0)),
        (2, 0.9, 0.0, (1, 1, 0)),
        (2, 0.4, 0.4, (1, 0, 1)),
        (5, 0.1, 0.0, (4, 1, 0)),
        (10, 0.3, 0.4, (3, 3, 4)),
        (10, 0.0, 0.0, (10, 0, 0)),
    ],
)
def test_the_first_line_trains_whatever_the_shares(
    prepared: Any, lines: int, validation: float, test: float, sizes: tuple[int, ...]
) -> None:
    found = prepared("a\tb\n" * lines, validation=validation, test=test)
    named = zip(("train", "validation", "test"), sizes, strict=True)
    assert {name: len(split) for name, split in found.splits.items()} == {n: s for n, s in named if s}


def test_blank_lines_carriage_returns_and_a_last_line_without_newline(prepared: Any) -> None:
    found = prepared("\n \r\nab\tcd\r\n\n  \ne\tf", validation=0)
    assert texts(found, "train") == [("ab", "cd"), ("e", "f")]
    assert found.tokenizer.symbols == list("\nabcdef")


def test_only_a_newline_ends_a_line(prepared: Any) -> None:
    found = prepared("a\u2028b\x0bc\tdefgh\n", validation=0)
    assert texts(found, "train") == [("a\u2028b\x0bc", "defgh")]


def test_the_vocabulary_is_of_both_sides_of_the_training_lines(prepared: Any) -> None:
    found = prepared("ab\tcd\nxy\tzz\n", validation=0.5)
    assert found.tokenizer.symbols == list("\nabcd")
    assert found.splits["validation"].inputs.tolist() == found.splits["validation"].targets.tolist() == [0, 0]


def test_no_token_spans_two_sides_or_lines(tmp_path: Path) -> None:
    config = write(tmp_path / "t.tsv", "the cat\tdet noun\na dog\tdet noun\n", validation=0)
    found = prepare_pairs(config, WordTokenizer, WordTokenizer.Options())
    tokens = ["\n", "det", " noun", " cat", " dog", "a", "the"]
    assert sorted(found.tokenizer.to_state()["tokens"]) == sorted(tokens)
    words = [[found.tokenizer.token_text(token) for token in side] for side in found.splits["train"].line(1)]
    assert words == [["a", " dog"], ["det", " noun"]]


def test_bytes_count_as_bytes(tmp_path: Path) -> None:
    config = write(tmp_path / "t.tsv", "é\tab\n", validation=0)
    train = prepare_pairs(config, ByteTokenizer, None).splits["train"]
    assert (train.inputs.tolist(), train.targets.tolist()) == ([0xC3, 0xA9], [97, 98])
    assert (train.tokens, train.chars) == (2, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ab\tcd\n\nabcde\tabcd\n", r"t\.tsv, line 3: 5 source tokens but 4 target tokens; the two must be"),
        ("a\t\n", "line 1: 1 source tokens but 0 target tokens"),
        ("a\tb\nhello\n", "line 2: no tab; a line is a source, one tab, and a target of as many tokens"),
        ("a\tb\tc\n", "line 1: 2 tabs; a line is a source, one tab"),
        ("a\tb\n\tb\n", "line 2: the source is empty"),
        ("\t\n", "line 1: the source is empty"),
        ("\n \n", "only blank lines"),
    ],
)
def test_what_is_no_pair(prepared: Any, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepared(text)


def test_a_tokenizer_that_finds_nothing(tmp_path: Path, words: type) -> None:
    config = write(tmp_path / "t.tsv", "a\tb\n \t \n", validation=0)
    with pytest.raises(InputError, match="line 2: the tokenizer finds no token in it"):
        prepare_pairs(config, words, None)


def test_a_tokenizer_that_lies(tmp_path: Path, chars: type) -> None:
    tokenizer = chars(["a", "b"])
    tokenizer.vocab_size = 2
    with pytest.raises(PluginError, match="an id outside its own vocabulary"):
        prepare_pairs_with(write(tmp_path / "t.tsv", "a\tb\n"), tokenizer)


@pytest.mark.parametrize("step", ["letters-only", "newlines-to-spaces", "collapse-spaces"])
def test_steps_that_would_destroy_the_lines_are_refused(prepared: Any, step: str) -> None:
    with pytest.raises(UsageError, match=f"the normalising step {step} would put spaces in place of"):
        prepared("a\tb\n", normalise=("lowercase", step))


def test_the_other_steps_keep_every_tab_and_newline_and_make_none(prepared: Any) -> None:
    others = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    for step in ("lowercase", "strip-punctuation", "transliterate"):
        made = "".join(normalise(["".join(others)], [step]))
        assert (made.count("\t"), made.count("\n")) == (1, 1)
    steps = ("transliterate", "lowercase", "strip-punctuation")
    assert prepared("Á, ß!\tcDeF\n", normalise=steps, validation=0).text("train", 0) == ("a ss", "cdef")


@pytest.mark.parametrize(("first", "lengths"), [(1, [1]), (2, [1, 2]), (3, [1, 2]), (4, [1, 2, 3])])
def test_first_tokens_keeps_whole_lines(prepared: Any, first: int, lengths: list[int]) -> None:
    found = prepared(TEN, first_tokens=first, validation=0)
    assert found.splits["train"].lengths.tolist() == lengths
    assert found.tokenizer.symbols == list("\nabxy")  # of the training lines of the whole text


def test_more_first_tokens_than_there_are(prepared: Any) -> None:
    found = prepared(TEN, first_tokens=56)
    assert sum(split.tokens for split in found.splits.values()) == 55
    assert any("only 55 tokens, fewer than the first 56" in note for note in found.snapshot.notes)
    assert not any("fewer" in note for note in prepared(TEN, first_tokens=55).snapshot.notes)


def test_what_the_fingerprint_covers(tmp_path: Path, chars: type) -> None:
    config = write(tmp_path / "t.tsv", TEN)
    first = prepare_pairs(config, chars, None)
    assert prepare_pairs(write(tmp_path / "copy.tsv", TEN), chars, None).fingerprint == first.fingerprint
    assert prepare_pairs_with(config, first.tokenizer).fingerprint == first.fingerprint
    others = [
        write(tmp_path / "other.tsv", TEN + "a\tb\n"),
        CorpusConfig(source=config.source, validation=0.2),
        CorpusConfig(source=config.source, test=0.1),
        CorpusConfig(source=config.source, first_tokens=50),
        CorpusConfig(source=config.source, normalise=("lowercase",)),
    ]
    prints = {prepare_pairs(other, chars, None).fingerprint for other in others}
    prints.add(prepare_pairs_with(config, chars(["x"])).fingerprint)
    assert len(prints - {first.fingerprint}) == 6


def test_first_lines_with_so_many_tokens(prepared: Any) -> None:
    train = prepared(TEN, validation=0).splits["train"]
    sizes = {tokens: len(train.first(tokens)) for tokens in (0, 1, 2, 3, 4, 55, 99)}
    assert sizes == {0: 10, 1: 1, 2: 2, 3: 2, 4: 3, 55: 10, 99: 10}
    part = train.part(2, 4)
    assert (part.offsets.tolist(), part.lengths.tolist(), part.chars) == ([0, 3, 7], [3, 4], 7)
    assert part.line(1)[0].tolist() == train.line(3)[0].tolist()


def test_lines_longer_than_a_piece_and_across_pieces(tmp_path: Path, chars: type) -> None:
    lines = [("a" * size, "b" * size) for size in (3, 700_000, 5, 900_000, 1)]
    text = "".join(f"{source}\t{target}\n" for source, target in lines)
    found = prepare_pairs(write(tmp_path / "t.tsv", text, validation=0), chars, None)
    assert texts(found, "train") == lines
    assert found.splits["train"].lengths.tolist() == [3, 700_000, 5, 900_000, 1]


def test_standard_input_is_kept_in_the_runs_folder(
    tmp_path: Path, chars: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"ab\tcd\nab\tc\n")))
    with pytest.raises(InputError, match="standard input, line 2: 2 source tokens but 1 target tokens"):
        prepare_pairs(CorpusConfig(source="-"), chars, None, keep_in=tmp_path)
    assert (tmp_path / "corpus.txt").read_bytes() == b"ab\tcd\nab\tc\n"


def test_progress(tmp_path: Path) -> None:
    said: list[tuple[str, int, int | None]] = []
    config = write(tmp_path / "t.tsv", TEN)
    prepare_pairs(config, CharTokenizer, None, progress=lambda *told: said.append(told))
    assert said == [("reading", 130, 130), ("vocabulary", 130, 130), ("encoding", 130, 130)]  # 2 · (55 + 10)


def test_a_part_is_a_view(prepared: Any) -> None:
    train: Pairs = prepared(TEN, validation=0).splits["train"]
    assert np.shares_memory(train.part(1, 3).inputs, train.inputs)
