"""`rnn-tui eval`: how well a model predicts a corpus."""

import math
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnn_tui.cli.base import Command, backend_option, json_option, runs_dir_option
from rnn_tui.cli.changes import warn_of_changes
from rnn_tui.cli.complete import corpora, models
from rnn_tui.cli.output import count, emit, figure, out, pairs, progress_bar, say, table
from rnn_tui.cli.plots import bar
from rnn_tui.tasks.metrics import MOST_LANES, perplexity

if TYPE_CHECKING:
    from rnn_tui.inference.config import Backend
    from rnn_tui.inference.dynamic import DynamicConfig
    from rnn_tui.inference.reports import (
        AlignedReport,
        ColdFigures,
        EvaluationReport,
        Figures,
        Report,
        SeriesReport,
    )


@click.command(
    "eval",
    cls=Command,
    examples="""
    rnn-tui eval lstm-book-1
    rnn-tui eval lstm-book-1 other.txt
    rnn-tui eval lstm-book-1 --split train --json
    rnn-tui eval lstm-book-1 --dynamic
    rnn-tui eval model.safetensors book.txt --lanes 1
    rnn-tui eval lstm-book-1 --backend numpy
    """,
)
@click.argument("model", metavar="RUN|FILE", shell_complete=models)
@click.argument("corpus", required=False, shell_complete=corpora)
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test", "all"]),
    help="Which part.  [default: validation; all of a CORPUS that is named]",
)
@click.option(
    "--lanes", type=click.IntRange(1, MOST_LANES), help="Stretches read side by side; 1 is the strict stream."
)
@click.option("--cold/--no-cold", default=True, help="Measure in fresh windows, too.")
@click.option(
    "--dynamic", is_flag=True, help="Measure with weights that adapt to the text as it is read, too; slow."
)
@click.option(
    "--dynamic-segment",
    type=click.IntRange(1, 4096),
    help="Tokens from one update to the next.  [default: 20 characters or 5 words]",
)
@click.option(
    "--dynamic-lr",
    type=click.FloatRange(0, 1),
    help="Learning rate of these updates.  [default: 1e-4 for 20 characters, 5e-5 for 5 words]",
)
@click.option(
    "--dynamic-decay",
    type=click.FloatRange(0, 1),
    help="Pull back to the trained weights.  [default: 8e-3 for 20 characters, 2e-3 for 5 words]",
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="cpu", help="Where it is computed."
)
@backend_option("torch", "numpy")
@json_option
@runs_dir_option
def evaluate(
    model: str,
    corpus: str | None,
    split: str | None,
    lanes: int | None,
    cold: bool,
    dynamic: bool,
    dynamic_segment: int | None,
    dynamic_lr: float | None,
    dynamic_decay: float | None,
    device: str,
    backend: "Backend",
    as_json: bool,
    runs_dir: Path,
) -> None:
    """Measure a model: loss, perplexity, bits per character and per byte, beside simple models.

    Without CORPUS, on the validation split of what it was trained on, or on that itself where nothing was held out. A
    CORPUS is cleaned as that was. Of a model of labels: how many are right; of one of numbers: its errors at each
    horizon.
    """
    from rnn_tui.inference.target import resolve_target

    path = resolve_target(model, runs_dir)
    from dataclasses import replace

    from rnn_tui.corpus.sources import check_source
    from rnn_tui.errors import UsageError
    from rnn_tui.inference.evaluate import corpus_settings, evaluate_corpus
    from rnn_tui.model.header import read_header

    settings = (dynamic_segment, dynamic_lr, dynamic_decay)
    if not dynamic and any(value is not None for value in settings):
        raise UsageError("a setting of dynamic evaluation was given without it; add --dynamic")

    def adapting(chars_per_token: float) -> "DynamicConfig":
        from rnn_tui.inference.dynamic import dynamic_config

        return dynamic_config(chars_per_token, segment=dynamic_segment, lr=dynamic_lr, decay=dynamic_decay)

    header = read_header(path)
    warn_of_changes(header)
    own, text = corpus_settings(header, path), None
    if corpus is not None:
        check_source(corpus)
        text = replace(own, source=corpus, first_tokens=0)
    if split is None:
        split = "all" if corpus is not None else "validation" if own.validation else "train"
    with progress_bar() as progress:
        report = evaluate_corpus(
            path,
            text,
            split=split,
            device=device,
            backend=backend,
            lanes=lanes,
            cold=cold,
            dynamic=adapting if dynamic else None,
            progress=progress,
        )
    if as_json:
        emit(report)
    else:
        show(report)


