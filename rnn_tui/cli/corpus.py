"""`rnn-tui corpus` and `rnn-tui stats`: texts, before anything is trained on them."""

from typing import TYPE_CHECKING

import click

from rnn_tui.cli.base import Command, Group, json_option
from rnn_tui.cli.complete import corpora
from rnn_tui.cli.output import emit, out, plain, progress_bar, say, table
from rnn_tui.cli.settings import combine, settings_options
from rnn_tui.training.config import Layer, resolve

if TYPE_CHECKING:
    from rnn_tui.training.estimate import Estimate
    from rnn_tui.training.survey import Statistics


@click.group(cls=Group, examples="rnn-tui corpus list\nrnn-tui corpus get tinyshakespeare")
def corpus() -> None:
    """The corpora that have a name."""


@corpus.command("list", examples="rnn-tui corpus list\nrnn-tui corpus list --json")
@json_option
def list_(as_json: bool) -> None:
    """List the named corpora, those built in and those to download."""
    from rnn_tui.corpus.sources import named_corpora

    found = named_corpora()
    if as_json:
        emit(found)
    else:
        table(
            ["name", "here", "licence", "what it is"],
            [(c.name, "yes" if c.available else c.how, c.licence, c.summary) for c in found],
        )


@corpus.command("get", examples="rnn-tui corpus get tinyshakespeare")
@click.argument("name", shell_complete=corpora)
@json_option
def get(name: str, as_json: bool) -> None:
    """Download a named corpus from its public source; its SHA-256 is checked."""
    from rnn_tui.corpus import download

    with progress_bar() as progress:
        path = download.get(name, progress=progress)
    if as_json:
        emit({"name": name, "path": path})
    else:
        out(path)
        say(f"rnn-tui train {name} trains on it")


@click.command(
    cls=Command,
    examples="""
    rnn-tui stats book.txt
    rnn-tui stats poems/ --tokenizer word -t min_frequency=2
    rnn-tui stats tinyshakespeare --batch-size 64 --seq-len 256 --json
    rnn-tui stats prices.csv --task series --no-estimate
    """,
)
@click.argument("corpus", shell_complete=corpora)
@settings_options
@click.option(
    "--baselines/--no-baselines", "with_baselines", default=True, help="Measure the baselines of a text, too."
)
@click.option(
    "--estimate/--no-estimate",
    "with_estimate",
    default=True,
    help="Try the model for some seconds: what would training take?",
)
@json_option
def stats(corpus: str, layers: list[Layer], with_baselines: bool, with_estimate: bool, as_json: bool) -> None:
    """Show what is in CORPUS: counts, splits, what stands in the way of training on it, and what that would take."""
    from rnn_tui.training import survey
    from rnn_tui.training.data import read_data

    config = resolve(combine([*layers, ("CORPUS", {"corpus": {"source": corpus}})])).config
    with progress_bar() as progress:
        prepared = read_data(config, progress=progress)
        if progress:
            progress("counting", 0, None)
        measured = survey.measure(config, prepared, with_baselines=with_baselines)
        if progress and with_estimate:
            progress("trying the model", 0, None)
        taken = survey.estimate_on(config, measured) if with_estimate else None
    if as_json:
        emit(plain(measured) | {"task": config.task.name, "estimate": taken})
    else:
        show(measured, taken)


def show(found: "Statistics", taken: "Estimate | None") -> None:
    """Write statistics to be read."""
    from rnn_tui.cli import stats_text
    from rnn_tui.corpus.pair_statistics import PairStatistics
    from rnn_tui.corpus.series_statistics import SeriesStatistics

    noun = "tokens"
    if isinstance(found, SeriesStatistics):
        noun = "rows"
        stats_text.show_series(found)
    elif isinstance(found, PairStatistics):
        stats_text.show_pairs(found)
    else:
        stats_text.show_text(found)
    if taken is not None:
        out()
        stats_text.show_estimate(taken, noun)
    out()
    stats_text.show_findings(found.findings)
