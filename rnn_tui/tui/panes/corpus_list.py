"""What the corpus pane shows while no corpus is chosen: how to choose one, and those that have a name."""

from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import get_current_worker

from rnn_tui.errors import RnnTuiError
from rnn_tui.tui.panes import corpus_views as views
from rnn_tui.tui.panes.corpus_said import Said, Superseded, telling

if TYPE_CHECKING:
    from rnn_tui.corpus.sources import NamedCorpus


class CorpusList(Vertical):
    """The corpora that have a name; enter looks at one, and what is not here yet can be downloaded."""

    DEFAULT_CSS = """
    CorpusList { height: 1fr; margin-top: 1; }
    CorpusList Static { margin-bottom: 1; }
    CorpusList OptionList { height: auto; border: none; padding: 0; background: transparent; }
    """

    class Chosen(Message):
        """A corpus was chosen."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self) -> None:
        super().__init__()
        self._known: list[NamedCorpus] = []

    def compose(self) -> ComposeResult:
        yield Static(views.EMPTY)
        yield OptionList(id="corpus-names", compact=True, markup=False)

    def on_mount(self) -> None:
        self.refresh_names()

    def on_resize(self) -> None:
        self._show(self._known)

    @work(thread=True, group="names", exclusive=True)
    def refresh_names(self) -> None:
        """Look anew which are here."""
        from rnn_tui.corpus.sources import named_corpora

        self.app.call_from_thread(self._show, named_corpora())

    def _show(self, known: "list[NamedCorpus]") -> None:
        self._known = known
        names = self.query_one(OptionList)
        marked = names.highlighted or 0
        width = max(20, self.size.width - 2)
        names.set_options(
            [Option(views.corpus_line(one).truncate(width, ellipsis=True), id=one.name) for one in known]
        )
        names.highlighted = min(marked, len(known) - 1) if known else None

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Chosen(str(event.option_id)))

    def get_marked(self) -> None:
        """Download the corpus that is marked."""
        names = self.query_one(OptionList)
        if names.highlighted is not None:
            self._get(str(names.get_option_at_index(names.highlighted).id))

    @work(thread=True, exclusive=True, group="download")
    def _get(self, name: str) -> None:
        from rnn_tui.corpus.download import get

        worker = get_current_worker()

        def say(text: str) -> None:
            self.post_message(Said(f"{text}  esc stops"))

        ascii = bool(getattr(self.app, "ascii", False))
        try:
            get(name, progress=telling(say, lambda: worker.is_cancelled, ascii=ascii))
        except Superseded:
            return
        except RnnTuiError as error:
            self.post_message(Said(str(error), bad=True))
            return
        self.post_message(self.Chosen(name))
        self.refresh_names()
