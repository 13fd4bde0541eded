"""A text as its tokens, from any place of it: what a scroll through gigabytes reads, a block at a time.

The ids come from the memory-mapped cache, so that the last page of a text costs what the first one does. Tokens are
numbered through all splits. A piece is a token as text, or several that form one character only together, such as the
bytes of an ideograph.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt

from rnn_tui.corpus.pairs import PreparedPairs
from rnn_tui.corpus.prepare import PreparedCorpus
from rnn_tui.corpus.snapshot import Snapshot
from rnn_tui.corpus.splits import Prepared
from rnn_tui.errors import PluginError

Ids = npt.NDArray[np.integer[Any]]

BLOCK = 4096
"""Tokens that are read at once, about: a block ends with a line where there is one."""

_LOST = "\ufffd"
_RESYNC = 4  # pieces after which a decoder that began within a character is right again; UTF-8 needs three
_SEARCHED = 1 << 16  # tokens at a time


class Codec(Protocol):
    """The part of a tokenizer that is used here."""

    @property
    def unknown_id(self) -> int | None: ...
    def encode(self, text: str) -> Ids: ...
    def decode(self, ids: Any) -> str: ...
    def decoder(self) -> Any: ...


class Piece(NamedTuple):
    """What is shown as one."""

    text: str
    token: int
    """The number of its first token."""
    tokens: int
    """How many form it; more than one where none of them is a character."""
    unknown: bool

    @property
    def end(self) -> int:
        """The number of the token behind it."""
        return self.token + self.tokens


class Cutter:
    """Turns ids into pieces, and remembers what each id is."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._texts: dict[int, str] = {}  # "" for what is no character alone

    def pieces(self, ids: Sequence[int], first: int = 0) -> list[Piece]:
        """Return the pieces of consecutive tokens, of which the first has the number `first`.

        Raises:
            PluginError: when the tokenizer cannot decode them.
        """
        texts, unknown = self._texts, self._codec.unknown_id
        found: list[Piece] = []
        run: int | None = None  # where tokens began that are no characters alone
        try:
            for index, token in enumerate(ids):
                text = texts.get(token)
                if text is None:
                    text = texts[token] = self._alone(token)
                if not text:
                    run = index if run is None else run
                    continue
                if run is not None:
                    found += self._joined(ids[run:index], first + run)
                    run = None
                found.append(Piece(text, first + index, 1, token == unknown))
            if run is not None:
                found += self._joined(ids[run:], first + run)
        except Exception as error:  # a plugin raises whatever it likes
            name = type(self._codec).__name__
            raise PluginError(f"{name} cannot decode its own ids: {type(error).__name__}: {error}") from error
        return found

    def _alone(self, token: int) -> str:
        text = self._codec.decode([token])
        if (
            _LOST not in text
            or token == self._codec.unknown_id
            or self._codec.encode(text).tolist() == [token]
        ):
            return text
        return ""

    def _joined(self, ids: Sequence[int], first: int) -> Iterator[Piece]:
        decoder, begin = self._codec.decoder(), 0
        for index, token in enumerate(ids, 1):
            text = decoder.push(token)
            if text:
                yield Piece(text, first + begin, index - begin, False)
                begin = index
        if begin < len(ids):
            yield Piece(decoder.flush() or _LOST, first + begin, len(ids) - begin, False)


@dataclass(frozen=True)
class Part:
    """One split, and where it lies among the tokens of the whole text."""

    name: str
    begin: int
    end: int


class Source(Protocol):
    """Where a `Reader` reads: by token, or whatever it counts in."""

    noun: str
    """What is counted."""

    def pieces(self, begin: int, end: int) -> list[Piece]: ...
    def text(self, begin: int, end: int) -> str:
        """Return the same as text, faster; unknown tokens may be written in another way."""
        ...


class _Ids:
    """The ids of a prepared text."""

    noun = "token"

    def __init__(self, prepared: PreparedCorpus, parts: Sequence[Part]) -> None:
        self._splits = [prepared.splits[part.name] for part in parts]
        self._begins = [part.begin for part in parts]
        self._codec = cast(Codec, prepared.tokenizer)
        self._cutter = Cutter(self._codec)

    def pieces(self, begin: int, end: int) -> list[Piece]:
        return self._cutter.pieces(self._ids(begin, end).tolist(), begin)

    def text(self, begin: int, end: int) -> str:
        return self._codec.decode(self._ids(begin, end))

    def _ids(self, begin: int, end: int) -> Ids:
        index = bisect_right(self._begins, begin) - 1
        first = self._begins[index]
        return self._splits[index].ids()[begin - first : end - first]


class _Characters:
    """The text itself, a piece a line, where there are no ids of all of it: of pairs and of numbers."""

    noun = "character"

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def pieces(self, begin: int, end: int) -> list[Piece]:
        found: list[Piece] = []
        for line in self.text(begin, end).splitlines(keepends=True):
            place = found[-1].end if found else begin
            found.append(Piece(line, place, len(line), False))
        return found

    def text(self, begin: int, end: int) -> str:
        return "".join(self._snapshot.pieces(begin, end))


