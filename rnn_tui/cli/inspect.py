"""`rnn-tui inspect`: what the units of a model do on a text."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnn_tui.cli.base import Command, json_option, runs_dir_option
from rnn_tui.cli.changes import warn_of_changes
from rnn_tui.cli.complete import models
from rnn_tui.cli.inspect_text import View, document, show
from rnn_tui.cli.output import Advance, emit, progress_bar, table
from rnn_tui.errors import InputError, UsageError

if TYPE_CHECKING:
    from rnn_tui.inference.trace import Trace
    from rnn_tui.model.recurrent_model import RecurrentModel


@click.command(
    "inspect",
    cls=Command,
    examples="""
    rnn-tui inspect lstm-book-1
    rnn-tui inspect lstm-book-1 --pattern quotes --pattern line-position
    rnn-tui inspect lstm-book-1 --pattern "regex:[0-9]+" --top 20
    rnn-tui inspect lstm-book-1 --unit "layer 1 c:17" 'He said "yes" and went.'
    rnn-tui inspect model.safetensors --file chapter.txt --gates --reach
    rnn-tui inspect lstm-book-1 --reach --distance 500 --json
    """,
)
@click.argument("model", metavar="RUN|FILE", shell_complete=models)
@click.argument("text", required=False)
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False), help="Read the text from a file.")
@click.option(
    "--pattern",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="Which units tell these tokens apart? May be given again. --pattern list names them; regex:… takes a regular "
    "expression.  [default: the best unit of each]",
)
@click.option("--unit", metavar="PART:UNIT", help='Show this unit along the text, as in "layer 1 h:17".')
@click.option(
    "--gates", is_flag=True, help="Show how often each gate is closed (below 0.1) and open (above 0.9)."
)
@click.option("--reach", is_flag=True, help="Show how far back gradients reach.")
@click.option(
    "--distance", type=click.IntRange(1, 5000), help="How far back to look for --reach.  [default: 200]"
)
@click.option(
    "--top", type=click.IntRange(1, 1000), default=10, help="Units for each --pattern.  [default: 10]"
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="cpu", help="Where it is computed."
)
@json_option
@runs_dir_option
def inspect(
    model: str,
    text: str | None,
    file: Path | None,
    patterns: tuple[str, ...],
    unit: str | None,
    gates: bool,
    reach: bool,
    distance: int | None,
    top: int,
    device: str,
    as_json: bool,
    runs_dir: Path,
) -> None:
    """Look inside a model: which units fire on what, how open its gates are, how far back gradients reach.

    The model reads TEXT, a --file or what is piped in, at most 20,000 tokens; else the beginning of the validation
    split of what it was trained on. A part is one layer's state or one of its tensors, such as "layer 1 c" of an LSTM.
    The score of a unit is the correlation of its value with the pattern; AUC the probability that a token with the
    pattern has the higher value.
    """
    if "list" in patterns:
        _list_patterns(as_json)
        return
    if distance is not None and not reach:
        raise UsageError("--distance is for --reach; add it")
    if text is not None and file is not None:
        raise UsageError("give a TEXT or a --file, not both")
    from rnn_tui.inference.target import resolve_target

    path = resolve_target(model, runs_dir)
    chosen = None if unit is None else _unit_named(unit)
    from rnn_tui.inference.activations import unit_values
    from rnn_tui.inference.gates import read_gates
    from rnn_tui.inference.inspect_requests import DISTANCE, PATTERNS
    from rnn_tui.inference.patterns import mark
    from rnn_tui.inference.reach import gradient_reach
    from rnn_tui.inference.units import best_units

    given = _given(text, file)
    with progress_bar() as progress:
        loaded, trace, where = _read(path, given, device, progress)
        seen = View(str(path), where, trace)
        if chosen is not None:
            part, number = trace.part(chosen[0]), chosen[1]
            seen.unit = part.name, number, unit_values(part, number)
        if gates:
            seen.gates = read_gates(loaded, trace, progress=progress)
        if reach:
            seen.reach = gradient_reach(loaded, trace, distance or DISTANCE, progress=progress)
    if patterns or not (gates or reach or chosen):
        marks = [mark(trace.texts, pattern) for pattern in patterns or PATTERNS]
        if not patterns:
            marks = [one for one in marks if one.varies]
        found = best_units(trace.parts, marks, top if patterns else 1) if marks else []
        seen.patterns = list(zip(marks, found, strict=True))
    if as_json:
        emit(document(seen))
    else:
        show(seen, each=bool(patterns))


def _read(
    path: Path, given: str | None, device: str, progress: "Advance | None"
) -> "tuple[RecurrentModel, Trace, str]":
    """Return the model, what it had in mind, and which text that was."""
    from rnn_tui.inference.own_text import own_text
    from rnn_tui.inference.trace import read_trace, strands_of
    from rnn_tui.model.file import load_model
    from rnn_tui.model.header import read_header

    header = read_header(path)
    if header.task == "series":
        raise UsageError(
            f"{path}: is a model of numbers, which reads no text; inspect is for models of tokens"
        )
    warn_of_changes(header)
    model, tokenizer, header = load_model(path, device=device)
    where = "the text given"
    if given is None:
        given, split = own_text(path, header, tokenizer, progress=progress)
        where = f"{split} split of its corpus"
    labels = header.task == "aligned"
    trace = read_trace(model, strands_of(model), tokenizer, given, labels=labels, progress=progress)
    return model, trace, where


def _list_patterns(as_json: bool) -> None:
    from rnn_tui.inference.inspect_requests import PATTERNS

    patterns = {**PATTERNS, "regex:…": "in a match of a regular expression"}
    if as_json:
        emit(patterns)
    else:
        table(["pattern", "tokens"], list(patterns.items()))


def _given(text: str | None, file: Path | None) -> str | None:
    """Return the text to read; None for the model's own."""
    from rnn_tui.cli.prompt import piped

    if file is not None:
        try:
            return file.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise InputError(f"{file}: {error.strerror}") from None
    return piped() or None if text is None and not sys.stdin.isatty() else text


def _unit_named(named: str) -> tuple[str, int]:
    part, colon, number = named.rpartition(":")
    if not colon or not number.strip().isdecimal() or len(number) > 20:
        raise UsageError(f"{named!r} is no unit; name a part and a number, as in 'layer 1 h:17'")
    return part.strip(), int(number)
