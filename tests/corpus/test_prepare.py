import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rnn_tui_text.char import CharTokenizer
from rnn_tui_text.word import WordTokenizer

from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.prepare import prepare, prepare_with
from rnn_tui.corpus.snapshot import snapshot
from rnn_tui.corpus.splits import split_bounds
from rnn_tui.errors import DiskError, InputError, PluginError, UsageError


def write(path: Path, text: str, **settings: Any) -> CorpusConfig:
    path.write_text(text, newline="")
    os.utime(path, (time.time() - 60,) * 2)
    return CorpusConfig(source=str(path), **settings)


@pytest.mark.parametrize(
    ("chars", "validation", "test", "ends"),
    [
        (1_115_394, 0.1, 0.0, (1_003_854, 1_115_394, 1_115_394)),  # nanoGPT's split of tiny Shakespeare
        (10, 0.3, 0.4, (3, 6, 10)),
        (10, 0.1, 0.2, (7, 8, 10)),
        (10, 0.0, 0.0, (10, 10, 10)),
        (7, 0.5, 0.0, (3, 7, 7)),
    ],
)
def test_where_the_splits_end(chars: int, validation: float, test: float, ends: tuple[int, ...]) -> None:
    bounds = split_bounds(chars, validation, test)
    assert list(bounds) == ["train", "validation", "test"]
    assert tuple(end for _, end in bounds.values()) == ends
    assert [start for start, _ in bounds.values()] == [0, *ends[:2]]


def test_splits_by_hand(tmp_path: Path, chars: type) -> None:
    config = write(tmp_path / "t.txt", "abcabcaéd深", validation=0.2, test=0.1)
    prepared = prepare(config, chars, None)
    train, validation = prepared.splits["train"], prepared.splits["validation"]
    assert "test" not in prepared.splits  # one token cannot be predicted from another
    assert train.ids().tolist() == [1, 2, 3, 1, 2, 3, 1]
    assert validation.ids().tolist() == [0, 0]
    assert (train.start_char, train.chars, train.bytes, train.tokens, train.unknown) == (0, 7, 7, 7, 0)
    assert (validation.start_char, validation.chars, validation.bytes, validation.unknown) == (7, 2, 3, 2)
    assert prepared.text("validation") == "éd"
    assert prepared.text("train", 2, 3) == "cab"
    assert prepared.text("train", 5, 100) == "ca"
    assert train.ids().dtype == np.uint8
    assert not train.ids().flags.writeable
    with pytest.raises(UsageError, match="no split 'vaildation', only train, validation; did you mean"):
        prepared.text("vaildation")


def test_the_smallest_type_that_holds_the_vocabulary(tmp_path: Path, chars: type) -> None:
    for count, dtype in ((255, "uint8"), (256, "uint16"), (66_000, "uint32")):
        text = "".join(map(chr, range(0x10000, 0x10000 + count)))
        prepared = prepare(write(tmp_path / f"{count}.txt", text, validation=0), chars, None)
        assert prepared.splits["train"].dtype == dtype
        assert prepared.splits["train"].ids().tolist() == list(range(1, count + 1))


def test_what_is_cached_and_what_the_fingerprint_covers(tmp_path: Path, chars: type) -> None:
    said: list[str] = []

    def progress(what: str, done: int, total: int | None) -> None:
        said.append(what)
        assert total is None or done <= total

    config = write(tmp_path / "t.txt", "To be or not to be, that is the question. " * 5)
    first = prepare(config, chars, None, progress=progress)
    assert list(dict.fromkeys(said)) == ["reading", "vocabulary", "encoding"]
    said.clear()
    again = prepare_with(config, first.tokenizer, progress=progress)
    assert said == []
    assert (again.fingerprint, again.splits) == (first.fingerprint, first.splits)
    copy = write(tmp_path / "copy.txt", "To be or not to be, that is the question. " * 5)
    assert prepare(copy, chars, None).fingerprint == first.fingerprint
    others = [
        write(tmp_path / "other.txt", "To be or not to be, that is the question! " * 5),
        CorpusConfig(source=config.source, validation=0.2),
        CorpusConfig(source=config.source, test=0.1),
        CorpusConfig(source=config.source, first_tokens=50),
        CorpusConfig(source=config.source, normalise=("lowercase",)),
    ]
    prints = {prepare(other, chars, None).fingerprint for other in others}
    prints.add(prepare_with(config, chars(["x"])).fingerprint)
    assert len(prints - {first.fingerprint}) == 6


def test_a_damaged_cache_is_made_again(tmp_path: Path, chars: type) -> None:
    config = write(tmp_path / "t.txt", "abcabc", validation=0)
    split = prepare(config, chars, None).splits["train"]
    split.path.write_bytes(b"\1")
    assert prepare(config, chars, None).splits["train"].ids().tolist() == [1, 2, 3, 1, 2, 3]
    split.path.unlink()
    with pytest.raises(InputError, match="the cache was deleted"):
        split.ids()


