"""`rnn-tui import`: a model file out of weights that somebody trained with torch.nn."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnn_tui.cli.base import Command, json_option, key_value, runs_dir_option
from rnn_tui.cli.complete import architectures, corpora, models, tokenizers
from rnn_tui.cli.export import free_target
from rnn_tui.cli.output import emit, pairs, say, size
from rnn_tui.errors import UsageError

if TYPE_CHECKING:
    from rnn_tui.model.exchange.back import Imported


@click.command(
    "import",
    cls=Command,
    examples="""
    rnn-tui import lstm-book-1.torch.safetensors
    rnn-tui import tuned.safetensors --like lstm-book-1 -o tuned.model.safetensors
    rnn-tui import char-rnn.safetensors --vocabulary chars.json --corpus book.txt
    rnn-tui import gru.safetensors --like gru-book-1 --arch gru --option reset=after
    """,
)
@click.argument("weights", metavar="WEIGHTS", type=click.Path(path_type=Path))
@click.option(
    "--like",
    metavar="RUN|FILE",
    shell_complete=models,
    help="A model that reads as this one does: its tokenizer, task and corpus are taken.",
)
@click.option(
    "--vocabulary",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The texts of the tokens as JSON: a list by number, a table of texts and numbers, or one text of characters.",
)
@click.option(
    "--tokenizer",
    metavar="NAME",
    shell_complete=tokenizers,
    help="What cuts text into the tokens of --vocabulary.  [default: char]",
)
@click.option(
    "--corpus",
    metavar="CORPUS",
    shell_complete=corpora,
    help="What the weights of a --vocabulary were trained on; eval measures on it.",
)
@click.option(
    "--arch",
    metavar="NAME",
    shell_complete=architectures,
    help="Architecture that takes the weights.  [default: the exported one, that of --like, or torch's own]",
)
@click.option(
    "--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the architecture."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    metavar="OUT",
    help="The file to write, or a folder for it, which is made if it ends in a slash.  "
    "[default: NAME.model.safetensors here]",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@json_option
@runs_dir_option
def import_(
    weights: Path,
    like: str | None,
    vocabulary: Path | None,
    tokenizer: str | None,
    corpus: str | None,
    arch: str | None,
    options: tuple[str, ...],
    output: str | None,
    force: bool,
    as_json: bool,
    runs_dir: Path,
) -> None:
    """Make a model file of the weights of an nn.LSTM, nn.GRU or nn.RNN with an embedding and a linear head.

    It can then be prompted, measured, inspected and trained on (train --warm-start), and computes what the weights do
    in torch. WEIGHTS is a safetensors file with torch's names (weight_ih_l0 and so on, with anything before them).

    One that rnn-tui export wrote says itself how text becomes its numbers. Any other needs --like, or a --vocabulary:
    numbers are exchanged where the tokenizer has others.

    A .pt file is a pickle, which may run any code, and is not opened. To convert one that you trust:

    \b
      import torch, safetensors.torch as st
      weights = torch.load("model.pt", weights_only=True)
      st.save_file({name: w.clone() for name, w in weights.items()}, "model.safetensors")
    """
    if vocabulary is None and (tokenizer or corpus):
        raise UsageError(f"--{'tokenizer' if tokenizer else 'corpus'} goes with --vocabulary; add that")
    if vocabulary is not None and like:
        raise UsageError("give --like or a --vocabulary, not both")
    name = weights.name.removesuffix(".safetensors").removesuffix(".torch")
    target = free_target(output, f"{name}.model.safetensors", weights, force=force)
    settings = dict(key_value("--option", text) for text in options)
    from rnn_tui.model.exchange.back import Like, Vocabulary, import_torch
    from rnn_tui.model.file import save_model

    reads: Like | Vocabulary | None = None
    if like is not None:
        from rnn_tui.inference.target import resolve_target
        from rnn_tui.model.header import read_header

        path = resolve_target(like, runs_dir)
        reads = Like(path, read_header(path))
    elif vocabulary is not None:
        reads = Vocabulary(vocabulary, tokenizer or "char", corpus or "")
    done = import_torch(weights, reads, arch=arch or "", options=settings)
    save_model(target, done.model, done.header)
    if as_json:
        emit(_document(done, target))
    else:
        _show(done, target)


def _document(done: "Imported", path: Path) -> dict[str, Any]:
    found, model = done.found, done.header.config["model"]
    return {
        "path": path,
        "bytes": path.stat().st_size,
        "kind": found.kind,
        "arch": model["arch"],
        "options": model["options"],
        "hidden_size": found.hidden_size,
        "num_layers": found.num_layers,
        "bidirectional": found.bidirectional,
        "encoder": model["encoder"],
        "outputs": done.model.output_size,
        "tied": done.model.tied,
        "parameters": done.model.parameter_count(),
        "difference": done.difference,
        "trained": done.trained,
    }


def _show(done: "Imported", path: Path) -> None:
    about = _document(done, path)
    layers = "1 layer" if about["num_layers"] == 1 else f"{about['num_layers']} layers"
    both = ", both directions" if about["bidirectional"] else ""
    pairs(
        {
            "file": path,
            "size": size(about["bytes"]),
            "weights": f"nn.{about['kind']} {about['hidden_size']}, {layers}{both}, {about['parameters']:,} parameters",
            "architecture": about["arch"],
            "checked": f"outputs differ from those of torch.nn by {about['difference']:.1g} at most",
        }
    )
    if not done.trained:
        say("how well it predicts is not known: rnn-tui eval measures it")
