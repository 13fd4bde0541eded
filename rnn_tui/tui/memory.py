"""What the app remembers between starts: the last pane, run, theme. Losing it never matters."""

import json
from pathlib import Path
from typing import Any

from rnn_tui.errors import DiskError
from rnn_tui.files import replace_file

_LARGEST = 1 << 20


def read_memory(path: Path) -> dict[str, Any]:
    """Return what was remembered; nothing if the file is missing, damaged or absurd."""
    try:
        if path.stat().st_size > _LARGEST:
            return {}
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def write_memory(path: Path, values: dict[str, Any]) -> None:
    """Write `values` in one step; a full disk or a read-only home is no reason to disturb anybody."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_file(path, json.dumps(values, indent=1).encode())
    except (OSError, DiskError, TypeError, ValueError):
        return
