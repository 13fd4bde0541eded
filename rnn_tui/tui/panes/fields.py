"""A setting as a row of a form: label, editor, help or what is wrong. Made from an `OptionInfo`."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Input, Select, Static

from rnn_tui.safetext import safe_text
from rnn_tui.tui.widgets.line_input import LONGEST, OrderedInput

if TYPE_CHECKING:
    from rnn_tui.plugin.options import OptionInfo


class Entry(OrderedInput):
    """A one-row input that does not blink: a blinking cursor sends bytes for ever. Up and down go to other fields."""

    def __init__(self, value: str, *, suggestions: Sequence[str] = ()) -> None:
        super().__init__(
            value,
            compact=True,
            select_on_focus=False,
            suggester=SuggestFromList(suggestions, case_sensitive=False) if suggestions else None,
        )
        self.cursor_blink = False

    def validate_value(self, value: str) -> str:
        """Keep what is shown, and so what is held, safe; a setting of another run may hold anything."""
        return safe_text(value, limit=LONGEST)

    async def on_key(self, event: events.Key) -> None:
        if event.key in ("up", "down", "enter"):
            event.stop()
            event.prevent_default()
            if event.key == "up":
                self.screen.focus_previous()
            else:
                self.screen.focus_next()


class Field(Horizontal):
    """One setting. `section` and `key` say which; `path` is what messages call it."""

    DEFAULT_CSS = """
    Field { height: 1; }
    Field > .label {
        width: 18; padding-right: 1; color: $foreground 75%; text-overflow: ellipsis; text-wrap: nowrap;
    }
    Field > .help {
        width: 1fr; height: 1; padding-left: 2; color: $foreground 50%; text-overflow: ellipsis; text-wrap: nowrap;
    }
    Field > Entry { width: 30; background: $panel; padding: 0 1; }
    Field > Entry:focus { background: $primary 25%; }
    Field > Select { width: 30; }
    Field > Select > SelectOverlay { margin-bottom: 1; }
    Field > Select > SelectCurrent { background: $panel; padding: 0 1; }
    Field > Select:focus > SelectCurrent { background: $primary 25%; }
    Field.-wrong { height: auto; }
    Field.-wrong > .label { color: $text-error; text-style: bold; }
    Field.-wrong > .help { color: $text-error; height: auto; text-wrap: wrap; }
    """

    class Changed(Message):
        """The user chose another value."""

        def __init__(self, field: "Field") -> None:
            super().__init__()
            self.field = field

    def __init__(
        self,
        section: str,
        info: "OptionInfo",
        value: Any = None,
        *,
        label: str = "",
        suggestions: Sequence[str] = (),
        origin: str = "",
    ) -> None:
        super().__init__(classes="setting")
        self.section, self.info = section, info
        self._initial = info.default if value is None else value
        self._label = label or info.name.replace("_", " ")
        self._suggestions = suggestions
        self._origin: tuple[str, Any] = (origin, value)
        """Who gave the value that is entered, and that value."""

    @property
    def path(self) -> str:
        """The setting's name in messages: section.key."""
        return f"{self.section}.{self.info.name}"

    def compose(self) -> ComposeResult:
        yield Static(Content(safe_text(self._label, limit=17)), classes="label")
        yield self._editor()
        yield Static(self._help(), classes="help")

    def _editor(self) -> Widget:
        if self.info.type in ("choice", "bool"):
            words = self.info.choices if self.info.type == "choice" else ("yes", "no")
            return Select(
                [(Content(safe_text(word)), word) for word in words],
                value=self._word(self._initial, words),
                allow_blank=False,
                compact=True,
            )
        return Entry(self._shown(self._initial), suggestions=self._suggestions)

    def _word(self, value: Any, words: Sequence[str]) -> str:
        if self.info.type == "bool":
            return "yes" if value is True or value == "yes" else "no"
        return str(value) if value in words else words[0]

    def _shown(self, value: Any) -> str:
        if isinstance(value, list | tuple):
            if self.info.many and self.info.type == "str":  # in quotes: a space at the end means something
                return ", ".join(map(_quoted, value))
            return ", ".join(map(self._shown, value))
        return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)

    @property
    def value(self) -> Any:
        """What is entered, in the setting's type where it can be read so; else the text, for the check to refuse."""
        editor = self.children[1]
        if isinstance(editor, Select):
            chosen = self._initial if editor.value is Select.NULL else editor.value  # not mounted yet
            return chosen in (True, "yes") if self.info.type == "bool" else chosen
        assert isinstance(editor, Input)
        if self.info.many and self.info.type == "str":
            return self._texts(editor.value)
        if self.info.many or self.info.type == "choices":
            return [self._read(part.strip()) for part in editor.value.split(",") if part.strip()]
        return self._read(editor.value if self.info.type == "str" else editor.value.strip())

    def _read(self, text: str) -> Any:
        if self.info.type in ("int", "float"):
            try:
                return int(text.replace(",", "").replace("_", "")) if self.info.type == "int" else float(text)
            except ValueError:
                return text
        return text

    def _texts(self, entered: str) -> list[Any]:
        """Read texts in quotes; what has none is one text, as on the command line."""
        try:
            return list(json.loads(f"[{entered}]"))
        except ValueError:
            return [entered]

    def set_value(self, value: Any, origin: str = "") -> None:
        """Put `value` into the editor; beside it stands who gave it, until it is changed."""
        self._origin = (origin, value)
        editor = self.children[1]
        if isinstance(editor, Select):
            words = self.info.choices if self.info.type == "choice" else ("yes", "no")
            editor.value = self._word(value, words)
        elif isinstance(editor, Input):
            editor.value = self._shown(value)
            editor.cursor_position = len(editor.value)
        self.set_wrong("")

    def set_choices(self, words: Sequence[str]) -> None:
        """Offer other words, keeping what is chosen if it is still among them."""
        from dataclasses import replace

        chosen = self.value
        self.info = replace(self.info, choices=tuple(words))
        editor = self.query_one(Select)
        with self.prevent(Select.Changed):
            editor.set_options([(Content(safe_text(word)), word) for word in words])
            editor.value = chosen if chosen in words else words[0]

    def set_help(self, text: str) -> None:
        """Say something else about the setting."""
        from dataclasses import replace

        self.info = replace(self.info, help=text)
        self.set_wrong("")

    def set_wrong(self, message: str) -> None:
        """Show in red what is wrong, or the help again for the empty string."""
        self.set_class(bool(message), "-wrong")
        self.query_one(".help", Static).update(Content(safe_text(message)) if message else self._help())

    def _help(self) -> Content:
        origin, value = self._origin
        given_by = safe_text(f"from {origin}: ", limit=60) if origin and self.value == _plain(value) else ""
        return Content.assemble((given_by, "$accent"), safe_text(self.info.help))

    def focus_editor(self) -> None:
        """Put the cursor here."""
        self.children[1].focus()

    def on_select_changed(self, event: Select.Changed) -> None:
        event.stop()
        if self._origin[0]:
            self.set_wrong("")
        self.post_message(self.Changed(self))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.has_class("-wrong") or self._origin[0]:
            self.set_wrong("")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _quoted(text: Any) -> str:
    """Return a text in quotes, readable where it can be and escaped where it would not be shown as it is."""
    readable = json.dumps(text, ensure_ascii=False)
    return readable if safe_text(readable, limit=None) == readable else json.dumps(text)