def show(report: "Report") -> None:
    """Write a report to be read."""
    from rnn_tui.inference.reports import AlignedReport, EvaluationReport

    model = report.model
    if report.run:
        model += f", step {count(report.step)} of run {report.run}"
    where = f"{report.corpus}, {report.split}: "
    if isinstance(report, EvaluationReport):
        pairs(
            {
                "model": model,
                "text": f"{where}{count(report.tokens)} tokens, {count(report.chars)} characters",
                "speed": f"{count(report.tokens_per_second)} tokens/s",
            }
        )
        out()
        _show_text(report)
    elif isinstance(report, AlignedReport):
        pairs({"model": model, "text": f"{where}{count(report.lines)} lines, {count(report.labels)} labels"})
        out()
        _show_aligned(report)
    else:
        pairs(
            {
                "model": model,
                "series": f"{where}{count(report.rows)} rows of column {', '.join(report.columns)}",
            }
        )
        out()
        _show_series(report)
    for note in report.notes:
        say(note)


def _show_text(report: "EvaluationReport") -> None:
    rows: list[tuple[str, Figures]] = [("this model", report)]
    if report.cold:
        rows.append((f"  cold, fresh every {count(report.cold.window)}", report.cold))
    if report.dynamic:
        rows.append(("  dynamic, adapting", report.dynamic))
    rows += report.baselines.items()
    table(
        ["", "nats/token>", "perplexity>", "bits/character>", "bits/byte>"],
        [(name, figure(f.loss), figure(f.perplexity, 2), figure(f.bpc), figure(f.bpb)) for name, f in rows],
    )
    if report.cold:
        out()
        _show_positions(report.cold)
    if report.dynamic:
        settings = report.dynamic.settings
        say(
            f"dynamic evaluation updates the weights every {settings.segment} tokens (learning rate {settings.lr:g}, "
            f"decay {settings.decay:g}) and is no figure of the model alone"
        )


def _show_positions(cold: "ColdFigures") -> None:
    """The loss after 1, 2 to 3, 4 to 7, … tokens of a fresh window."""
    stretches = [
        [(position, loss) for position, loss in stretch]
        for _, stretch in groupby(enumerate(cold.by_position, 1), lambda item: item[0].bit_length())
    ]
    means = [math.fsum(loss for _, loss in stretch) / len(stretch) for stretch in stretches]
    table(
        ["tokens read", "nats/token>", ""],
        [
            (
                count(stretch[0][0]) + (f" to {count(stretch[-1][0])}" if len(stretch) > 1 else ""),
                figure(mean),
                bar(mean / max(means), 40) if 0 < max(means) < math.inf else "",
            )
            for stretch, mean in zip(stretches, means, strict=True)
        ],
    )


def _show_aligned(report: "AlignedReport") -> None:
    table(
        ["", "nats/label>", "perplexity>", "labels right>", "lines right>"],
        [
            (
                "this model",
                figure(report.loss),
                figure(perplexity(report.loss), 2),
                f"{report.accuracy:.2%}",
                f"{report.exact:.2%}",
            ),
            *(
                (name, figure(loss), figure(perplexity(loss), 2), "", "")
                for name, loss in report.baselines.items()
            ),
        ],
    )


def _show_series(report: "SeriesReport") -> None:
    table(
        ["steps ahead", "squared error>", "persistence>", "mean>", "root of it?>", "rows?>"],
        [
            (
                count(h.horizon),
                *(f"{value:.4g}" for value in (h.mse, h.persistence, h.mean, h.rmse)),
                count(h.rows),
            )
            for h in report.horizons
        ],
    )
