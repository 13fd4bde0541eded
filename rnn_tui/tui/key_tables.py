"""Every key table of the app at once: what a keymap is checked against, and what `rnn-tui config keys` lists.

Imports all panes, so nothing that a first screen waits for may import it.
"""

import importlib

from textual.binding import Binding

from rnn_tui.tui.app import PANES, RnnTuiApp
from rnn_tui.tui.keys import rows


def key_tables() -> dict[str, list[Binding]]:
    """Return owner → rows: `app`, and each pane with the widgets in it."""
    found = {"app": rows(RnnTuiApp.BINDINGS)}
    for name in PANES:
        module = importlib.import_module(f"rnn_tui.tui.panes.{name}")
        found[name] = getattr(module, f"{name.capitalize()}Pane").table()
    return found
