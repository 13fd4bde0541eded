"""What of a continuation is certain: whole characters, and nothing that may still turn out to begin a stop text."""

import math
from collections.abc import Generator, Iterable
from typing import NamedTuple

from rnn_tui.plugin.tokenizer import Tokenizer


class Piece(NamedTuple):
    """One token of a text.

    Attributes:
        text: what it adds to the text: nothing in the middle of a character, all of the character at its end.
        token: its id.
        surprise: -ln of the probability that the model gave it, in nats, at temperature 1 and before any rule; NaN
            for the first token of a text, which nothing predicted.
        entropy: of the distribution it was drawn from or met, in nats, likewise.
        rank: how many tokens that distribution held to be more probable; -1 where there was none.
        source: where it is the unknown token, the symbol that it stands for, empty if that cannot be told; else None.
    """

    text: str
    token: int
    surprise: float
    entropy: float
    rank: int = -1
    source: str | None = None


Measure = tuple[float, float, int]
"""Surprise, entropy and rank of a token."""
UNMEASURED: Measure = (math.nan, math.nan, -1)


class Writer:
    """A continuation's tokens as text, in whole characters.

    Attributes:
        tokens: how many came.
        held: those at the end that are a part of a character so far.
    """

    def __init__(self, tokenizer: Tokenizer, held: tuple[int, ...], length: int) -> None:
        """Begin after the part of a character `held`; after `length` tokens what is left is given too."""
        self.tokens = 0
        self.held = held
        self._length = length
        self._decoder = tokenizer.decoder()
        for token in held:
            self._decoder.push(token)

    def push(self, token: int) -> str:
        """Take a token; return what it adds."""
        text = self._decoder.push(token)
        self.held = () if text else (*self.held, token)
        self.tokens += 1
        return text + self._decoder.flush() if text and self.tokens == self._length else text


def until_stop(pieces: Iterable[Piece], stop: tuple[str, ...]) -> Generator[Piece, None, bool]:
    """Yield pieces up to the first stop text, which may span several; return whether one was found."""
    stops = Stops(stop)
    for piece in pieces:
        yield from stops.push(piece)
        if stops.found:
            return True
    yield from stops.waiting
    return False


class Stops:
    """Lets pieces through up to the first stop text, which may span several.

    Pieces that may begin a stop text wait until that is decided. The piece in which it begins is cut short.

    Attributes:
        found: whether a stop text has come.
        waiting: the pieces that wait.
    """

    def __init__(self, stop: tuple[str, ...]) -> None:
        self.found = False
        self.waiting: list[Piece] = []
        self._stop = stop

    def push(self, piece: Piece) -> list[Piece]:
        """Take a piece; return those that are certain now."""
        if not self._stop:
            return [piece]
        waiting, given = [*self.waiting, piece], []
        text = "".join(part.text for part in waiting)
        found = min((at for word in self._stop if (at := text.find(word)) >= 0), default=None)
        certain = len(text) - _open_end(text, self._stop) if found is None else found
        while waiting and len(waiting[0].text) <= certain:
            certain -= len(waiting[0].text)
            given.append(waiting.pop(0))
        self.found = found is not None
        if self.found and certain:
            given.append(waiting[0]._replace(text=waiting[0].text[:certain]))
        self.waiting = [] if self.found else waiting
        return given


def _open_end(text: str, stop: tuple[str, ...]) -> int:
    """Return the length of the longest end of `text` that begins a stop text."""
    longest = max((len(word) for word in stop), default=1) - 1
    for length in range(min(longest, len(text)), 0, -1):
        if any(word.startswith(text[-length:]) for word in stop):
            return length
    return 0
