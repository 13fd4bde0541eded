"""One normalised copy of a text, in UTF-8, that everything later reads.

The copy lies in the cache under a key of its own content, so that a source that changes, grows or goes away
harms no run. While it is made, the text passes in pieces: memory does not grow with its size.
"""

import hashlib
import json
import os
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import msgspec

from rnn_tui.corpus.cache import discard, publish, staging
from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.decoding import CHUNK, Counts, TextReport, decode, invalid_utf8
from rnn_tui.corpus.findings import text_findings
from rnn_tui.corpus.normalise import normalise
from rnn_tui.corpus.sources import STDIN, Source, find_source
from rnn_tui.errors import InputError
from rnn_tui.files import disk_error, replace_file, write_durable
from rnn_tui.paths import cache_dir

__all__ = ["Progress", "Snapshot", "TextReport", "snapshot"]

Progress = Callable[[str, int, int | None], None]
"""Called with what is done ("reading", "vocabulary", "encoding"), how much, and of how much if that is known.

Reading counts bytes, the others characters.
"""

_FORMAT = 1  # of the cache's files; another number makes all of them again
_RACY = 2.0  # seconds; a file this young may change again within the resolution of its time stamp
_COPY_NAME = "corpus.txt"


@dataclass(frozen=True)
class Snapshot:
    """A text as it will be trained on."""

    name: str
    path: Path
    """The normalised text, UTF-8."""
    sha256: str
    report: TextReport
    notes: tuple[str, ...]
    """Whole sentences that a user should be told."""
    chars: int
    bytes: int
    marks: tuple[tuple[int, int], ...]
    """Characters and bytes before each piece of about a million characters: where a reader may start."""

    def pieces(self, start: int = 0, end: int | None = None) -> Iterator[str]:
        """Yield the characters from `start` to before `end`, at most about a million at a time.

        Raises:
            InputError: when the cache was deleted.
        """
        end = self.chars if end is None else min(end, self.chars)
        index = max(0, bisect_right(self.marks, (start, self.bytes)) - 1)
        bounds = [*self.marks[index:], (self.chars, self.bytes)]
        try:
            with self.path.open("rb") as file:
                file.seek(bounds[0][1])
                for (char, byte), (_, next_byte) in pairwise(bounds):
                    if char >= end:
                        return
                    text = file.read(next_byte - byte).decode()
                    if char < start or char + len(text) > end:
                        text = text[max(0, start - char) : end - char]
                    if text:
                        yield text
        except OSError as error:
            raise InputError(f"{self.path}: {error.strerror}; the cache was deleted: start again") from None

    def byte_offset(self, char: int) -> int:
        """Return how many bytes lie before character `char`."""
        mark_char, mark_byte = self.marks[max(0, bisect_right(self.marks, (char, self.bytes)) - 1)]
        return mark_byte + sum(len(text.encode()) for text in self.pieces(mark_char, char))


class _Entry(msgspec.Struct, frozen=True):
    """What the cache knows about a text, beside the text itself."""

    sha256: str
    chars: int
    bytes: int
    marks: tuple[tuple[int, int], ...]
    report: TextReport


def snapshot(
    config: CorpusConfig, *, progress: Progress | None = None, keep_in: Path | None = None
) -> Snapshot:
    """Read and normalise the text of `config`, or find it in the cache.

    Args:
        config: The source and the steps; the split and the cut play no part here.
        progress: Told the bytes read.
        keep_in: The run's folder. Standard input is copied there as `corpus.txt` once, and read there later.

    Raises:
        UsageError, InputError: for a source that cannot be used; also for one without any text.
        DiskError: when the cache cannot be written.
    """
    source = find_source(config.source)
    if config.source == STDIN and keep_in is not None:
        source = Source("stdin", (_keep_stdin(keep_in / _COPY_NAME),))
    folder = cache_dir() / "corpora"
    try:
        stamp = _stamp(source)
        shortcut = folder / "sources" / _digest(_FORMAT, stamp, config.normalise)
        key = _read_text(shortcut)
        entry = _load(folder / key) if key else None
        changed = False
        if entry is None:
            key, entry = _build(folder, source, config, progress)
            changed = _stamp(source) != stamp
            if source.files and not changed and time.time() - max(s[2] for s in stamp) / 1e9 > _RACY:
                shortcut.parent.mkdir(exist_ok=True)
                replace_file(shortcut, key.encode())
    except OSError as error:
        raise disk_error(error, f"could not write the corpus cache in {folder}") from error
    report = entry.report
    if config.strict and report.first_invalid_offset is not None:
        raise invalid_utf8(report.first_invalid_file, report.first_invalid_offset)
    notes = [*source.notes, *(finding.sentence for finding in text_findings(report))]
    if changed:
        notes.append("the text changed while it was read; what was there at the start was taken")
    return Snapshot(
        name=source.name,
        path=folder / key / "text.txt",
        sha256=entry.sha256,
        report=report,
        notes=tuple(notes),
        chars=entry.chars,
        bytes=entry.bytes,
        marks=entry.marks,
    )


