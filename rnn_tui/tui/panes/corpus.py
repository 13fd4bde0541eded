"""The corpus pane: what a text is like, before anything is trained on it."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.worker import get_current_worker

from rnn_tui.errors import RnnTuiError
from rnn_tui.tui.keys import bind, rows
from rnn_tui.tui.panes.base import Pane
from rnn_tui.tui.panes.corpus_findings import FindingsView
from rnn_tui.tui.panes.corpus_form import Changes, CorpusForm
from rnn_tui.tui.panes.corpus_list import CorpusList
from rnn_tui.tui.panes.corpus_measure import Reading, guessed, measure, try_model
from rnn_tui.tui.panes.corpus_said import Said, Superseded, telling
from rnn_tui.tui.panes.corpus_tabs import CorpusTabs
from rnn_tui.tui.panes.corpus_text import TextView
from rnn_tui.tui.panes.corpus_tokenizers import CutColumn
from rnn_tui.tui.widgets.chart import Chart
from rnn_tui.tui.widgets.status import StatusLine

if TYPE_CHECKING:
    from rnn_tui.corpus.remedies import Remedy
    from rnn_tui.plugin.describe import PluginDescription
    from rnn_tui.training.config import Layer, RunConfig

BUILT_IN = "stdlib"
_CHOOSE = "choose a corpus first; b takes the built-in one"


class CorpusPane(Pane):
    """Choose a text, see it measured, mend it, train on it."""

    title = "Corpus"
    key = "1"
    default_focus = "#corpus-names"

    BINDINGS: ClassVar = [
        bind("e", "edit", "Choose", "Type a file, a folder or a name", footer=True),
        bind("b", "built_in", "Built-in", "Look at the built-in corpus: Python's own sources"),
        bind("c", "names", "Corpora", "List the corpora that have a name"),
        bind("d", "get", "Download", "Download the corpus that is marked in the list"),
        bind("t", "train", "Train", "Train on this corpus", footer=True),
        bind("o", "view('overview')", "Overview", "Counts, splits, baselines, what training takes"),
        bind("f", "view('findings')", "Findings", "What the doctor found, and the change that answers it"),
        bind(
            "p", "turn('pictures')", "Pictures", "Rank and frequency, coverage, lengths; again: the next ones"
        ),
        bind("v", "view('vocabulary')", "Vocabulary", "All tokens, with a filter"),
        bind("x", "view('text')", "Text", "The whole text, with its tokens"),
        bind(
            "w", "turn('tokenizers')", "Tokenizers", "A passage by several tokenizers; again: the next ones"
        ),
        bind("a", "apply", "Apply", "Apply the change that answers the marked finding"),
        bind(
            "slash",
            "find",
            "Find",
            "Search the text or the vocabulary, whichever is shown",
            footer=True,
            shown_as="/",
        ),
        bind("n", "next_hit", "Next", "Search the text on, from the last place found"),
        bind("percent_sign", "place", "Go to", "Go to a place of the text: 50%, or a number", shown_as="%"),
        bind("s", "look", "Shades", "Show tokens in shades, between bars, or plain text"),
        bind("i", "occurrence", "In text", "Show the first place of the marked token in the text"),
        bind(
            "escape", "leave_input", "Stop", "Stop measuring or searching; else leave the input", footer=True
        ),
    ]

    DEFAULT_CSS = """
    CorpusPane CorpusTabs { display: none; }
    CorpusPane.-found CorpusTabs { display: block; }
    CorpusPane.-found CorpusList { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.reading: Reading | None = None
        self._chosen: Layer = ("", {})
        self._looked = ""
        """The corpus whose task was guessed last."""
        self._changes: Changes = {}
        """The other settings that what is shown was measured with."""
        self._encoding = ""
        """That a text which was refused may be in."""

    @classmethod
    def table(cls) -> list[Binding]:
        return [*rows(cls.BINDINGS), *rows(Chart.BINDINGS)]

    # -- layout ---------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield CorpusForm()
        yield StatusLine(id="corpus-status")
        yield CorpusList()
        yield CorpusTabs()

    @property
    def tabs(self) -> CorpusTabs:
        """The views."""
        return self.query_one(CorpusTabs)

    @property
    def form(self) -> CorpusForm:
        """The rows at the top."""
        return self.query_one(CorpusForm)

    def on_mount(self) -> None:
        self.form.source = str(self.shell.recall("corpus.source", ""))

    def shown(self) -> None:
        super().shown()
        if self.reading is not None and self.form.resolved(self._chosen) != self.reading.config:
            self._look(self._chosen)  # the form of the Train pane has other settings now

    def described(self, descriptions: "list[PluginDescription]") -> None:
        usable = [one.info.name for one in descriptions if one.info.kind == "tokenizer" and one.error is None]
        if not usable:
            self._say("no tokenizer is installed, so no text can be measured; see the Plugins pane", bad=True)
            return
        self.form.offer(usable)
        self.tabs.offer(usable)

    # -- choosing -------------------------------------------------------------------------------------------------

    @on(CorpusList.Chosen)
    def _name_chosen(self, event: CorpusList.Chosen) -> None:
        event.stop()
        self.look(event.name)

    @on(Said)
    def _part_said(self, event: Said) -> None:
        event.stop()
        self._say(event.text, bad=event.bad)

    @on(CorpusForm.Asked)
    def _asked(self, event: CorpusForm.Asked) -> None:
        event.stop()
        self.look(self.form.source)

    def look(self, source: str) -> None:
        """Measure a corpus and show it; of one that is new here, what it is for is guessed."""
        self.form.source = source
        new, self._looked = source != self._looked, source
        if new:
            self.form.change({})
        elif self.reading is not None and self.form.tokenizer != self.reading.config.tokenizer.name:
            # options are those of one tokenizer
            self.form.change(
                {key: one for key, one in self.form.changes.items() if key != "tokenizer.options"}
            )
        self._look(("clean up", self.form.settings()), guess=new)

    def _look(self, chosen: "Layer", *, guess: bool = False) -> None:
        self._chosen = chosen
        try:
            self._measure(self.form.resolved(chosen), guess)
        except RnnTuiError as error:
            self._failed(str(error))

    @work(thread=True, exclusive=True, group="corpus")
    def _measure(self, config: "RunConfig", guess: bool) -> None:
        worker, call = get_current_worker(), self.app.call_from_thread
        progress = telling(
            lambda text: call(self._say, f"{text}  esc stops"),
            lambda: worker.is_cancelled,
            ascii=self.shell.ascii,
        )
        try:
            if guess:
                config = guessed(config)
                call(self._guessed, config)
            reading = measure(config, progress)
        except Superseded:
            return
        except RnnTuiError as error:
            if not worker.is_cancelled:
                call(self._failed, str(error))
            return
        if not worker.is_cancelled:
            call(self._show, reading)

    def _guessed(self, config: "RunConfig") -> None:
        """Show what the corpus is taken for; the choice stays."""
        columns = {"task.columns": config.task.columns} if config.task.columns else {}
        self.form.fill(config, columns)
        self._chosen = ("clean up", self.form.settings())

    @work(thread=True, exclusive=True, group="estimate")
    def _try(self, reading: Reading) -> None:
        worker = get_current_worker()
        taken = try_model(reading.config, reading.found, lambda: worker.is_cancelled)
        if not worker.is_cancelled:
            self.app.call_from_thread(self.tabs.estimated, taken)

    # -- showing --------------------------------------------------------------------------------------------------

    def _failed(self, message: str) -> None:
        """Say why, and show no figures: those of the corpus before would be taken for this one's."""
        from rnn_tui.corpus.remedies import encoding_in

        self.reading = None
        self.remove_class("-found")
        self._encoding = encoding_in(message) if os.path.isfile(self.form.source) else ""
        self._say(
            message + (f"; a: read a copy converted from {self._encoding}" if self._encoding else ""),
            bad=True,
        )

    def _show(self, reading: Reading) -> None:
        self.reading, self._encoding, self._changes = reading, "", self.form.changes
        self.shell.remember("corpus.source", reading.config.corpus.source)
        self.add_class("-found")
        self.tabs.show(reading)
        self._try(reading)
        focused = self.screen.focused
        if focused is not None and self in focused.ancestors_with_self:
            self.call_after_refresh(self.tabs.focus_view)
        warnings = sum(finding.level == "warning" for finding in reading.found.findings)
        mendable = sum(remedy is not None for _, remedy in reading.answers)
        if warnings:
            self._say(f"{warnings} warning{'s' * (warnings > 1)}: f shows what to do", bad=True)
        else:
            self._say("t trains on it" + ("; f shows what can be mended" if mendable else ""))

    def _say(self, text: str, *, bad: bool = False) -> None:
        self.query_one("#corpus-status", StatusLine).say(text, bad)

    # -- mending --------------------------------------------------------------------------------------------------

    @on(FindingsView.Applied)
    def _applied(self, event: FindingsView.Applied) -> None:
        event.stop()
        self._mend(event.remedy)

    def _mend(self, remedy: "Remedy") -> None:
        """Make a change and measure again; the app's undo takes it back."""
        if remedy.path == "tokenizers":
            self.tabs.view("tokenizers")
            return
        if remedy.path == "encoding":
            self._convert(str(remedy.value))
            return
        self._offer_undo(remedy.label)
        if remedy.path == "corpus.normalise":
            self.form.clean_up(remedy.value)
        else:
            self.form.change({**self.form.changes, remedy.path: remedy.value})
        self.look(self.form.source)

    def _convert(self, encoding: str) -> None:
        self._offer_undo("a converted copy is read")
        self.form.convert(encoding)

    def _offer_undo(self, what: str) -> None:
        """Let the app's undo go back to the settings that are there now."""
        before, changes, source = self.reading, self._changes, self.form.source

        def undo() -> None:
            if before is None:
                self.look(source)
            else:
                self.form.fill(before.config, changes)
                self._looked = before.config.corpus.source
                self.look(self._looked)

        self.shell.offer_undo(what, undo)

    @on(CutColumn.Taken)
    def _tokenizer_taken(self, event: CutColumn.Taken) -> None:
        event.stop()
        if self.reading is not None and event.name != self.reading.config.tokenizer.name:
            self._offer_undo(f"the tokenizer is {event.name}")
            self.form.choose_tokenizer(event.name)
            self.look(self.form.source)

    # -- actions --------------------------------------------------------------------------------------------------

    def action_leave_input(self) -> None:
        """Stop what runs: a search, a download, the measuring; without any, leave the input."""
        if self.tabs.leave():
            return
        running = [one for one in self.workers if one.group in ("corpus", "download") and one.is_running]
        if not running:
            super().action_leave_input()
            return
        for worker in running:
            worker.cancel()
        if self.reading is None:
            self._say("stopped")
            return
        self.form.fill(self.reading.config, self._changes)
        self._looked, self._chosen = self.form.source, ("clean up", self.form.settings())
        self._say("stopped; what is shown is the corpus before")

    def action_built_in(self) -> None:
        self.look(BUILT_IN)

    def action_edit(self) -> None:
        self.form.focus_source()

    def action_names(self) -> None:
        self.remove_class("-found")
        names = self.query_one(CorpusList)
        names.refresh_names()
        names.query_one("#corpus-names").focus()

    def action_get(self) -> None:
        if not self.has_class("-found"):
            self.query_one(CorpusList).get_marked()

    def action_train(self) -> None:
        if self.reading is None:
            self._say(_CHOOSE)
            return
        settings = {section: dict(values) for section, values in self._chosen[1].items()}
        if settings["task"] == {"name": "next-token"}:
            del settings["task"]
        self.shell.new_run(settings)

    def action_view(self, name: str) -> None:
        self._in_tabs(lambda tabs: tabs.view(name))

    def action_turn(self, name: str) -> None:
        self._in_tabs(lambda tabs: tabs.turn(name) if self.has_class("-found") else tabs.view(name))

    def action_apply(self) -> None:
        if self._encoding:
            self._convert(self._encoding)
        else:
            self._in_tabs(self._apply)

    def _apply(self, tabs: CorpusTabs) -> None:
        if not tabs.apply():
            self._say("no setting answers this finding; f shows all of them")

    def action_find(self) -> None:
        if self.reading is None:
            self.action_edit()
        else:
            self._in_tabs(CorpusTabs.find)

    def action_next_hit(self) -> None:
        self._in_tabs(lambda tabs: tabs.in_text(TextView.next_hit))

    def action_place(self) -> None:
        self._in_tabs(lambda tabs: tabs.in_text(lambda view: view.ask("place")))

    def action_look(self) -> None:
        self._in_tabs(lambda tabs: tabs.in_text(TextView.change_look))

    def action_occurrence(self) -> None:
        self._in_tabs(CorpusTabs.occurrence)

    def _in_tabs(self, act: Callable[[CorpusTabs], object]) -> None:
        """Do something in the views, if there is a corpus to view."""
        if self.reading is None:
            self._say(_CHOOSE)
            return
        act(self.tabs)
        self.add_class("-found")
