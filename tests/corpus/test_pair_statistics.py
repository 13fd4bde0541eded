from pathlib import Path
from typing import Any

import msgspec

from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.pair_statistics import PairSplit, PairStatistics, pair_statistics
from rnn_tui.corpus.pairs import prepare_pairs


def measured(path: Path, text: str, tokenizer: Any, batch_size: int = 2, **settings: Any) -> PairStatistics:
    path.write_text(text, newline="")
    return pair_statistics(
        prepare_pairs(CorpusConfig(source=str(path), **settings), tokenizer, None), batch_size=batch_size
    )


def said(found: PairStatistics, word: str) -> str:
    return next(finding.sentence for finding in found.findings if word in finding.text)


def test_by_hand(tmp_path: Path, chars: type) -> None:
    lines = "ab\txb", "abcd\txxxx", "ab\tyb", "b\tx", "ab\txb", "ce\tzx"
    found = measured(tmp_path / "p.tsv", "\n".join(lines), chars, validation=1 / 3)
    assert (found.lines, found.tokens, found.longest_line, found.mean_line) == (6, 13, 4, 13 / 6)
    assert found.splits == (
        PairSplit("train", 4, 9, 9, 0, 1 / 4),  # the third source is the first again
        PairSplit("validation", 2, 4, 4, 1, 1 / 2),  # e is unknown, ab is known
    )
    assert [(one.text, one.count) for one in found.top_labels] == [("x", 6), ("b", 2), ("y", 1)]
    assert (found.labels, found.copied) == (3, 2 / 9)  # b to b, twice
    assert found.held_out_only == ("\ufffd",)  # z is unknown
    assert [(bar.low, bar.high, bar.count) for bar in found.line_lengths] == [
        (1, 1, 1),
        (2, 2, 4),
        (3, 3, 0),
        (4, 4, 1),
    ]
    assert (found.steps_per_epoch, found.padded_line) == (
        2,
        2,
    )  # lengths 1, 2, 2, 4: two thirds of the way up
    assert "only 2 lines" in said(found, "validation has")
    assert "50% of the validation lines have the source" in said(found, "source of a training line")
    assert "25.0% of the tokens in the validation sources are unknown" in said(found, "unknown")
    assert "1 labels occur only in held-out lines" in said(found, "occur only")
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(found)), PairStatistics) == found


def test_one_line(tmp_path: Path, chars: type) -> None:
    found = measured(tmp_path / "p.tsv", "hello\tooooo\r\n", chars, batch_size=8)
    assert (found.lines, found.steps_per_epoch, found.padded_line, found.copied) == (1, 1, 5, 1 / 5)
    assert "every training label is the same" in said(found, "label")
    assert "corpus.validation" in said(found, "no validation split")
    assert not [finding for finding in found.findings if "carriage" in finding.text]


def test_many_lengths_share_bars(tmp_path: Path, chars: type) -> None:
    lines = "".join(f"{'a' * length}\t{'b' * length}\n" for length in range(1, 101))
    found = measured(tmp_path / "p.tsv", lines, chars)
    assert [(bar.low, bar.high, bar.count) for bar in found.line_lengths][-2:] == [(97, 99, 3), (100, 100, 1)]
    assert sum(bar.count for bar in found.line_lengths) == 100
