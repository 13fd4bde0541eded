"""The prompt pane: a transcript that the model writes on, with the settings of the draw beside it."""

from pathlib import Path
from time import monotonic
from typing import Any, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.suggester import SuggestFromList
from textual.timer import Timer
from textual.widgets import Input, Static

from rnn_tui.errors import RnnTuiError, UsageError
from rnn_tui.safetext import safe_text
from rnn_tui.tui.engine_client import EngineClient
from rnn_tui.tui.keys import bind
from rnn_tui.tui.panes.base import Pane
from rnn_tui.tui.panes.prompt_model import EMPTY, ModelBar
from rnn_tui.tui.panes.prompt_session import Session
from rnn_tui.tui.panes.prompt_settings import (
    COMMANDS,
    SETTINGS,
    PromptSettings,
    SettingsPanel,
    apply_command,
    help_text,
    new_seed,
    parse_command,
)
from rnn_tui.tui.panes.prompt_turns import Conversation, Turn, ending, header, made
from rnn_tui.tui.widgets.legend import SurpriseLegend
from rnn_tui.tui.widgets.line_input import LineInput
from rnn_tui.tui.widgets.next_tokens import NextTokens
from rnn_tui.tui.widgets.status import StatusLine
from rnn_tui.tui.widgets.tail import TailView

WIDE = 100
LOOK_AHEAD_SECONDS = 0.25


