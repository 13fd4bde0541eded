"""The text behind the tail widget: append-only lines, wrapped by cell width, in bounded memory.

Nothing here draws. `TailText.append` says which row changed first, so that the widget repaints no more than that.
Wrapping is greedy, which makes every row but the last of a line final: an append wraps again from there only.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.cells import cell_len, get_character_cell_size

from rnn_tui.safetext import SafeStream

MAX_CHARS = 200_000
"""What a transcript keeps; beyond it the oldest lines go, a tenth at a time."""

MAX_LINE = 16_384
"""A longer line is cut into lines of this length, so that no append costs more than copying one of them."""

LEVELS: dict[str, tuple[float, ...]] = {
    "surprise": (0.5, 1.0, 2.0, 4.0, 7.0),
    "entropy": (0.5, 1.0, 1.5, 2.5, 4.0),
    "rank": (1, 2, 5, 10, 100),
}
"""What text can be coloured by: the upper bounds of its levels 0 to 4; from the last on it is level 5.

Surprise and entropy are in nats; rank counts the tokens that the model held to be more probable."""

Levels = tuple[int, int, int]
"""A level for each of `LEVELS`; -1 where it was not measured."""
UNMEASURED: Levels = (-1, -1, -1)


class Tag(NamedTuple):
    """What a span of text is: `kind` names its style, `levels` what it may be coloured by."""

    kind: str
    levels: Levels = UNMEASURED


class Span(NamedTuple):
    """Text as it is given to a tail view: what it is, and what the model made of it where that was measured."""

    text: str
    kind: str = "generated"
    surprise: float | None = None
    entropy: float | None = None
    rank: int | None = None

    @property
    def tag(self) -> Tag:
        """What this becomes in the text."""
        if self.surprise is None and self.entropy is None and self.rank is None:
            return Tag(self.kind)
        values = (self.surprise, self.entropy, self.rank)
        first, second, third = (
            level(value, LEVELS[name]) for name, value in zip(LEVELS, values, strict=True)
        )
        return Tag(self.kind, (first, second, third))


def level(value: float | None, bounds: tuple[float, ...]) -> int:
    """Return the level of a value, 0 (expected) to 5; NaN counts as 5, None is -1."""
    if value is None:
        return -1
    return bisect_right(bounds, value) if value == value else len(bounds)


@dataclass(slots=True)
class Line:
    """One line of the text; `spans` hold (end offset, tag) and cover it without gaps."""

    text: str = ""
    spans: list[tuple[int, Tag]] = field(default_factory=list)
    joined: bool = False
    """Whether it goes on with the line before, which `MAX_LINE` cut."""

    def add(self, text: str, tag: Tag) -> None:
        self.text += text
        if self.spans and self.spans[-1][1] == tag:
            self.spans[-1] = (len(self.text), tag)
        else:
            self.spans.append((len(self.text), tag))


class Row(NamedTuple):
    """Characters `start` to `end` of a line, shown on one row."""

    line: Line
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.line.text[self.start : self.end]

    def pieces(self) -> list[tuple[str, Tag]]:
        """Return the row cut at the borders of its spans."""
        spans, pieces, at = self.line.spans, [], self.start
        for index in range(bisect_right(spans, self.start, key=lambda span: span[0]), len(spans)):
            end = min(spans[index][0], self.end)
            if end > at:
                pieces.append((self.line.text[at:end], spans[index][1]))
            at = end
            if at == self.end:
                break
        return pieces


class Change(NamedTuple):
    """What an append did: rows from `row` on are new, the first of them from cell `column` on only."""

    row: int
    column: int
    dropped: int
    """Rows that left at the top; `row` already counts without them."""


def _fit(text: str, start: int, width: int) -> int:
    """Return the end of the longest piece of `text` from `start` that is no wider than `width` cells."""
    if text.isascii():
        return min(len(text), start + width)
    used = 0
    for index in range(start, len(text)):
        used += get_character_cell_size(text[index])
        if used > width:
            return max(index, start + 1)
    return len(text)


def _break(text: str, start: int, stop: int) -> int:
    """Return where a row that must end at or before `stop` ends best: after a space or beside a wide character."""
    space = text.rfind(" ", start, stop) + 1
    if text.isascii():
        cut = space
    else:
        cut = stop
        while cut > max(space, start):
            before, after = get_character_cell_size(text[cut - 1]), get_character_cell_size(text[cut])
            if after and (before == 2 or after == 2):
                break
            cut -= 1
    if text[start:cut].strip(" "):
        return cut
    while stop > start + 1 and not get_character_cell_size(text[stop]):
        stop -= 1  # a mark stays with its letter
    return stop


def wrap(text: str, width: int, start: int = 0) -> list[tuple[int, int]]:
    """Cut `text` from `start` into rows of at most `width` cells; return their (start, end).

    Rows end after a space or beside a wide character where there is one. A single space that does not fit any more
    belongs to no row. A character wider than `width` gets a row of its own.
    """
    rows: list[tuple[int, int]] = []
    while True:
        stop = _fit(text, start, width)
        if stop == len(text):
            return [*rows, (start, stop)]
        if text[stop] == " ":
            rows.append((start, stop))
            start = stop + 1
            if start == len(text):
                return rows
        else:
            cut = _break(text, start, stop)
            rows.append((start, cut))
            start = cut


class TailText:
    """Lines that grow at the end, and the rows they make at the present width."""

    def __init__(self, width: int = 80) -> None:
        self.width = width
        self.lines: list[Line] = []
        self.rows: list[Row] = []
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.lines, self.rows, self._chars = [], [], 0
        self._stream = SafeStream()

    def append(self, text: str, tag: Tag) -> Change:
        """Add `text`, which may hold anything and end anywhere, and return the rows it touched."""
        if not self.lines:
            self._open(joined=False)
        row, old = len(self.rows) - 1, self.rows[-1]
        for index, part in enumerate(self._stream.clean(text).split("\n")):
            if index:
                self._chars += 1
                self._open(joined=False)
            while part:
                room = MAX_LINE - len(self.lines[-1].text)
                if not room:
                    self._open(joined=True)
                    continue
                self.lines[-1].add(part[:room], tag)
                self._chars += len(part[:room])
                part = part[room:]
                self._wrap_last()
        new = self.rows[row]
        column = cell_len(old.text if new.end >= old.end else new.text)
        dropped = self._drop()
        return Change(max(0, row - dropped), column if row >= dropped else 0, dropped)

    def resize(self, width: int) -> None:
        """Wrap everything again for `width` cells."""
        self.width = max(1, width)
        self.rows = [Row(line, *ends) for line in self.lines for ends in wrap(line.text, self.width)]

    def copy(self, first: tuple[int, int], last: tuple[int, int]) -> str:
        """Return the text between two (row, character in the row) places, wrapped lines whole again."""
        parts: list[str] = []
        for number in range(max(0, first[0]), min(last[0] + 1, len(self.rows))):
            row = self.rows[number]
            start = row.start + (first[1] if number == first[0] else 0)
            until = row.start + last[1] if number == last[0] else self._row_stop(number)
            parts.append(row.line.text[start : min(until, len(row.line.text))])
            line_ends = until >= len(row.line.text)
            joins = line_ends and number + 1 < len(self.rows) and self.rows[number + 1].line.joined
            if line_ends and not joins and number < min(last[0], len(self.rows) - 1):
                parts.append("\n")
        return "".join(parts)

    def _row_stop(self, number: int) -> int:
        """Return where the next row of the same line starts, so that the space a wrap swallowed is kept."""
        row = self.rows[number]
        following = self.rows[number + 1] if number + 1 < len(self.rows) else None
        return following.start if following and following.line is row.line else len(row.line.text)

    def _open(self, *, joined: bool) -> None:
        self.lines.append(Line(joined=joined))
        self.rows.append(Row(self.lines[-1], 0, 0))

    def _wrap_last(self) -> None:
        line, start, _ = self.rows.pop()
        self.rows.extend(Row(line, *ends) for ends in wrap(line.text, self.width, start))

    def _drop(self) -> int:
        """Let the oldest lines go when there is too much; return how many rows that were."""
        if self._chars <= MAX_CHARS:
            return 0
        count = 0
        while count < len(self.lines) - 1 and self._chars > MAX_CHARS * 9 // 10:
            self._chars -= len(self.lines[count].text) + (not self.lines[count].joined)
            count += 1
        kept = self.lines[count]
        rows = next(index for index, row in enumerate(self.rows) if row.line is kept)
        del self.lines[:count], self.rows[:rows]
        return rows
