"""Lines of `source<TAB>target`, as many tokens on one side as on the other: a text and a label for each token.

One tokenizer serves both sides. Splits are made of whole lines, and each line is encoded by itself, as a prompt will
be. The ids are held in memory: such data is small beside a text that a language model reads.
"""

import hashlib
import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_tui.corpus.config import CorpusConfig, Step
from rnn_tui.corpus.prepare import Ids, Tokenizer
from rnn_tui.corpus.snapshot import Progress, Snapshot, snapshot
from rnn_tui.corpus.sources import STDIN
from rnn_tui.corpus.splits import Prepared, split_bounds
from rnn_tui.errors import InputError, PluginError, UsageError

_BREAKING: frozenset[Step] = frozenset({"letters-only", "newlines-to-spaces", "collapse-spaces"})
"""Steps that write a space where a tab or a newline was."""


@dataclass(frozen=True)
class Pairs:
    """Some lines and their token ids, one line after the other."""

    name: str
    """`train`, `validation` or `test`."""
    inputs: Ids
    """(tokens,), of the sources."""
    targets: Ids
    """(tokens,), the label of each."""
    offsets: npt.NDArray[np.int64]
    """(lines + 1,): line i is from offsets[i] to before offsets[i + 1]."""
    places: npt.NDArray[np.int64]
    """(lines, 3): the characters of the whole text at which a line begins, has its tab, and ends."""

    def __len__(self) -> int:
        return len(self.places)

    @property
    def tokens(self) -> int:
        """Of the sources, and just as many of the targets."""
        return len(self.inputs)

    @property
    def chars(self) -> int:
        """Of the sources."""
        return int((self.places[:, 1] - self.places[:, 0]).sum())

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """(lines,), tokens in each line, at least 1."""
        return np.diff(self.offsets)

    def line(self, index: int) -> tuple[Ids, Ids]:
        """Return inputs and targets of one line, each (T,)."""
        begin, end = self.offsets[index : index + 2]
        return self.inputs[begin:end], self.targets[begin:end]

    def part(self, begin: int, end: int, name: str = "") -> "Pairs":
        """Return the lines from `begin` to before `end`."""
        first, last = self.offsets[begin], self.offsets[end]
        return Pairs(
            name or self.name,
            self.inputs[first:last],
            self.targets[first:last],
            self.offsets[begin : end + 1] - first,
            self.places[begin:end],
        )

    def first(self, tokens: int) -> "Pairs":
        """Return the first lines, until there are `tokens` tokens; 0 keeps all."""
        enough = int(np.searchsorted(self.offsets, tokens))  # lines that have so many
        return self.part(0, min(len(self), enough)) if tokens else self


@dataclass(frozen=True, kw_only=True)
class PreparedPairs(Prepared[Pairs]):
    """A text of lines, the tokenizer of both sides, and the encoded splits; one without a line is absent."""

    tokenizer: Tokenizer

    def text(self, split: str, line: int) -> tuple[str, str]:
        """Return source and target of a line as they stand in the text.

        Raises:
            UsageError: as `split`.
            InputError: when the cache was deleted.
        """
        begin, tab, end = self.split(split).places[line].tolist()
        pair = "".join(self.snapshot.pieces(begin, end))
        return pair[: tab - begin], pair[tab - begin + 1 :]


def prepare_pairs(
    config: CorpusConfig,
    tokenizer_class: type[Tokenizer],
    options: Any,
    *,
    progress: Progress | None = None,
    keep_in: Path | None = None,
) -> PreparedPairs:
    """Train a tokenizer on both sides of the training lines, and encode all lines with it.

    The tokenizer reads each side as a line of its own, so that no token spans two. A vocabulary of characters
    therefore holds the newline too; no source or label has it. With `first_tokens` the tokenizer still sees the
    training lines of the whole text, as in `rnn_tui.corpus.prepare`.

    Blank lines are skipped, and the carriage return before a newline is dropped.

    Args:
        config: The source, the steps, the splits (shares of the lines, from the end) and the cut: the first lines
            until there are `first_tokens` source tokens.
        tokenizer_class: A tokenizer plugin.
        options: An instance of its `Options`, or None where it has none.
        progress: Told what is done; see `Progress`.
        keep_in: The run's folder, for standard input; see `snapshot`.

    Raises:
        UsageError: for a normalising step that would destroy the tabs or the lines.
        InputError: for a text that cannot be used; for a line that is no pair, or has not as many tokens on one
            side as on the other, with its number (counted through all files of a folder).
        DiskError: when the cache cannot be written.
    """
    taken = _snapshot(config, progress, keep_in)
    train = _bounds(sum(1 for _ in _read(config, taken)), config)["train"][1]
    texts = (f"{line.source}\n{line.target}\n" for line in _read(config, taken, "vocabulary", progress))
    tokenizer = tokenizer_class.train(islice(texts, train), options)
    return _prepare(config, taken, tokenizer, progress)


def prepare_pairs_with(
    config: CorpusConfig,
    tokenizer: Tokenizer,
    *,
    progress: Progress | None = None,
    keep_in: Path | None = None,
) -> PreparedPairs:
    """Encode lines with a tokenizer that exists already: to evaluate, or to resume a run.

    Args and Raises: as `prepare_pairs`.
    """
    return _prepare(config, _snapshot(config, progress, keep_in), tokenizer, progress)


