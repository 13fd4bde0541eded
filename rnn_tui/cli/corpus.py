"""`rnn-tui corpus` and `rnn-tui stats`: texts, before anything is trained on them."""

from typing import TYPE_CHECKING, Any

import click

from rnn_tui.cli.base import Command, Group, json_option
from rnn_tui.cli.complete import corpora
from rnn_tui.cli.output import count, emit, figure, out, pairs, plain, progress_bar, say, size, table
from rnn_tui.cli.settings import combine, settings_options
from rnn_tui.tasks.metrics import perplexity
from rnn_tui.training.config import Layer, resolve

if TYPE_CHECKING:
    from rnn_tui.corpus.statistics import CorpusStatistics
    from rnn_tui.training.config import RunConfig


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
    """,
)
@click.argument("corpus", shell_complete=corpora)
@settings_options
@click.option(
    "--baselines/--no-baselines", "with_baselines", default=True, help="Measure the baselines, too."
)
@json_option
def stats(corpus: str, layers: list[Layer], with_baselines: bool, as_json: bool) -> None:
    """Show what is in CORPUS: counts, vocabulary, splits, baselines, and what stands in the way of training on it."""
    config = resolve(combine([*layers, ("CORPUS", {"corpus": {"source": corpus}})])).config
    measured = measure(config, with_baselines=with_baselines)
    if as_json:
        emit(measured)
    else:
        show(measured)


def measure(config: "RunConfig", *, with_baselines: bool) -> "CorpusStatistics":
    """Prepare the corpus of `config` and count it."""
    from rnn_tui.corpus.prepare import prepare
    from rnn_tui.corpus.statistics import statistics
    from rnn_tui.plugin.options import make_options
    from rnn_tui.plugin.registry import load_plugin

    name = config.tokenizer.name
    tokenizer: Any = load_plugin("tokenizer", name)
    options = make_options(
        getattr(tokenizer, "Options", None), config.tokenizer.options, owner=f"tokenizer {name}"
    )
    with progress_bar() as progress:
        prepared = prepare(config.corpus, tokenizer, options, progress=progress)
        if progress:
            progress("counting", 0, None)
        return statistics(
            prepared,
            batch_size=config.data.batch_size,
            seq_len=config.data.seq_len,
            with_baselines=with_baselines,
        )


def show(stats: "CorpusStatistics") -> None:
    """Write statistics to be read."""
    held_out = "".join(stats.held_out_only)
    pairs(
        {
            "corpus": stats.name,
            "text": f"{count(stats.chars)} characters, {size(stats.bytes)}, {count(stats.lines)} lines, "
            f"{count(stats.words)} words",
            "lines": f"{figure(stats.mean_line, 1)} characters on average, the longest {count(stats.longest_line)}; "
            f"{stats.duplicate_lines:.1%} repeat an earlier one",
            "vocabulary": f"{count(stats.vocab_size)} tokens, {count(stats.used)} of them in the training split, "
            f"{count(stats.once)} once",
            "a token": f"{figure(stats.chars_per_token, 2)} characters, {figure(stats.bytes_per_token, 2)} bytes",
            "only held out": f"{count(len(held_out))} characters: {held_out[:60]}"
            if held_out
            else "no character",
            "an epoch": f"{count(stats.steps_per_epoch)} steps of {stats.batch_size} windows of {stats.seq_len} tokens",
        }
    )
    out()
    table(
        ["split", "characters>", "tokens>", "unknown>"],
        [(part.name, count(part.chars), count(part.tokens), count(part.unknown)) for part in stats.splits],
    )
    out()
    total = max(1, next(part.tokens for part in stats.splits if part.name == "train"))
    table(
        ["token", "count>", "share>", ""],
        [
            (
                repr(top.text),
                count(top.count),
                f"{top.count / total:.2%}",
                bar(top.count / stats.top_tokens[0].count),
            )
            for top in stats.top_tokens[:10]
        ],
    )
    if stats.coverage:
        out()
        table(["most frequent>", "cover>"], [(count(k), f"{share:.1%}") for k, share in stats.coverage])
    if stats.baselines:
        out()
        table(
            ["baseline", "nats/token>", "perplexity>"],
            [
                (name, figure(loss), figure(perplexity(loss), 2))
                for name, loss in plain(stats.baselines).items()
            ],
        )
    out()
    for finding in stats.findings:
        out(f"{finding.level}: {finding.sentence}")


def bar(share: float, width: int = 20) -> str:
    """A bar of blocks, eighths at its end."""
    whole, eighths = divmod(round(share * width * 8), 8)
    return "█" * whole + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths]
