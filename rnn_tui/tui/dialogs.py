"""The three dialogs of the app: a question, a value, the help page."""

from collections.abc import Callable, Iterable
from textwrap import fill
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from rnn_tui.safetext import safe_text
from rnn_tui.tui.keys import bind
from rnn_tui.tui.widgets.line_input import LineInput

BOX = """
    align: center middle;
    & > .box {
        width: 64; max-width: 95%; height: auto; max-height: 90%;
        padding: 0 2; background: $surface; border: round $primary;
    }
    &.-ascii > .box { border: ascii $primary; }
    .hint { color: $foreground 60%; }
    .error { color: $text-error; height: auto; }
"""


_HELP_WIDTH = 76
_AROUND = 8
"""Cells of border, padding and scroll bar."""

Answer = TypeVar("Answer")


class Modal(ModalScreen[Answer]):
    """A screen over the others that leaves once.

    Textual's own takes the newest screen away whichever asks for it, so of two keys that are pressed quickly the second
    would close what lies below.
    """

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        return super().dismiss(result) if self.is_active else AwaitComplete()


class Dialog(Modal[str | None]):
    """A box in the middle; escape leaves it with None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("escape", "leave", "Cancel", "Close without doing anything", footer=True)
    ]

    def on_mount(self) -> None:
        self.set_class(bool(getattr(self.app, "ascii", False)), "-ascii")

    def action_leave(self) -> None:
        self.dismiss(None)


class Confirm(Dialog):
    """Asks before something that cannot be taken back; answers "yes" or None."""

    DEFAULT_CSS = f"Confirm {{ {BOX} #keys {{ margin-top: 1; }} }}"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("y,enter", "dismiss('yes')", "Yes", "Do it", footer=True),
        bind("n", "dismiss(None)", "No", "Leave it", footer=True),
    ]

    def __init__(self, question: str, explanation: str = "") -> None:
        super().__init__()
        self.question, self.explanation = safe_text(question), safe_text(explanation)

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(Content(self.question))
            if self.explanation:
                yield Static(Content(self.explanation), classes="hint")
            yield Static(Content("y yes    n no"), id="keys", classes="hint")


class Ask(Dialog):
    """Asks for one value; `check` returns what is wrong with it, or the empty string."""

    DEFAULT_CSS = f"Ask {{ {BOX} Input {{ margin: 1 0; }} }}"

    def __init__(self, question: str, value: str, check: Callable[[str], str]) -> None:
        super().__init__()
        self.question, self.value, self.check = safe_text(question), value, check

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(Content(self.question))
            yield LineInput(self.value)
            yield Static("", classes="error")
            yield Static(Content("enter keeps it    esc cancels"), classes="hint")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        wrong = self.check(event.value)
        if wrong:
            self.query_one(".error", Static).update(Content(safe_text(wrong)))
        else:
            self.dismiss(event.value)


class Help(Dialog):
    """Every key, from the table that dispatches them."""

    DEFAULT_CSS = f"""
    Help {{ {BOX}
        & > .box {{ width: {_HELP_WIDTH}; height: 90%; }}
    }}
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("q,f1,question_mark", "dismiss(None)", "Close", "Close the help", footer=True),
        bind("j", "scroll_help(1)", "Down", "Scroll down"),
        bind("k", "scroll_help(-1)", "Up", "Scroll up"),
    ]

    def __init__(
        self, tables: Iterable[tuple[str, list[Binding]]], key_name: Callable[[Binding], str]
    ) -> None:
        super().__init__()
        self.tables, self.key_name = list(tables), key_name

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box"):
            for title, table in self.tables:
                yield Static(Content.styled(safe_text(title), "bold $primary"))
                # Two keys for the same action are one row.
                by_action: dict[str, list[Binding]] = {}
                for row in table:
                    by_action.setdefault(row.action, []).append(row)
                text = "\n".join(
                    fill(
                        f"{' '.join(self.key_name(row) for row in same):>12}  {same[0].tooltip}",
                        max(40, min(_HELP_WIDTH, self.app.size.width * 95 // 100) - _AROUND),
                        subsequent_indent=" " * 14,
                    )
                    for same in by_action.values()
                )
                yield Static(Content(safe_text(text, newlines=True) + "\n"))
            yield Static(
                Content(
                    "Mouse: click a tab, a key below or a row. On a chart: point to read it, wheel to zoom, drag a "
                    "range to look closer or to pan, double click for all of it."
                ),
                classes="hint",
            )

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(VerticalScroll).focus()

    def action_scroll_help(self, direction: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=3 * direction, animate=False)
