"""Every key table of the app at once: what a keymap is checked against, and what `rnn-tui config keys` lists.

Imports all panes, so nothing that a first screen waits for may import it.
"""

from textual.binding import Binding

from rnn_tui.tui.app import PANES, RnnTuiApp, pane_class
from rnn_tui.tui.keys import rows


def key_tables() -> dict[str, list[Binding]]:
    """Return owner → rows: `app`, and each pane with the widgets in it."""
    return {"app": rows(RnnTuiApp.BINDINGS), **{name: pane_class(name).table() for name in PANES}}
