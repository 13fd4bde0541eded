"""The views of a corpus that was measured: six tabs, and what one of them asks of another."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import TabbedContent, TabPane
from textual.worker import get_current_worker

from rnn_tui.tui.panes.corpus_findings import FindingsView
from rnn_tui.tui.panes.corpus_measure import Reading
from rnn_tui.tui.panes.corpus_overview import Overview
from rnn_tui.tui.panes.corpus_picture_view import PictureView
from rnn_tui.tui.panes.corpus_pictures import pictures
from rnn_tui.tui.panes.corpus_said import Said
from rnn_tui.tui.panes.corpus_text import TextView
from rnn_tui.tui.panes.corpus_tokenizers import PASSAGE, TokenizersView
from rnn_tui.tui.panes.corpus_vocabulary import VocabularyView

if TYPE_CHECKING:
    from rnn_tui.training.estimate import Estimate

_FOCUSED = (
    "Overview, #corpus-finding-list, Chart, PictureView VerticalScroll, RowTable, TokenScroll, CutColumn"
)
"""What takes keys in a view: arrows, page keys, enter."""
_PLAIN_BELOW = 1.05
"""Characters a token below which shades would show nothing but characters, at thirty bytes each."""


class CorpusTabs(Vertical):
    """Overview, findings, pictures, vocabulary, text and tokenizers."""

    DEFAULT_CSS = """
    CorpusTabs { height: 1fr; }
    CorpusTabs TabbedContent { height: 1fr; }
    CorpusTabs TabPane { padding: 0; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.reading: Reading | None = None

    def compose(self) -> ComposeResult:
        with TabbedContent():
            with TabPane("o Overview", id="overview"):
                yield Overview()
            with TabPane("f Findings", id="findings"):
                yield FindingsView()
            with TabPane("p Pictures", id="pictures"):
                yield PictureView(ascii=bool(getattr(self.app, "ascii", False)))
            with TabPane("v Vocabulary", id="vocabulary"):
                yield VocabularyView()
            with TabPane("x Text", id="text"):
                yield TextView()
            with TabPane("w Tokenizers", id="tokenizers"):
                yield TokenizersView()

    # -- showing --------------------------------------------------------------------------------------------------

    def show(self, reading: Reading) -> None:
        """Show a corpus in every view; the one in front stays."""
        self.reading = reading
        self.estimated(None)
        self.query_one(FindingsView).show(reading.answers)
        self.query_one(PictureView).show(pictures(reading.found, reading.vocabulary))
        self.query_one(VocabularyView).show(reading.vocabulary)
        dense = reading.vocabulary is not None and getattr(reading.found, "chars_per_token", 0) > _PLAIN_BELOW
        self.query_one(TextView).show(reading.reader, "shades" if dense else "plain")
        if self.active == "tokenizers":
            self._cut()

    def offer(self, tokenizers: Sequence[str]) -> None:
        """Take note of the tokenizers that can be used."""
        self.query_one(TokenizersView).offer(tokenizers)

    def estimated(self, taken: "Estimate | str | None") -> None:
        """Show what training would take; None while it is tried."""
        if self.reading is not None:
            one = self.reading
            self.query_one(Overview).show(one.found, one.config, taken, one.beginning)

    @property
    def active(self) -> str:
        """The view in front."""
        return self.query_one(TabbedContent).active

    def view(self, name: str) -> None:
        """Bring a view to the front."""
        self.query_one(TabbedContent).active = name
        self.call_after_refresh(self.focus_view)

    def focus_view(self) -> None:
        """Give the focus to what takes keys in the view."""
        view = self.query_one(TabbedContent).active_pane
        for widget in () if view is None else view.query(_FOCUSED):
            if all(one.display for one in widget.ancestors_with_self):
                widget.focus(scroll_visible=False)
                return

    @on(TabbedContent.TabActivated)
    def _activated(self, event: TabbedContent.TabActivated) -> None:
        event.stop()
        self.post_message(Said(""))
        if event.pane.id == "tokenizers":
            self.call_after_refresh(self._cut)

    # -- what keys do in them ---------------------------------------------------------------------------------------

    def turn(self, name: str) -> None:
        """Show a view, or, where it is shown, its next page."""
        if self.active != name:
            self.view(name)
        elif name == "pictures":
            self.post_message(Said(self.query_one(PictureView).turn()))
        else:
            self.post_message(Said(self.query_one(TokenizersView).turn()))

    def find(self) -> None:
        """Ask for what to look for: in the vocabulary if that is in front, else in the text."""
        if self.active == "vocabulary":
            self.query_one("#corpus-filter").focus()
        else:
            self.in_text(lambda view: view.ask("search"))

    def in_text(self, act: Callable[[TextView], object]) -> None:
        """Show the text and do something there."""
        view = self.query_one(TextView)
        if self.active == "text":
            act(view)
        else:
            self.view("text")
            self.call_after_refresh(act, view)

    def apply(self) -> bool:
        """Apply the remedy of the finding that is marked; False where it has none."""
        return self.query_one(FindingsView).apply()

    def leave(self) -> bool:
        """Stop a search or put the line away that asks for one; False if there was neither."""
        return self.query_one(TextView).leave()

    def occurrence(self) -> None:
        """Show the first place of the token that is marked in the vocabulary."""
        token = self.query_one(VocabularyView).marked
        if token is not None and self.reading is not None:
            self._first(self.reading, token)

    @on(VocabularyView.Wanted)
    def _wanted(self, event: VocabularyView.Wanted) -> None:
        event.stop()
        self.occurrence()

    @work(thread=True, exclusive=True, group="occurrence")
    def _first(self, reading: Reading, token: int) -> None:
        from rnn_tui.corpus.prepare import PreparedCorpus
        from rnn_tui.corpus.vocabulary import first_place

        worker = get_current_worker()
        assert isinstance(reading.prepared, PreparedCorpus)
        place = first_place(reading.prepared, token, lambda: worker.is_cancelled)
        if worker.is_cancelled:
            return
        if place is None:
            self.post_message(Said("this token is nowhere in the text"))
        else:
            self.app.call_from_thread(self.in_text, lambda view: view.mark(place))

    def _cut(self) -> None:
        """Show the passage that the text view is at by several tokenizers."""
        if self.reading is None:
            return
        if self.reading.config.task.name == "series":
            self.post_message(Said("numbers have no tokens"))
            return
        self.query_one(TokenizersView).show(self.reading, self.query_one(TextView).passage(PASSAGE))
