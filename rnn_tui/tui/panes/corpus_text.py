"""A scroll through the whole text: any place of gigabytes, with a search and a place to go to."""

from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input
from textual.worker import get_current_worker

from rnn_tui.errors import RnnTuiError
from rnn_tui.safetext import safe_text
from rnn_tui.tui.format import count
from rnn_tui.tui.widgets.line_input import LineInput
from rnn_tui.tui.widgets.status import StatusLine
from rnn_tui.tui.widgets.token_lines import LOOKS, Look
from rnn_tui.tui.widgets.token_scroll import TokenScroll

if TYPE_CHECKING:
    from rnn_tui.corpus.reading import Reader

_SPOKEN = {"shades": "each token in a shade of its own", "bars": "tokens between bars", "plain": "plain text"}


class TextView(Vertical):
    """Where the view is, the text, and a line to type into when something is asked for."""

    DEFAULT_CSS = """
    TextView LineInput { display: none; background: $surface; padding: 0 1; }
    TextView LineInput:focus { background: $primary 25%; }
    TextView.-asking LineInput { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._asked = ""
        self._query = ""
        self._hit = -1
        self._said = ""

    def compose(self) -> ComposeResult:
        yield StatusLine(id="corpus-place")
        yield TokenScroll(id="corpus-text")
        yield LineInput(id="corpus-ask")

    @property
    def scroll(self) -> TokenScroll:
        """The text itself."""
        return self.query_one(TokenScroll)

    def show(self, reader: "Reader", look: Look) -> None:
        """Show a text from its beginning."""
        self.stop()
        self._query, self._hit, self._said = "", -1, ""
        self.scroll.read(reader, look)

    def passage(self, tokens: int) -> str:
        """Return some text from the place in view on."""
        reader = self.scroll.reader
        try:
            return "" if reader is None else reader.text(self.scroll.token, self.scroll.token + tokens)
        except RnnTuiError:  # the view says it already
            return ""

    def change_look(self) -> None:
        """Go to the next way of showing where tokens begin."""
        look = LOOKS[(LOOKS.index(self.scroll.look) + 1) % len(LOOKS)]
        self._said = _SPOKEN[look]
        self.scroll.restyle(look)
        self._tell(self._said)

    def ask(self, what: str) -> None:
        """Ask for a text to search ("search") or for a place ("place")."""
        self._asked = what
        line = self.query_one(LineInput)
        line.placeholder = (
            "text to search from here on" if what == "search" else "where to go: 50%, or 120000"
        )
        line.value = self._query if what == "search" else ""
        self.add_class("-asking")
        line.focus()

    def leave(self) -> bool:
        """Stop the search, or put the line away; False if there was neither."""
        if self.stop():
            self._tell("the search was stopped")
            return True
        if self.has_class("-asking"):
            self._put_away()
            return True
        return False

    def next_hit(self) -> None:
        """Search on."""
        if self._query:
            self._search(self._query, self._hit + 1 if self._hit >= 0 else self.scroll.token)
        else:
            self.ask("search")

    def mark(self, token: int, tokens: int = 1) -> None:
        """Show a token in its surroundings."""
        self._hit = token
        self.scroll.go(token, range(token, token + tokens))

    def stop(self) -> bool:
        """End a search that runs."""
        running = [worker for worker in self.workers if worker.group == "search" and worker.is_running]
        for worker in running:
            worker.cancel()
        return bool(running)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        text = self.query_one(LineInput).text
        self._put_away()
        if self._asked == "search" and text:
            self._query, self._hit = text, -1
            self._search(text, self.scroll.token)
        elif self._asked == "place" and text:
            self._go(text)

    def _put_away(self) -> None:
        self.remove_class("-asking")
        self.scroll.focus()

    def _go(self, text: str) -> None:
        reader = self.scroll.reader
        if reader is None:
            return
        token = place(text, reader.tokens)
        if token is None:
            self._tell(
                f"a place is a share such as 50%, or a number up to {count(reader.tokens - 1)}", bad=True
            )
            return
        self._said = ""
        self.scroll.go(token)
        self._tell("")

    @work(thread=True, exclusive=True, group="search")
    def _search(self, query: str, start: int) -> None:
        worker, reader = get_current_worker(), self.scroll.reader
        if reader is None:
            return
        call = self.app.call_from_thread

        def cancelled(at: int) -> bool:
            call(self._tell, f"searching at {100 * (at / reader.tokens):.0f} %, esc stops")
            return worker.is_cancelled

        try:
            found, again = reader.find(query, start, cancelled), False
            if found is None and not worker.is_cancelled:
                found, again = reader.find(query, 0, lambda at: cancelled(at) or at > start), True
        except RnnTuiError as error:
            call(self._tell, str(error), True)
            return
        if not worker.is_cancelled:
            call(self._found, query, found, again)

    def _found(self, query: str, found: tuple[int, int] | None, again: bool) -> None:
        if found is None:
            self._tell(f"no {query!r} in this text", bad=True)
            return
        self._said = "from the beginning again; n goes on" if again else "n goes on"
        self.mark(found[0], found[1] - found[0])
        self._tell(self._said)

    @on(TokenScroll.Moved)
    def _moved(self, event: TokenScroll.Moved) -> None:
        event.stop()
        self._tell(self._said)

    def _tell(self, text: str, bad: bool = False) -> None:
        """Say where the view is, and something beside it."""
        reader = self.scroll.reader
        if reader is None:
            return
        token = self.scroll.token
        part = f", {reader.part(token).name}" if len(reader.parts) > 1 else ""
        where = f"{100 * (token / reader.tokens):.1f} %  {reader.noun} {count(token)} of {count(reader.tokens)}{part}"
        if bad:
            self.query_one(StatusLine).say(text, True)
        else:
            self.query_one(StatusLine).say(where, right=safe_text(text, limit=60))


def place(text: str, tokens: int) -> int | None:
    """Return the token that a text such as `50%`, `12.5 %` or `120,000` names; None where it names none."""
    text = text.strip().replace(",", "").replace("_", "")
    share = text.endswith("%")
    try:
        number = float(text.removesuffix("%")) if share else int(text)
    except ValueError:
        return None
    token = int(number / 100 * tokens) if share and number == number else int(number) if not share else -1
    return min(token, tokens - 1) if 0 <= token <= tokens else None
