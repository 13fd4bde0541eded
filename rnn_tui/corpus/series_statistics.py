"""What a series of numbers is like before anything is trained on it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from rnn_tui.corpus.decoding import TextReport
from rnn_tui.corpus.findings import Finding, no_validation, text_findings, window_findings
from rnn_tui.corpus.series import Floats, PreparedSeries

_POINTS = 400


@dataclass(frozen=True)
class ColumnStatistics:
    """One column, in the units of the data."""

    name: str
    mean: float
    """Of the training rows, as the next three."""
    std: float
    min: float
    max: float
    persistence: float
    """Root mean squared error of forecasting each held-out row as the row before it: what a model must beat."""
    outside: float
    """Share of the held-out rows that lie below the least or above the largest training row."""
    curve: tuple[float, ...]
    """Means of stretches of equal length over all rows, the last one as long as is left."""


@dataclass(frozen=True)
class SeriesSplitStatistics:
    """The size of one split."""

    name: str
    rows: int


@dataclass(frozen=True)
class SeriesStatistics:
    """All figures; persistence is of validation, else of test, else of the training rows themselves."""

    name: str
    fingerprint: str
    report: TextReport
    notes: tuple[str, ...]
    rows: int
    splits: tuple[SeriesSplitStatistics, ...]
    measured_on: str
    """The split of which persistence is."""
    columns: tuple[ColumnStatistics, ...]
    batch_size: int
    seq_len: int
    steps_per_epoch: int
    findings: tuple[Finding, ...]


def series_statistics(prepared: PreparedSeries, *, batch_size: int, seq_len: int) -> SeriesStatistics:
    """Measure each column."""
    train = prepared.splits["train"]
    held_out = next((name for name in ("validation", "test") if name in prepared.splits), "train")
    rows = train.end - train.begin
    found = SeriesStatistics(
        name=prepared.name,
        fingerprint=prepared.fingerprint,
        report=prepared.snapshot.report,
        notes=prepared.snapshot.notes,
        rows=len(prepared.values),
        splits=tuple(
            SeriesSplitStatistics(part.name, part.end - part.begin) for part in prepared.splits.values()
        ),
        measured_on=held_out,
        columns=tuple(_columns(prepared, held_out)),
        batch_size=batch_size,
        seq_len=seq_len,
        steps_per_epoch=(rows - 1) // batch_size // seq_len,
        findings=(),
    )
    told = [*text_findings(replace(found.report, crlf=0)), *_findings(found, rows)]
    said = {finding.sentence for finding in told}
    told += [Finding("note", note) for note in found.notes if note not in said]
    return replace(found, findings=tuple(told or [Finding("ok", "nothing to remark")]))


def _columns(prepared: PreparedSeries, held_out: str) -> Iterator[ColumnStatistics]:
    end, part = prepared.splits["train"].end, prepared.splits[held_out]
    for index, name in enumerate(prepared.scaling.columns):
        values = prepared.values[:, index]
        train, measured = values[:end], values[part.begin : part.end]
        steps = np.diff(values[max(0, part.begin - 1) : part.end])
        low, high = float(train.min()), float(train.max())
        yield ColumnStatistics(
            name=name,
            mean=float(train.mean()),
            std=float(train.std()),
            min=low,
            max=high,
            persistence=math.sqrt(float((steps**2).mean())),
            outside=float(((measured < low) | (measured > high)).mean()),
            curve=_curve(values),
        )


def _curve(values: Floats) -> tuple[float, ...]:
    size = -(-len(values) // _POINTS)
    begins = np.arange(0, len(values), size)
    means = np.add.reduceat(values, begins) / np.diff(begins, append=len(values))
    return tuple(means.tolist())


def _findings(found: SeriesStatistics, rows: int) -> Iterator[Finding]:
    yield from window_findings(rows, found.batch_size, found.seq_len, found.steps_per_epoch, "rows")
    names = {split.name for split in found.splits}
    if "validation" not in names:
        yield no_validation("test" in names)
    for column in found.columns:
        if column.min == column.max:
            yield Finding(
                "warning",
                f"column {column.name} has the same number in every training row",
                "leave it out: --set task.columns=NAMES",
            )
        elif column.outside > 0.1:
            text = (
                f"{column.outside:.0%} of the {found.measured_on} rows of column {column.name} lie outside the range "
                "of the training rows; a model has to guess there"
            )
            yield Finding("note", text, "train on a longer part, or on the differences from row to row")
