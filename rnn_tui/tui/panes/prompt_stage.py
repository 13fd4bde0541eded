"""What stands above the prompt line: the columns with their transcripts, or a list or a batch in their place."""

from pathlib import Path

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widget import Widget

from rnn_tui.errors import UsageError
from rnn_tui.tui.engine_client import EngineClient
from rnn_tui.tui.panes.prompt_batch import BatchView
from rnn_tui.tui.panes.prompt_column import Column
from rnn_tui.tui.panes.prompt_commands import help_spans
from rnn_tui.tui.panes.prompt_export import Told
from rnn_tui.tui.panes.prompt_lists import SnapshotList, TurnList
from rnn_tui.tui.panes.prompt_tree import Row
from rnn_tui.tui.panes.prompt_turns import Turn
from rnn_tui.tui.widgets.tail import TailView

SLOTS = ("main", "second", "third", "fourth")
"""Models that the engine holds at once."""

NARROWEST = 36
"""Cells of a column; where they would be narrower, one is shown at a time."""


_VIEWS = ("-turns", "-snapshots", "-batch", "-commands")
"""Classes of the stage: what stands in place of the columns."""


class Stage(Vertical):
    """One to four columns, of which one is active, and what can be looked at in place of them."""

    DEFAULT_CSS = """
    Stage > #prompt-columns { height: 1fr; }
    Stage > .commands { display: none; margin-top: 1; padding: 0; }
    Stage.-turns, Stage.-snapshots, Stage.-batch, Stage.-commands { & > #prompt-columns { display: none; } }
    Stage.-several Column { border-left: vkey $panel; padding-left: 1; }
    Stage.-several Column.-first { border-left: none; padding-left: 0; }
    Stage.-several ModelBar > Horizontal { layout: vertical; height: 2; }
    Stage.-several Select { width: 1fr; }
    Stage.-several Static.info { margin-left: 0; }
    Stage.-several .-active SelectCurrent { background: $primary-muted; text-style: bold; }
    Stage.-turns TurnList, Stage.-snapshots SnapshotList, Stage.-batch BatchView { display: block; }
    Stage.-commands > .commands { display: block; }
    """

    class Turned(Message):
        """Another column is active."""

    class Left(Message):
        """The columns are back in the place of something else."""

    def __init__(self, client: EngineClient, runs_dir: Path, *, ascii: bool) -> None:
        super().__init__()
        self._client, self._runs_dir, self._ascii = client, runs_dir, ascii
        self.columns = [self._column(SLOTS[0])]
        self.column = self.columns[0]
        self.turns = TurnList(ascii=ascii)
        self.snapshots = SnapshotList()
        self.choices = BatchView()
        self.commands = TailView(classes="commands")
        self.colours = ""

    def _column(self, slot: str) -> Column:
        return Column(self._client, slot, self._runs_dir, ascii=self._ascii)

    def compose(self) -> ComposeResult:
        yield Horizontal(*self.columns, id="prompt-columns")
        yield self.turns
        yield self.snapshots
        yield self.choices
        yield self.commands

    # -- columns --------------------------------------------------------------------------------------------------

    async def add(self) -> Column | None:
        """Open another column and make it the active one; None where there are four."""
        free = [slot for slot in SLOTS if slot not in {column.session.slot for column in self.columns}]
        if not free:
            return None
        column = self._column(free[0])
        column.tail.show_colours(self.colours)
        await self.query_one("#prompt-columns").mount(column)
        self.columns.append(column)
        self.activate(column)
        return column

    async def close(self) -> bool:
        """Take the active column away, with its model; the last one stays."""
        if len(self.columns) == 1:
            return False
        column = self.column
        column.end()
        self._client.unload(column.session.slot)
        self.columns.remove(column)
        self.activate(self.columns[-1])
        await column.remove()
        return True

    def activate(self, column: Column) -> None:
        """Make a column the one that keys and lists are about."""
        self.column = column
        self.leave()
        self._place()
        self.post_message(self.Turned())

    def turn_to_next(self) -> None:
        """Make the next column the active one."""
        self.activate(self.columns[(self.columns.index(self.column) + 1) % len(self.columns)])

    @property
    def several(self) -> bool:
        """Whether models stand side by side."""
        return len(self.columns) > 1

    def _place(self) -> None:
        together = len(self.columns) * NARROWEST <= max(self.size.width, NARROWEST)
        self.set_class(self.several, "-several")
        for number, column in enumerate(self.columns, 1):
            column.models.place("" if together else f"{number} of {len(self.columns)}, f10: next")
            column.display = together or column is self.column
            column.set_class(column is self.column, "-active")
            column.set_class(column is self.columns[0] or not together, "-first")

    def on_resize(self, event: events.Resize) -> None:
        self._place()

    def on_click(self, event: events.Click) -> None:
        for column in self.columns:
            if (
                event.widget is not None
                and column in event.widget.ancestors_with_self
                and column is not self.column
            ):
                self.activate(column)

    def show_colours(self, measure: str) -> None:
        """Colour everything that models wrote by a measure; the empty string is by kind."""
        self.colours = measure
        self.choices.show_colours(measure)
        for column in self.columns:
            column.tail.show_colours(measure)

    def told(self) -> list[Told]:
        """Return what there is to export, column by column."""
        return [
            Told(
                column.models.model_name,
                column.session.path,
                column.session.loaded.event if column.session.loaded else None,
                column.talk.turns,
            )
            for column in self.columns
        ]

    # -- in place of the columns ----------------------------------------------------------------------------------

    def leave(self) -> bool:
        """Show the columns again; return whether something else was there."""
        was = any(map(self.has_class, _VIEWS))
        self.remove_class(*_VIEWS)
        if was:
            self.post_message(self.Left())
        return was

    def _show(self, view: str, widget: Widget) -> None:
        self.remove_class(*_VIEWS)
        self.add_class(view)
        widget.focus()

    def show_turns(self) -> None:
        """List the turns and branches of the active column."""
        if not self.column.talk.all():
            self.column.say("no turns yet; give a prompt first")
            return
        self.turns.show(self.column.talk)
        self._show("-turns", self.turns)

    def show_snapshots(self) -> None:
        """List the snapshots of the active column."""
        if not self.column.talk.snapshots:
            self.column.say("no snapshots yet; /save NAME keeps this place")
            self.leave()
            return
        self.snapshots.show(self.column.talk)
        self._show("-snapshots", self.snapshots)
        self.column.say("enter goes on from it   d forgets it   esc leaves")

    def show_commands(self) -> None:
        """List what can be typed after a slash."""
        self.commands.write_all(help_spans())
        self.commands.action_top()
        self._show("-commands", self.commands)
        self.column.say("up and down scroll   esc leaves")

    def draw(self, turn: Turn, n: int) -> None:
        """Draw `n` completions of a turn in the active column, to pick from."""
        self.choices.begin(n)
        self._show("-batch", self.choices)
        self.column.draw(turn, n, self.choices)

    @on(TurnList.Over)
    def _over(self, event: TurnList.Over) -> None:
        facts = " · ".join(event.turn.facts())
        keys = "enter goes on from it   n branches   z undoes to it   c copies   d drops its branch"
        self.column.say(f"{facts}   {keys}")

    @on(TurnList.Wanted)
    def _turn_wanted(self, event: TurnList.Wanted) -> None:
        row, column = event.row, self.column
        tree = column.talk
        try:
            match event.action:
                case "go" if row.branches:
                    self._show_branch(row.branches[0])
                case "go" | "branch":
                    column.end()
                    column.say(f"branch {tree.branch(row.turn).name} begins here; the others are kept")
                case "undo" if row.shown:
                    column.undo(row.turn)
                    column.say(f"everything after turn {row.number} is taken back")
                case "undo":
                    raise UsageError("that turn is in another branch; enter goes there first")
                case "copy":
                    self.app.copy_to_clipboard(row.turn.text)
                    return
                case "drop":
                    self._drop(row)
                    return
        except UsageError as error:
            column.say(str(error), bad=True)
            return
        column.refresh_transcript()
        self.leave()

    def _show_branch(self, name: str) -> None:
        self.column.end()
        self.column.talk.show(name)
        self.column.say(f"branch {name}")

    def _drop(self, row: Row) -> None:
        column = self.column
        if not row.branches:
            raise UsageError("no branch ends in this turn; z undoes to a turn")
        for name in row.branches:
            column.session.forget(column.talk.drop(name))
        self.turns.show(column.talk)

    def show_branch(self, name: str) -> None:
        """Show a branch of the active column; raises UsageError where there is none of the name."""
        self._show_branch(name)
        self.column.refresh_transcript()

    @on(SnapshotList.Wanted)
    def _snapshot_wanted(self, event: SnapshotList.Wanted) -> None:
        if event.action == "forget":
            self.column.session.forget(self.column.talk.remove(event.name))
            self.show_snapshots()
        else:
            self.leave()
            self.go_to(event.name)

    def go_to(self, name: str) -> None:
        """Go on from a snapshot in a branch of its own; raises UsageError where there is none of the name."""
        column = self.column
        turn = column.talk.snapshot(name)
        column.end()
        here = next((branch.name for branch in column.talk.branches if branch.tip is turn), None)
        branch = column.talk.branch(turn) if here is None else column.talk.show(here)
        column.refresh_transcript()
        column.say(f"snapshot {name}, in branch {branch.name}")

    @on(BatchView.Changed)
    def _batch_changed(self) -> None:
        if self.has_class("-batch") and self.choices.status:
            self.column.say(self.choices.status)

    @on(BatchView.Picked)
    def _batch_picked(self, event: BatchView.Picked) -> None:
        column = self.column
        column.end()
        column.take(event.turn)
        if event.keep:
            for other in event.others:
                column.talk.graft(other, event.turn.parent)
        else:
            column.session.forget(event.others)
        self.leave()
        kept = f"; {len(event.others)} others are branches (f7)" if event.keep and event.others else ""
        column.say(f"{len(event.turn.made):,} tokens taken{kept}   enter goes on")

    def drop_batch(self) -> None:
        """Let the completions go."""
        self.column.session.forget(self.choices.turns)
        self.leave()
        self.column.say("the batch is dropped")
