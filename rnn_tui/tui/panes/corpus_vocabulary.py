"""The vocabulary as a table to search: 400,000 words scroll like 40."""

from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input
from textual.worker import get_current_worker

from rnn_tui.safetext import safe_text
from rnn_tui.tui.format import count
from rnn_tui.tui.widgets.bars import bar, pad, visible
from rnn_tui.tui.widgets.line_input import LineInput
from rnn_tui.tui.widgets.lines import Line, Lines
from rnn_tui.tui.widgets.row_table import RowTable

if TYPE_CHECKING:
    from rnn_tui.corpus.vocabulary import Ranks, Vocabulary

_BAR = 40
"""Cells of the longest bar."""
_PAUSE = 0.1
"""Seconds without a key after which the table is searched."""


class VocabularyView(Vertical):
    """A filter and the table of what it lets through, the most frequent token first."""

    DEFAULT_CSS = """
    VocabularyView > Horizontal { height: 1; }
    VocabularyView LineInput { width: 44; background: $surface; padding: 0 1; }
    VocabularyView LineInput:focus { background: $primary 25%; }
    VocabularyView Lines { width: 1fr; margin-left: 2; }
    """

    class Wanted(Message):
        """The first place of the marked token is to be shown."""

    def __init__(self) -> None:
        super().__init__()
        self._vocabulary: Vocabulary | None = None
        self._ranks: Ranks | None = None
        self._most = 1
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield LineInput(placeholder="filter: a part, U+201C, or #12 for an id", id="corpus-filter")
            yield Lines(id="corpus-filtered")
        yield RowTable("no token holds this", id="corpus-tokens")

    def show(self, vocabulary: "Vocabulary | None") -> None:
        """Show a vocabulary, filtered as the one before; None where there is none to show."""
        self._vocabulary = vocabulary
        if vocabulary is None:
            self.query_one(RowTable).show(0, self._row, (), "only a text has its vocabulary here")
            self.query_one("#corpus-filtered", Lines).set_lines(())
            return
        self._most = vocabulary.entry(0).count or 1
        self._search(self.query_one(LineInput).text)

    @property
    def marked(self) -> int | None:
        """The token of the row that has the cursor."""
        table = self.query_one(RowTable)
        if self._vocabulary is None or self._ranks is None or not table.count:
            return None
        return self._vocabulary.entry(int(self._ranks[table.cursor])).token

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(_PAUSE, lambda: self._search(self.query_one(LineInput).text))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one(RowTable).focus()

    @on(RowTable.Chosen)
    def _chosen(self, event: RowTable.Chosen) -> None:
        event.stop()
        self.post_message(self.Wanted())

    @work(thread=True, exclusive=True, group="vocabulary")
    def _search(self, query: str) -> None:
        worker, vocabulary = get_current_worker(), self._vocabulary
        if vocabulary is None:
            return
        ranks = vocabulary.search(query, lambda: worker.is_cancelled)
        if not worker.is_cancelled:
            self.app.call_from_thread(self._found, vocabulary, ranks, bool(query))

    def _found(self, vocabulary: "Vocabulary", ranks: "Ranks", filtered: bool) -> None:
        self._ranks = ranks
        told = f"{count(len(ranks))} of {count(len(vocabulary))} tokens" if filtered else ""
        told = told or f"{count(len(vocabulary))} tokens, {count(vocabulary.used)} in training"
        self.query_one("#corpus-filtered", Lines).set_lines([((safe_text(told), "muted"),)])
        table = self.query_one(RowTable)
        table.show(
            len(ranks),
            self._row,
            ((_columns("rank", "id", "count", "share", "covered", "token"), "muted"),),
            "no token holds this",
        )

    def _row(self, index: int, width: int) -> Line:
        """Return a row of the table; the bar takes what room is left."""
        assert self._vocabulary is not None
        assert self._ranks is not None
        one = self._vocabulary.entry(int(self._ranks[index]))
        numbers = (
            count(one.rank),
            count(one.token),
            count(one.count),
            _share(one.share),
            _share(one.covered),
        )
        left = _columns(*numbers, "")
        room = width - len(left)
        token = min(28, max(12, room // 2))
        shown = pad(visible(one.text, token), token)
        filled = bar(
            one.count / self._most,
            min(_BAR, max(0, room - token - 1)),
            ascii=bool(getattr(self.app, "ascii", False)),
        )
        # the space is the bar's: the cursor ends before it, and so does not run into a bar of its colour
        return ((left, "muted"), (shown, "strong"), (" " + filled, "bar"))


def _columns(rank: str, token: str, number: str, share: str, covered: str, text: str) -> str:
    return safe_text(f"{rank:>7} {token:>7} {number:>11} {share:>8} {covered:>8}  {text}")


def _share(share: float) -> str:
    return f"{100 * share:.2f} %" if share >= 0.0001 or not share else f"{100 * share:.4f} %"
