"""`rnn-tui prompt` with a model of the task aligned: each line is answered with the labels of its tokens."""

import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnn_tui.cli.output import count, emit, say
from rnn_tui.cli.prompt import unknown_symbols
from rnn_tui.errors import RnnTuiError
from rnn_tui.inference.config import Backend
from rnn_tui.safetext import safe_text

if TYPE_CHECKING:
    from rnn_tui.inference.transcribe import Transcription


def answer(
    path: Path, text: str | None, given: dict[str, Any], *, device: str, backend: Backend, as_json: bool
) -> None:
    """Write the transcription of each line of `text`; without one, of the lines that are typed.

    Args:
        given: sampling settings, which mean nothing here; one remark says so.

    Raises: as `rnn_tui.inference.reader.load_reader`.
    """
    from rnn_tui.inference.reader import load_reader
    from rnn_tui.inference.transcribe import transcribe

    if given:
        say("this model labels tokens: sampling settings mean nothing to it")
    reader, tokenizer, header = load_reader(path, backend=backend, device=device)

    def told(line: str) -> "Transcription":
        found = transcribe(reader, tokenizer, line)
        if found.unknown:
            say(unknown_symbols(found.unknown))
        return found

    if text is None:
        step = count(header.training.get("step"))
        say(f"{header.architecture.get('name')} at step {step}, labels each token of a line; Ctrl-D leaves")
        with suppress(ImportError):
            import readline  # noqa: F401  its import gives `input` a history and editing keys
        while (line := _typed()) not in (None, "/quit"):
            try:
                print(safe_text(told(str(line)).text, limit=None), flush=True)
            except RnnTuiError as error:
                say(error)
        return
    found = [told(line) for line in text.split("\n")]
    if as_json:
        emit(
            {
                "prompt": text,
                "text": "\n".join(one.text for one in found),
                "unknown": sorted({symbol for one in found for symbol in one.unknown}),
                "labels": [[asdict(label) for label in one.pieces] for one in found],
                "model": path,
            }
        )
        return
    for one in found:
        print(safe_text(one.text, limit=None), flush=True)


def _typed() -> str | None:
    """Return the next line that is typed; None at the end."""
    try:
        if not sys.stdout.isatty():
            print("> ", end="", file=sys.stderr, flush=True)
        return input("> " if sys.stdout.isatty() else "")
    except EOFError:
        print(file=sys.stderr)
        return None
