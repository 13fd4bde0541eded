"""A widget that shows a picture of cells and repaints only those that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from rnn_tui.safetext import safe_text
from rnn_tui.tui.widgets.lines import paint, spans

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from rnn_tui.tui.widgets.picture import Picture

STYLES = ("", "axis", "label", "grid", "bad", "baseline", "cursor", "title", "mark", "best", "change")
"""What the numbers below 16 of a picture's styles are called; see `picture`."""


class Grid(Widget):
    """Shows what `set_picture` is given; without a picture a title and a sentence in the middle."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"chart--{name}" for name in STYLES if name), "chart--chosen",
        *(f"chart--series-{i}" for i in range(8)), *(f"chart--faint-{i}" for i in range(8)),
    }  # fmt: skip

    DEFAULT_CSS = """
    .chart--axis, .chart--cursor { color: $foreground 35%; }
    .chart--label { color: $foreground 60%; }
    .chart--grid { color: $foreground 22%; }
    .chart--bad { color: $text-error; text-style: bold; }
    .chart--baseline { color: $foreground 45%; }
    .chart--title { color: $foreground; text-style: bold; }
    .chart--mark { color: $foreground 60%; }
    .chart--best { color: $text-success; text-style: bold; }
    .chart--change { color: $text-warning; text-style: bold; }
    .chart--chosen { background: $primary 30%; }
    .chart--series-0 { color: $chart-1; } .chart--faint-0 { color: $chart-1 45%; }
    .chart--series-1 { color: $chart-2; } .chart--faint-1 { color: $chart-2 45%; }
    .chart--series-2 { color: $chart-3; } .chart--faint-2 { color: $chart-3 45%; }
    .chart--series-3 { color: $chart-4; } .chart--faint-3 { color: $chart-4 45%; }
    .chart--series-4 { color: $chart-5; } .chart--faint-4 { color: $chart-5 45%; }
    .chart--series-5 { color: $chart-6; } .chart--faint-5 { color: $chart-6 45%; }
    .chart--series-6 { color: $chart-7; } .chart--faint-6 { color: $chart-7 45%; }
    .chart--series-7 { color: $chart-8; } .chart--faint-7 { color: $chart-8 45%; }
    Grid:ansi {
        .chart--axis, .chart--cursor, .chart--grid, .chart--baseline, .chart--faint-0, .chart--faint-1, .chart--faint-2,
        .chart--faint-3, .chart--faint-4, .chart--faint-5, .chart--faint-6, .chart--faint-7 { text-style: dim; }
    }
    """

    def __init__(self, title: str = "", *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.title = title
        self._picture: Picture | None = None
        self._nothing = "no points yet"
        self._styles_made: dict[int, Style] = {}
        """By number; making those of a whole picture anew would take four fifths of painting it."""

    def set_picture(self, picture: Picture | None) -> None:
        """Show `picture`; nothing is repainted where nothing changed."""
        before, self._picture = self._picture, picture
        if before is None or picture is None or before.chars.shape != picture.chars.shape:
            if before is not picture:
                self.refresh()
        elif regions := changed_regions(before, picture):
            self.refresh(*regions)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles_made.clear()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.content_size.width
        picture = self._picture
        if picture is None:
            return self._empty_line(y, width)
        if y >= picture.chars.shape[0] or width != picture.chars.shape[1]:
            return Strip.blank(width, self.rich_style)
        text = "".join(picture.chars[y].tolist())
        styles = picture.styles[y]
        ends = [*((styles[1:] != styles[:-1]).nonzero()[0] + 1).tolist(), width]
        segments, start = [], 0
        for end in ends:
            segments.append(paint(text[start:end], self._style(int(styles[start]))))
            start = end
        return Strip(segments, width)

    def _empty_line(self, y: int, width: int) -> Strip:
        said = {
            0: (safe_text(self.title), "title"),
            self.content_size.height // 2: (safe_text(self._nothing), "label"),
        }
        text, style = said.get(y, ("", "label"))
        indent = max(0, (width - cell_len(text)) // 2) if style == "label" else 0
        return Strip(
            [
                paint(" " * indent, self.rich_style),
                paint(text, self.get_component_rich_style(f"chart--{style}")),
            ]
        ).adjust_cell_length(width, self.rich_style)

    def _style(self, number: int) -> Style:
        style = self._styles_made.get(number)
        if style is None:
            style = self._styles_made[number] = self._make_style(number)
        return style

    def _make_style(self, number: int) -> Style:
        if number >= 64:
            chosen = self.get_component_rich_style("chart--chosen")
            reverse = self.app.no_color or self.app.native_ansi_color
            return self._style(number - 64) + (
                Style(reverse=True) if reverse else Style(bgcolor=chosen.bgcolor)
            )
        if number >= 32:
            return self.get_component_rich_style(f"chart--faint-{number - 32}")
        if number >= 16:
            return self.get_component_rich_style(f"chart--series-{number - 16}")
        return self.get_component_rich_style(f"chart--{STYLES[number]}") if number else self.rich_style


def changed_regions(before: Picture, after: Picture) -> list[Region]:
    """Return the stretches of each row in which a cell differs."""
    changed = (before.chars != after.chars) | (before.styles != after.styles)
    rows: npt.NDArray[np.intp] = changed.any(axis=1).nonzero()[0]
    return [
        Region(first, row, last - first, 1)
        for row in rows.tolist()
        for first, last in spans(changed[row].nonzero()[0].tolist())
    ]
