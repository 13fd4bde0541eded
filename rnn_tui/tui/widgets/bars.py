"""Bars and tables in text: small, aligned by cell width, safe."""

from collections.abc import Sequence

from rich.cells import cell_len
from textual.content import Content

from rnn_tui.safetext import safe_text

MUTED = "$foreground 60%"
_EIGHTHS = " ▏▎▍▌▋▊▉"


def bar(share: float, width: int, *, ascii: bool = False) -> str:
    """Return a bar of `width` cells of which `share`, 0 to 1, is filled; what is not zero shows at least a sliver."""
    share = min(max(share, 0.0), 1.0) if share == share else 0.0
    if ascii:
        return ("#" * max(round(share * width), 1 if share > 0 else 0)).ljust(width)
    whole, rest = divmod(max(round(share * width * 8), 1 if share > 0 else 0), 8)
    return ("█" * whole + (_EIGHTHS[rest] if rest else "")).ljust(width)


def visible(token: str, limit: int = 14) -> str:
    """Return a token with its blanks made visible, short enough for a table."""
    return safe_text(token, limit=limit).replace(" ", "␣") or "∅"


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Fill `text`, made safe, with spaces to `width` cells, in front of it if `right`."""
    shown = safe_text(text)
    space = " " * max(0, width - cell_len(shown))
    return space + shown if right else shown + space


def table(rows: Sequence[Sequence[str]], *, left: int = 1, heading: bool = False) -> Content:
    """Return aligned columns, the first `left` flush left and the others flush right.

    Args:
        heading: The first row is a heading, shown muted.
    """
    shown = [[safe_text(cell) for cell in row] for row in rows]
    widths = [max(cell_len(row[column]) for row in shown) for column in range(len(rows[0]))]
    lines: list[Content] = []
    for number, row in enumerate(shown):
        cells = [pad(cell, widths[column], right=column >= left) for column, cell in enumerate(row)]
        if heading and number == 0:
            lines.append(Content.styled("  ".join(cells), MUTED))
        else:
            lines.append(Content.assemble((cells[0], MUTED), "  ", "  ".join(cells[1:])))
    return Content("\n").join(lines)


def bars(
    rows: Sequence[tuple[str, float, str]], width: int, *, ascii: bool = False, colour: str = "$primary"
) -> Content:
    """Return a line for each (label, share of the longest bar, value), together `width` cells wide."""
    labels = max((cell_len(row[0]) for row in rows), default=0)
    values = max((cell_len(row[2]) for row in rows), default=0)
    room = max(4, width - labels - values - 2)
    return Content("\n").join(
        Content.assemble(
            pad(label, labels, right=True), " ", (bar(share, room, ascii=ascii), colour), " ",
            (pad(value, values, right=True), MUTED),
        )
        for label, share, value in rows
    )  # fmt: skip