class PromptPane(Pane):
    """Choose a model, give it a text, watch it go on."""

    title = "Prompt"
    key = "3"
    default_focus = "#prompt-line"

    BINDINGS: ClassVar = [
        bind("escape", "leave", "Stop", "End the completion; else leave the prompt line", footer=True),
        bind("ctrl+r", "retry", "Retry", "The last completion again with another seed", footer=True),
        bind(
            "f2",
            "settings",
            "Settings",
            "Show or hide sampling settings and the next-token table",
            footer=True,
        ),
        bind("f3", "surprise", "Surprise", "Colour the text by how surprising each token was", footer=True),
        bind("f4", "undo", "Undo", "Take the last turn back", footer=True),
        bind("f5", "choose", "Model", "Choose a run or a model file", footer=True),
        bind("ctrl+l", "reset", "Reset", "Empty transcript, fresh state"),
        bind("pageup", "page(-1)", "Page up", "Scroll the transcript back"),
        bind("pagedown", "page(1)", "Page down", "Scroll the transcript forward"),
    ]

    DEFAULT_CSS = """
    PromptPane #prompt-body { height: 1fr; margin-top: 1; }
    PromptPane #prompt-tail { padding: 0 1 0 0; }
    PromptPane #prompt-empty { height: 1fr; display: none; padding: 0 2; }
    PromptPane.-empty #prompt-empty { display: block; }
    PromptPane.-empty #prompt-tail, PromptPane.-empty #prompt-next { display: none; }
    PromptPane #prompt-side { width: 38; display: none; padding: 0 1 0 2; border-left: vkey $panel; }
    PromptPane.-side #prompt-side { display: block; }
    PromptPane SettingsPanel { margin-bottom: 1; }
    PromptPane #prompt-legend { display: none; }
    PromptPane.-surprise #prompt-legend { display: block; }
    PromptPane.-side #prompt-next { display: none; }
    PromptPane #prompt-line-row { height: 1; background: $panel; }
    PromptPane #prompt-mark { width: 2; color: $accent; text-style: bold; }
    PromptPane #prompt-line { width: 1fr; background: $panel; }
    """

    def __init__(self, client: EngineClient | None = None) -> None:
        super().__init__()
        self.session = Session(client)
        self.settings = PromptSettings()
        self.talk = Conversation()
        self.writing: Turn | None = None
        self._side: bool | None = None
        self._surprise = False
        self._look_ahead: Timer | None = None
        self._said = 0.0
        # made here and not looked up: a completion may still be arriving while the app takes its widgets down
        self.tail = TailView(id="prompt-tail")

    # -- layout ---------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        ascii = self.shell.ascii
        commands = [f"/{name}" for name in (*COMMANDS, *(setting.command for setting in SETTINGS))]
        yield ModelBar(self.shell.runs_dir)
        with Horizontal(id="prompt-body"):
            with Vertical():
                yield self.tail
                yield Static(EMPTY, id="prompt-empty")
                yield SurpriseLegend(self.tail, id="prompt-legend")
                yield NextTokens(line=True, ascii=ascii, id="prompt-next")
            with VerticalScroll(id="prompt-side", can_focus=False):
                yield SettingsPanel()
                yield NextTokens(ascii=ascii, id="prompt-table")
        yield StatusLine(id="prompt-status")
        with Horizontal(id="prompt-line-row"):
            yield Static(">", id="prompt-mark", markup=False)
            yield LineInput(
                placeholder="a text to go on from; empty: go on writing; /help",
                suggester=SuggestFromList(commands, case_sensitive=True),
                id="prompt-line",
            )

    def on_mount(self) -> None:
        remembered = self.shell.recall("prompt.history", [])
        if isinstance(remembered, list):
            self.line.history = [safe_text(entry) for entry in remembered if isinstance(entry, str)]
        self.set_class(self.session.path is None, "-empty")
        self._say("")

    async def on_unmount(self) -> None:
        # Whoever waits for the engine must not hear of its end: nothing is left to show it.
        self.workers.cancel_node(self)
        await self.session.client.close()

    @property
    def line(self) -> LineInput:
        return self.query_one("#prompt-line", LineInput)

    def on_resize(self, event: events.Resize) -> None:
        self._place_side()

    def _place_side(self) -> None:
        self.set_class(self.size.width >= WIDE if self._side is None else self._side, "-side")

    # -- choosing a model -----------------------------------------------------------------------------------------

    @property
    def models(self) -> ModelBar:
        return self.query_one(ModelBar)

    def shown(self) -> None:
        super().shown()
        self.models.find()
        if self.session.path is not None and self.writing is None and not self.session.current:
            self._load_model()  # a run that trains has written a better one since

    def load(self, run_name: str, **wishes: Any) -> None:
        """Take up a run; `prompt` goes into the line, and with `go` is completed at once."""
        self.models.find(run_name, str(wishes.get("prompt") or ""), bool(wishes.get("go")))

    @on(ModelBar.Chosen)
    def _model_chosen(self, event: ModelBar.Chosen) -> None:
        if event.path != self.session.path:
            self._choose(event.path)
        else:
            self.models.take(event.path)
        if event.go:
            self._begin(Turn(event.prompt, fresh=True))
        elif event.prompt:
            self.line.value = event.prompt
        if not event.go and not self.session.current:
            self._load_model()
        if self.display:
            self.line.focus()

    @on(ModelBar.Trouble)
    def _no_model(self, event: ModelBar.Trouble) -> None:
        self._say(event.text, bad=True)

    def _choose(self, path: Path) -> None:
        """Switch to a model file; the conversation with the old one ends."""
        self.session.path = path
        self.models.take(path)
        self.remove_class("-empty")
        self._reset()

    @work(exclusive=True, group="engine")
    async def _load_model(self) -> None:
        self._say("loading the model …")
        try:
            loaded = await self.session.ready()
        except RnnTuiError as error:
            self.models.describe("")
            self._say(str(error), bad=True)
            return
        self.models.describe(loaded.describe())
        self._say("")

    # -- the line -------------------------------------------------------------------------------------------------

    @on(Input.Submitted, "#prompt-line")
    def _line_given(self, event: Input.Submitted) -> None:
        event.stop()
        if self.writing is not None and not event.value.startswith("/"):
            self._say("still writing; esc ends it")
            return
        text = self.line.text
        self.line.keep(event.value)
        self.line.value = ""
        self.shell.remember("prompt.history", self.line.history[-50:])
        self._submit(text)

    def _submit(self, text: str) -> None:
        if text.startswith("//"):
            text = text[1:]
        elif text.startswith("/"):
            try:
                self._command(*parse_command(text))
            except UsageError as error:
                self._say(str(error), bad=True)
            return
        if not text and self.session.labels:
            self._say("this model labels a text; type one")
            return
        last = self.talk.last
        fresh = last is None or (bool(text) and not self.settings.carry)
        self._begin(Turn(text, fresh))

    def _command(self, name: str, argument: str) -> None:
        match name:
            case "retry":
                self.action_retry()
            case "undo":
                self.action_undo()
            case "reset":
                self.action_reset()
            case "surprise":
                self.action_surprise()
            case "continue":
                self._begin(Turn(argument, fresh=self.talk.last is None))
            case "help":
                self.tail.write("\n" * bool(self.talk.turns) + help_text(), "note")
            case _:
                self.settings = apply_command(self.settings, name, argument)
                self.query_one(SettingsPanel).show(self.settings)
                self._say("")

    @on(SettingsPanel.Changed)
    def _settings_changed(self, event: SettingsPanel.Changed) -> None:
        self.settings = event.settings
        self._say("")

    # -- writing --------------------------------------------------------------------------------------------------

    def _begin(self, turn: Turn) -> None:
        if self.session.path is None:
            self._say("choose a run or a model file first (f5)", bad=True)
            return
        self.talk.add(turn)
        self._write(turn)

    @work(exclusive=True, group="engine")
    async def _write(self, turn: Turn) -> None:
        """Complete `turn` at the end of the transcript."""
        self.writing = turn
        settings = self.settings
        turn.seed = new_seed() if settings.seed is None else settings.seed + turn.tries - 1
        first = len(self.talk.turns) == 1
        started = monotonic()
        self.tail.action_follow()  # whoever asks for more wants to see it
        self._say("loading the model …" if not self.session.current else "reading …")
        try:
            loaded = await self.session.ready()
            self.models.describe(loaded.describe())
            if self.session.labels:
                turn.fresh, turn.arrow = True, " -> " if self.shell.ascii else " → "
            if turn.fresh:
                number = sum(other.fresh for other in self.talk.turns)
                turn.header = header(turn, number, settings, loaded.event.step, ascii=self.shell.ascii)
            async for event in self.session.complete(self.talk, turn, settings):
                if event.event == "prompt":
                    for shown in turn.opening(first=first):
                        self.tail.write(*shown)
                    self._say("writing …")
                elif event.event == "pieces":
                    for piece in event.pieces:
                        self.tail.write(*made(piece))
                    self._progress(len(turn.made), started)
                elif event.event == "done":
                    if turn.copied and turn.copied.spans:
                        self.tail.restyle(self.talk.shown())
                    self.tail.flush()
                    if self.tail.following:
                        self.tail.action_follow()
                    self._show_next(turn.next, "next token")
                    self._say(ending(turn, event.reason, event.tokens, event.seconds, self.size.width))
        except RnnTuiError as error:
            turn.error = str(error)
            for shown in turn.closing():
                self.tail.write(*shown)
            self._show_next((), "")
            self._say(str(error), bad=True)
        finally:
            if self.writing is turn:
                self.writing = None

    def _progress(self, tokens: int, started: float) -> None:
        now = monotonic()
        if now - self._said > 0.5:  # twice a second: each is a row of bytes
            self._say(f"writing … {tokens:,} tokens, {now - started:.0f} s   esc ends it")

    def _say(self, text: str, bad: bool = False) -> None:
        """Show the status line: `text` at the left, the settings at the right where there is room."""
        self._said = monotonic()
        settings = f"{self.settings.summary()} · {self.settings.length:,} tokens"
        if self.session.labels:
            settings = "the most probable labels; sampling settings are not used"
        shown = text or ("ready" if self.session.loaded else "")
        self.query_one("#prompt-status", StatusLine).say(shown, bad, settings)

    # -- next tokens ----------------------------------------------------------------------------------------------

    def _show_next(self, rows: tuple[tuple[int, str, float], ...], title: str) -> None:
        for table in self.query(NextTokens):
            table.show(rows, title)

    @on(Input.Changed, "#prompt-line")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._look_ahead is not None:
            self._look_ahead.stop()
        known = self.session.current and not self.session.labels
        if known and self.writing is None and not event.value.startswith("/"):
            self._look_ahead = self.set_timer(LOOK_AHEAD_SECONDS, self._ask_next)

    @work(exclusive=True, group="next")
    async def _ask_next(self) -> None:
        """Show what the model expects after the text in the line."""
        if self.writing is not None or not self.session.current:
            return
        text, last = self.line.text, self.talk.last
        if not text and last is not None:
            self._show_next(last.next, "next token")
            return
        try:
            rows = await self.session.look_ahead(text, last.after if last and self.settings.carry else None)
        except RnnTuiError as error:
            self._say(str(error), bad=True)
            return
        if text == self.line.text:
            self._show_next(rows, "after the prompt" if text else "next token")

    # -- actions --------------------------------------------------------------------------------------------------

    async def action_leave(self) -> None:
        if self.writing is not None:
            self._say("ending …")
            await self.session.client.cancel()
        elif self.models.asking:
            self.models.take(self.session.path)
            self.line.focus()
        else:
            self.tail.focus()

    def action_retry(self) -> None:
        turn = self._take_back()
        if turn is None:
            self._say("nothing to try again yet")
        else:
            self._begin(Turn(turn.prompt, turn.fresh, tries=turn.tries + 1))

    def action_undo(self) -> None:
        if self._take_back() is not None:
            last = self.talk.last
            self._show_next(last.next if last else (), "next token")
            self._say("the last turn is taken back")

    def _take_back(self) -> Turn | None:
        """Remove the last turn, finished or not, from transcript and engine."""
        self.workers.cancel_group(self, "engine")
        turn = self.talk.pop()
        if turn is not None:
            self.session.forget([turn])
            self.tail.write_all(self.talk.shown())
        return turn

    def action_reset(self) -> None:
        self._reset()
        self._say("fresh state")

    def _reset(self) -> None:
        self.workers.cancel_group(self, "engine")
        self.session.forget(self.talk.turns)
        self.talk = Conversation()
        self.tail.clear()
        self._show_next((), "")

    def action_settings(self) -> None:
        self._side = not self.has_class("-side")
        self._place_side()
        (self.query_one("#setting-temp") if self._side else self.line).focus()

    def action_surprise(self) -> None:
        self._surprise = not self._surprise
        self.set_class(self._surprise, "-surprise")
        self.tail.show_surprise(self._surprise)

    def action_choose(self) -> None:
        self.models.open()

    def action_page(self, pages: int) -> None:
        self.tail.action_page(pages)
