"""Statistics as pictures: what each task has to show, as data; drawn by `corpus_picture_view`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnn_tui.safetext import safe_text
from rnn_tui.tui.format import count
from rnn_tui.tui.widgets.bars import visible
from rnn_tui.tui.widgets.chart import Mark, Series

if TYPE_CHECKING:
    from rnn_tui.corpus.counting import Bar
    from rnn_tui.corpus.pair_statistics import PairStatistics
    from rnn_tui.corpus.series_statistics import SeriesStatistics
    from rnn_tui.corpus.statistics import CorpusStatistics, TokenCount
    from rnn_tui.corpus.vocabulary import Vocabulary
    from rnn_tui.training.survey import Statistics

MARKED_SHARES = (0.5, 0.9, 0.99)


@dataclass(frozen=True)
class Curve:
    """A picture with axes."""

    title: str
    series: tuple[Series, ...]
    x_name: str
    log_x: bool = False
    log_y: bool = False
    baselines: tuple[tuple[str, float], ...] = ()
    marks: tuple[Mark, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Bars:
    """A picture of labelled bars."""

    title: str
    aside: str
    rows: tuple[tuple[str, float, str], ...]
    """Label, share of the longest bar, value."""
    colour: str


Picture = Curve | Bars


def pictures(found: "Statistics", vocabulary: "Vocabulary | None") -> list[Picture]:
    """Return the pictures of a corpus, the most telling first."""
    from rnn_tui.corpus.pair_statistics import PairStatistics
    from rnn_tui.corpus.series_statistics import SeriesStatistics

    if isinstance(found, SeriesStatistics):
        return _of_series(found)
    if isinstance(found, PairStatistics):
        return _of_pairs(found)
    return _of_text(found, vocabulary)


def _of_text(found: "CorpusStatistics", vocabulary: "Vocabulary | None") -> list[Picture]:
    total = next(split.tokens for split in found.splits if split.name == "train")
    shown: list[Picture] = [rank_curve("rank and frequency", found.rank_frequency)]
    if vocabulary is not None:
        shown.append(coverage_curve(vocabulary))
    shown += [
        lengths("line lengths", "characters", found.line_lengths),
        lengths("word lengths", "characters", found.word_lengths),
        most_frequent("most frequent tokens", found.top_tokens, total),
    ]
    return shown


def _of_pairs(found: "PairStatistics") -> list[Picture]:
    total = next(split.tokens for split in found.splits if split.name == "train")
    ranked = [(rank, one.count) for rank, one in enumerate(found.top_labels, 1)]
    return [
        rank_curve("rank and frequency of labels", ranked),
        lengths("line lengths", "tokens", found.line_lengths),
        most_frequent("most frequent labels", found.top_labels, total),
    ]


def _of_series(found: "SeriesStatistics") -> list[Picture]:
    shown: list[Picture] = []
    begin, marks = 0, []
    for split in found.splits:
        if begin:
            marks.append(Mark(begin + 1, "switch", safe_text(split.name)))
        begin += split.rows
    for index, one in enumerate(found.columns):
        last = max(1, len(one.curve) - 1)
        rows = [1 + place * (found.rows - 1) / last for place in range(len(one.curve))]
        name = safe_text(one.name, limit=40)
        curve = Series(name, rows, one.curve, index % 8)
        shown.append(Curve(f"column {name}", (curve,), "row", marks=tuple(marks)))
    return shown


def rank_curve(title: str, points: "Sequence[tuple[int, int]]") -> Curve:
    """Return how often the token of each rank occurs on log axes, over Zipf's law, by which it is the first's count
    divided by the rank."""
    from rnn_tui.corpus.vocabulary import zipf_slope

    ranks, counts = zip(*points, strict=True)
    # The law as far down as there are counts; below, it would stretch the axis for nothing.
    last = max(1.0, min(ranks[-1], counts[0] / counts[-1]))
    law = Series("Zipf's law", (1.0, last), (float(counts[0]), counts[0] / last), 1)
    slope = zipf_slope(ranks, counts)
    note = "" if slope is None else f"slope {slope:.2f}"
    return Curve(title, (law, Series("count", ranks, counts)), "rank", log_x=True, log_y=True, note=note)


def coverage_curve(vocabulary: "Vocabulary") -> Curve:
    """Return which share of the training text the most frequent tokens make up, marked at 50, 90 and 99 %."""
    sizes, shares = vocabulary.coverage()
    marks = tuple((f"{count(vocabulary.needed(share))} tokens cover", 100 * share) for share in MARKED_SHARES)
    curve = Series("covered", sizes, [100 * share for share in shares], 2)
    return Curve(
        "% of the text by vocabulary size", (curve,), "most frequent tokens", log_x=True, baselines=marks
    )


def lengths(title: str, unit: str, found: "Sequence[Bar]") -> Bars:
    """Return a histogram of lengths."""
    most = max((entry.count for entry in found), default=1) or 1
    rows = tuple(
        (count(entry.low) if entry.low == entry.high else f"{count(entry.low)}-{count(entry.high)}",
         entry.count / most, count(entry.count))
        for entry in found
    )  # fmt: skip
    return Bars(title, unit, rows, "$chart-2")


def most_frequent(title: str, top: "Sequence[TokenCount]", total: int) -> Bars:
    """Return the most frequent tokens or labels of the training split, which holds `total`."""
    rows = tuple(
        (visible(one.text), one.count / top[0].count, f"{100 * (one.count / total):.2f} %") for one in top
    )
    return Bars(title, "in training", rows, "$chart-1")
