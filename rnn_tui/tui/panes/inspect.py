"""The Inspect pane: what the units of a model do on a text."""

import asyncio
import re
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import Static

from rnn_tui.errors import RnnTuiError, UsageError
from rnn_tui.safetext import safe_text
from rnn_tui.tui.engine_client import EngineClient
from rnn_tui.tui.keys import rows
from rnn_tui.tui.panes.base import Pane
from rnn_tui.tui.panes.inspect_answers import Trace
from rnn_tui.tui.panes.inspect_bars import AskRow, UnitBar, ViewTabs
from rnn_tui.tui.panes.inspect_body import InspectBody
from rnn_tui.tui.panes.inspect_keys import ASKS, FAILED, KEYS, NOTHING
from rnn_tui.tui.panes.inspect_main import InspectMain
from rnn_tui.tui.panes.inspect_search import REGEX
from rnn_tui.tui.panes.inspect_session import InspectSession
from rnn_tui.tui.panes.inspect_side import UnitTable
from rnn_tui.tui.panes.inspect_source import Source, default_source, file_source, name_of
from rnn_tui.tui.panes.inspect_units import unit_named
from rnn_tui.tui.panes.inspect_views import map_words, token_words, trace_words
from rnn_tui.tui.panes.prompt_model import ModelBar, resolve_model
from rnn_tui.tui.widgets.glow import GlowView
from rnn_tui.tui.widgets.glow_text import GlowText
from rnn_tui.tui.widgets.heat import HeatMap
from rnn_tui.tui.widgets.status import StatusLine

TYPED = "inspect.typed"


