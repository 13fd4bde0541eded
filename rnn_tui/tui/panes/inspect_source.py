"""The text that is inspected: held-out text of a run's corpus, a file, or some lines with something for every unit.

All of it may wait for a disk: called in threads only. Free of torch.
"""

import codecs
import contextlib
import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from rnn_tui.errors import InputError, RnnTuiError

FIRST_CHARACTERS = 4_000
"""Of a corpus: enough for every pattern to occur, read in less than a second by any model."""
FILE_LIMIT = 400_000
"""Bytes taken of a file; at most 20,000 tokens of it are read."""

BUILT_IN = '''"Well," said Alice (who had read the 1865 edition), "what is the use of a book without pictures?"
The White Rabbit did not answer. He took a WATCH out of his pocket; it was 10:42 already.

def longest(lines: list[str], limit: int = 80) -> str:
    """Return the longest line [up to `limit`]."""
    found = ""
    for line in lines:  # in the order of the file
        if len(found) < len(line) <= limit:
            found = line
    return found

"Oh dear! Oh dear!" it cried, "I shall be late (again)." And so it was: at 11:07, in London, on a Monday.
'''


@dataclass(frozen=True)
class Source:
    """A text and what to call it."""

    text: str
    name: str


def run_folder(model: Path) -> Path | None:
    """Return the folder of the run that a model file lies in."""
    # in the run's folder itself, or in a checkpoint two folders below it
    return next((f for f in list(model.absolute().parents)[:3] if (f / "config.toml").is_file()), None)


def default_source(model: Path) -> Source:
    """Return the beginning of the held-out text of the run that a model file lies in, else the built-in lines.

    A file outside a run may name any file of this machine as its corpus, so its corpus is not looked for.
    """
    run = run_folder(model)
    if run is not None:
        with contextlib.suppress(RnnTuiError, OSError, msgspec.ValidationError):
            return _held_out(run)
    return Source(BUILT_IN, "a short built-in text")


def name_of(model: Path) -> str:
    """Return what is remembered of a model under: the run's name, or the path of a file outside a run."""
    run = run_folder(model)
    return str(model) if run is None else run.name


def _held_out(run: Path) -> Source:
    from rnn_tui.corpus.config import CorpusConfig
    from rnn_tui.corpus.snapshot import snapshot
    from rnn_tui.corpus.splits import split_bounds
    from rnn_tui.runs.layout import RunFolder

    tables = RunFolder(run).read_config()
    config = msgspec.convert(tables.get("corpus", {}), CorpusConfig)
    if config.source == "-":
        config = replace(config, source=str(run / "corpus.txt"))
    taken = snapshot(config)
    bounds = split_bounds(taken.chars, config.validation, config.test)
    begin, end = max(bounds["validation"], bounds["train"], key=lambda b: (b[1] > b[0], b[0]))
    text = "".join(taken.pieces(begin, min(end, begin + FIRST_CHARACTERS)))
    if dict(tables.get("task", {})).get("name") == "aligned":
        lines = [line.partition("\t")[0] for line in text.splitlines()]
        text = max(lines[1:-1] or lines, key=len)  # the first and the last may be cut
    return Source(text, f"held-out text of {taken.name}")


def file_source(path: str) -> Source:
    """Return the text of a file, or its beginning.

    Raises:
        InputError: when it cannot be read, is no regular file or is empty.
    """
    path = os.path.expanduser(path.strip())
    try:
        # a pipe or a device could keep a reader waiting for ever
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InputError(f"{path}: not a file")
        with open(path, "rb") as file:
            data = file.read(FILE_LIMIT)
            cut = bool(file.read(1))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    # a character that the limit cuts in two is left out, one that is damaged is shown as such
    text = codecs.getincrementaldecoder("utf-8-sig")("replace").decode(data, final=not cut)
    if not text:
        raise InputError(f"{path}: the file is empty")
    name = os.path.basename(path)
    return Source(text.replace("\r\n", "\n"), f"the first {FILE_LIMIT // 1000} kB of {name}" if cut else name)
