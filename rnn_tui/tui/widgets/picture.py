"""The grid that a chart is drawn into: a character and a style number for each cell."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rich.cells import cell_len

from rnn_tui.safetext import safe_text
from rnn_tui.tui.widgets.scales import Axis

# Style numbers; `grid.STYLES` names them. Series i has SERIES + i for its line and FAINT + i for what lies behind it.
BLANK, AXIS, LABEL, GRID, BAD, BASELINE, CURSOR, TITLE, MARK, BEST, CHANGE = range(11)
SERIES, FAINT, COLOURS = 16, 32, 8
CHOSEN = 64
"""Added to the style of a cell within the range that is being chosen."""

SERIES_ASCII = "*+ox#@%&"
SERIES_GLYPHS = "○□△◇●■▲◆"
"""Where there are no colours, these stand along the curves."""


@dataclass(frozen=True)
class Picture:
    """The grid and what is needed to find a value under the pointer."""

    chars: npt.NDArray[np.str_]
    """(height, width), one character each"""
    styles: npt.NDArray[np.uint8]
    """(height, width)"""
    x_axis: Axis
    y_axis: Axis
    left: int
    """The first column of cells of the plot."""
    columns: int
    top: int
    rows: int

    def write(self, row: int, column: int, text: str, style: int) -> int:
        """Write `text`, cut at the right edge; return the column after it."""
        height, width = self.chars.shape
        if not 0 <= row < height or column < 0:
            return column
        text = text[: max(0, width - column)]
        self.chars[row, column : column + len(text)] = list(text)
        self.styles[row, column : column + len(text)] = style
        return column + len(text)

    def row_of(self, value: float) -> int | None:
        """Return the row in which a value lies, None where it is outside."""
        place = float(self.y_axis.place(value))
        return self.top + round((1 - place) * (4 * self.rows - 1)) // 4 if 0 <= place <= 1 else None

    def column_of(self, x: float) -> int | None:
        """Return the column of cells of a place on the x axis, None where it is outside."""
        place = float(self.x_axis.place(x))
        return self.left + round(place * (self.columns - 1)) if 0 <= place <= 1 else None

    def x_of(self, column: float) -> float:
        """Return the place on the x axis of a column of cells."""
        return self.x_axis.value((column - self.left) / max(self.columns - 1, 1))

    def y_of(self, row: float) -> float:
        """Return the value at the middle of a row."""
        return self.y_axis.value(1 - (4 * (row - self.top) + 1.5) / max(4 * self.rows - 1, 1))

    def over_plot(self, column: int, row: int) -> bool:
        """Whether a cell is one of the plot, where curves are."""
        return 0 <= column - self.left < self.columns and 0 <= row - self.top < self.rows


def narrow(text: str) -> str:
    """Return `text` safe and one cell per character, as a grid needs it."""
    return "".join(c if cell_len(c) == 1 else "·" for c in safe_text(text))


def shorten(text: str, limit: int, *, ascii: bool = False) -> str:
    """Return `text` in at most `limit` cells, with a sign at its end where it was cut."""
    if len(text) <= limit:
        return text
    return text[: max(0, limit - 1)].rstrip() + ("~" if ascii else "…") if limit > 0 else ""
