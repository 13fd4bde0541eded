"""`rnn-tui train`."""

from pathlib import Path

import click

from rnn_tui.cli.base import Command, json_option, runs_dir_option
from rnn_tui.cli.complete import corpora, runs
from rnn_tui.cli.launching import check_staying, create, launch_and_stay, staying_options
from rnn_tui.cli.settings import settings_options
from rnn_tui.training.config import Layer


@click.command(
    cls=Command,
    examples="""
    rnn-tui train book.txt --minutes 3
    rnn-tui train stdlib --arch gru --hidden-size 512 --epochs 5 --detach
    rnn-tui train poems/ --tokenizer word -t min_frequency=2 --name poems
    cat *.md | rnn-tui train - --steps 2000 --foreground --json > result.json
    rnn-tui train book.txt -o reset=after --arch gru --set optim.weight_decay=0.01
    rnn-tui train letters.txt --warm-start lstm-book-1 --lr 5e-4
    """,
)
@click.argument("corpus", required=False, shell_complete=corpora)
@settings_options
@click.option(
    "--warm-start",
    metavar="RUN|FILE",
    shell_complete=runs,
    help="Begin with the weights of a run or a model file, whose architecture and tokenizer are taken over.",
)
@click.option("--name", help="Name of the run.  [default: from architecture and corpus]")
@staying_options
@json_option
@runs_dir_option
def train(
    corpus: str | None,
    layers: list[Layer],
    warm_start: str | None,
    name: str | None,
    detach: bool,
    foreground: bool,
    as_json: bool,
    runs_dir: Path,
) -> None:
    """Train a model on CORPUS: a file, a folder, - for standard input, or a named corpus [default: stdlib].

    A worker process does the training; this command follows it. Ctrl-C stops following, not the run: the run goes
    on and `rnn-tui watch`, `stop` and the app find it.
    """
    check_staying(detach, foreground)
    if corpus is not None:
        layers = [*layers, ("CORPUS", {"corpus": {"source": corpus}})]
    model = None
    if warm_start is not None:
        from rnn_tui.inference.target import resolve_target
        from rnn_tui.training.warm_start import settings_of_model

        model = resolve_target(warm_start, runs_dir)
        layers = [settings_of_model(model), *layers]
    run = create(layers, name, runs_dir, warm_start=model)
    launch_and_stay(run, detach=detach, foreground=foreground, as_json=as_json)
