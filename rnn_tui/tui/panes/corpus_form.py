"""The rows at the top of the corpus pane: which corpus, read how; and what the doctor's remedies have changed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Input, Label, Select, Static
from textual.worker import get_current_worker

from rnn_tui.errors import RnnTuiError
from rnn_tui.safetext import safe_text
from rnn_tui.tui.panes import corpus_views as views
from rnn_tui.tui.panes.corpus_said import Said, Superseded, telling
from rnn_tui.tui.widgets.line_input import LineInput
from rnn_tui.tui.widgets.suggest import SourceSuggester

if TYPE_CHECKING:
    from rnn_tui.training.config import Layer, RunConfig

Changes = Mapping[str, Any]
"""`section.key` → value, of settings that have no row here."""
_OWN = {"corpus", "tokenizer", "task"}
"""Sections that have rows here; for the others the form of the Train pane is asked."""


class CorpusForm(Vertical):
    """Source, tokenizer, steps and task; below them other settings that were changed, where there are any."""

    DEFAULT_CSS = """
    CorpusForm { height: auto; }
    CorpusForm Horizontal { height: 1; }
    CorpusForm Label { width: 11; color: $foreground 75%; }
    CorpusForm LineInput { width: 1fr; background: $surface; padding: 0 1; }
    CorpusForm LineInput:focus { background: $primary 25%; }
    CorpusForm Select { width: 20; margin-left: 2; }
    CorpusForm Select > SelectCurrent { background: $surface; padding: 0 1; }
    CorpusForm #corpus-changes { height: 1; color: $foreground 75%; display: none; }
    """

    class Asked(Message):
        """What is entered is to be measured."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: dict[str, Any] = {}
        self._given = ("", "")  # a source as the line shows it, and as it is: a file name may hold anything

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Label("corpus")
            yield LineInput(
                placeholder="a file, a folder, or a name", suggester=SourceSuggester(), id="corpus-source"
            )
            yield Select(
                [("char", "char")], value="char", allow_blank=False, compact=True, id="corpus-tokenizer"
            )
        with Horizontal():
            yield Label("clean up")
            yield LineInput(
                placeholder="nothing, or steps such as lowercase",
                suggester=SuggestFromList(views.step_names()),
                id="corpus-steps",
            )
            yield Select(
                [(safe_text(name), name) for name in views.task_names()],
                value="next-token",
                allow_blank=False,
                compact=True,
                id="corpus-task",
            )
        yield Static("", id="corpus-changes", markup=False)

    # -- what is entered --------------------------------------------------------------------------------------------

    @property
    def source(self) -> str:
        """The corpus."""
        value = self.query_one("#corpus-source", LineInput).value
        return self._given[1] if value == self._given[0] else value.strip()

    @source.setter
    def source(self, source: str) -> None:
        line = self.query_one("#corpus-source", LineInput)
        line.value = source
        self._given = (line.value, source)

    def clean_up(self, steps: Sequence[str]) -> None:
        """Enter steps; nothing is asked for."""
        self.query_one("#corpus-steps", LineInput).value = ", ".join(steps)

    @property
    def tokenizer(self) -> str:
        """The name of the tokenizer."""
        return str(self.query_one("#corpus-tokenizer", Select).value)

    def settings(self) -> dict[str, dict[str, Any]]:
        """Return what is entered, and what was changed besides, as a layer of settings."""
        steps = self.query_one("#corpus-steps", LineInput).value.split(",")
        settings: dict[str, dict[str, Any]] = {
            "corpus": {"source": self.source, "normalise": [step.strip() for step in steps if step.strip()]},
            "tokenizer": {"name": self.tokenizer},
            "task": {"name": str(self.query_one("#corpus-task", Select).value)},
        }
        for path, value in self.changes.items():
            section, key = path.split(".")
            settings.setdefault(section, {})[key] = list(value) if isinstance(value, tuple) else value
        return settings

    def resolved(self, chosen: "Layer") -> "RunConfig":
        """Return the settings of a run: what was chosen here, and else those of the form of the Train pane.

        Raises:
            RnnTuiError: when what was chosen is wrong.
        """
        from rnn_tui.training.config import resolve

        forms: list[Any] = list(self.app.query("TrainForm"))
        entered = [
            {section: values for section, values in form.settings().items() if section not in _OWN}
            for form in forms
        ]
        try:
            return resolve([*(("the form", settings) for settings in entered), chosen]).config
        except RnnTuiError:
            return resolve([chosen]).config

    @work(thread=True, exclusive=True, group="corpus")
    def convert(self, encoding: str) -> None:
        """Enter a copy of the source that is converted from `encoding`, and ask for it."""
        from rnn_tui.corpus.convert import convert

        worker = get_current_worker()
        ascii = bool(getattr(self.app, "ascii", False))
        progress = telling(
            lambda text: self.post_message(Said(text)), lambda: worker.is_cancelled, ascii=ascii
        )
        try:
            copy = convert(Path(self.source), encoding, progress=progress)
        except Superseded:
            return
        except RnnTuiError as error:
            self.post_message(Said(str(error), bad=True))
            return
        self.app.call_from_thread(self._converted, str(copy))

    def _converted(self, copy: str) -> None:
        self.source = copy
        self.post_message(self.Asked())

    def fill(self, config: "RunConfig", changes: Changes) -> None:
        """Show the settings of `config`; nothing is asked for."""
        with self.prevent(Select.Changed):
            self.source = config.corpus.source
            self.clean_up(config.corpus.normalise)
            self.query_one("#corpus-task", Select).value = config.task.name
            tokenizer = self.query_one("#corpus-tokenizer", Select)
            if (config.tokenizer.name,) in {(value,) for _, value in tokenizer._options}:
                tokenizer.value = config.tokenizer.name
        self.change(changes)

    def change(self, changes: Changes) -> None:
        """Take other settings than those before, and show them."""
        self.changes = dict(changes)
        shown = self.query_one("#corpus-changes", Static)
        shown.display = bool(changes)
        told = ", ".join(f"{path} = {_written(value)}" for path, value in changes.items())
        shown.update(Content(safe_text(f"also       {told}", limit=400)))

    def offer(self, tokenizers: Sequence[str]) -> None:
        """Offer the tokenizers that can be used; the one that is chosen stays if it is among them."""
        select = self.query_one("#corpus-tokenizer", Select)
        chosen = select.value
        with self.prevent(Select.Changed):
            select.set_options([(Content(safe_text(name, limit=16)), name) for name in tokenizers])
            select.value = chosen if chosen in tokenizers else tokenizers[0]

    def choose_tokenizer(self, name: str) -> None:
        """Choose a tokenizer; nothing is asked for."""
        with self.prevent(Select.Changed):
            self.query_one("#corpus-tokenizer", Select).value = name

    def focus_source(self) -> None:
        """Put the cursor where the corpus is typed."""
        self.query_one("#corpus-source", LineInput).focus()

    @on(Input.Submitted)
    @on(Select.Changed)
    def _entered(self, event: Input.Submitted | Select.Changed) -> None:
        event.stop()
        if isinstance(event, Input.Submitted) or self.source:
            self.post_message(self.Asked())


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_written(one)}" for key, one in value.items()) or "none"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