def _snapshot(config: CorpusConfig, progress: Progress | None, keep_in: Path | None) -> Snapshot:
    for step in config.normalise:
        if step in _BREAKING:
            raise UsageError(
                f"the normalising step {step} would put spaces in place of the tabs or newlines that part sources, "
                "targets and lines; leave it out"
            )
    return snapshot(config, progress=progress, keep_in=keep_in)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that is no blank one."""

    where: str
    begin: int
    source: str
    target: str

    @property
    def place(self) -> tuple[int, int, int]:
        tab = self.begin + len(self.source)
        return self.begin, tab, tab + 1 + len(self.target)


def _read(
    config: CorpusConfig, taken: Snapshot, what: str = "", progress: Progress | None = None
) -> Iterator[_Line]:
    """Yield the lines.

    Raises:
        InputError: for one that is no pair.
    """
    file = "standard input" if config.source == STDIN else config.source
    found = False
    for number, (begin, text) in enumerate(_split(taken, what, progress), 1):
        text = text.removesuffix("\r")
        tabs = text.count("\t")
        if not tabs and not text.strip():
            continue
        where = f"{file}, line {number:,}"
        if tabs != 1:
            counted = f"{tabs} tabs" if tabs else "no tab"
            raise InputError(
                f"{where}: {counted}; a line is a source, one tab, and a target of as many tokens"
            )
        source, _, target = text.partition("\t")
        if not source:
            raise InputError(f"{where}: the source is empty; write a text before the tab, or delete the line")
        found = True
        yield _Line(where, begin, source, target)
    if not found:
        raise InputError(f"{file}: only blank lines; give lines of a source, a tab and a target")


def _split(taken: Snapshot, what: str, progress: Progress | None) -> Iterator[tuple[int, str]]:
    """Yield each line with the character it begins at; only a newline ends one."""
    begin, held = 0, ""
    for piece in taken.pieces():
        text = held + piece
        if progress is not None:
            progress(what, begin + len(text), taken.chars)
        *lines, held = text.split("\n")
        for line in lines:
            yield begin, line
            begin += len(line) + 1
    yield begin, held


def _bounds(lines: int, config: CorpusConfig) -> dict[str, tuple[int, int]]:
    """Return the first and the past-the-end line of each split; the first line trains whatever the shares."""
    bounds = split_bounds(lines, config.validation, config.test)
    train = max(1, bounds["train"][1])
    held_out = max(train, bounds["validation"][1])
    return {"train": (0, train), "validation": (train, held_out), "test": (held_out, lines)}


def _prepare(
    config: CorpusConfig, taken: Snapshot, tokenizer: Tokenizer, progress: Progress | None
) -> PreparedPairs:
    whole = _encode(config, taken, tokenizer, progress)
    if config.first_tokens > whole.tokens:
        note = f"the sources have only {whole.tokens:,} tokens, fewer than the first {config.first_tokens:,} asked for"
        taken = replace(taken, notes=(*taken.notes, note))
    settings = (taken.sha256, config.normalise, config.first_tokens, config.validation, config.test)
    decisive = ["pairs", *settings, type(tokenizer).__qualname__, tokenizer.to_state()]
    fingerprint = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    splits = {
        name: whole.part(begin, end, name)
        for name, (begin, end) in _bounds(len(whole), config).items()
        if end > begin
    }
    return PreparedPairs(
        name=taken.name, fingerprint=fingerprint, snapshot=taken, splits=splits, tokenizer=tokenizer
    )


def _encode(config: CorpusConfig, taken: Snapshot, tokenizer: Tokenizer, progress: Progress | None) -> Pairs:
    # bytes and not lists of numbers: a million lines have tens of millions of tokens
    inputs, targets, offsets, places = bytearray(), bytearray(), array("q", [0]), array("q")
    for line in _read(config, taken, "encoding", progress):
        source, target = (
            np.concatenate([np.zeros(0, np.uint32), *tokenizer.encode_stream([text])])
            for text in (line.source, line.target)
        )
        if len(source) != len(target):
            raise InputError(
                f"{line.where}: {len(source):,} source tokens but {len(target):,} target tokens; the two must be "
                "equal, token for token"
            )
        if not len(source):
            raise InputError(f"{line.where}: the tokenizer finds no token in it; delete the line")
        inputs += source.astype(np.uint32).tobytes()
        targets += target.astype(np.uint32).tobytes()
        offsets.append(offsets[-1] + len(source))
        places.extend(line.place)
        if config.first_tokens and offsets[-1] >= config.first_tokens:
            break
    dtype = np.min_scalar_type(max(0, tokenizer.vocab_size - 1))
    ids = [np.frombuffer(part, np.uint32) for part in (inputs, targets)]
    if max(int(part.max()) for part in ids) >= tokenizer.vocab_size:
        raise PluginError(f"{type(tokenizer).__qualname__} gave an id outside its own vocabulary")
    return Pairs(
        "all",
        ids[0].astype(dtype),
        ids[1].astype(dtype),
        np.array(offsets, np.int64),
        np.array(places, np.int64).reshape(-1, 3),
    )
