"""The lists that come in place of the transcript: turns and branches, and snapshots."""

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from textual.binding import BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from rnn_tui.safetext import safe_text
from rnn_tui.tui.keys import bind, named
from rnn_tui.tui.panes.prompt_tree import Row, Tree, path
from rnn_tui.tui.panes.prompt_turns import Turn
from rnn_tui.tui.widgets.bars import MUTED

DEEPEST = 8
"""Forks that are shown by indentation; deeper ones are not indented further."""


class Listing(OptionList):
    """A list with a cursor; subclasses say what keys do to the row under it."""

    DEFAULT_CSS = """
    Listing {
        display: none; height: 1fr; margin-top: 1; border: none; padding: 0; background: transparent;
        &:focus { background-tint: transparent; border: none; }
        &:focus > .option-list--option-highlighted { color: $foreground; background: $primary-muted; text-style: none; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, markup=False)

    @property
    def room(self) -> int:
        """Cells of a row beside the scrollbar, which the stage knows while the list is hidden still."""
        width = self.parent.size.width if isinstance(self.parent, Widget) else 0
        return max(24, (width or self.app.size.width - 2) - 2)

    def put(self, rows: Sequence[Content], at: int) -> None:
        """Show `rows` with the cursor on one of them."""
        self.clear_options()
        self.add_options([Option(row) for row in rows])
        self.highlighted = min(max(0, at), len(rows) - 1) if rows else None


class TurnList(Listing):
    """Every turn of every branch."""

    BINDINGS: ClassVar[list[BindingType]] = named(
        "prompt.turns",
        [
            bind("enter", "go", "Go there", "In the list of turns: go on from this turn; nothing is lost"),
            bind("n", "new_branch", "Branch", "In the list of turns: a new branch after this turn"),
            bind("z", "undo_to", "Undo to", "In the list of turns: take back all that comes after this turn"),
            bind("d", "drop_branch", "Drop branch", "In the list of turns: remove the branch that ends here"),
            bind("c,y", "copy_turn", "Copy", "In the list of turns: copy its text"),
            bind("j", "cursor_down", "Down", "In a list: the row below"),
            bind("k", "cursor_up", "Up", "In a list: the row above"),
        ],
    )

    class Wanted(Message):
        """Something is to be done with a turn; `row` says which branches end in it."""

        def __init__(self, action: str, row: Row) -> None:
            super().__init__()
            self.action, self.row = action, row

    class Over(Message):
        """The cursor is on a turn."""

        def __init__(self, turn: Turn) -> None:
            super().__init__()
            self.turn = turn

    def __init__(self, *, ascii: bool, id: str | None = None) -> None:
        super().__init__(id=id)
        self._ascii = ascii
        self.turns: list[Row] = []

    def show(self, tree: Tree) -> None:
        """List the turns of a tree, with the cursor where its transcript ends."""
        self.turns = tree.rows()
        width = self.room
        here = next((at for at, row in enumerate(self.turns) if row.turn is tree.last), 0)
        current = tree.current.name
        self.put([turn_row(row, current, width, ascii=self._ascii) for row in self.turns], here)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        if event.option_index < len(self.turns):
            self.post_message(self.Over(self.turns[event.option_index].turn))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._want("go")

    def _want(self, action: str) -> None:
        if self.highlighted is not None:
            self.post_message(self.Wanted(action, self.turns[self.highlighted]))

    def action_go(self) -> None:
        self._want("go")

    def action_new_branch(self) -> None:
        self._want("branch")

    def action_undo_to(self) -> None:
        self._want("undo")

    def action_drop_branch(self) -> None:
        self._want("drop")

    def action_copy_turn(self) -> None:
        self._want("copy")


class SnapshotList(Listing):
    """The snapshots of the conversation in view."""

    BINDINGS: ClassVar[list[BindingType]] = named(
        "prompt.snapshots",
        [
            bind(
                "enter", "go", "Go there", "In the list of snapshots: go on from it, in a branch of its own"
            ),
            bind("d", "forget", "Forget", "In the list of snapshots: forget it"),
            bind("j", "cursor_down", "Down", "In a list: the row below"),
            bind("k", "cursor_up", "Up", "In a list: the row above"),
        ],
    )

    class Wanted(Message):
        """Something is to be done with a snapshot."""

        def __init__(self, action: str, name: str) -> None:
            super().__init__()
            self.action, self.name = action, name

    def show(self, tree: Tree) -> None:
        """List the snapshots of a tree."""
        self.names = list(tree.snapshots)
        widest = max((cell_len(safe_text(name)) for name in self.names), default=0)
        width = self.room
        self.put([snapshot_row(name, tree.snapshots[name], widest, width) for name in self.names], 0)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._want("go")

    def _want(self, action: str) -> None:
        if self.highlighted is not None:
            self.post_message(self.Wanted(action, self.names[self.highlighted]))

    def action_go(self) -> None:
        self._want("go")

    def action_forget(self) -> None:
        self._want("forget")


def excerpt(text: str, room: int) -> str:
    """Return the beginning of a text as one safe line of at most `room` cells."""
    shown = safe_text(" ".join(text[: 4 * max(0, room)].split()))
    if cell_len(shown) <= room:
        return shown
    return set_cell_size(shown, room - 1).rstrip() + "…" if room > 0 else ""


def turn_row(row: Row, current: str, width: int, *, ascii: bool) -> Content:
    """Return a turn as one line: its place in the tree, what was asked and answered, what ends here."""
    turn = row.turn
    fork = ("`-" if ascii else "└ ") if row.forks else ""
    indent = "  " * (min(row.depth, DEEPEST) - bool(fork)) + fork
    here = ("<" if ascii else "◂") + " here"
    names = [here if name == current else name for name in row.branches]
    marks = [f"{'*' if ascii else '★'} {name}" for name in row.snapshots]
    labels = "  ".join([*names, *marks])
    labels = safe_text(labels, limit=width // 2)
    room = width - cell_len(indent) - 5 - (cell_len(labels) + 2 if labels else 0)
    prompt = excerpt(turn.prompt, room // 2)
    apart = not prompt or turn.prompt[-1:].isspace() or turn.completed[:1].isspace()
    arrow = turn.arrow if prompt and turn.arrow else " " * apart
    made = excerpt(turn.completed, room - cell_len(prompt) - len(arrow))
    gap = room - cell_len(prompt) - len(arrow) - cell_len(made)
    return Content.assemble(
        (safe_text(f"{indent}{row.number:>3}  "), MUTED),
        (safe_text(prompt), "bold $accent" if row.shown else "$accent 60%"), safe_text(arrow),
        (safe_text(made), "$foreground" if row.shown else MUTED),
        (" " * max(0, gap) + ("  " if labels else "") + safe_text(labels), "bold $primary"),
    )  # fmt: skip


def snapshot_row(name: str, turn: Turn, widest: int, width: int) -> Content:
    """Return a snapshot as one line: its name, how much it holds, how its text ends."""
    turns = path(turn)
    text = " ".join("".join(earlier.text for earlier in turns[-20:]).split())
    told = f"{len(turns):,} turns"
    shown = safe_text(name, limit=40)
    room = max(10, width - max(widest, cell_len(shown)) - len(told) - 6)
    end = ("…" if len(text) > room else "") + safe_text(text[-room + 1 :])
    gap = " " * max(0, widest - cell_len(shown))
    return Content.assemble((shown + gap, "bold $accent"), (f"  {told}  ", MUTED), safe_text(end))
