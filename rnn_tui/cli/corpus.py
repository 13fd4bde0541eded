"""`rnn-tui corpus` and `rnn-tui stats`: texts, before anything is trained on them."""

from typing import TYPE_CHECKING, Any

import click

from rnn_tui.cli.base import Command, Group, json_option
from rnn_tui.cli.complete import corpora
from rnn_tui.cli.output import count, emit, figure, out, plain, progress_bar, say, table
from rnn_tui.cli.settings import settings_options
from rnn_tui.training.config import Layer, resolve
from rnn_tui.training.layers import combine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnn_tui.corpus.findings import Finding
    from rnn_tui.corpus.remedies import Remedy
    from rnn_tui.corpus.vocabulary import Vocabulary
    from rnn_tui.training.config import RunConfig
    from rnn_tui.training.estimate import Estimate
    from rnn_tui.training.survey import Statistics

SHARES = (0.5, 0.9, 0.99)
"""Of the training text, for which the vocabulary that covers them is told."""


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
    rnn-tui stats book.txt --compare
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
@click.option("--compare", is_flag=True, help="Show what each installed tokenizer makes of the text instead.")
@json_option
def stats(
    corpus: str, layers: list[Layer], with_baselines: bool, with_estimate: bool, compare: bool, as_json: bool
) -> None:
    """Show what is in CORPUS: counts, splits, what stands in the way of training on it, and what that would take."""
    from rnn_tui.corpus.guess import TEXT, guess_task
    from rnn_tui.corpus.prepare import PreparedCorpus
    from rnn_tui.corpus.vocabulary import vocabulary
    from rnn_tui.training import survey
    from rnn_tui.training.data import read_data

    config = resolve(combine([*layers, ("CORPUS", {"corpus": {"source": corpus}})])).config
    guess = guess_task(corpus)
    if config.task.name == TEXT.task != guess.task:
        say(f"{corpus} looks like a corpus for --task {guess.task}; it is read as a text")
    if compare:
        _compare(config, as_json)
        return
    with progress_bar() as progress:
        prepared = read_data(config, progress=progress)
        if progress:
            progress("counting", 0, None)
        measured = survey.measure(config, prepared, with_baselines=with_baselines)
        if progress and with_estimate:
            progress("trying the model", 0, None)
        taken = survey.estimate_on(config, measured) if with_estimate else None
    tokens = vocabulary(prepared) if isinstance(prepared, PreparedCorpus) else None
    answers = survey.remedies(config, measured)
    if as_json:
        more: dict[str, Any] = {"task": config.task.name, "estimate": taken}
        if tokens is not None:
            more["needed"] = [(share, tokens.needed(share)) for share in SHARES]
        more["remedies"] = [
            {"finding": finding.text, "setting": remedy.path, "value": remedy.value}
            for finding, remedy in answers
            if remedy is not None
        ]
        emit(plain(measured) | more)
    else:
        show(measured, taken, tokens, answers)


def _compare(config: "RunConfig", as_json: bool) -> None:
    """Write what each installed tokenizer makes of a text."""
    from rnn_tui.training.tokenizers import compare_tokenizers

    with progress_bar() as progress:
        found = compare_tokenizers(config, progress=progress)
    if as_json:
        emit(found)
        return
    table(
        ["tokenizer", "vocabulary>", "characters a token>", "unknown>", ""],
        [
            (one.name, count(one.vocab_size), figure(one.chars_per_token, 2), f"{one.unknown:.1%}", one.error)
            for one in found
        ],
    )


def show(
    found: "Statistics",
    taken: "Estimate | None",
    tokens: "Vocabulary | None",
    answers: "Sequence[tuple[Finding, Remedy | None]]",
) -> None:
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
        stats_text.show_text(found, tokens)
    if taken is not None:
        out()
        stats_text.show_estimate(taken, noun)
    out()
    stats_text.show_findings(answers)
