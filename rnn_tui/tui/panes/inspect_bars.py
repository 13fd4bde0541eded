"""The rows of the Inspect pane: its views, the unit in view with the scale, and the line that asks for something."""

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from rnn_tui.safetext import safe_text
from rnn_tui.tui.panes.inspect_answers import Values
from rnn_tui.tui.panes.inspect_keys import VIEWS
from rnn_tui.tui.panes.inspect_units import Unit
from rnn_tui.tui.widgets.glow import LEVEL_NAMES, level_css, scale_legend
from rnn_tui.tui.widgets.line_input import LineInput
from rnn_tui.tui.widgets.lines import Lines, Span


class ViewTabs(Lines):
    """One row of views; a click on one posts `Chosen`."""

    DEFAULT_CSS = "ViewTabs { height: 1; }"

    class Chosen(Message):
        """A view was clicked."""

        def __init__(self, view: str) -> None:
            super().__init__()
            self.view = view

    def choose(self, view: str) -> None:
        """Mark one view as the current one."""
        self.set_lines(
            [
                tuple(
                    (f" {key} {title} ", "chosen" if name == view else "muted")
                    for name, (key, title, _) in VIEWS.items()
                )
            ]
        )

    def on_click(self, event: events.Click) -> None:
        at = 0
        for name, (key, title, _) in VIEWS.items():
            at += len(f" {key} {title} ")
            if event.x < at:
                self.post_message(self.Chosen(name))
                return


class UnitBar(Lines):
    """The unit in view at the left, the scale of the colours at the right."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"lines--{name}" for name in (*Lines.STYLES, *LEVEL_NAMES)}
    DEFAULT_CSS = f"UnitBar {{ height: 1; {level_css('lines--')} }}"

    def __init__(self, *, signs: bool, ascii: bool, id: str | None = None) -> None:
        super().__init__(id=id)
        self._signs, self._ascii = signs, ascii
        self._shown: tuple[Unit, int, Values, bool, float] | None = None

    def show(self, unit: Unit, of: int, values: Values, starred: bool, bound: float) -> None:
        """Show a unit of `of` in its part; `bound` is the value at the end of the scale."""
        self._shown = unit, of, values, starred, bound
        self._build()

    def clear(self) -> None:
        """Show nothing."""
        self._shown = None
        self.set_lines(())

    def on_resize(self) -> None:
        self._build()

    def _build(self) -> None:
        if self._shown is None:
            return
        unit, of, values, starred, bound = self._shown
        star = ("*" if self._ascii else "★") if starred else " "
        spans: list[Span] = [
            (f"{star} ", "accent"),
            (safe_text(f"{unit.part}  unit {unit.number}", limit=60), "strong"),
            (f" of {of}", "muted"),
        ]
        if values.low is not None and values.high is not None and values.mean is not None:
            spans.append((f"   {values.low:+.2f} to {values.high:+.2f}, mean {values.mean:+.2f}", "muted"))
        legend = scale_legend(bound, signs=self._signs, letters=self.app.native_ansi_color)
        room = self.size.width - sum(cell_len(text) for text, _ in legend)
        if sum(cell_len(text) for text, _ in spans) > room - 2:
            spans.pop()
        gap = room - sum(cell_len(text) for text, _ in spans)
        self.set_lines([(*spans, (" " * gap, "plain"), *legend)] if gap > 0 else [tuple(spans)])


class AskRow(Horizontal):
    """One line to type something in; hidden until `ask`, and again when it was given or left."""

    DEFAULT_CSS = """
    AskRow { height: 1; display: none; background: $panel; }
    AskRow.-asking { display: block; }
    AskRow Static { width: auto; color: $accent; text-style: bold; }
    AskRow LineInput { width: 1fr; background: $panel; }
    """

    class Given(Message):
        """Something was typed and entered; `what` says what it was asked as."""

        def __init__(self, what: str, text: str) -> None:
            super().__init__()
            self.what, self.text = what, text

    def __init__(self) -> None:
        super().__init__()
        self.what = ""

    def compose(self) -> ComposeResult:
        yield Static(markup=False)
        yield LineInput()

    @property
    def line(self) -> LineInput:
        """The input."""
        return self.query_one(LineInput)

    @property
    def asking(self) -> bool:
        """Whether something is being typed."""
        return self.has_class("-asking")

    def ask(self, what: str, placeholder: str, history: Sequence[str] = ()) -> None:
        """Ask for something."""
        self.what = what
        self.query_one(Static).update(Content(safe_text(f"{what}> ")))
        self.line.placeholder = safe_text(placeholder)
        self.line.history = list(history)
        self.line.value = ""
        self.add_class("-asking")
        self.line.focus()

    def leave(self) -> None:
        """Ask no more."""
        self.remove_class("-asking")

    @on(Input.Submitted)
    def _given(self, event: Input.Submitted) -> None:
        event.stop()
        self.line.keep(event.value)
        self.post_message(self.Given(self.what, self.line.text))

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
