"""The prompt pane: one line that feeds the models above it, with the settings of the draw beside them."""

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.timer import Timer

from rnn_tui.errors import RnnTuiError
from rnn_tui.tui.engine_client import EngineClient
from rnn_tui.tui.keys import rows
from rnn_tui.tui.panes.base import Pane
from rnn_tui.tui.panes.prompt_batch import BatchView
from rnn_tui.tui.panes.prompt_column import Column
from rnn_tui.tui.panes.prompt_commands import parse_command
from rnn_tui.tui.panes.prompt_dispatch import HANDLERS
from rnn_tui.tui.panes.prompt_export import as_text
from rnn_tui.tui.panes.prompt_feed import Feed
from rnn_tui.tui.panes.prompt_files import PromptFiles
from rnn_tui.tui.panes.prompt_keys import KEYS
from rnn_tui.tui.panes.prompt_line import REMEMBERED, PromptLine
from rnn_tui.tui.panes.prompt_lists import SnapshotList, TurnList
from rnn_tui.tui.panes.prompt_model import ModelBar, resolve_model
from rnn_tui.tui.panes.prompt_settings import PromptSettings, apply_command, read_settings
from rnn_tui.tui.panes.prompt_settings_panel import SettingsPanel
from rnn_tui.tui.panes.prompt_stage import NARROWEST, Stage
from rnn_tui.tui.panes.prompt_turns import NextTable
from rnn_tui.tui.widgets.levels import LevelLegend
from rnn_tui.tui.widgets.next_tokens import NextTokens
from rnn_tui.tui.widgets.status import StatusLine
from rnn_tui.tui.widgets.tail_text import LEVELS

WIDE = 100
SIDE = 38
LOOK_AHEAD_SECONDS = 0.25
STAYS_SECONDS = 2.0
"""For how long nothing that is said again before long takes the place of a complaint."""
LOOK_SECONDS = 5.0
"""Between two looks at whether a run has written a better model."""


