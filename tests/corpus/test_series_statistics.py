import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.series import prepare_series
from rnn_tui.corpus.series_statistics import SeriesStatistics, series_statistics


def measured(path: Path, text: str, *, seq_len: int = 2, **settings: Any) -> SeriesStatistics:
    path.write_text(text, newline="")
    prepared = prepare_series(CorpusConfig(source=str(path), **settings))
    return series_statistics(prepared, batch_size=2, seq_len=seq_len)


def said(found: SeriesStatistics, word: str) -> str:
    return next(finding.sentence for finding in found.findings if word in finding.text)


def test_by_hand(tmp_path: Path) -> None:
    found = measured(tmp_path / "s.csv", "a,b\n1,0\n3,0\n5,0\n3,0\n7,1\n4,0\n", validation=1 / 3)
    assert [(split.name, split.rows) for split in found.splits] == [("train", 4), ("validation", 2)]
    a, b = found.columns
    assert (a.name, a.mean, a.std, a.min, a.max) == ("a", 3, math.sqrt(2), 1, 5)
    assert a.persistence == math.sqrt((4**2 + 3**2) / 2)  # 3 to 7, 7 to 4
    assert a.outside == 1 / 2  # 7, above 5
    assert a.curve == (1, 3, 5, 3, 7, 4)
    assert (b.std, b.persistence) == (0, 1)
    assert (found.rows, found.measured_on, found.steps_per_epoch) == (6, "validation", 0)
    assert "training has 4 rows" in said(found, "one step with")
    assert "--batch-size 1 or --seq-len 1" in said(found, "one step with")
    assert "50% of the validation rows of column a" in said(found, "outside")
    assert "task.columns" in said(found, "column b has the same number")
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(found)), SeriesStatistics) == found


def test_without_held_out_rows(tmp_path: Path) -> None:
    found = measured(tmp_path / "s.csv", "\n".join(str(row % 3) for row in range(100)), validation=0)
    [column] = found.columns
    assert (found.measured_on, column.outside) == ("train", 0)
    assert column.persistence == pytest.approx(
        math.sqrt((66 * 1 + 33 * 4) / 99)
    )  # two steps up, one down by two
    assert "corpus.validation" in said(found, "no validation split")
    assert found.steps_per_epoch == 24


def test_a_long_series_is_drawn_by_means(tmp_path: Path) -> None:
    found = measured(tmp_path / "s.csv", "\n".join(map(str, range(1001))))
    [column] = found.columns
    assert column.curve[:2] == (1, 4)  # of three rows each
    assert len(column.curve) == 334
    assert column.curve[-1] == (999 + 1000) / 2
    assert "100% of the validation rows" in said(found, "outside")
