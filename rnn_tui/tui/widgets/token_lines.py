"""Text as its tokens: each in a shade of its own, between bars, or plain; as rows that fit a width."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, Literal

from rich.cells import cell_len

from rnn_tui.safetext import safe_text
from rnn_tui.tui.widgets.lines import Line, Lines

Look = Literal["shades", "bars", "plain"]
LOOKS: tuple[Look, ...] = ("shades", "bars", "plain")

_STACKED = 8
"""Characters before a token that are looked at for marks without width, as many as `safe_text` lets stack."""
_CARRIED = 24
"""Cells of a word that are carried over to the next row; a longer one is broken."""


@dataclass(slots=True)
class Row:
    """A row of the text: spans of (text, style, number of the token), and the first token of the row."""

    token: int
    spans: list[tuple[str, str, int]] = field(default_factory=list)

    def line(self, marked: range) -> Line:
        """Return the row as it is painted: tokens within `marked` as a hit, neighbours of one style joined."""
        found: list[tuple[str, str]] = []
        for text, style, token in self.spans:
            style = "hit" if token in marked else style
            if found and found[-1][1] == style:
                found[-1] = (found[-1][0] + text, style)
            else:
                found.append((text, style))
        return tuple(found)


class TokenLines(Lines):
    """Rows of tokens. Alternate ones are underlined where colours cannot be relied on."""

    STYLES: ClassVar[tuple[str, ...]] = (
        *Lines.STYLES,
        "even",
        "odd",
        "many",
        "unknown",
        "hit",
        "mark",
        "rule",
    )
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"lines--{name}" for name in STYLES}
    DEFAULT_CSS = """
    .lines--even { color: $foreground; background: $chart-1 24%; }
    .lines--odd { color: $foreground; background: $chart-2 24%; }
    .lines--many { color: $foreground; background: $chart-4 30%; text-style: underline; }
    .lines--unknown { color: $background; background: $error; text-style: bold; }
    .lines--hit { color: $background; background: $accent; text-style: bold; }
    .lines--mark { color: $foreground 40%; }
    .lines--rule { color: $accent; text-style: bold; }
    TokenLines:ansi > .lines--even { background: ansi_default; }
    TokenLines:ansi > .lines--odd { background: ansi_default; text-style: underline; }
    TokenLines:ansi > .lines--many { background: ansi_bright_black; }
    TokenLines:nocolor > .lines--odd { text-style: underline; }
    TokenLines:nocolor > .lines--unknown { text-style: reverse; }
    TokenLines:nocolor > .lines--hit { text-style: reverse bold; }
    """


def wrap(
    pieces: Iterable[tuple[str, int, int, bool]], width: int, look: Look, *, ascii: bool = False
) -> list[Row]:
    """Return pieces of (text, first token, number of tokens, whether unknown) as rows of at most `width` cells.

    A row ends with each newline; what does not fit is broken between tokens, and within a word only if it is long.
    """
    return _Wrapping(max(2, width), look, ascii).rows(pieces)


class _Wrapping:
    """The rows so far, the last of them open."""

    def __init__(self, width: int, look: Look, ascii: bool) -> None:
        self._width, self._look, self._ascii = width, look, ascii
        self._rows: list[Row] = []
        self._row: Row | None = None
        self._used = 0
        self._tail = ""
        """The last characters of the row."""

    def rows(self, pieces: Iterable[tuple[str, int, int, bool]]) -> list[Row]:
        plain = self._look == "plain"
        for number, (text, token, tokens, unknown) in enumerate(pieces):
            if unknown:
                style = "unknown"
            elif self._look == "shades":
                style = "many" if tokens > 1 else ("even", "odd")[number % 2]
            else:
                style = "plain"
            lines = _shown(text, plain)
            for index, line in enumerate(lines):
                if line:
                    self._add(line, style, token)
                if index < len(lines) - 1:
                    if not plain:
                        self._add("\\n" if self._ascii else "␊", "mark", token)
                    elif self._row is None:
                        self._row = Row(token)
                    self._end()
            if self._look == "bars" and self._row is not None:
                self._add("|" if self._ascii else "│", "mark", token)
        self._end()
        return self._rows

    def _add(self, text: str, style: str, token: int) -> None:
        cells = cell_len(text)
        if self._row is not None and self._used + cells > self._width:
            self._break(text, style)
            if self._look == "plain" and self._row is None:
                text = text.removeprefix(" ")
                cells = cell_len(text)
        while (
            cells > self._width - self._used and cells > 1
        ):  # longer than a row, by itself or what was carried
            cut = _fitting(text, self._width - self._used)
            if cut:
                self._put(text[:cut], style, token)
                text = text[cut:]
                cells = cell_len(text)
            self._end()
        self._put(text, style, token)

    def _put(self, text: str, style: str, token: int) -> None:
        if self._row is None:
            self._row = Row(token)
        if self._tail and not text.isascii():  # each token is safe, but marks of many may stack on one letter
            text = safe_text(self._tail + text, limit=None)[len(self._tail) :]
        self._tail = (self._tail + text)[-_STACKED:]
        self._row.spans.append((text, style, token))
        self._used += cell_len(text)

    def _break(self, text: str, style: str) -> None:
        """End the row; a word that goes on in what comes next is carried over."""
        assert self._row is not None
        spans, carried, cells = self._row.spans, 0, 0
        if style != "mark" and not text[0].isspace() and text[0].isalnum():
            for carried, (before, _, _) in enumerate(reversed(spans)):
                if not before[-1:].isalnum():
                    break
                cells += cell_len(before)
                if cells > _CARRIED:
                    carried = 0
                    break
                if before[0].isspace():
                    carried += 1
                    break
            else:
                carried = 0
        rest = spans[len(spans) - carried :] if carried < len(spans) else []
        if rest:
            del spans[len(spans) - carried :]
        self._end()
        for before, kind, token in rest:
            self._put(before, kind, token)

    def _end(self) -> None:
        if self._row is not None:
            self._rows.append(self._row)
        self._row, self._used, self._tail = None, 0, ""


def _fitting(text: str, room: int) -> int:
    """Return how many characters fit into `room` cells."""
    used = 0
    for index, char in enumerate(text):
        used += cell_len(char)
        if used > room:
            return index
    return len(text)


@lru_cache(maxsize=1 << 16)
def _shown(text: str, plain: bool) -> Sequence[str]:
    """Return a token's text, line by line, made safe."""
    if plain:
        text = text.replace("\t", "    ").replace("\r\n", "\n")
    return [safe_text(line) for line in text.split("\n")]