class PromptPane(Pane):
    """Choose a model, give it a text, watch it go on."""

    title = "Prompt"
    key = "3"
    default_focus = "#prompt-line"

    BINDINGS: ClassVar = KEYS

    DEFAULT_CSS = """
    PromptPane #prompt-body { height: 1fr; }
    PromptPane Stage { height: 1fr; }
    PromptPane #prompt-side { width: 38; display: none; padding: 0 1 0 2; border-left: vkey $panel; }
    PromptPane.-side #prompt-side { display: block; }
    PromptPane SettingsPanel { margin-bottom: 1; }
    PromptPane LevelLegend { display: none; }
    PromptPane.-colours LevelLegend { display: block; }
    PromptPane.-side #prompt-next { display: none; }
    """

    stage: Stage
    feed: Feed
    files: PromptFiles

    def __init__(self, client: EngineClient | None = None) -> None:
        super().__init__()
        self.client = client or EngineClient()
        self._side: bool | None = None
        self._look_ahead: Timer | None = None
        self._looking: Timer | None = None
        self._complained = -STAYS_SECONDS
        self._table_of = ""
        """The text of the line after which the next-token table stands."""

    @classmethod
    def table(cls) -> list[Binding]:
        inside = [
            row for widget in (TurnList, SnapshotList, BatchView, NextTokens) for row in rows(widget.BINDINGS)
        ]
        return [*super().table(), *inside]

    # -- layout ---------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        ascii = self.shell.ascii
        self.stage = Stage(self.client, self.shell.runs_dir, ascii=ascii)
        self.feed = Feed(self.stage)
        self.files = PromptFiles(self.stage, self._begin)
        with Horizontal(id="prompt-body"):
            with Vertical():
                yield self.stage
                yield LevelLegend(self.stage.columns[0].tail)
                yield NextTokens(line=True, ascii=ascii, id="prompt-next")
            with VerticalScroll(id="prompt-side", can_focus=False):
                yield SettingsPanel()
                yield NextTokens(ascii=ascii, id="prompt-table")
        yield StatusLine(id="prompt-status")
        yield PromptLine()

    def on_mount(self) -> None:
        self.line.remember(self.shell.recall("prompt.history"), self.shell.recall("prompt.line"))
        self.set_settings(read_settings(self.shell.recall("prompt.settings")))
        self.show_colours(str(self.shell.recall("prompt.colours", "")))
        self._looking = self.set_interval(LOOK_SECONDS, self._look, pause=True)
        self._say("")

    async def on_unmount(self) -> None:
        # Whoever waits for the engine must not hear of its end: nothing is left to show it.
        for node in (self, self.stage, *self.stage.columns):
            self.workers.cancel_node(node)
        await self.client.close()

    @property
    def line(self) -> PromptLine:
        """Where prompts are written."""
        return self.query_one(PromptLine)

    @property
    def column(self) -> Column:
        """The active column."""
        return self.stage.column

    @property
    def settings(self) -> PromptSettings:
        """How the next completion is drawn."""
        return self.feed.settings

    def on_resize(self, event: events.Resize) -> None:
        self._place_side()

    def _place_side(self) -> None:
        """Show the settings where there is room, unless they were asked for or sent away."""
        room = self.size.width >= WIDE and self.size.width - SIDE >= NARROWEST * len(self.stage.columns)
        self.set_class(room if self._side is None else self._side, "-side")

    def unsaved(self) -> str:
        told = [one for one in self.stage.told() if one.turns]
        return (as_text(told) if told else "") + self.line.prompt

    # -- choosing a model -----------------------------------------------------------------------------------------

    def shown(self) -> None:
        super().shown()
        if self._looking is not None:
            self._looking.resume()
        last = self.shell.recall("prompt.model")
        first = self.stage.columns[0]
        if first.session.path is None and isinstance(last, str) and os.path.isfile(last):
            first.models.post_message(first.models.Chosen(Path(last)))
            first.models.find(any_run=False)
        else:
            for column in self.stage.columns:
                column.models.find()
        for column in self.stage.columns:
            if column.session.path is not None and column.writing is None and not column.session.current:
                column.load_model()  # a run that trains has written a better one since

    def hidden(self) -> None:
        if self._looking is not None:
            self._looking.pause()

    def _look(self) -> None:
        for column in self.stage.columns:
            column.look()

    def load(self, run_name: str, **wishes: Any) -> None:
        """Take up a run; `prompt` goes into the line, and with `go` is completed at once."""
        self.column.models.find(run_name, str(wishes.get("prompt") or ""), bool(wishes.get("go")))

    @on(Column.Taken)
    def _model_taken(self, event: Column.Taken) -> None:
        if event.column is self.stage.columns[0]:
            self.shell.remember("prompt.model", str(event.column.session.path))
        if event.go:
            self.feed.fresh(event.column, event.prompt)
        elif event.prompt:
            self.line.input.value = event.prompt
        if self.display:
            self.line.input.focus()

    # -- the line -------------------------------------------------------------------------------------------------

    @on(PromptLine.Given)
    def _given(self, event: PromptLine.Given) -> None:
        text = event.text
        if event.literal:
            if not self._begin(text):
                self.run_worker(self.line.open(text))
        elif text.startswith("/") and not text.startswith("//"):
            self.line.take()
            self._try(lambda: self._command(text))
        elif self._begin(text.removeprefix("/")):
            self.line.take()  # not before: a prompt that cannot be given yet stays in the line
        self.shell.remember("prompt.history", self.line.input.history[-REMEMBERED:])

    @on(PromptLine.Trouble)
    def _no_line(self, event: PromptLine.Trouble) -> None:
        self._say(event.text, bad=True)

    def _begin(self, text: str) -> bool:
        return self._try(lambda: self.feed.begin(text))

    def _try(self, what: Callable[[], object]) -> bool:
        """Do something; where it can't be done, say why and return False."""
        try:
            what()
        except RnnTuiError as error:
            self._say(str(error), bad=True)
            return False
        return True

    def _command(self, line: str) -> None:
        """Do what a line says that begins with a slash."""
        name, argument = parse_command(line)
        if name in HANDLERS:
            HANDLERS[name](self, argument)
        else:
            self.set_settings(apply_command(self.settings, name, argument))
            self._say(f"{name} is set; it acts on the next completion")

    # -- what is said ---------------------------------------------------------------------------------------------

    def _say(self, text: str, bad: bool = False) -> None:
        """Show the status line: `text` at the left, the settings at the right where there is room."""
        if bad:
            self._complained = monotonic()
        settings = f"{self.settings.summary()} · {self.settings.length:,} tokens"
        if self.column.session.labels:
            settings = "the most probable labels; sampling settings are not used"
        shown = text or ("ready" if self.column.session.loaded else "")
        self.query_one("#prompt-status", StatusLine).say(shown, bad, settings)

    @on(Column.Said)
    def _column_says(self, event: Column.Said) -> None:
        if not event.text and event.column is not self.column:
            return
        if event.passing and monotonic() - self._complained < STAYS_SECONDS:
            return
        number = self.stage.columns.index(event.column) + 1 if event.column in self.stage.columns else 0
        name = (
            f"{number} {event.column.models.model_name}".rstrip() + ": "
            if self.stage.several and number and event.text
            else ""
        )
        self._say(name + event.text, event.bad)

    @on(SettingsPanel.Changed)
    def _settings_changed(self, event: SettingsPanel.Changed) -> None:
        self.set_settings(event.settings)
        self._say("")

    def set_settings(self, settings: PromptSettings) -> None:
        """Draw with these from the next completion on."""
        self.feed.settings = settings
        self.query_one(SettingsPanel).show(settings)
        self.shell.remember("prompt.settings", asdict(settings))

    def show_colours(self, measure: str) -> None:
        """Colour what models wrote by a measure of `LEVELS`, or not at all."""
        measure = measure if measure in LEVELS else ""
        self.set_class(bool(measure), "-colours")
        self.stage.show_colours(measure)
        self.query_one(LevelLegend).refresh()
        self.shell.remember("prompt.colours", measure)

    # -- next tokens ----------------------------------------------------------------------------------------------

    @on(Column.Table)
    def _column_expects(self, event: Column.Table) -> None:
        if event.column is self.column and event.after in ("", self.line.prompt):
            self._show_next(event.rows, event.after)

    def _show_next(self, table: NextTable, after: str = "") -> None:
        self._table_of = after
        for widget in self.query(NextTokens):
            widget.show(table, "after the prompt" if after else "next token")

    @on(Stage.Turned)
    def _turned(self) -> None:
        self._place_side()
        last = self.column.talk.last
        self._show_next(last.next if last else ())

    @on(ModelBar.Closed)
    @on(Stage.Left)
    def _left(self) -> None:
        self.line.input.focus()

    @on(PromptLine.Typed)
    def _typed(self) -> None:
        self.shell.remember("prompt.line", self.line.input.value)
        if self._look_ahead is not None:
            self._look_ahead.stop()
        if not self.line.input.value.startswith("/"):
            self._look_ahead = self.set_timer(LOOK_AHEAD_SECONDS, self._expect)

    def _expect(self, whole: bool = False) -> None:
        """Ask what the model expects after the text in the line; `whole` is with rows to scroll to."""
        if not self.feed.writing:
            self.column.look_ahead(self.line.prompt, carry=self.settings.carry, whole=whole)

    @on(NextTokens.Picked)
    def _token_picked(self, event: NextTokens.Picked) -> None:
        text = self.line.prompt
        if text != self._table_of:
            self._expect(whole=True)  # the table is of another text still
        elif not self.feed.writing and self.column.session.path is not None:
            if text:
                self.line.take()
            self.column.pick(event.token, text, self.settings)

    @on(NextTokens.Unpicked)
    def _token_unpicked(self) -> None:
        self.column.unpick()

    # -- actions --------------------------------------------------------------------------------------------------

    async def action_leave(self) -> None:
        if self.feed.writing:
            self._say("ending …")
            await self.client.cancel()
        elif self.stage.has_class("-batch"):
            self.stage.drop_batch()
        elif self.stage.leave():
            self._say("")
        elif self.column.models.asking:
            self.column.models.take(self.column.session.path)
            self.line.input.focus()
        elif self.line.editing:
            await self.line.close(keep=True)
            self._say("")
        elif self.line.input.has_focus:
            self.column.tail.focus()
        else:
            if any(table.has_focus for table in self.query(NextTokens)):
                self._say("")  # what was said is how to pick
            self.line.input.focus()

    def action_retry(self) -> None:
        self._try(self.feed.retry)

    def action_undo(self, turns: int = 1) -> None:
        taken = [column.take_back(turns) for column in self.stage.columns]
        if any(taken):
            self._say("the last turn is taken back" if turns == 1 else f"{turns} turns are taken back")

    def action_reset(self) -> None:
        self.stage.leave()
        for column in self.stage.columns:
            column.reset()
        self._say("fresh state")

    def action_settings(self) -> None:
        self._side = not self.has_class("-side")
        self._place_side()
        (self.query_one("#setting-temp") if self._side else self.line.input).focus()

    def action_colour(self) -> None:
        order = ["", *LEVELS]
        self.show_colours(order[(order.index(self.stage.colours) + 1) % len(order)])

    def action_choose(self) -> None:
        self.column.models.open()

    def action_steer(self) -> None:
        table = self.query_one("#prompt-table" if self.has_class("-side") else "#prompt-next")
        if table.has_focus:
            self.line.input.focus()
        else:
            table.focus()
            self._expect(whole=True)

    def action_turns(self) -> None:
        self.stage.show_turns()

    def action_batch(self, n: int = 5, text: str = "") -> None:
        self._try(lambda: self.feed.batch(n, text or self.line.take()))

    async def action_compare(self, name: str = "") -> None:
        try:
            path = resolve_model(name, self.shell.runs_dir) if name.strip() else None
        except RnnTuiError as error:
            self._say(str(error), bad=True)
            return
        column = await self.stage.add()
        if column is None:
            self._say("four models stand side by side already; alt+w closes one")
            return
        column.models.find(any_run=False)
        if path is not None:
            column.models.post_message(column.models.Chosen(path))
        else:
            column.models.open()

    async def action_close_column(self) -> None:
        closed = await self.stage.close()
        self._say("" if closed else "the last column stays")
        self.line.input.focus()

    def action_next_column(self) -> None:
        self.stage.turn_to_next()

    async def action_edit(self) -> None:
        await self.line.open()
        self._say("ctrl+s gives it to the model   ctrl+t opens $EDITOR   esc back to one line")

    async def action_elsewhere(self) -> None:
        await self.line.edit_elsewhere()

    def action_page(self, pages: int) -> None:
        self.column.tail.action_page(pages)

    def action_commands(self) -> None:
        self.stage.show_commands()
