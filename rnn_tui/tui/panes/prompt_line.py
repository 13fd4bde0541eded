"""Where a prompt is written: one line with a history, an editor of several lines, or the user's own editor."""

from textual import on
from textual.app import ComposeResult, SuspendNotSupported
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static

from rnn_tui.errors import RnnTuiError
from rnn_tui.safetext import safe_text
from rnn_tui.tui.panes.prompt_commands import suggestions
from rnn_tui.tui.widgets.line_input import LONGEST, LineInput

REMEMBERED = 50
"""Entries of the history that the next start has too."""


class PromptLine(Vertical):
    """The line, or the editor in its place."""

    DEFAULT_CSS = """
    PromptLine { height: 1; }
    PromptLine.-editing { height: auto; }
    PromptLine > Horizontal { height: 1; background: $panel; }
    PromptLine.-editing > Horizontal { display: none; }
    PromptLine .mark { width: 2; color: $accent; text-style: bold; }
    PromptLine LineInput { width: 1fr; background: $panel; }
    """

    class Given(Message):
        """A text was given; `literal` if it is a prompt whatever it begins with."""

        def __init__(self, text: str, literal: bool) -> None:
            super().__init__()
            self.text, self.literal = text, literal

    class Typed(Message):
        """The text of the line changed."""

    class Trouble(Message):
        """Something that was asked for cannot be had."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static(">", classes="mark", markup=False)
            yield LineInput(
                placeholder="a text to go on from; empty: go on writing; /help",
                suggester=SuggestFromList(suggestions(), case_sensitive=True),
                id="prompt-line",
            )

    @property
    def input(self) -> LineInput:
        """The line itself."""
        return self.query_one("#prompt-line", LineInput)

    @property
    def prompt(self) -> str:
        """What was typed and is no command."""
        return "" if self.input.value.startswith("/") else self.input.text

    def remember(self, entries: object, value: object) -> None:
        """Take over what an earlier start kept."""
        if isinstance(entries, list):
            self.input.history = [safe_text(entry) for entry in entries if isinstance(entry, str)]
        if isinstance(value, str):
            self.input.value = value

    def take(self) -> str:
        """Return what was typed, which goes from the line into the history."""
        text = self.input.text
        self.input.keep(self.input.value)
        self.input.value = ""
        return text

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Given(self.input.text, literal=False))

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Typed())

    # -- in several lines -----------------------------------------------------------------------------------------

    @property
    def editing(self) -> bool:
        """Whether the editor is in place of the line."""
        return self.has_class("-editing")

    async def open(self, text: str | None = None) -> None:
        """Put an editor in place of the line, with what was typed if nothing else is given."""
        from rnn_tui.tui.panes.prompt_editor import Editor  # loads a TextArea, which few prompts need

        text = self.prompt if text is None else text
        await self.query(Editor).remove()
        editor = Editor(text)
        self.add_class("-editing")
        await self.mount(editor)
        editor.focus()
        editor.move_cursor(editor.document.end)

    async def close(self, *, keep: bool) -> None:
        """Show the line again, with the text of the editor if it is to be kept."""
        from rnn_tui.tui.panes.prompt_editor import Editor

        for editor in self.query(Editor):
            if keep and len(editor.prompt) > LONGEST:
                self.post_message(self.Trouble("too long for one line; ctrl+s gives it to the model"))
                return
            self.input.value = editor.prompt if keep else ""
            await editor.remove()
        self.remove_class("-editing")
        self.input.cursor_position = len(self.input.value)
        self.input.focus()

    async def on_editor_given(self) -> None:
        from rnn_tui.tui.panes.prompt_editor import Editor

        text = self.query_one(Editor).prompt
        await self.close(keep=False)
        self.post_message(self.Given(text, literal=True))

    async def edit_elsewhere(self) -> None:
        """Have the user's own editor change the text; the app sleeps meanwhile."""
        from rnn_tui.tui.panes.prompt_editor import Editor, edit_elsewhere

        text = self.query_one(Editor).prompt if self.editing else self.prompt
        try:
            with self.app.suspend():
                text = edit_elsewhere(text)
        except SuspendNotSupported:
            self.post_message(
                self.Trouble("the app cannot be put to sleep here; ctrl+o writes several lines")
            )
        except RnnTuiError as error:
            self.post_message(self.Trouble(str(error)))
        else:
            if self.editing or "\n" in text or len(text) > LONGEST:
                await self.open(text)
            else:
                self.input.value = text
                self.input.cursor_position = len(self.input.value)