def test_first_tokens_cut_after_the_vocabulary(tmp_path: Path, chars: type) -> None:
    config = write(tmp_path / "t.txt", "aabbaabbzz", first_tokens=6, validation=0.5)
    prepared = prepare(config, chars, None)
    assert prepared.tokenizer.symbols == ["a", "b"]  # of "aabba", the training half of the uncut text
    assert (prepared.text("train"), prepared.text("validation")) == ("aab", "baa")


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6])
def test_first_tokens_of_words(tmp_path: Path, words: type, count: int) -> None:
    text = "one  two three four five six"
    prepared = prepare(write(tmp_path / "t.txt", text, first_tokens=count + 1, validation=0), words, None)
    starts = [0, 5, 9, 15, 20, 25]  # the shortest beginning ends with the first letter of the last word
    assert prepared.text("train") == (text[: starts[count] + 1] if count < 6 else text)
    assert prepared.splits["train"].tokens == min(count + 1, 6)
    assert any("only 6 tokens" in note for note in prepared.snapshot.notes) == (count == 6)


def test_a_word_across_pieces_is_one_token(tmp_path: Path, words: type) -> None:
    text = "word " * 300_000  # two pieces
    prepared = prepare(write(tmp_path / "t.txt", text, validation=0.1), words, None)
    assert prepared.splits["train"].tokens == 270_000
    assert prepared.splits["train"].unknown == 0
    assert len(list(prepared.pieces("train"))) > 1


@pytest.mark.parametrize(
    ("text", "settings"), [("a", {}), ("ab", {"validation": 0.5}), ("ab", {"validation": 0.9})]
)
def test_too_short(tmp_path: Path, chars: type, text: str, settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"t: too short: .* at least 2 are needed"):
        prepare(write(tmp_path / "t.txt", text, **settings), chars, None)


def test_one_symbol_is_enough_to_run(tmp_path: Path, chars: type) -> None:
    assert prepare(write(tmp_path / "t.txt", "aaaa", validation=0), chars, None).splits["train"].tokens == 4


def test_a_tokenizer_that_breaks_its_word(tmp_path: Path, chars: type, folders: Path) -> None:
    class Liar(chars):  # type: ignore[misc]
        def encode_stream(self, texts: Any) -> Any:
            return (ids + 7 for ids in super().encode_stream(texts))

    with pytest.raises(PluginError, match="Liar gave an id outside its own vocabulary"):
        prepare(write(tmp_path / "t.txt", "abc"), Liar, None)
    assert not list((folders / "cache" / "tokens").iterdir())


@pytest.mark.parametrize(
    ("tokenizer", "options", "millions"),
    [(CharTokenizer, None, 60), (WordTokenizer, WordTokenizer.Options(), 20)],
)
def test_memory_does_not_follow_the_text(tmp_path: Path, tokenizer: Any, options: Any, millions: int) -> None:
    path = tmp_path / "one-line.txt"
    line = "A single line without an end, forty-eight bytes. "
    with path.open("w") as file:
        for _ in range(millions):
            file.write(line * 21_000)
    config = CorpusConfig(source=str(path))
    tracemalloc.start()
    try:
        prepared = prepare(config, tokenizer, options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert prepared.snapshot.bytes == millions * 21_000 * len(line) > millions * 1_000_000
    assert peak < 16_000_000  # 13 and 5 MB, at any length
    tokens = prepared.snapshot.chars if tokenizer is CharTokenizer else millions * 21_000 * 12
    assert sum(split.tokens for split in prepared.splits.values()) == pytest.approx(tokens, abs=2)


def test_changed_code_of_a_tokenizer_is_noticed(
    tmp_path: Path, chars: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "tokenizer.py"
    module.touch()
    monkeypatch.setattr(sys.modules[chars.__module__], "__file__", str(module))
    config = write(tmp_path / "t.txt", "abcabc", validation=0)
    first = prepare(config, chars, None).splits["train"].path
    assert prepare(config, chars, None).splits["train"].path == first
    module.write_text("# changed")
    assert prepare(config, chars, None).splits["train"].path != first


def test_a_disk_without_room(
    tmp_path: Path, chars: type, monkeypatch: pytest.MonkeyPatch, folders: Path
) -> None:
    config = write(tmp_path / "t.txt", "abcabc", validation=0)
    snapshot(config)

    def full(fd: int, data: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskError, match="no space left on the disk"):
        prepare(config, chars, None)
    assert not list((folders / "cache" / "tokens").iterdir())


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; import rnn_tui.corpus.download; assert 'numpy' not in sys.modules; "
        "import rnn_tui.corpus.statistics; assert not {'torch', 'textual', 'click', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
