"""A one-line input for text that goes to a program, not to the terminal.

Whatever is typed, pasted or set is made safe first; a newline shows as `␊` and goes out as a newline again (`text`).
The cursor does not blink: a blinking one sends 2.5 kB/s for ever.
"""

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.suggester import Suggester
from textual.widgets import Input

from rnn_tui.safetext import safe_text

HISTORY = 200
LONGEST = 20_000
"""Characters; a longer paste is cut."""
_TYPED = str.maketrans({"␊": "\n", "␉": "\t"})


class OrderedInput(Input):
    """An input whose own keys act in the order in which they are pressed.

    Textual lets a letter act at once, but a key with a binding only when it has gone through every parent: of ctrl+u
    and a letter right behind it, on a busy machine, the letter would come first and be gone.
    """

    async def on_key(self, event: events.Key) -> None:
        for binding in self._bindings.key_to_bindings.get(event.key, ()):
            event.stop()
            event.prevent_default()
            await self.app.run_action(binding.action, self)
            return


class LineInput(OrderedInput):
    """An input without frame, with a history if `history` is set."""

    PASTES_SAFELY = True

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "earlier(-1)", "Earlier entry", show=False),
        Binding("down", "earlier(1)", "Later entry", show=False),
        Binding("ctrl+j", "newline", "Newline", show=False),
    ]

    def __init__(
        self,
        value: str = "",
        *,
        placeholder: str = "",
        suggester: Suggester | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(
            safe_text(value), placeholder=placeholder, suggester=suggester, id=id, classes=classes, compact=True,
            select_on_focus=False,
        )  # fmt: skip
        self.cursor_blink = False
        self.history: list[str] = []
        self._place = 0
        self._draft = ""

    @property
    def text(self) -> str:
        """The value with `␊` and `␉` as the newline and tab they stand for."""
        return self.value.translate(_TYPED)

    def validate_value(self, value: str) -> str:
        """Keep what is shown, and so what is held, safe."""
        return safe_text(value, limit=LONGEST)

    def keep(self, entry: str) -> None:
        """Add to the history; an entry given twice in a row is kept once."""
        if entry and self.history[-1:] != [entry]:
            self.history = [*self.history, entry][-HISTORY:]
        self._place = 0

    def action_earlier(self, step: int) -> None:
        """Walk through the entries that hold what was typed, which waits at their end."""
        if self._place == 0 or self.value != self.history[self._place]:
            self._place, self._draft = 0, self.value
        place = self._place + step
        while -len(self.history) <= place < 0 and self._draft not in self.history[place]:
            place += step
        if -len(self.history) <= place <= 0 and place != self._place:
            self._place = place
            self.value = self.history[place] if place else self._draft
            self.cursor_position = len(self.value)

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Return whether a key types something here, and so is no hint for the footer.

        Textual finds no character for the name of the slash, and would show what it does outside of the input.
        """
        return key == "slash" or super().check_consume_key(key, character)

    def action_newline(self) -> None:
        self.insert_text_at_cursor("␊")

    def _on_paste(self, event: events.Paste) -> None:
        # Textual's own takes the first line only, and runs too unless it is told not to.
        event.prevent_default()
        event.stop()
        text = event.text.rstrip("\n").replace("\r\n", "\n")
        self.replace(safe_text(text, limit=LONGEST), *self.selection)
