"""`rnn-tui prompt`: complete a text with a model."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnn_tui.cli.base import Command, HeadedOption, backend_option, json_option, runs_dir_option
from rnn_tui.cli.changes import warn_of_changes
from rnn_tui.cli.complete import models
from rnn_tui.cli.output import emit, say, stream
from rnn_tui.errors import UsageError
from rnn_tui.inference.config import BackendChoice, SamplingConfig, sampling_config
from rnn_tui.safetext import safe_text

if TYPE_CHECKING:
    from rnn_tui.inference.batch import Completion
    from rnn_tui.inference.comparing import Comparer

HEADING = "Sampling"
COMPARING_SECONDS = 3.0
"""How long a completion that is written waits to be compared with the training text."""


def sampling_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the sampling flags; those that were given arrive under the names of `SamplingConfig`'s fields."""
    options: list[tuple[str, dict[str, Any]]] = [
        (
            "--temperature",
            {
                "type": float,
                "help": f"Below 1 safer, above 1 wilder; 0: greedy.  [default: {SamplingConfig.temperature}]",
            },
        ),
        ("--top-k", {"type": int, "help": "Only the k most probable tokens; 0: all."}),
        ("--top-p", {"type": float, "help": "Only the fewest most probable tokens that reach this; 1: all."}),
        ("--min-p", {"type": float, "help": "Only tokens at least this share as probable as the best."}),
        ("--greedy", {"is_flag": True, "default": None, "help": "Always the most probable token."}),
        ("--seed", {"type": int, "help": "Fixes the draws.  [default: different each time]"}),
        ("--length", {"type": int, "help": f"Tokens to draw.  [default: {SamplingConfig.length}]"}),
        ("--stop", {"multiple": True, "help": "A text that ends the completion; may be given again."}),
    ]
    for name, attributes in reversed(options):
        command = click.option(name, cls=HeadedOption, heading=HEADING, **attributes)(command)
    return command


@click.command(
    cls=Command,
    examples="""
    rnn-tui prompt lstm-book-1 "Once upon a time"
    rnn-tui prompt lstm-book-1 "def " --temperature 0.5 --length 400 --stop $'\\n\\n'
    rnn-tui prompt model.safetensors "ROMEO:" --seed 7 --json
    rnn-tui prompt model.safetensors "ROMEO:" --seed 7 --samples 5
    head -c 500 chapter.txt | rnn-tui prompt lstm-book-1 > completion.txt
    rnn-tui prompt lstm-book-1                       line by line, with /help
    """,
)
@click.argument("model", metavar="RUN|FILE", shell_complete=models)
@click.argument("text", required=False)
@sampling_options
@click.option(
    "-n",
    "--samples",
    type=click.IntRange(1, 1000),
    help="Completions to draw side by side; the seeds count up from --seed.",
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="cpu", help="Where it is computed."
)
@backend_option("auto", "torch", "numpy")
@json_option
@runs_dir_option
def prompt(
    model: str,
    text: str | None,
    samples: int | None,
    device: str,
    backend: BackendChoice,
    as_json: bool,
    runs_dir: Path,
    **sampling: Any,
) -> None:
    """Stream a completion of TEXT to standard output.

    RUN may still be training: its best model so far is taken. Without TEXT the prompt is read from standard input
    (one newline at its end is dropped), or line by line from a terminal. At the end standard error says how much of
    the completion is new and how long a passage of it stands in the training text, if that can be read here.

    With --samples each completion has a heading with the seed that gives it alone, and --json prints a list.

    A model of the task aligned answers each line with the labels of its tokens.
    """
    one_blas_thread()
    from rnn_tui.inference.target import resolve_target

    path = resolve_target(model, runs_dir)
    from rnn_tui.inference.batch import Completion, generate_batch
    from rnn_tui.inference.comparing import Comparer
    from rnn_tui.inference.generate import generate, prime
    from rnn_tui.inference.reader import choose_backend, load_reader
    from rnn_tui.model.header import read_header

    given = {name: value for name, value in sampling.items() if value not in (None, ())}
    config = sampling_config(given)
    if text is None and not sys.stdin.isatty():
        text = piped()
    header = read_header(path)
    warn_of_changes(header)
    tokens = len(text or "") + config.length * (samples or 1)
    chosen = choose_backend(header, backend, device=device, tokens=tokens)
    if header.task == "aligned":
        from rnn_tui.cli.labels import answer

        if samples:
            given["samples"] = samples
        answer(path, text, given, device=device, backend=chosen, as_json=as_json)
        return
    if text is None and samples:
        raise UsageError("--samples needs a TEXT to complete; line by line, /retry draws another completion")
    reader, tokenizer, header = load_reader(path, backend=chosen, device=device)
    comparer = Comparer(header, path, tokenizer)
    if text is None:
        from rnn_tui.cli.lines import Conversation

        Conversation(reader, tokenizer, config, comparer).run(header)
        return
    begin = time.monotonic()
    primed = prime(reader, tokenizer, text)
    if primed.unknown:
        say(unknown_symbols(primed.unknown))
    about = {"prompt": text, "unknown": primed.unknown, "model": path, "backend": chosen}
    if samples:
        completions = generate_batch(reader, tokenizer, primed, config, samples)
        about["seconds"] = time.monotonic() - begin
        several(completions, comparer, config, about, as_json=as_json)
        return
    generation = generate(reader, tokenizer, primed, config)
    pieces = (piece.text for piece in generation)
    completion = "".join(pieces if as_json else stream(pieces))
    if not as_json and not completion.endswith("\n"):
        print(flush=True)
    about["seconds"] = time.monotonic() - begin
    whole = Completion(completion, generation.tokens, generation.reason, generation.seed)
    document = report(whole, comparer, config, about, as_json=as_json)
    if as_json:
        emit(document)


