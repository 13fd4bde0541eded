"""Jump keys: a letter on everything that can have the focus; the letter goes there."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.events import Key
from textual.widget import Widget
from textual.widgets import Static

from rnn_tui.safetext import safe_text
from rnn_tui.tui.dialogs import Modal
from rnn_tui.tui.keys import bind
from rnn_tui.tui.panes.base import Pane

LETTERS = "asdfghjklqwertyuiopzxcvbnm"


def targets(widgets: Sequence[Widget]) -> list[tuple[str, Widget]]:
    """Return a letter for each widget that is in view and can have the focus, from the top left on."""
    seen = [one for one in widgets if one.focusable and one.region.area and not isinstance(one, Pane)]
    seen.sort(key=lambda widget: (widget.region.y, widget.region.x))
    return list(zip(LETTERS, seen, strict=False))


class Jump(Modal[Widget | None]):
    """The letters, over the screen as it is; any other key leaves."""

    DEFAULT_CSS = """
    Jump { background: transparent; layers: letters; }
    Jump > Static {
        layer: letters; width: 3; height: 1; background: $accent; color: $background; text-style: bold;
        content-align: center middle;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("escape", "dismiss(None)", "Cancel", "Stay where you are", footer=True)
    ]

    def __init__(self, marked: Sequence[tuple[str, Widget]]) -> None:
        super().__init__()
        self._marked = dict(marked)

    def compose(self) -> ComposeResult:
        for letter, widget in self._marked.items():
            mark = Static(Content(safe_text(letter)))
            mark.styles.position = "absolute"
            mark.styles.offset = (widget.region.x, widget.region.y)
            yield mark

    def on_key(self, event: Key) -> None:
        event.stop()
        self.dismiss(self._marked.get(event.key))
