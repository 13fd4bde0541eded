"""`rnn-tui export`: the weights of a model, for use without rnn-tui."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from rnn_tui.cli.base import Command, json_option, runs_dir_option
from rnn_tui.cli.changes import warn_of_changes
from rnn_tui.cli.complete import models
from rnn_tui.cli.output import emit, out, pairs, say, size
from rnn_tui.errors import BusyError, InputError, UsageError
from rnn_tui.files import disk_error, make_folders

if TYPE_CHECKING:
    from rnn_tui.model.exchange.onnx_file import ExportedOnnx
    from rnn_tui.model.exchange.torch_file import Exported

_ENDINGS = {"torch": ".torch.safetensors", "onnx": ".onnx"}


@click.command(
    "export",
    cls=Command,
    examples="""
    rnn-tui export lstm-book-1
    rnn-tui export lstm-book-1 -o book.safetensors --force
    rnn-tui export lstm-book-1 --format onnx
    rnn-tui export model.safetensors --format onnx --graph step -o model.step.onnx --json
    """,
)
@click.argument("model", metavar="RUN|FILE", shell_complete=models)
@click.option(
    "--format",
    "form",
    type=click.Choice(["torch", "onnx"]),
    help="torch: a state dict in a safetensors file; onnx: a graph for onnxruntime.  [default: onnx for an OUT that "
    "ends in .onnx, else torch]",
)
@click.option(
    "--graph",
    type=click.Choice(["sequence", "step"]),
    help="onnx: rows of any length, or one position at a time.  [default: sequence]",
)
@click.option(
    "--identity-embedding",
    is_flag=True,
    help="torch: where tokens enter as one-hot vectors, write these as the weight of an nn.Embedding.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    metavar="OUT",
    help="The file to write, or a folder for it, which is made if it ends in a slash.  "
    "[default: NAME.torch.safetensors or NAME.onnx here]",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@json_option
@runs_dir_option
def export(
    model: str,
    form: Literal["torch", "onnx"] | None,
    graph: Literal["sequence", "step"] | None,
    identity_embedding: bool,
    output: str | None,
    force: bool,
    as_json: bool,
    runs_dir: Path,
) -> None:
    """Write the weights of a model for a script in plain torch, or as ONNX, and print the code that uses the file.

    torch: what nn.Embedding, nn.LSTM, nn.GRU or nn.RNN and nn.Linear load strictly, in a safetensors file. For the
    architectures that torch has; rnn-tui import makes a model file of such a file again.

    onnx: for every architecture; inputs and outputs have the state, so that it can be carried on. It needs the extra
    rnn-tui[onnx].

    Before it is written, the file is compared with the model. It holds the vocabulary, too.
    """
    form = form or ("onnx" if output and output.endswith(".onnx") else "torch")
    if form == "torch" and graph:
        raise UsageError("--graph is for --format onnx; add that")
    if form == "onnx" and identity_embedding:
        raise UsageError("--identity-embedding is for --format torch; leave it out")
    from rnn_tui.inference.target import resolve_target

    source = resolve_target(model, runs_dir)
    name = os.path.basename(os.path.abspath(model)).removesuffix(".safetensors")
    target = free_target(output, name + _ENDINGS[form], source, force=force)
    from rnn_tui.model.file import load_model, load_series
    from rnn_tui.model.header import read_header

    header = read_header(source)
    warn_of_changes(header)
    if header.scaling is not None:
        loaded, _, header = load_series(source)
        tokenizer = None
    else:
        loaded, tokenizer, header = load_model(source)
    done: Exported | ExportedOnnx
    if form == "onnx":
        from rnn_tui.model.exchange.onnx_file import export_onnx

        done = export_onnx(loaded, header, tokenizer, target, graph=graph or "sequence")
    else:
        from rnn_tui.model.exchange.torch_file import export_torch

        done = export_torch(loaded, header, tokenizer, target, identity=identity_embedding)
    if as_json:
        emit(done)
    else:
        _show(done)


def free_target(output: str | None, name: str, source: Path, *, force: bool) -> Path:
    """Return where to write, which is not what is read.

    Args:
        output: as it was given: a file, or a folder for it, which is made where a slash at the end says that it is one.
        name: of the file where none is given.

    Raises:
        BusyError: when something is there already, without `force`.
        InputError: when it cannot be replaced, or there is no such folder.
        DiskError: when the folder cannot be made.
    """
    if output is not None and output.endswith(os.sep):
        try:
            make_folders(Path(output))
        except OSError as error:
            raise disk_error(error, f"could not make the folder {output}") from error
    target = Path(name) if output is None else Path(output, name) if os.path.isdir(output) else Path(output)
    if not os.path.lexists(target):
        if not os.path.isdir(target.parent):
            raise InputError(f"{target.parent}: there is no such folder")
        return target
    if not target.is_file() or (source.exists() and target.samefile(source)):
        raise InputError(f"{target}: cannot be replaced by what is made of {source}; choose another name")
    if not force:
        raise BusyError(f"{target} is there already; choose another name with -o, or replace it with --force")
    return target


def _show(done: "Exported | ExportedOnnx") -> None:
    from rnn_tui.model.exchange.torch_file import Exported

    if isinstance(done, Exported):
        what = f"state dict for nn.{done.kind}, {len(done.tensors)} tensors"
        checked = f"outputs differ from the model's by {done.difference:.1g} at most"
    else:
        way = f"{done.graph}, {done.operator} over time" if done.operator else done.graph
        what = f"ONNX graph, opset {done.opset}: {way}"
        tried = ", ".join(f"{rows}x{positions}" for rows, positions in done.checked)
        checked = (
            f"outputs differ from the model's by {done.difference:.1g} at most (onnxruntime, batches {tried})"
        )
    pairs({"file": done.path, "size": size(done.bytes), "format": what, "checked": checked})
    if not isinstance(done, Exported):
        pairs({f"{kind}s": _listed(getattr(done, f"{kind}s")) for kind in ("input", "output")})
    out()
    for line in done.script.splitlines():
        out(line)
    for note in done.notes if isinstance(done, Exported) else ():
        say(note)


def _listed(shapes: dict[str, tuple[int | str, ...]]) -> str:
    return ", ".join(f"{name} ({', '.join(map(str, shape))})" for name, shape in shapes.items())