class Reader:
    """Reads a prepared corpus at any place."""

    def __init__(self, parts: Sequence[Part], source: Source) -> None:
        self.parts = parts
        self.noun = source.noun
        self._source = source
        self._blocks = [0]  # before each part
        for part in parts:
            self._blocks.append(self._blocks[-1] - ((part.begin - part.end) // BLOCK))
        self._starts: dict[int, int] = {}

    @property
    def tokens(self) -> int:
        """How many there are in all splits."""
        return self.parts[-1].end

    @property
    def blocks(self) -> int:
        """How many blocks the text is read in; few of them may be empty."""
        return self._blocks[-1]

    def part(self, token: int) -> Part:
        """Return the split that holds a token."""
        return self.parts[self._index(token)]

    def begins_part(self, block: int) -> bool:
        """Whether one of several splits begins with a block."""
        return len(self.parts) > 1 and block in self._blocks[:-1]

    def block_of(self, token: int) -> int:
        """Return the block that holds a token."""
        index = self._index(token)
        block = self._blocks[index] + (token - self.parts[index].begin) // BLOCK
        return block - (token < self.bounds(block)[0])

    def bounds(self, block: int) -> tuple[int, int]:
        """Return the first token of a block and the one behind its last."""
        return self._start(block), self._start(block + 1) if block + 1 < self.blocks else self.tokens

    def block(self, block: int) -> list[Piece]:
        """Return the pieces of a block.

        Raises:
            InputError: when the cache was deleted.
            PluginError: when the tokenizer cannot decode its own ids.
        """
        begin, end = self.bounds(block)
        return self._source.pieces(begin, end) if begin < end else []

    def text(self, begin: int, end: int) -> str:
        """Return the text of some tokens, which are all of one split. Raises: as `block`."""
        return "".join(piece.text for piece in self._source.pieces(begin, min(end, self.part(begin).end)))

    def find(
        self, query: str, start: int, cancelled: Callable[[int], bool] = lambda _: False
    ) -> tuple[int, int] | None:
        """Return the first and the past-the-end token of the next place, from the token `start` on, that holds `query`.

        Whatever the case, unless the query has a capital. Unknown tokens are found by what is shown for them; what
        reaches from one split into the next is not found.

        Args:
            cancelled: Told how far the search is, in tokens; True gives up.

        Raises: as `block`.
        """
        pattern = re.compile(re.escape(query), re.IGNORECASE if query == query.lower() else 0)
        overlap = 4 * len(query) + 8  # a character has four bytes at most
        for part in self.parts if query else ():
            for begin in range(max(start, part.begin), part.end, _SEARCHED):
                if cancelled(begin):
                    return None
                end = min(begin + _SEARCHED + overlap, part.end)
                # The text is there a hundred times as fast as the pieces.
                if pattern.search(self._source.text(begin, end)):
                    found = _place(pattern, self._source.pieces(begin, end))
                    if found is not None:
                        return found
        return None

    def _index(self, token: int) -> int:
        return bisect_right(self.parts, token, key=lambda part: part.begin) - 1

    def _start(self, block: int) -> int:
        """Return the first token of a block: behind the first line that ends near its nominal place."""
        if block not in self._starts:
            index = bisect_right(self._blocks, block) - 1
            part, nominal = self.parts[index], block - self._blocks[index]
            begin = part.begin + nominal * BLOCK
            if nominal:
                pieces = self._source.pieces(begin, min(begin + BLOCK, part.end))
                settled = pieces[:_RESYNC][-1]
                begin = next(
                    (piece.end for piece in pieces[_RESYNC:] if piece.text.endswith("\n")), settled.end
                )
            self._starts[block] = begin
        return self._starts[block]


def reader(prepared: Prepared[Any]) -> Reader:
    """Return a reader of a prepared corpus: of a text by token, of pairs and numbers by character."""
    if isinstance(prepared, PreparedCorpus):
        parts: list[Part] = []
        for split in prepared.splits.values():
            begin = parts[-1].end if parts else 0
            parts.append(Part(split.name, begin, begin + split.tokens))
        return Reader(parts, _Ids(prepared, parts))
    taken = prepared.snapshot
    begins = {"text": 0}
    if isinstance(prepared, PreparedPairs):
        begins = {name: int(pairs.places[0, 0]) for name, pairs in prepared.splits.items()}
    ends = [*list(begins.values())[1:], taken.chars]
    parts = [Part(name, begin, end) for (name, begin), end in zip(begins.items(), ends, strict=True)]
    return Reader(parts, _Characters(taken))


def _place(pattern: re.Pattern[str], pieces: Sequence[Piece]) -> tuple[int, int] | None:
    """Return the tokens in which the pattern is found first."""
    match = pattern.search("".join(piece.text for piece in pieces))
    if match is None:
        return None
    ends = np.cumsum([len(piece.text) for piece in pieces])
    first, last = np.searchsorted(ends, [match.start(), match.end() - 1], side="right").tolist()
    return pieces[first].token, pieces[last].end
