"""Rows of styled text that repaint only the rows that changed: header, figures, log tail.

A Static would repaint all of itself, and lay out the screen again, for each new number.
"""

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from rnn_tui.safetext import safe_text

Span = tuple[str, str]
"""Text, already safe so that its cells can be counted, and the name of its style: a key of `Lines.STYLES`."""
Line = tuple[Span, ...]


def changed_spans(old: Line, new: Line) -> list[tuple[int, int]]:
    """Return where two rows differ, as first cell and the one after the last."""
    before, after = _cells(old), _cells(new)
    length = max(len(before), len(after))
    before += [(" ", "")] * (length - len(before))
    after += [(" ", "")] * (length - len(after))
    return spans([i for i in range(length) if before[i] != after[i]])


_BRIDGE = 6
"""Unchanged cells that are cheaper to send again than to jump over with a cursor move and a new style."""


def spans(places: Sequence[int]) -> list[tuple[int, int]]:
    """Return ascending places as stretches, first and one after the last, bridging small gaps."""
    found: list[tuple[int, int]] = []
    for place in places:
        if found and place - found[-1][1] <= _BRIDGE:
            found[-1] = (found[-1][0], place + 1)
        else:
            found.append((place, place + 1))
    return found


def _cells(line: Line) -> list[Span]:
    """Return character and style of each cell; the cells of a wide character all hold it."""
    return [(c, style) for text, style in line for c in text for _ in range(cell_len(c))]


def paint(text: str, style: Style) -> Segment:
    """Return a stretch of a row as it is painted: the last place where text that nobody made safe is caught."""
    return Segment(safe_text(text), style)


class Lines(Widget):
    """A block of rows, cut at the right edge. Text must have passed `safe_text`."""

    STYLES: ClassVar[tuple[str, ...]] = (
        "plain", "muted", "strong", "accent", "good", "warn", "bad", "shade", "chosen", "first", "second", "third",
        "fourth", "fifth", "open",
    )  # fmt: skip
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"lines--{name}" for name in STYLES}

    DEFAULT_CSS = """
    Lines { height: auto; }
    .lines--plain { color: $foreground; }
    .lines--muted { color: $foreground 60%; }
    .lines--strong { color: $foreground; text-style: bold; }
    .lines--accent { color: $accent; }
    .lines--good { color: $text-success; }
    .lines--warn { color: $text-warning; }
    .lines--bad { color: $text-error; text-style: bold; }
    .lines--shade { color: $foreground 60%; background: $panel; }
    .lines--chosen { color: $background; background: $primary; text-style: bold; }
    .lines--first { color: $chart-1; }
    .lines--second { color: $chart-2; }
    .lines--third { color: $chart-3; }
    .lines--fourth { color: $chart-4; }
    .lines--fifth { color: $chart-5; }
    .lines--open { color: $foreground 25%; }
    """

    def __init__(
        self, lines: Sequence[Line] = (), *, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._lines = tuple(lines)

    @property
    def lines(self) -> tuple[Line, ...]:
        """What is shown."""
        return self._lines

    @property
    def text(self) -> str:
        """What is shown, without styles."""
        return "\n".join("".join(span[0] for span in line) for line in self._lines)

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Show `lines`; repaints those that differ, lays out again only if their number changed and height is auto."""
        before, self._lines = self._lines, tuple(lines)
        if before == self._lines:
            return
        if len(before) != len(self._lines) and self.styles.height is not None and self.styles.height.is_auto:
            self.refresh(layout=True)
            return
        width = self.content_size.width
        regions: list[Region] = []
        for row in range(max(len(before), len(self._lines))):
            old = before[row] if row < len(before) else ()
            new = self._lines[row] if row < len(self._lines) else ()
            if old != new:
                regions += [
                    Region(first, row, min(last, width) - first, 1)
                    for first, last in changed_spans(old, new)
                    if first < width
                ]
        if regions:
            self.refresh(*regions)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return len(self._lines)

    def get_content_width(self, container: object, viewport: object) -> int:
        return max((sum(cell_len(span[0]) for span in line) for line in self._lines), default=0)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.content_size.width
        if y >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        segments = [
            paint(text, self.get_component_rich_style(f"lines--{style}"))
            for text, style in self._lines[y]
            if text
        ]
        return Strip(segments).adjust_cell_length(width, self.rich_style)
