"""`rnn-tui eval`: how well a model predicts a text."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnn_tui.cli.base import Command, json_option, runs_dir_option
from rnn_tui.cli.complete import corpora, models
from rnn_tui.cli.output import count, emit, figure, out, pairs, plain, progress_bar, say, table
from rnn_tui.tasks.metrics import perplexity

if TYPE_CHECKING:
    from rnn_tui.inference.evaluate import EvaluationReport


@click.command(
    "eval",
    cls=Command,
    examples="""
    rnn-tui eval lstm-book-1
    rnn-tui eval lstm-book-1 other.txt
    rnn-tui eval lstm-book-1 --split train --json
    rnn-tui eval model.safetensors book.txt --lanes 1
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
    "--lanes", type=click.IntRange(1, 4096), help="Stretches read side by side; 1 is the strict stream."
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="cpu", help="Where it is computed."
)
@json_option
@runs_dir_option
def evaluate(
    model: str,
    corpus: str | None,
    split: str | None,
    lanes: int | None,
    device: str,
    as_json: bool,
    runs_dir: Path,
) -> None:
    """Measure a model: loss, perplexity, bits per character and per byte, beside simple models.

    Without CORPUS, on the validation split of the text it was trained on. A CORPUS is cleaned as that text was.
    """
    from rnn_tui.inference.target import resolve_target

    path = resolve_target(model, runs_dir)
    from dataclasses import replace

    from rnn_tui.corpus.sources import check_source
    from rnn_tui.inference.evaluate import corpus_settings, evaluate_corpus
    from rnn_tui.model.device import leave_one_core
    from rnn_tui.model.file import read_header

    text = None
    if corpus is not None:
        check_source(corpus)
        text = replace(corpus_settings(read_header(path), path), source=corpus, first_tokens=0)
    leave_one_core()
    chosen = split or ("all" if corpus is not None else "validation")
    with progress_bar() as progress:
        report = evaluate_corpus(path, text, split=chosen, device=device, lanes=lanes, progress=progress)
    if as_json:
        emit(report)
    else:
        show(report)


def show(report: "EvaluationReport") -> None:
    """Write a report to be read."""
    pairs(
        {
            "model": report.model
            + (f", step {count(report.step)} of run {report.run}" if report.run else ""),
            "text": f"{report.corpus}, {report.split}: {count(report.tokens)} tokens, {count(report.chars)} characters",
            "speed": f"{count(report.tokens_per_second)} tokens/s",
        }
    )
    out()
    rows = [("this model", report.loss)]
    if report.baselines:
        rows += [(name, float(loss)) for name, loss in plain(report.baselines).items()]
    # as `EvaluationReport` has it: the first token, which is not predicted, is charged the mean
    bits = (report.tokens + 1) / math.log(2)
    table(
        ["", "nats/token>", "perplexity>", "bits/character>", "bits/byte>"],
        [
            (
                name,
                figure(loss),
                figure(perplexity(loss), 2),
                figure(loss * bits / report.chars),
                figure(loss * bits / report.bytes),
            )
            for name, loss in rows
            if not math.isnan(loss) or name == "this model"
        ],
    )
    for note in report.notes:
        say(note)