def _build(
    folder: Path, source: Source, config: CorpusConfig, progress: Progress | None
) -> tuple[str, _Entry]:
    counts = Counts()
    passed = _Passed()
    marks = [(0, 0)]
    digest = hashlib.sha256()

    def encoded() -> Iterator[bytes]:
        chars = size = 0
        raw = passed.count(_texts(source, counts, config.strict, progress))
        for text in _gathered(normalise(raw, config.normalise)):
            data = text.encode()
            chars, size = chars + len(text), size + len(data)
            marks.append((chars, size))
            digest.update(data)
            yield data

    with staging(folder) as staged:
        write_durable(staged / "text.txt", encoded())
        chars, size = marks[-1]
        where = "standard input" if config.source == STDIN else config.source
        if not passed.chars:
            raise InputError(
                f"{where}: the text is empty{' but for a byte order mark' if counts.bom else ''}; give a text"
            )
        if not chars:
            raise InputError(
                f"{where}: nothing is left after {', '.join(config.normalise)}; leave that step out"
            )
        report = counts.report(passed.chars, unfinished=passed.last != "\n")
        entry = _Entry(digest.hexdigest(), chars, size, tuple(marks[:-1]), report)
        data = msgspec.json.encode(entry)
        write_durable(staged / "entry.json", [data])
        key = _digest(_FORMAT, data.decode())
        final = folder / key
        if final.exists() and _load(final) is None:
            discard(final)
        publish(staged, final)
    return key, entry


def _load(path: Path) -> _Entry | None:
    """Return the entry at `path` if it is whole."""
    try:
        entry = msgspec.json.decode((path / "entry.json").read_bytes(), type=_Entry)
        return entry if (path / "text.txt").stat().st_size == entry.bytes else None
    except (OSError, msgspec.DecodeError):
        return None


class _Passed:
    """How many characters a text has had so far, and the last of them."""

    chars = 0
    last = "\n"

    def count(self, texts: Iterable[str]) -> Iterator[str]:
        for text in texts:
            self.chars += len(text)
            self.last = text[-1:] or self.last
            yield text


def _gathered(texts: Iterable[str]) -> Iterator[str]:
    """Join small pieces, so that a folder of many small files is not one of many small writes."""
    held: list[str] = []
    size = 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= CHUNK // 2:
            yield "".join(held)
            held, size = [], 0
    if held:
        yield "".join(held)


def _texts(source: Source, counts: Counts, strict: bool, progress: Progress | None) -> Iterator[str]:
    total = sum(size for _, size, _, _ in _stamp(source)) or None
    done = 0

    def told(blocks: Iterable[bytes]) -> Iterator[bytes]:
        nonlocal done
        for block in blocks:
            yield block
            done += len(block)
            if progress is not None:
                progress("reading", done, total)

    if not source.files:
        yield from decode(told(_blocks(_stdin(), None)), counts, where="standard input", strict=strict)
    for index, path in enumerate(source.files):
        if index:
            counts.newlines += 1
            yield "\n"
        yield from decode(told(_file_blocks(path)), counts, where=source.label(path), strict=strict)


def _file_blocks(path: Path) -> Iterator[bytes]:
    """Yield a file as long as it was when it was opened: it may grow meanwhile."""
    try:
        with path.open("rb") as file:
            yield from _blocks(file, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; the text could not be read") from None


def _blocks(file: BinaryIO, size: int | None) -> Iterator[bytes]:
    while block := file.read(CHUNK if size is None else min(CHUNK, size)):
        if size is not None:
            size -= len(block)
        yield block


def _stdin() -> BinaryIO:
    if sys.stdin is None:
        raise InputError("standard input is closed; pipe a text into the command, or give a file")
    return sys.stdin.buffer


def _keep_stdin(copy: Path) -> Path:
    """Copy standard input to `copy` unless an earlier start of the run did; return `copy`."""
    if copy.exists():
        return copy
    try:
        with staging(copy.parent) as staged:
            write_durable(staged / copy.name, _blocks(_stdin(), None))
            if not (staged / copy.name).stat().st_size:
                raise InputError("standard input: the text is empty; give a text")
            os.rename(staged / copy.name, copy)
    except OSError as error:
        raise disk_error(error, f"could not keep standard input in {copy.parent}") from error
    return copy


def _stamp(source: Source) -> list[tuple[str, int, int, int]]:
    """Return what tells cheaply that the files are still the same; content decides where this differs."""
    found = []
    for path in source.files:
        try:
            info = path.stat()
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}; the text could not be read") from None
        found.append((os.path.abspath(path), info.st_size, info.st_mtime_ns, info.st_ino))
    return found


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _read_text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
