"""What is written: data to standard output, narration to standard error, both safe for a terminal.

rich is imported inside the functions: `--help` and the short commands do not pay for it.
"""

import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from rnn_tui.safetext import SafeStream, safe_text

if TYPE_CHECKING:
    from rich.console import Console

STATE_STYLES = {
    "running": "green",
    "starting": "green",
    "finished": "bold",
    "paused": "yellow",
    "stopping": "yellow",
    "stalled": "yellow",
    "crashed": "red",
    "failed": "red",
    "diverged": "red",
    "damaged": "red",
}


class Advance(Protocol):
    """Told what is being done, how much of it is done, and how much there is (None: not known)."""

    def __call__(self, what: str, done: int, total: int | None, /) -> None: ...


def say(text: object) -> None:
    """Write one line of narration."""
    print(safe_text(text), file=sys.stderr, flush=True)


def out(text: object = "") -> None:
    """Write one line of data."""
    print(safe_text(text))


def stream(pieces: Iterable[str]) -> Iterator[str]:
    """Write pieces of a text to standard output as they come, and yield each as it was."""
    safe = SafeStream()
    for piece in pieces:
        print(safe.clean(piece), end="", flush=True)
        yield piece


def emit(value: object) -> None:
    """Write `value` as the one JSON document of a command: printable ASCII, NaN and infinities as strings."""
    text = json.dumps(plain(value), indent=2, allow_nan=False).replace("\x7f", "\\u007f")
    print(safe_text(text, newlines=True, limit=None))


def plain(value: Any) -> Any:
    """Return `value` as JSON types."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # a NumPy scalar or array
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (str, int, float)) else str(value)


def console(stream: TextIO) -> "Console":
    """Return a rich console on `stream` that takes every text as it is, and never cuts a line in a pipe."""
    from rich.console import Console

    return Console(
        file=stream,
        markup=False,
        highlight=False,
        emoji=False,
        width=None if stream.isatty() else 10_000,
        force_interactive=None if os.environ.get("TERM") != "dumb" else False,
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a table to standard output. The first column says what a row is; the others fold before it does.

    A column named with a trailing `>` is flushed right, and one with a `?` before that is left out, the last first,
    where the terminal is too narrow for all.
    """
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    to = console(sys.stdout)
    drawn = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=any(columns)
    )
    names = [safe_text(column.rstrip("?>")) for column in columns]
    cells = [[safe_text("" if cell is None else cell) for cell in values] for values in rows]
    widths = [max(map(cell_len, column)) for column in zip(names, *cells, strict=True)]
    kept = list(range(len(columns)))
    for index in reversed(range(len(columns))):
        if "?" in columns[index] and sum(widths[i] + 2 for i in kept) - 2 > to.width:
            kept.remove(index)
    for index in kept:
        right = columns[index].endswith(">")
        drawn.add_column(
            names[index],
            justify="right" if right else "left",
            no_wrap=right or (index == 0 and widths[0] <= to.width // 2),
            overflow="fold",
        )
    for row in cells:
        drawn.add_row(*[Text(row[i], style=STATE_STYLES.get(row[i], "")) for i in kept])
    with to.capture() as captured:
        to.print(drawn)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def pairs(items: Mapping[str, object]) -> None:
    """Write names and values below each other to standard output; what is empty is left out."""
    width = max(map(len, items), default=0)
    for name, value in items.items():
        if value not in (None, ""):
            print(f"{safe_text(name):<{width}}  {safe_text(value)}")


@contextmanager
def progress_bar() -> Iterator[Advance | None]:
    """Give a function that moves a bar on standard error, or None where that is no terminal."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn("{task.percentage:>3.0f} %", markup=False),
        TimeRemainingColumn(),
        console=console(sys.stderr),
        transient=True,
    ) as bar:
        task = bar.add_task("")

        def advance(what: str, done: int, total: int | None, /) -> None:
            bar.update(task, description=safe_text(what), completed=done, total=total)

        yield advance


def shown(value: object) -> str:
    """A setting as it would be typed; nothing for None."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={shown(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(shown, value))
    return "" if value is None else str(value)


def count(value: float | None) -> str:
    """1234567 → `1,234,567`."""
    return "" if value is None else f"{value:,.0f}" if math.isfinite(value) else str(value)


def figure(value: float | None, digits: int = 4) -> str:
    """A loss or the like, from 10,000 on as 1.234e+04; NaN and infinity by name, nothing for None."""
    if value is None:
        return ""
    return f"{value:.{digits}f}" if abs(value) < 1e4 else f"{value:.3e}"


def duration(seconds: float | None) -> str:
    """75 → `1 min 15 s`."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(amount: float | None) -> str:
    """Bytes as kB, MB, GB."""
    if amount is None:
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
