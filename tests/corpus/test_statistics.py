import math
import random
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rnn_tui_text.char import CharTokenizer

from rnn_tui.corpus import counting, grams
from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.passages import MINIMUM
from rnn_tui.corpus.prepare import PreparedCorpus, prepare
from rnn_tui.corpus.statistics import CorpusStatistics, statistics


def made(path: Path, text: str | bytes, tokenizer: Any, **settings: Any) -> PreparedCorpus:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return prepare(CorpusConfig(source=str(path), **settings), tokenizer, None)


def said(found: CorpusStatistics, word: str) -> str:
    return next(finding.sentence for finding in found.findings if word in finding.text)


def test_by_hand(tmp_path: Path, chars: type) -> None:
    found = statistics(
        made(tmp_path / "t.txt", "aaab bb\naaab c\né", chars, validation=0.125), batch_size=2, seq_len=3
    )
    assert (found.chars, found.bytes, found.lines, found.words, found.distinct_chars) == (16, 17, 3, 5, 6)
    assert [
        (split.name, split.chars, split.bytes, split.tokens, split.unknown) for split in found.splits
    ] == [
        ("train", 14, 14, 14, 0),
        ("validation", 2, 3, 2, 1),
    ]
    assert (found.tokens, found.vocab_size, found.used, found.once) == (16, 6, 5, 2)
    assert [(top.text, top.count) for top in found.top_tokens] == [
        ("a", 6),
        ("b", 4),
        (" ", 2),
        ("\n", 1),
        ("c", 1),
    ]
    assert found.coverage == ((1, 6 / 14), (2, 10 / 14), (5, 1.0))
    assert found.rank_frequency == ((1, 6), (2, 4), (3, 2), (4, 1), (5, 1))
    assert {bar.low: bar.count for bar in found.word_lengths} == {1: 2, 2: 1, 3: 0, 4: 2}
    assert (found.longest_line, found.mean_line) == (7, pytest.approx(14 / 3))
    assert found.held_out_only == ("é",)
    assert found.steps_per_epoch == 2  # 13 predictions in 2 rows of 6: two windows of 3
    assert found.bytes_per_token == 17 / 16
    assert found.baselines is not None
    assert found.baselines.uniform == pytest.approx(math.log(6))
    assert found.baselines.unigram == pytest.approx(-(math.log(2 / 20) + math.log(1 / 20)) / 2)


def test_it_is_json(tmp_path: Path, chars: type) -> None:
    found = statistics(made(tmp_path / "t.txt", "To be or not to be" * 9, chars))
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(found)), CorpusStatistics) == found


def test_repeated_lines(tmp_path: Path, chars: type) -> None:
    found = statistics(made(tmp_path / "t.txt", "one\n\ntwo\none\n\none\n", chars, validation=0))
    assert found.duplicate_lines == 0.5
    assert "50% of the lines occurred before" in said(found, "lines")


def test_nothing_to_remark(tmp_path: Path, chars: type) -> None:
    text = "".join(f"line {number} of a plain text\n" for number in range(2000))
    found = statistics(made(tmp_path / "t.txt", text, chars))
    assert [(finding.level, finding.text) for finding in found.findings] == [("ok", "nothing to remark")]


def test_faults_of_the_source(tmp_path: Path, chars: type) -> None:
    data = b"\xef\xbb\xbf" + b"a plain line\r\n" * 200 + b"caf\xe9\0\x1b"
    found = statistics(made(tmp_path / "t.txt", data, chars))
    assert "iconv -f ISO-8859-1 -t UTF-8" in said(found, "not UTF-8")
    assert "byte order mark" in said(found, "byte order")
    assert "sed -i" in said(found, "200 lines end in CRLF")
    assert "tr -d" in said(found, "1 NUL")
    assert "1 control characters" in said(found, "control")
    assert len({finding.text for finding in found.findings}) == len(found.findings)


@pytest.mark.parametrize(
    ("batch_size", "seq_len", "fix"),
    [
        (32, 50, "use --batch-size 19 or --seq-len 31, or more data"),  # 999 predictions
        (2000, 2, "use --batch-size 499, or more data"),
        (2, 2000, "use --seq-len 499, or more data"),
        (1000, 1000, "use --batch-size 1 --seq-len 1, or more data"),
    ],
)
def test_too_few_windows(tmp_path: Path, chars: type, batch_size: int, seq_len: int, fix: str) -> None:
    prepared = made(tmp_path / "t.txt", "ab" * 500, chars, validation=0)
    found = statistics(prepared, batch_size=batch_size, seq_len=seq_len)
    assert found.steps_per_epoch == 0
    assert fix in said(found, "one step with")
    if "--batch-size 19" in fix:  # what it proposes works
        assert statistics(prepared, batch_size=19, seq_len=50).steps_per_epoch == 1
        assert statistics(prepared, batch_size=32, seq_len=31).steps_per_epoch == 1


def test_few_windows(tmp_path: Path, chars: type) -> None:
    prepared = made(tmp_path / "t.txt", "ab" * 500, chars, validation=0)
    found = statistics(prepared, batch_size=20, seq_len=10)
    assert "only 4 steps of 20 windows" in said(found, "an epoch")
    assert "--batch-size 9" in said(found, "an epoch")
    assert statistics(prepared, batch_size=9, seq_len=10).steps_per_epoch >= 10


def test_held_out_text(tmp_path: Path, chars: type) -> None:
    without = statistics(made(tmp_path / "a.txt", "ab" * 500, chars, validation=0))
    assert without.baselines is None
    assert "corpus.validation=0.1" in said(without, "no validation split")
    unknown = statistics(made(tmp_path / "b.txt", "ab" * 500 + "xy" * 50, chars))
    assert "100.0% of the held-out tokens are unknown" not in said(unknown, "unknown")
    assert "90.9% of the held-out tokens are unknown" in said(unknown, "unknown")
    assert "2 characters occur only in held-out text: x y" in said(unknown, "only in held-out")
    assert "only 110 tokens" in said(unknown, "noisy")


def test_one_symbol(tmp_path: Path, chars: type) -> None:
    found = statistics(made(tmp_path / "t.txt", "a" * 3000, chars))
    assert "the loss will be 0" in said(found, "one token only")
    assert found.baselines is not None
    assert found.baselines.trigram < 0.01


def test_notes_of_the_source_are_findings(tmp_path: Path, chars: type) -> None:
    (tmp_path / ".hidden").touch()
    (tmp_path / "a").write_text("some text " * 20)
    found = statistics(prepare(CorpusConfig(source=str(tmp_path)), chars, None))
    assert "1 hidden" in said(found, "left out")


def test_memory_does_not_follow_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_SAMPLED_LINES", 50_000)  # both bounds scaled down with the text
    monkeypatch.setattr(grams, "_MOST", 100_000)
    path = tmp_path / "large.txt"
    chosen = random.Random(1)
    with path.open("w") as file:
        for _ in range(40):
            file.write("".join(chosen.randbytes(112).hex() + "\n" for _ in range(4_500)))
    prepared = prepare(CorpusConfig(source=str(path)), CharTokenizer, None)
    tracemalloc.start()
    try:
        found = statistics(prepared, with_baselines=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.lines == 40 * 4_500
    assert found.bytes > 40_000_000
    assert found.passages.found_from > MINIMUM
    assert peak < 30_000_000
