"""Saturation of gates as pictures: for each gate its shares and a dot for each unit.

After the figure of Karpathy, Johnson and Fei-Fei 2015, "Visualizing and understanding recurrent networks".
"""

from collections.abc import Sequence
from itertools import zip_longest

from rich.cells import cell_len

from rnn_tui.safetext import safe_text
from rnn_tui.tui.panes.inspect_answers import Gate
from rnn_tui.tui.widgets.bars import bar
from rnn_tui.tui.widgets.lines import Line

PANEL = 26
"""Cells of a gate's panel at least; three stand side by side on 80 columns."""
_WIDEST, _HIGHEST = 44, 16
"""Of a plot, in cells: about as high as wide, so that the two axes weigh alike."""
_LOWEST, _AROUND = 8, 6
"""Rows of a plot at least, and those above and below it."""
_COUNTS = " .:+*#"


def scatter(
    left: Sequence[float | None], right: Sequence[float | None], columns: int, rows: int, *, ascii: bool
) -> list[str]:
    """Return dots at (left, right) of each unit, both 0 to 1, as rows from the top; in ASCII denser signs for more."""
    import numpy as np

    from rnn_tui.tui.widgets import raster

    x, y = (np.array(values, dtype=np.float64) for values in (left, right))
    known = np.isfinite(x) & np.isfinite(y)
    fine = (1, 1) if ascii else (2, 4)  # dots of a cell, across and down
    width, height = columns * fine[0], rows * fine[1]
    counts = np.zeros((height, width), dtype=np.int64)
    across = np.rint(np.clip(x[known], 0, 1) * (width - 1)).astype(np.int64)
    down = np.rint((1 - np.clip(y[known], 0, 1)) * (height - 1)).astype(np.int64)
    np.add.at(counts, (down, across), 1)
    if ascii:  # 1, 2, 3 to 4, 5 to 8, more
        return [
            "".join(_COUNTS[min((2 * n - 1).bit_length() if n else 0, 5)] for n in row)
            for row in counts.tolist()
        ]
    return [
        "".join(chr(raster.BRAILLE + cell) if cell else " " for cell in row)
        for row in raster.cells(counts > 0).tolist()
    ]


def panel(gate: Gate, width: int, rows: int, *, ascii: bool) -> list[Line]:
    """Return the picture of one gate, each line `width` cells wide, with a plot of so many rows."""
    side, corner, across = ("|", "+", "-") if ascii else ("│", "└", "─")
    columns = min(width - 6, _WIDEST)
    lines: list[Line] = [((safe_text(f"layer {gate.layer}  {gate.name}", limit=width - 2), "strong"),)]
    for label, share, style in (("open", gate.right_share, "first"), ("shut", gate.left_share, "second")):
        said = "-" if share is None else f"{100 * share:.0f} %"
        lines.append(((f"{label} {said:>5} ", "muted"), (bar(share or 0.0, columns - 9, ascii=ascii), style)))
    for row, dots in enumerate(scatter(gate.left, gate.right, columns, rows, ascii=ascii)):
        lines.append(((f"{'1' if row == 0 else ' '}{side}", "muted"), (dots, "accent")))
    lines.append(((f"0{corner}{across * columns}", "muted"),))
    lines.append(((f"  0{'shut':^{columns - 2}}1", "muted"),))
    return [
        (*line, (" " * max(0, width - sum(cell_len(text) for text, _ in line)), "plain")) for line in lines
    ]


def gate_lines(gates: Sequence[Gate], width: int, height: int, *, ascii: bool) -> list[Line]:
    """Return the panels of all gates, as large as `width` × `height` cells allow, under how to read them."""
    right, up = ("across:", "up:") if ascii else ("→", "↑")
    lines: list[Line] = [
        ((f"A dot is a unit. {right} share of tokens at which it is shut (below 0.1),", "muted"),),
        ((f"{up} share at which it is open (above 0.9). The bars are means of both.", "muted"),),
    ]
    beside = max(1, min(width // PANEL, len(gates)))
    wide = max(PANEL, min(width // beside, _WIDEST + 6))
    below = -(-len(gates) // beside)
    rows = min(max(_LOWEST, (height - len(lines)) // below - _AROUND), _HIGHEST)
    blank: Line = ((" " * wide, "plain"),)
    for first in range(0, len(gates), beside):
        panels = [panel(gate, wide, rows, ascii=ascii) for gate in gates[first : first + beside]]
        lines.append(())
        lines += [sum(row, ()) for row in zip_longest(*panels, fillvalue=blank)]
    return lines