class InspectPane(Pane):
    """Choose a model, give it a text, and look at what its units do.

    What gives way, in this order, as the terminal gets smaller: the heat map below the text (below 34 rows; the view
    Map has it), the units beside the text (below 140 columns; the view Find units has them), the range of the unit in
    its row, the name of the text in the last row. Below 100 columns the units lie over the text and not beside it.
    The text, the scale of its colours and the read-out of one token are always there.
    """

    title = "Inspect"
    key = "4"

    DEFAULT_CSS = """
    InspectPane #inspect-state { height: 1fr; padding: 1 2; }
    """

    BINDINGS: ClassVar = KEYS

    def __init__(self, client: EngineClient | None = None) -> None:
        super().__init__()
        self.session = InspectSession(client)
        self.trace: Trace | None = None
        self.view = "text"
        self._source: Source | None = None
        self._own_text: Source | None = None
        self._bad = False

    @classmethod
    def table(cls) -> list[Binding]:
        inside = (InspectBody, GlowView, UnitTable, InspectMain, HeatMap)
        return [*super().table(), *(row for widget in inside for row in rows(widget.BINDINGS))]

    # -- layout ---------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        # kept and not looked up: an answer may still be arriving while the app takes its widgets down
        ascii = self.shell.ascii
        signs = ascii or self.app.no_color
        self.models = ModelBar(self.shell.runs_dir)
        self.tabs = ViewTabs()
        self.unit_bar = UnitBar(signs=signs, ascii=ascii)
        self.body = InspectBody(self.session, self.shell, self.unit_bar, signs=signs)
        self.main = self.body.main
        self.status = StatusLine()
        self.asking = AskRow()
        yield self.models
        yield self.tabs
        yield self.unit_bar
        yield Static(NOTHING, id="inspect-state")
        yield self.body
        yield self.status
        yield self.asking

    def on_mount(self) -> None:
        self.tabs.choose(self.view)
        self._lay_out()

    async def on_unmount(self) -> None:
        # Whoever waits for the engine must not hear of its end: nothing is left to show it.
        self.workers.cancel_node(self)
        await self.session.client.close()

    def shown(self) -> None:
        super().shown()
        self.models.find()
        if self.has_focus:
            self._focus_view()

    @property
    def _focused(self) -> bool:
        focused = self.screen.focused
        return focused is not None and self in focused.ancestors_with_self

    def _focus_view(self) -> None:
        if self.trace is None:
            self.focus(scroll_visible=False)
        else:
            self.body.focus_view()

    # -- the model and the text -----------------------------------------------------------------------------------

    def load(self, run_name: str, **wishes: Any) -> None:
        """Take up a run, or a model file by its path; `text` is read instead of the run's own."""
        text = str(wishes.get("text") or "")
        self.models.find(any_run=False)  # the newest run is not wanted now
        self._resolve(run_name, Source(text, "the text that was handed over") if text else None)

    @work(thread=True, exclusive=True, group="resolve")
    def _resolve(self, name: str, source: Source | None) -> None:
        try:
            path = resolve_model(name, self.shell.runs_dir)
        except RnnTuiError as error:
            self.app.call_from_thread(self._say, str(error), True)
        else:
            self.app.call_from_thread(self._open, path, source)

    def _open(self, path: Path, source: Source | None) -> None:
        """Read `source`, or what is the model's own, with a model file as it is now."""
        self._own_text = source
        self.models.take(path)
        self.session.choose(path)
        self._begin()

    @on(ModelBar.Chosen)
    def _model_chosen(self, event: ModelBar.Chosen) -> None:
        event.stop()
        self.models.take(event.path)
        if event.path != self.session.path:
            self._open(event.path, self._own_text)  # a text that somebody chose is read with every model
        if self.display:
            self._focus_view()

    @on(ModelBar.Trouble)
    def _no_model(self, event: ModelBar.Trouble) -> None:
        event.stop()
        self._say(event.text, bad=True)

    def _begin(self) -> None:
        """Load the model and read the text, where that is to be done, and show all of it anew."""
        self.body.clear()
        self.trace = None
        self.query_one("#inspect-state", Static).update("")
        self._say("looking for a text …")
        if self.session.path is not None:
            self._read_through(self.session.path)

    @work(exclusive=True, group="read")
    async def _read_through(self, path: Path) -> None:
        try:
            run = await asyncio.to_thread(name_of, path)
            source = self._own_text
            if source is None:
                source = await asyncio.to_thread(default_source, path)
            self.session.choose(text=source.text)
            trace = await self.session.ready(self._say)
            text = await asyncio.to_thread(GlowText, trace.texts, ascii=self.shell.ascii)
        except RnnTuiError as error:
            if self._focused:
                self.focus(scroll_visible=False)  # what has the focus is about to be hidden
            self._lay_out()
            self.query_one("#inspect-state", Static).update(FAILED)
            self.models.describe("")
            self._say(str(error), bad=True)
            return
        self.trace, self._source = trace, source
        self.models.describe(self.session.describe())
        self.body.show(trace, text, run)
        self._lay_out()
        self._say("")
        if self.has_focus:
            self._focus_view()

    @on(InspectBody.ExpressionWanted)
    def _expression_wanted(self, event: InspectBody.ExpressionWanted) -> None:
        event.stop()
        self.action_ask("regex")

    @on(HeatMap.Picked)
    def _unit_picked(self, event: HeatMap.Picked) -> None:
        event.stop()
        self.action_view("text")

    # -- views ----------------------------------------------------------------------------------------------------

    def action_view(self, view: str) -> None:
        """Show one of `VIEWS`."""
        self.view = view
        self.tabs.choose(view)
        self._lay_out()
        self._focus_view()
        self._read_out()

    def on_resize(self) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        """Show what belongs to the view and has room.

        By hand and not with classes: a class of this pane that changes has every widget in it styled anew, in 60 ms.
        """
        there = self.trace is not None
        self.query_one("#inspect-state").display = not there
        self.body.display = there
        wide, high = self.screen.has_class("-wide"), self.screen.has_class("-high")
        self.body.lay_out(self.view, beside=wide, small_map=high)

    @on(ViewTabs.Chosen)
    def _view_clicked(self, event: ViewTabs.Chosen) -> None:
        event.stop()
        self.action_view(event.view)

    @on(GlowView.Moved)
    @on(HeatMap.Moved)
    @on(InspectBody.Begun)
    def _moved(self) -> None:
        self._read_out()

    @on(InspectMain.Said)
    def _main_said(self, event: InspectMain.Said) -> None:
        event.stop()
        self._say(event.text, event.bad)
        if not event.text and self.view == "map":
            self.body.show_unit()  # in the scale of the map that is there now

    def _say(self, text: str, bad: bool = False) -> None:
        """Show the last row: `text`, or the read-out of the cursor where there is none.

        What went wrong stays until something else is begun: other answers, which may still arrive, say nothing.
        """
        if not text and self._bad:
            return
        self._bad = bad
        right = ""
        if self.trace is not None:
            right = trace_words(self.trace, self._source.name if self._source else "")
            if not text and self.view in ("text", "units"):
                text = token_words(self.trace, self.main.glow.cursor, self.body.values)
            elif not text and self.view == "map":
                text = map_words(self.trace, self.main.map, self.main.pattern if self.main.ordered else "")
        self.status.say(text, bad, right)

    def _read_out(self) -> None:
        """Show the read-out of the cursor in place of whatever the last row says."""
        self._bad = False
        self._say("")

    # -- asking ---------------------------------------------------------------------------------------------------

    def action_patterns(self) -> None:
        if self.trace is not None:
            self.action_view("units")
            self.call_after_refresh(self.body.side.open)

    def action_ask(self, what: str) -> None:
        """Ask for one of `ASKS`; units are those of a text that was read."""
        if self.trace is None and what in ("regex", "unit"):
            return
        history = self.shell.recall(TYPED, []) if what == "text" else []
        kept = [one for one in history if isinstance(one, str)] if isinstance(history, list) else []
        self.asking.ask(what, ASKS[what], [safe_text(one) for one in kept])

    @on(AskRow.Given)
    def _given(self, event: AskRow.Given) -> None:
        event.stop()
        try:
            if event.what == "unit" and self.trace is not None and self.body.unit is not None:
                self.body.take(unit_named(event.text, self.trace.parts, self.body.unit.part))
            elif event.what == "regex" and event.text:
                re.compile(event.text)
                self.body.find(REGEX + event.text)
            elif event.what == "text":
                self.shell.remember(TYPED, self.asking.line.history[-50:])
                self._read(Source(event.text, "typed text") if event.text else None)
            elif event.what == "file":
                self._read_file(event.text)
        except (
            re.error,
            OverflowError,
            RecursionError,
        ) as error:  # the last two: far too large, far too deep
            self._say(f"not a regular expression: {error}", bad=True)
            return
        except UsageError as error:
            self._say(str(error), bad=True)
            return
        self.asking.leave()
        if event.what == "regex":
            self.action_view("units")
        self._focus_view()

    @work(thread=True, exclusive=True, group="resolve")
    def _read_file(self, path: str) -> None:
        try:
            source = file_source(path)
        except RnnTuiError as error:
            self.app.call_from_thread(self._say, str(error), True)
        else:
            self.app.call_from_thread(self._read, source)

    def _read(self, source: Source | None) -> None:
        self._own_text = source
        if self.session.path is None:
            self._say("choose a run or a model file first (f5)", bad=True)
        else:
            self._begin()

    def action_choose(self) -> None:
        self.models.open()

    def action_reload(self) -> None:
        if self.session.path is None:
            self.models.find()
        else:
            self._open(self.session.path, self._own_text)

    def action_leave(self) -> None:
        if self.asking.asking:
            self.asking.leave()
        elif self.models.asking:
            self.models.take(self.models.path)
        elif self.session.client.busy:
            self._cancel()
        self._focus_view()

    @work(group="cancel")
    async def _cancel(self) -> None:
        await self.session.client.cancel()
