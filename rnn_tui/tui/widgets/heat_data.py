"""What a heat map shows: numbers of units over tokens, and which row or column holds one of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnn_tui.tui.widgets.glow_text import LEVELS, UNKNOWN

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Heat:
    """Values of units (rows) over stretches of tokens (columns)."""

    values: npt.NDArray[np.float32]
    """(rows, columns), -1 to 1 or NaN"""
    levels: npt.NDArray[np.int8]
    """(rows, columns), as `glow_text.level`"""
    units: tuple[tuple[int, ...], ...]
    """The units of each row; a row of several shows the value farthest from 0."""
    starts: tuple[int, ...]
    """The first token of each column, ascending."""
    end: int
    """The token after the last column."""
    scale: float = 1.0
    """What 1 stands for."""

    @classmethod
    def of(
        cls,
        rows: Sequence[Sequence[float | None]],
        units: Sequence[Sequence[int]],
        starts: Sequence[int],
        end: int,
        scale: float = 1.0,
    ) -> Heat:
        """Make a map of rows of values in -1 to 1, None where one is not known."""
        import numpy as np

        values = np.array(rows, dtype=np.float32).reshape(len(rows), len(starts))
        known = np.isfinite(values)
        levels = np.full(values.shape, UNKNOWN, dtype=np.int8)
        levels[known] = np.rint(np.clip(values[known], -1, 1) * LEVELS).astype(np.int8)
        return cls(values, levels, tuple(map(tuple, units)), tuple(starts), end, scale)

    def row_of(self, unit: int) -> int | None:
        """Return the row that shows a unit."""
        return next((row for row, units in enumerate(self.units) if unit in units), None)

    def column_of(self, token: int) -> int:
        """Return the column that holds a token, or the nearest one."""
        return min(max(0, bisect_right(self.starts, token) - 1), max(0, len(self.starts) - 1))
