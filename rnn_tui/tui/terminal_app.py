"""Textual's App, made to live with real terminals: their bytes, pastes, sizes and clipboards, and with its own end."""

import os
import sys
from typing import Any

from rich.segment import Segments
from textual import events
from textual._compositor import ChopsUpdate
from textual._widget_navigation import Direction
from textual.app import App
from textual.await_complete import AwaitComplete
from textual.driver import Driver as TextualDriver
from textual.geometry import Size
from textual.screen import Screen
from textual.widgets import OptionList

from rnn_tui.paths import state_dir
from rnn_tui.safetext import safe_text
from rnn_tui.tui import clipboard, crash
from rnn_tui.tui.updates import TightUpdate

_move_page = OptionList._move_page


def _move_page_laid_out(self: OptionList, direction: Direction) -> None:
    """Textual's own looks for lines that are not there yet when a page key comes right after the options."""
    if (self.highlighted or 0) in self._index_to_line:
        _move_page(self, direction)


# in its class, since the palette's list and those that fold out of a row are Textual's, too
OptionList._move_page = _move_page_laid_out  # type: ignore[method-assign]


class TerminalApp(App[None]):
    """What of an app has nothing to do with what it shows."""

    def __init__(self) -> None:
        super().__init__()
        # Textual keeps what it parsed of 64 style sheets. The app has more, one for each kind of widget, and all were
        # parsed again for each new one: 51 times while it starts, a third of the processor time of that.
        self.stylesheet._parse_cache.grow(1024)
        self._seen_size: Size | None = None

    def tell(self, text: str) -> None:
        """Show a short message; it may hold text from outside."""
        self.notify(safe_text(text, limit=500), markup=False)

    def fail(self, error: BaseException | str) -> None:
        """Show what went wrong."""
        self.notify(safe_text(error, limit=500), markup=False, severity="error", timeout=10)

    def get_driver_class(self) -> type[TextualDriver]:
        if sys.platform == "win32" or os.environ.get("TEXTUAL_DRIVER"):
            return super().get_driver_class()
        from rnn_tui.tui.driver import Driver

        return Driver

    def _steps(self, key: str) -> int:
        """Return by how many rows a key moves the focus: none where it has another meaning."""
        chain = self.screen._modal_binding_chain
        actions = {row.action for _, table in chain for row in table.key_to_bindings.get(key, ())}
        return (
            {"app.focus_next": 1, "app.focus_previous": -1}.get(actions.pop(), 0) if len(actions) == 1 else 0
        )

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and not event.is_forwarded and (steps := self._steps(event.key)):
            # Textual has it go through every parent of what has the focus first: of a tab and letters right behind it,
            # on a busy machine, the letters would go into the row before
            move = self.screen.focus_next if steps > 0 else self.screen.focus_previous
            move()
            return
        if isinstance(event, events.Paste) and not getattr(self.focused, "PASTES_SAFELY", False):
            # inputs of Textual's own, as in the palette, show what is pasted as it is; ours make it safe themselves
            event.text = safe_text(event.text.strip("\n").partition("\n")[0], limit=500)
        await super().on_event(event)

    def copy_to_clipboard(self, text: str) -> None:
        """Copy what a user has selected; no terminal says whether it took it, so it is kept in a file, too."""
        if not text:  # a cut of nothing would empty the terminal's clipboard
            return
        self._clipboard = text
        kept = clipboard.keep(text, state_dir() / "copied.txt")
        sequence = clipboard.sequence(text, tmux=bool(os.environ.get("TMUX")))
        if sequence is None or self._driver is None:
            self.tell(f"Too long for a terminal's clipboard; {kept}")
            return
        self._driver.write(sequence)
        self.tell(f"Sent to the terminal's clipboard; {kept}")

    def pop_screen(self) -> AwaitComplete:
        """Leave the newest screen; of two keys that close it, pressed faster than it goes, the second does nothing."""
        return super().pop_screen() if len(self.screen_stack) > 1 else AwaitComplete()

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        super()._display(
            screen, TightUpdate.of(renderable) if type(renderable) is ChopsUpdate else renderable
        )

    def on_resize(self, event: events.Resize) -> None:
        """Paint everything where a size that changed changed back before it was heard: the terminal has lost what
        Textual believes is painted."""
        if event.size == self._seen_size:
            self.call_after_refresh(self.repaint_all)
        self._seen_size = event.size

    def repaint_all(self) -> None:
        """Paint everything; after `fg` the terminal is blank and Textual believes it is not."""
        self.screen.refresh(layout=True)
        for widget in self.screen.walk_children():
            widget.refresh()

    def _handle_exception(self, error: Exception) -> None:
        # What a pane that is still being built or filled misses while the app is being taken down harms nobody.
        if self._running:
            super()._handle_exception(error)

    def unsaved(self) -> dict[str, str]:
        """Return what exists on the screen only, by a name for its file: a crash must not lose it."""
        return {}

    def _fatal_error(self) -> None:
        """Textual's own shows the traceback with the values of all variables."""
        if self._exit_renderables:  # what else breaks on the way down says nothing new
            return
        error = self._exception or sys.exc_info()[1] or RuntimeError("unknown")
        error = getattr(error, "error", error)
        folder = state_dir() / "crashes"
        report = crash.write_report(error, folder)
        panel = crash.panel(error, report, crash.save_work(self.unsaved, folder))
        self._exit_renderables.append(Segments(list(self.console.render(panel, self.console.options))))
        self._close_messages_no_wait()
