"""What happens when the app itself breaks: a report on disk and one panel, no wall of text."""

import platform
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.panel import Panel
from rich.text import Text

from rnn_tui import __version__
from rnn_tui.safetext import safe_text

_KEPT = 10


def write_report(error: BaseException, folder: Path) -> Path | None:
    """Write the traceback, without values of variables, and return its path; None where that fails too."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in sorted(folder.glob("crash-*.txt"))[: -_KEPT + 1]:
            old.unlink(missing_ok=True)
        path = folder / f"crash-{time.strftime('%Y%m%d-%H%M%S')}.txt"
        about = f"rnn-tui {__version__}, Python {platform.python_version()}, {platform.platform()}\n\n"
        path.write_text(
            about + safe_text("".join(traceback.format_exception(error)), newlines=True, limit=None), "utf-8"
        )
    except OSError:
        return None
    return path


def save_work(unsaved: Callable[[], dict[str, str]], folder: Path) -> list[Path]:
    """Write what was on the screen only and return where it lies; none of this may fail in its turn."""
    saved: list[Path] = []
    try:
        for name, text in unsaved().items():
            path = folder / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.txt"
            path.write_text(safe_text(text, newlines=True, limit=None), "utf-8")
            path.chmod(0o600)
            saved.append(path)
    except Exception:  # what is shown is in an unknown state by now
        return saved
    return saved


def panel(error: BaseException, report: Path | None, saved: Sequence[Path] = ()) -> Panel:
    """Return what the user sees in place of a traceback."""
    text = Text()
    text.append(safe_text(f"{type(error).__name__}: {error}", limit=300) + "\n\n")
    text.append("Your runs are safe: training goes on in its own process. Start the app again to see it.\n")
    for path in saved:
        text.append(f"What was on the screen is in {safe_text(path)}\n")
    text.append(f"The report is in {safe_text(report)}" if report else "No report could be written.")
    return Panel(
        text, title="rnn-tui stopped because of an error in the app", border_style="red", expand=False
    )
