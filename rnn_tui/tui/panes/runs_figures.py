"""What marked runs have side by side, as rows: their final figures, and the settings in which they differ. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from rnn_tui.safetext import safe_text
from rnn_tui.tui import format as f
from rnn_tui.tui.history import History
from rnn_tui.tui.widgets.lines import Line, Span

if TYPE_CHECKING:
    from rnn_tui.runs.listing import RunSummary


@dataclass(frozen=True)
class Entry:
    """One figure or setting of each run, as safe text; the place of the best where that means something."""

    label: str
    values: tuple[str, ...]
    best: int | None = None


def differences(configs: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """Return the settings, as `section.key`, in which the runs differ."""
    flat = [dict(_flatten(config)) for config in configs]
    paths = sorted({path for values in flat for path in values if not path.startswith("about.")})
    rows = [
        Entry(safe_text(path, limit=60), tuple(_setting(values.get(path)) for values in flat))
        for path in paths
    ]
    return [row for row in rows if len(set(row.values)) > 1]


def _setting(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return safe_text(", ".join(map(str, value)), limit=400) or "-"
    return "-" if value in (None, "") else safe_text(value, limit=400)


def _flatten(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in table.items():
        if isinstance(value, dict):
            found += _flatten(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found


def figures(runs: "Sequence[RunSummary]", histories: Sequence[History]) -> list[Entry]:
    """Return the final figures of the runs; those that none of them has are left out.

    bpc, bpb and perplexity are those of the best validation loss, tokens/s the mean over the whole run.
    """
    best = [history.best[1] if history.best else None for history in histories]
    alike = len({history.unit for history in histories}) == 1
    bits = [_bits(history, loss, "chars_per_token") for history, loss in zip(histories, best, strict=True)]
    per_byte = [
        _bits(history, loss, "bytes_per_token") for history, loss in zip(histories, best, strict=True)
    ]
    confusion = [
        history.perplexity(loss) if loss is not None and history.in_tokens else None
        for history, loss in zip(histories, best, strict=True)
    ]
    speeds = [_speed(history) for history in histories]
    units = tuple(safe_text(history.unit or "-", limit=40) for history in histories)
    rows = [
        Entry("state", tuple(safe_text(run.state, limit=40) for run in runs)),
        Entry("best loss", tuple(map(f.loss, best)), _least(best) if alike else None),
        Entry("at step", tuple(f.count(history.best[0]) if history.best else "-" for history in histories)),
        *([] if alike else [Entry("loss in", units)]),
        Entry("bpc", tuple(map(f.loss, bits)), _least(bits)),
        Entry("bpb", tuple(map(f.loss, per_byte)), _least(per_byte)),
        Entry("perplexity", tuple(map(f.loss, confusion)), _least(confusion) if alike else None),
        Entry("parameters", tuple(f.short(run.parameters) for run in runs)),
        Entry("tokens/s", tuple(map(f.short, speeds)), _least([None if s is None else -s for s in speeds])),
        Entry("time", tuple(f.duration(history.number("elapsed", history.point)) for history in histories)),
        Entry("steps", tuple(f.count(run.step) for run in runs)),
    ]
    return [row for row in rows if set(row.values) != {"-"}]


def _bits(history: History, loss: float | None, ratio: str) -> float | None:
    """Return the bits per character or byte of a loss in nats per token."""
    per_token = history.number(ratio, history.start)
    known = loss is not None and history.in_tokens and per_token is not None and per_token > 0
    return loss / math.log(2) / per_token if known and loss is not None and per_token else None


def _speed(history: History) -> float | None:
    tokens, seconds = history.number("tokens", history.point), history.number("elapsed", history.point)
    return tokens / seconds if tokens is not None and seconds is not None and seconds > 0 else None


def _least(values: Sequence[float | None]) -> int | None:
    """Return the place of the smallest of two or more values."""
    known = [
        (value, place) for place, value in enumerate(values) if value is not None and math.isfinite(value)
    ]
    return min(known)[1] if len(known) > 1 else None


_WIDEST = 20
"""Cells of a column; figures further apart are not seen together."""


def side_by_side(
    sections: Sequence[tuple[str, Sequence[Entry]]], numbers: Sequence[int], width: int
) -> list[Line]:
    """Return sections of rows as lines: a column for each run where its values fit, else below each other.

    Args:
        numbers: What each run is called, from 0; its colour, too.
    """
    heads = [title for title, _ in sections]
    labels = max(map(cell_len, [*heads, *(row.label for _, rows in sections for row in rows)]), default=0)
    labels = min(labels, max(12, width * 2 // 5)) + 2
    column = min(max(1, (width - labels) // max(len(numbers), 1)), _WIDEST)
    lines: list[Line] = []
    for title, rows in sections:
        if lines:
            lines.append(())
        numbered = [(f"{number + 1:>{column}}", f"run-{number + 1}") for number in numbers]
        lines.append(((f"{title:<{labels}}", "strong"), *numbered))
        for row in rows:
            if cell_len(row.label) < labels and all(cell_len(value) < column for value in row.values):
                cells = [
                    (" " * (column - cell_len(value)) + value, "strong" if place == row.best else "plain")
                    for place, value in enumerate(row.values)
                ]
                lines.append(((f"{row.label:<{labels}}", "muted"), *cells))
            else:
                lines.append(((row.label, "muted"),))
                lines += _below(row, numbers, width)
    return lines


def _below(row: Entry, numbers: Sequence[int], width: int) -> list[Line]:
    """Return a line or more for each value, with all the runs that have it before it."""
    having: dict[str, list[int]] = {}
    for place, value in enumerate(row.values):
        having.setdefault(value, []).append(place)
    indent = 3 + 2 * max(map(len, having.values()))
    lines: list[Line] = []
    for value, places in having.items():
        who: list[Span] = [("  ", "plain")]
        who += [(f"{numbers[place] + 1} ", f"run-{numbers[place] + 1}") for place in places]
        pad = " " * (indent - 2 - 2 * len(places))
        style = "strong" if row.best in places else "plain"
        first, *rest = wrapped(value, max(8, width - indent)) or ["-"]
        lines.append((*who, (pad + first, style)))
        lines += [((" " * indent + part, style),) for part in rest]
    return lines


def wrapped(text: str, width: int) -> list[str]:
    """Cut safe text into rows of at most `width` cells, at a space or a slash where one is near the end."""
    rows: list[str] = []
    while text:
        end, cells = 0, 0
        while end < len(text) and (cells := cells + cell_len(text[end])) <= width:
            end += 1
        if end < len(text):
            cut = max(text.rfind(mark, end // 2, end) for mark in " /")
            end = cut + 1 if cut >= 0 else max(end, 1)
        rows.append(text[:end].rstrip(" "))
        text = text[end:]
    return rows
