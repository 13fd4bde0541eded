"""What a user copies goes to the terminal, which says nothing in return, and to a file."""

import base64
from pathlib import Path

from rnn_tui.errors import DiskError
from rnn_tui.files import replace_file
from rnn_tui.safetext import safe_text

_LONGEST = 74_994
"""Bytes in base64: what the strictest terminals (xterm, hterm) take in one sequence."""


def sequence(text: str, *, tmux: bool) -> str | None:
    """Return what puts `text` into the clipboard of a terminal (OSC 52), or None where that is too long for it.

    Args:
        tmux: Within tmux, which takes it itself with `set-clipboard on` and passes it on, wrapped, with
            `allow-passthrough on`: both are sent.
    """
    data = base64.b64encode(text.encode("utf-8", "replace")).decode()
    if len(data) > _LONGEST:
        return None
    plain = f"\x1b]52;c;{data}\x07"
    return plain + f"\x1bPtmux;\x1b{plain}\x1b\\" if tmux else plain


def keep(text: str, path: Path) -> str:
    """Write `text` to `path`, for the user alone to read; return the words that say where it is."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_file(path, text.encode("utf-8", "replace"))
    except (OSError, DiskError):
        return "it could not be kept in a file"
    return f"{safe_text(path)} holds it, too"
