"""The same passage by several tokenizers, side by side or one above the other."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.message import Message
from textual.worker import get_current_worker

from rnn_tui.safetext import safe_text
from rnn_tui.tui.format import count
from rnn_tui.tui.widgets.lines import Line, Lines
from rnn_tui.tui.widgets.token_lines import TokenLines, wrap

if TYPE_CHECKING:
    from rnn_tui.corpus.compare import Cut
    from rnn_tui.corpus.reading import Piece
    from rnn_tui.tui.panes.corpus_measure import Reading

PASSAGE = 2000
"""Characters of the passage: more than a column shows."""

_SHOWN = 3
_BESIDE = 96
"""Cells from which they stand side by side."""


class CutColumn(Vertical, can_focus=True):
    """What one tokenizer makes of the passage; enter takes it."""

    DEFAULT_CSS = """
    CutColumn { height: 1fr; }
    CutColumn > #cut-figures { color: $foreground; }
    CutColumn:focus > #cut-figures { background: $primary 20%; }
    CutColumn:ansi:focus > #cut-figures { background: ansi_default; }
    CutColumn > TokenLines { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "take", "Take", show=False)]

    class Taken(Message):
        """This tokenizer is to be used."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self) -> None:
        super().__init__()
        self.tokenizer = ""
        self._facts: Sequence[str] = ()
        self._pieces: Sequence[Piece] = ()
        self._used = False

    def compose(self) -> ComposeResult:
        yield Lines(id="cut-figures")
        yield TokenLines()

    def show(self, name: str, facts: Sequence[str], pieces: "Sequence[Piece]", *, used: bool) -> None:
        """Show a tokenizer by name.

        Args:
            facts: What there is to say of it.
            used: Whether it is the one that the corpus is read by.
        """
        self.tokenizer, self._facts, self._pieces, self._used = name, facts, pieces, used
        self._draw()

    def action_take(self) -> None:
        if self.tokenizer:
            self.post_message(self.Taken(self.tokenizer))

    def on_focus(self) -> None:
        self._draw()

    def on_blur(self) -> None:
        self._draw()

    def on_click(self) -> None:
        if self.has_focus:
            self.action_take()

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        width = self.size.width
        aside = "  in use" if self._used else "  enter takes it"
        marker = "" if not self.has_focus else "> " if getattr(self.app, "ascii", False) else "▸ "
        name = marker + self.tokenizer
        said: list[Line] = [
            ((safe_text(name, limit=40), "strong"), (aside, "good" if self._used else "muted"))
        ]
        row = ""
        for fact in map(safe_text, self._facts):  # as many in a row as fit
            if row and len(row) + len(fact) + 2 > width:
                said.append(((row, "muted"),))
                row = ""
            row = f"{row}; {fact}" if row else fact
        self.query_one("#cut-figures", Lines).set_lines([*said, ((row, "muted"),)])
        self.call_after_refresh(self._draw_passage)

    def _draw_passage(self) -> None:
        lines = self.query_one(TokenLines)
        rows = wrap(self._pieces, self.size.width, "shades", ascii=bool(getattr(self.app, "ascii", False)))
        lines.set_lines([row.line(range(0)) for row in rows[: lines.size.height]])


class TokenizersView(Container):
    """Up to three columns; a key shows the next ones."""

    DEFAULT_CSS = """
    TokenizersView { layout: grid; grid-size: 1; grid-gutter: 1 2; height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._names: Sequence[str] = ()
        self._reading: Reading | None = None
        self._passage = ""
        self._first = 0
        self._cuts: dict[tuple[str, str, str], Cut | str] = {}

    def compose(self) -> ComposeResult:
        for _ in range(_SHOWN):
            yield CutColumn()

    def offer(self, names: Sequence[str]) -> None:
        """Take note of the tokenizers that can be used."""
        self._names = names

    def show(self, reading: "Reading", passage: str) -> None:
        """Cut a passage of a corpus by every tokenizer."""
        if (
            self._reading is None
            or self._reading.prepared.snapshot.sha256 != reading.prepared.snapshot.sha256
        ):
            self._cuts.clear()
        self._reading, self._passage = reading, passage[:PASSAGE]
        self._arrange()

    def turn(self) -> str:
        """Show the next tokenizers, after the last the first; return what to say of it."""
        if len(self._order()) <= _SHOWN:
            return ""
        self._first = (self._first + _SHOWN) % len(self._order())
        self._arrange()
        return "w shows the others"

    def on_resize(self) -> None:
        self._arrange()

    @property
    def _used(self) -> str:
        return "" if self._reading is None else self._reading.config.tokenizer.name

    def _order(self) -> list[str]:
        """Return the names, the one in use first."""
        return sorted(self._names, key=lambda name: name != self._used)

    def _arrange(self) -> None:
        if self._reading is None or not self.size:
            return
        order = self._order()
        turned = [*order[self._first :], *order[: self._first]][:_SHOWN]
        self.styles.grid_size_columns = max(1, len(turned)) if self.size.width >= _BESIDE else 1
        columns = list(self.query(CutColumn))
        for index, column in enumerate(columns):
            column.display = index < len(turned)
            if index < len(turned):
                column.show(turned[index], ["counting …"], (), used=turned[index] == self._used)
        self._cut(self._reading, self._passage, turned)

    @work(thread=True, exclusive=True, group="cuts")
    def _cut(self, reading: "Reading", passage: str, names: Sequence[str]) -> None:
        from rnn_tui.corpus.compare import cut_passage, samples
        from rnn_tui.plugin.loading import blamed, describe_error
        from rnn_tui.training.tokenizers import trained

        worker = get_current_worker()
        sample, counted = samples(reading.prepared)
        for index, name in enumerate(names):
            pieces: Sequence[Piece] = ()
            key = (name, repr(reading.config.tokenizer), reading.prepared.snapshot.sha256)
            cut = self._cuts.get(key)
            try:
                cut = cut or trained(reading.config, name, sample, counted, lambda: worker.is_cancelled)
                pieces = () if cut is None or isinstance(cut, str) else cut_passage(cut.tokenizer, passage)
            except Exception as error:  # a plugin raises whatever it likes
                cut = str(blamed(error) or describe_error(error))
            if worker.is_cancelled or cut is None:
                return
            self._cuts[key] = cut
            self.app.call_from_thread(self._shown, index, name, _facts(cut, pieces), pieces)

    def _shown(self, index: int, name: str, facts: Sequence[str], pieces: "Sequence[Piece]") -> None:
        column = list(self.query(CutColumn))[index]
        if column.tokenizer == name:
            column.show(name, facts, pieces, used=name == self._used)


def _facts(cut: "Cut | str", pieces: "Sequence[Piece]") -> list[str]:
    """Return what there is to say of a tokenizer, the shortest way."""
    if isinstance(cut, str):
        return [cut]
    unknown = f"{100 * cut.unknown:.1f} % unknown" if cut.tokenizer.unknown_id is not None else "none unknown"
    here = sum(piece.tokens for piece in pieces)
    return [
        f"vocabulary {count(cut.vocab_size)}, {unknown}",
        f"{cut.chars_per_token:.2f} characters a token",
        f"{count(here)} tokens here",
    ]
