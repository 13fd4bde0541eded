"""The corpus pane's blocks by task: of texts, of lines with labels, of numbers; and what training would take."""

from typing import TYPE_CHECKING

from textual.content import Content

from rnn_tui.safetext import safe_text
from rnn_tui.tui.format import count, duration, short, size
from rnn_tui.tui.panes import corpus_views as views
from rnn_tui.tui.widgets.bars import MUTED, table, visible

if TYPE_CHECKING:
    from rnn_tui.corpus.pair_statistics import PairStatistics
    from rnn_tui.corpus.series_statistics import SeriesStatistics
    from rnn_tui.model.config import ModelConfig
    from rnn_tui.training.estimate import Estimate
    from rnn_tui.training.survey import Statistics

Blocks = dict[str, Content]


def blocks(found: "Statistics", width: int) -> Blocks:
    """Return what stands in the overview, by name; `width` is that of the pane."""
    from rnn_tui.corpus.pair_statistics import PairStatistics
    from rnn_tui.corpus.series_statistics import SeriesStatistics

    if isinstance(found, SeriesStatistics):
        return series_blocks(found)
    if isinstance(found, PairStatistics):
        return pair_blocks(found)
    return {
        "figures": views.figures(found),
        "splits": views.splits(found),
        "baselines": views.baselines(found),
        "line-figures": views.line_figures(found),
        "repeated": views.repeated(found, width),
    }


def pair_blocks(found: "PairStatistics") -> Blocks:
    """Return the blocks of lines with labels."""
    rows = [
        ("lines", count(found.lines)),
        ("tokens, and as many labels", count(found.tokens)),
        ("mean line in tokens", f"{found.mean_line:.1f}"),
        ("longest line", count(found.longest_line)),
        ("vocabulary of both sides", count(found.vocab_size)),
        ("labels in training", count(found.labels)),
        ("labels that repeat the token", f"{100 * found.copied:.1f} %"),
    ]
    splits = [("split", "lines", "tokens", "unknown", "sources seen before")]
    for part in found.splits:
        splits.append(
            (
                part.name,
                count(part.lines),
                count(part.tokens),
                count(part.unknown),
                f"{100 * part.known:.1f} %",
            )
        )
    epoch = f"an epoch: {count(found.steps_per_epoch)} steps of {found.batch_size:d} lines"
    strange = found.held_out_only
    return {
        "figures": views.heading(safe_text(found.name, limit=60), size(found.report.bytes))
        + "\n"
        + table(rows),
        "splits": Content.assemble(table(splits, heading=True), ("\n" + epoch, MUTED)),
        "line-figures": table(
            [("labels only held out", " ".join(map(visible, strange[:40])) or "none")], left=2
        ),
    }


def series_blocks(found: "SeriesStatistics") -> Blocks:
    """Return the blocks of a series."""
    columns: list[tuple[str, ...]] = [("column", "mean", "std", "min", "max", "persistence", "outside")]
    for one in found.columns:
        numbers = (one.mean, one.std, one.min, one.max, one.persistence)
        columns.append(
            (
                safe_text(one.name, limit=16),
                *(f"{value:.4g}" for value in numbers),
                f"{100 * one.outside:.1f} %",
            )
        )
    told = (
        f"persistence: root mean squared error of the row before, on {found.measured_on}\n"
        f"outside: share of the {found.measured_on} rows beyond the range of the training rows"
    )
    splits = [("split", "rows"), *((part.name, count(part.rows)) for part in found.splits)]
    epoch = f"an epoch: {count(found.steps_per_epoch)} steps of {found.batch_size:d} windows of {found.seq_len:d} rows"
    figures = Content.assemble(table(columns, heading=True), ("\n" + safe_text(told, newlines=True), MUTED))
    return {
        "figures": views.heading(safe_text(found.name, limit=60), f"{count(found.rows)} rows")
        + "\n"
        + figures,
        "splits": Content.assemble(table(splits, heading=True), ("\n" + epoch, MUTED)),
    }


def estimate(found: "Estimate | str | None", model: "ModelConfig", noun: str) -> Content:
    """What training the chosen model would take; a sentence where that is not known, None while it is tried.

    Args:
        noun: What the model reads: tokens or rows.
    """
    layers = f"{model.num_layers} x {model.hidden_size}"
    heading = views.heading(
        "to train", f"{safe_text(model.arch, limit=20)} {layers}, as the Train form has it"
    )
    if found is None:
        return heading + Content.styled("\ntrying some steps …", MUTED)
    if isinstance(found, str):
        return heading + Content.styled("\n" + safe_text(found, limit=500), MUTED)
    rows: list[tuple[str, str]] = []
    if found.parameters is not None:
        rows.append(("parameters", count(found.parameters)))
    if found.memory is not None:
        rows.append(("memory", f"{size(found.memory.peak)} beside {size(found.memory.base)} for torch"))
    if found.seconds_per_step is not None and found.tokens_per_second is not None:
        rows.append(
            (
                "a step",
                f"{1000 * found.seconds_per_step:.3g} ms, {short(found.tokens_per_second)} {noun} a second",
            )
        )
        rows.append(("computed on", f"{safe_text(found.device)}, threads {found.threads}, {found.engine}"))
    if found.seconds_per_epoch and found.seconds is not None:
        rows.append(("an epoch", duration(found.seconds_per_epoch)))
        rows.append(("in all", duration(found.seconds)))
    block = heading + "\n" + table(rows, left=2) if rows else heading
    return block + Content.styled("\n" + safe_text(found.note), MUTED) if found.note else block
