"""Writing a prompt in several lines, here or in the user's own editor."""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.widgets import TextArea
from textual.widgets.text_area import Edit, EditResult

from rnn_tui.errors import InputError
from rnn_tui.safetext import safe_text
from rnn_tui.tui.keys import bind, named

LONGEST = 200_000
"""Characters of a prompt, however it is given."""

_TYPED = str.maketrans({"␉": "\t"})


def show_text(text: str) -> str:
    """Return text as the editor may hold it: lines, with everything in them safe and tabs as `␉`."""
    lines = text[:LONGEST].replace("\r\n", "\n").split("\n")
    return "\n".join(safe_text(line, limit=None) for line in lines)


class Editor(TextArea):
    """A text area for text that goes to a program: whatever comes in is made safe first."""

    PASTES_SAFELY = True

    BINDINGS: ClassVar[list[BindingType]] = named(
        "prompt.editor",
        [bind("ctrl+s", "give", "Give", "In the editor: give the text to the model")],
    )

    DEFAULT_CSS = """
    Editor {
        height: 8; border: none; padding: 0 1; background: $panel;
        &:focus { border: none; }
    }
    .-low Editor { height: 6; }
    """

    class Given(Message):
        """The text is complete."""

    def __init__(self, text: str) -> None:
        super().__init__(show_text(text), soft_wrap=True, show_line_numbers=False, compact=True)
        self.cursor_blink = False
        self.highlight_cursor_line = False

    @property
    def prompt(self) -> str:
        """The text with `␉` as the tab it stands for."""
        return self.text.translate(_TYPED)

    def edit(self, edit: Edit) -> EditResult:
        edit.text = show_text(edit.text)
        return super().edit(edit)

    async def _on_paste(self, event: events.Paste) -> None:
        # Textual runs its own handler too unless it is told not to; this one keeps the room
        event.prevent_default()
        event.stop()
        text = event.text[: max(0, LONGEST - len(self.text))]
        self.replace(text, *self.selection)

    def action_give(self) -> None:
        self.post_message(self.Given())


def edit_elsewhere(text: str) -> str:
    """Have the user's own editor ($VISUAL, $EDITOR, else vi) change a text; blocks until it is left.

    Raises:
        InputError: when it cannot be started, fails, or leaves more than `LONGEST` characters.
    """
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="rnn-tui-") as folder:  # 0700
        file = Path(folder) / "prompt.txt"
        file.write_text(text, "utf-8", errors="replace")
        try:
            ended = subprocess.run([*shlex.split(command), str(file)], check=False)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise InputError(f"the editor {command!r} cannot be started: {why}; set EDITOR") from None
        if ended.returncode:
            raise InputError(f"the editor {command!r} ended with {ended.returncode}; the prompt is as it was")
        return read_text(file).removesuffix("\n")


def read_text(path: Path) -> str:
    """Return the text of a file that is to be a prompt; what is no UTF-8 becomes U+FFFD.

    Raises:
        InputError: when it is no file, cannot be read, or is longer than a prompt may be.
    """
    try:
        # O_NONBLOCK: a named pipe must not hold the app up
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not path.is_file():
                raise InputError(f"{path} is not a file")
            data = file.read(4 * LONGEST + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    if len(text) > LONGEST:
        raise InputError(f"{path} is longer than a prompt may be, {LONGEST:,} characters")
    return text
