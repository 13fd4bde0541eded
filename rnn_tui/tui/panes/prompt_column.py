"""One column of the prompt pane: a model, the conversation with it, and the transcript of that."""

from pathlib import Path
from time import monotonic

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from rnn_tui.errors import RnnTuiError
from rnn_tui.tui.engine_client import EngineClient, Event
from rnn_tui.tui.panes.prompt_batch import BatchView
from rnn_tui.tui.panes.prompt_model import EMPTY, LABELS, READY, ModelBar
from rnn_tui.tui.panes.prompt_session import Session
from rnn_tui.tui.panes.prompt_settings import PromptSettings
from rnn_tui.tui.panes.prompt_tree import Tree, path
from rnn_tui.tui.panes.prompt_turns import NextTable, StateRef, Turn, ending, header, made, mean_surprise
from rnn_tui.tui.widgets.tail import TailView


class Column(Vertical):
    """A model's transcript under its name. Says what it does by messages; the pane around it has the only line."""

    DEFAULT_CSS = """
    Column { width: 1fr; }
    Column > TailView { padding: 0 1 0 0; margin-top: 1; }
    Column > .empty, Column > .start { height: 1fr; display: none; padding: 0 2; margin-top: 1; }
    Column.-empty > .empty, Column.-start > .start { display: block; }
    Column.-empty > TailView, Column.-start > TailView { display: none; }
    """

    class Said(Message):
        """What the column is doing, or what is wrong; `passing` is said again before long."""

        def __init__(self, column: "Column", text: str, bad: bool, passing: bool) -> None:
            super().__init__()
            self.column, self.text, self.bad, self.passing = column, text, bad, passing

    class Table(Message):
        """What may come next, after the transcript of this column and the text `after` it."""

        def __init__(self, column: "Column", rows: NextTable, after: str) -> None:
            super().__init__()
            self.column, self.rows, self.after = column, rows, after

    class Taken(Message):
        """A model was chosen for the column; `prompt` is for the line, `go` completes it."""

        def __init__(self, column: "Column", prompt: str, go: bool) -> None:
            super().__init__()
            self.column, self.prompt, self.go = column, prompt, go

    def __init__(self, client: EngineClient, slot: str, runs_dir: Path, *, ascii: bool) -> None:
        super().__init__(classes="-empty")
        self.session = Session(client, slot)
        self.talk = Tree()
        self.writing: Turn | None = None
        self.models = ModelBar(runs_dir)
        # made here and not looked up: a completion may still be arriving while the app takes its widgets down
        self.tail = TailView()
        self._ascii = ascii
        self._said = 0.0
        self._stale = False

    def compose(self) -> ComposeResult:
        yield self.models
        yield self.tail
        yield Static(EMPTY, classes="empty")
        yield Static(classes="start")

    def say(self, text: str, bad: bool = False, *, passing: bool = False) -> None:
        """Tell the pane what is going on; `passing`: how far it is, which is said again before long."""
        self._said = monotonic()
        # Textual ends a message at whose code made it, which may be the stage's; the pane must hear of it too
        self.post_message(self.Said(self, text, bad, passing).set_sender(self))

    def _show_next(self, rows: NextTable, after: str = "") -> None:
        self.post_message(self.Table(self, rows, after).set_sender(self))

    @work(exclusive=True, group="next")
    async def look_ahead(self, text: str, *, carry: bool, whole: bool = False) -> None:
        """Find out what the model expects after `text`, which was not given yet; `whole` is with rows to scroll to."""
        if self.writing is not None or self.session.labels or not self.session.current:
            return
        last = self.talk.last
        if not text and last is not None and last.next and not whole:
            self._show_next(last.next)
            return
        try:
            rows = await self.session.look_ahead(text, last.after if last and (carry or not text) else None)
        except RnnTuiError as error:
            self.say(str(error), bad=True)
        else:
            self._show_next(rows, text)

    # -- the model ------------------------------------------------------------------------------------------------

    def choose(self, file: Path) -> None:
        """Switch to a model file; the conversation with the old one ends."""
        self.session.path = file
        self.models.take(file)
        self.remove_class("-empty")
        self.reset()

    @work(exclusive=True, group="engine")
    async def load_model(self) -> None:
        """Have the engine read the model's file, so that the first prompt need not wait for it."""
        self.say("loading the model …")
        try:
            loaded = await self.session.ready()
        except RnnTuiError as error:
            self.models.describe("")
            self.say(str(error), bad=True)
            return
        self.models.describe(loaded.describe())
        self.query_one(".start", Static).update(LABELS if self.session.labels else READY)
        self.say("")

    def look(self) -> None:
        """Say so if there is a newer model than the one that was read."""
        session = self.session
        stale = session.loaded is not None and session.client.alive and not session.current
        if stale and not self._stale and session.loaded is not None and self.writing is None:
            self.models.describe(f"newer model there, read at the next prompt · {session.loaded.describe()}")
        self._stale = stale

    # -- writing --------------------------------------------------------------------------------------------------

    def write(self, turn: Turn) -> None:
        """Put a turn at the end of the transcript and complete it."""
        self._write(turn, first=self._add(turn))

    @work(exclusive=True, group="engine")
    async def _write(self, turn: Turn, *, first: bool) -> None:
        started = monotonic()
        try:
            await self._prepare(turn)
            async for event in self.session.complete(self.talk, turn):
                self._arrived(turn, event, first=first)
                if event.event == "pieces" and monotonic() - self._said > 0.5:  # each is a row of bytes
                    self.say(
                        f"writing … {len(turn.made):,} tokens, {monotonic() - started:.0f} s   esc ends it",
                        passing=True,
                    )
        except RnnTuiError as error:
            self._failed(turn, error)
        finally:
            self._done(turn)

    def _add(self, turn: Turn) -> bool:
        """Add a turn to the branch in view; return whether it is the first."""
        self.writing = turn
        self.session.forget(self.talk.add(turn))
        self.remove_class("-start")
        self.tail.action_follow()  # whoever asks for more wants to see it
        return turn.parent is None

    async def _prepare(self, turn: Turn) -> None:
        """Have the model ready and give the turn its header."""
        if self.session.client.busy:
            self.say("waiting for another model …")
        else:
            self.say("reading …" if self.session.current else "loading the model …")
        loaded = await self.session.ready()
        self.models.describe(loaded.describe())
        if self.session.labels:
            turn.fresh, turn.arrow = True, " -> " if self._ascii else " → "
        turn.step = loaded.event.step
        before = turn.parent
        if turn.fresh:
            turn.header = self._header(turn)
        elif before is not None and before.step is not None and before.step != turn.step:
            turn.header = (
                f"the model is another one since: step {before.step:,} before, {turn.step or 0:,} now"
            )

    def _header(self, turn: Turn) -> str:
        return header(turn, sum(other.fresh for other in path(turn)), ascii=self._ascii)

    def _arrived(self, turn: Turn, event: Event, *, first: bool) -> None:
        if event.event == "prompt":
            for span in turn.opening(first=first):
                self.tail.write(*span)
            self.say("writing …")
        elif event.event == "pieces":
            for piece in event.pieces:
                self.tail.write(*made(piece))
        elif event.event == "done":
            if turn.copied and turn.copied.spans:
                self.tail.restyle(self.talk.shown())
            self.tail.flush()
            if self.tail.following:
                self.tail.action_follow()
            self._show_next(turn.next)
            told = ending(turn, event.reason, event.tokens, event.seconds, self.app.size.width - 2)
            self.say(told)
            cost = mean_surprise(turn.read)
            if cost is not None and self.session.loaded is not None and not turn.arrow:
                self.models.describe(f"prompt {cost:.2f} nats a token · {self.session.loaded.describe()}")

    def _failed(self, turn: Turn, error: RnnTuiError) -> None:
        turn.error = str(error)
        for span in turn.closing():
            self.tail.write(*span)
        self._show_next(())
        self.say(str(error), bad=True)

    def _done(self, turn: Turn) -> None:
        if self.writing is turn:
            self.writing = None

    # -- several to choose from, and one by one -------------------------------------------------------------------

    def draw(self, turn: Turn, n: int, view: BatchView) -> None:
        """Draw `n` completions of a turn into `view`."""
        self.writing = turn
        turn.parent = self.talk.last
        self._draw(turn, n, view)

    @work(exclusive=True, group="engine")
    async def _draw(self, turn: Turn, n: int, view: BatchView) -> None:
        try:
            await self._prepare(turn)
            self.say(f"drawing {n} completions …   esc ends it")
            async for found in self.session.batch(self.talk, turn, n):
                if isinstance(found, Turn):
                    if found.fresh:
                        found.header = self._header(found)
                    view.add(found)
                elif found.event == "progress" and monotonic() - self._said > 0.5:
                    self.say(f"drawing {n} completions … {found.tokens:,} tokens   esc ends it", passing=True)
        except RnnTuiError as error:
            self.say(str(error), bad=True)
        finally:
            self._done(turn)
            view.complete()

    def take(self, turn: Turn) -> None:
        """Put a turn that is complete already at the end of the branch in view."""
        self.session.forget(self.talk.add(turn))
        self.refresh_transcript()

    def pick(self, token: int, prompt: str, settings: PromptSettings) -> None:
        """Let the model read `prompt`, if any, and then the token: text made by hand, token by token."""
        turn = self.talk.last
        if prompt or turn is None or not turn.picks:
            turn = Turn(prompt, turn is None or (bool(prompt) and not settings.carry), settings=settings)
            self._add(turn)
        self.writing = turn
        self._pick(turn, token)

    @work(exclusive=True, group="engine")
    async def _pick(self, turn: Turn, token: int) -> None:
        try:
            if not turn.picks:
                await self._prepare(turn)
            await self.session.push(turn, await self._stand(turn), token)
            self.refresh_transcript()
            self.say("read it; pick the next   backspace takes one back, esc leaves the table")
        except RnnTuiError as error:
            self._failed(turn, error)
        finally:
            self._done(turn)

    async def _stand(self, turn: Turn) -> StateRef | None:
        """Return the state that the next picked token of `turn` is read after."""
        if turn.picks:
            return await self.session.settle(self.talk, turn)
        if turn.prompt:
            async for _ in self.session.complete(self.talk, turn, length=0):
                pass
            return turn.after
        return None if turn.fresh else await self.session.settle(self.talk, turn.parent)

    def unpick(self) -> None:
        """Take the last picked token back."""
        turn = self.talk.last
        if turn is None or not turn.picks or self.writing is not None:
            self.say("no token was picked here")
            return
        self.session.unpush(turn)
        if not turn.text:
            self.talk.undo(turn.parent)
        self.refresh_transcript()

    # -- going back -----------------------------------------------------------------------------------------------

    def refresh_transcript(self) -> None:
        """Show the branch in view from its beginning to its end, and what may come after."""
        self.tail.write_all(self.talk.shown())
        last = self.talk.last
        self.set_class(last is None and self.session.path is not None, "-start")
        self._show_next(last.next if last else ())

    def end(self) -> None:
        """Let go of what the engine is doing."""
        self.workers.cancel_group(self, "engine")
        self.writing = None

    def undo(self, to: Turn | None) -> None:
        """End the transcript after `to`."""
        self.end()
        self.session.forget(self.talk.undo(to))
        self.refresh_transcript()

    def take_back(self, turns: int = 1) -> Turn | None:
        """Remove the last turns, finished or not, from transcript and engine; return the first of them."""
        found = self.talk.turns[-turns:]
        if found:
            self.undo(found[0].parent)
        return found[0] if found else None

    def reset(self) -> None:
        """Begin anew, without branches and snapshots."""
        self.end()
        self.session.forget(self.talk.all())
        self.talk = Tree()
        self.refresh_transcript()

    @on(ModelBar.Chosen)
    def _model_chosen(self, event: ModelBar.Chosen) -> None:
        event.stop()
        if event.path != self.session.path:
            self.choose(event.path)
        else:
            self.models.take(event.path)
        if not event.go and not self.session.current:
            self.load_model()
        self.post_message(self.Taken(self, event.prompt, event.go))

    @on(ModelBar.Trouble)
    def _no_model(self, event: ModelBar.Trouble) -> None:
        event.stop()
        self.say(event.text, bad=True)