def several(
    completions: "Sequence[Completion]",
    comparer: "Comparer",
    config: SamplingConfig,
    about: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    """Write completions of one prompt, each under a heading, or as a list of documents."""
    documents = []
    for number, completion in enumerate(completions, 1):
        if not as_json:
            seed = "" if completion.seed is None else f", seed {completion.seed:d}"
            gap = "\n" if number > 1 else ""
            text = safe_text(completion.text, newlines=True, limit=None).removesuffix("\n")
            print(f"{gap}== {number} of {len(completions)}{seed} ==\n{text}", flush=True)
        documents.append(report(completion, comparer, config, about, as_json=as_json))
    if as_json:
        emit(documents)


def report(
    completion: "Completion",
    comparer: "Comparer",
    config: SamplingConfig,
    about: dict[str, Any],
    *,
    as_json: bool,
) -> dict[str, Any]:
    """Compare a completion with the training text, and say what came of it unless that is for the document.

    Returns:
        The document of the completion, with `about`.
    """
    from rnn_tui.corpus.copied import describe

    copied, why_not = comparer.compare(about["prompt"], completion.text, COMPARING_SECONDS)
    if not as_json:
        say(
            describe(copied, completion.text) if copied else f"not compared with the training text: {why_not}"
        )
    return about | {
        "text": completion.text,
        "tokens": completion.tokens,
        "reason": completion.reason,
        "settings": asdict(replace(config, seed=completion.seed)),
        "copied": copied and copied.fields(),
        "not_compared": why_not,
    }


def one_blas_thread() -> None:
    """Let NumPy multiply on one thread, unless the user has said how many; must come before NumPy is imported.

    A product of one row gains nothing from more (1x256: 88 µs a token on four threads, 79 on one), and they wait for
    each other: with all cores busy a token of 1x512 took 11 ms on four and 0.14 ms on one.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def piped() -> str:
    """Return standard input as text, without one newline at its end."""
    data = sys.stdin.buffer.read()
    text = data.decode(errors="replace")
    if "\ufffd" in text and b"\xef\xbf\xbd" not in data:
        say("standard input is not valid UTF-8; what is not was replaced")
    return text.removesuffix("\n")


def unknown_symbols(symbols: tuple[str, ...]) -> str:
    """Return the sentence that names symbols which the vocabulary lacks."""
    shown = ", ".join(map(repr, symbols[:10])) + (", …" if len(symbols) > 10 else "")
    return f"not in the vocabulary, read as unknown: {shown}"
