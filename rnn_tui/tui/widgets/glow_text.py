"""The text behind the glow widget: tokens on rows, and which of nine colours each of them has.

Nothing here draws. A text is laid out once for a width; another unit only brings other levels, so that `changed` can
say which cells are to be painted again.
"""

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Sequence
from itertools import groupby
from typing import TypeVar

from rich.cells import cell_len

from rnn_tui.safetext import SafeStream
from rnn_tui.tui.widgets.lines import spans
from rnn_tui.tui.widgets.tail_text import wrap

Key = TypeVar("Key", bound=Hashable)

LEVELS = 4
"""Levels on either side of 0: -4 to 4."""
UNKNOWN = LEVELS + 1
"""The level of a value that is NaN or not known."""
SIGNS = {-4: "=", -3: "-", -2: ".", -1: " ", 0: " ", 1: " ", 2: ":", 3: "+", 4: "#", UNKNOWN: "?"}
"""What stands under a token where there are no colours."""


def level(value: float | None) -> int:
    """Return the level of an activation in -1 to 1: -4 to 4, each a quarter wide, or `UNKNOWN`."""
    if value is None or value != value:
        return UNKNOWN
    return round(min(max(value, -1.0), 1.0) * LEVELS)


class GlowText:
    """Tokens as they are shown: made safe, a newline as `↵` before the line ends, wrapped by cell width.

    Places are characters of `text`. Token i is `starts[i]` to before `starts[i + 1]`, which may be nothing: a token in
    the middle of a character.
    """

    def __init__(self, tokens: Sequence[str], *, ascii: bool = False) -> None:
        stream, place = SafeStream(), 0
        parts: list[str] = []
        self.starts: list[int] = []
        self._lines: list[int] = [0]
        mark = "$" if ascii else "↵"
        for token in tokens:
            self.starts.append(place)
            clean = stream.clean(token)
            if "\n" in clean:
                at = place
                for piece in clean.split("\n")[:-1]:
                    at += len(piece) + 1
                    self._lines.append(at)
                clean = clean.replace("\n", mark)
            parts.append(clean)
            place += len(clean)
        self.starts.append(place)
        self.text = "".join(parts)
        self.rows: list[tuple[int, int]] = []
        """First and past-the-end character of each row."""
        self.width = 0
        self.resize(80)

    @property
    def tokens(self) -> int:
        """How many tokens there are."""
        return len(self.starts) - 1

    def resize(self, width: int) -> None:
        """Wrap for rows of `width` cells, at least 2."""
        self.width, self.rows = width, []
        ends = [*self._lines[1:], len(self.text)]
        for begin, end in zip(self._lines, ends, strict=True):
            if begin == end and self._lines[-1] == begin and self.rows:
                break  # nothing follows the last newline
            # One cell is left for the space that a wrap would swallow: it is a token that glows like any other.
            rows = wrap(self.text[begin:end], max(1, width - 1))
            firsts = [begin + first for first, _ in rows]
            self.rows += zip(firsts, [*firsts[1:], end], strict=True)
        self._firsts = [first for first, _ in self.rows]

    def row_of(self, token: int) -> int:
        """Return the row on which a token begins."""
        return max(0, bisect_right(self._firsts, self.starts[token]) - 1)

    def token_at(self, place: int) -> int:
        """Return the token of a character."""
        return min(max(0, bisect_right(self.starts, place) - 1), max(0, self.tokens - 1))

    def column_of(self, token: int) -> int:
        """Return the cell of its row at which a token begins."""
        first, _ = self.rows[self.row_of(token)]
        return cell_len(self.text[first : self.starts[token]])

    def token_in(self, row: int, column: int) -> int:
        """Return the token at a cell of a row, or the nearest one on it."""
        row = min(max(0, row), len(self.rows) - 1)
        first, end = self.rows[row]
        used = 0
        for place in range(first, end):
            used += cell_len(self.text[place])
            if used > column:
                return self.token_at(place)
        return self.token_at(max(first, end - 1))

    def pieces(self, row: int) -> list[tuple[int, int, int]]:
        """Return the tokens on a row: token, first and past-the-end character; those without characters left out."""
        first, end = self.rows[row]
        found: list[tuple[int, int, int]] = []
        token = self.token_at(first)
        while first < end:
            stop = min(self.starts[token + 1], end)
            if stop > first:
                found.append((token, first, stop))
            first, token = stop, token + 1
        return found

    def changed(self, row: int, before: Sequence[int], after: Sequence[int]) -> list[tuple[int, int]]:
        """Return the cells of a row whose token has another level than before: first and one after the last."""
        cells: list[int] = []
        column = 0
        for token, first, end in self.pieces(row):
            width = cell_len(self.text[first:end])
            if before[token] != after[token]:
                cells += range(column, column + width)
            column += width
        return spans(cells)


def merged(pieces: Iterable[tuple[str, Key]]) -> list[tuple[str, Key]]:
    """Return (text, style) pairs with neighbours of one style as one."""
    return [
        ("".join(text for text, _ in run), style)
        for style, run in groupby(pieces, key=lambda piece: piece[1])
    ]
