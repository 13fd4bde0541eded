"""The corpus pane: what a text is like, before anything is trained on it."""

import time
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.suggester import SuggestFromList
from textual.widgets import Input, Label, OptionList, Select, Static, TabbedContent, TabPane
from textual.widgets.option_list import Option
from textual.worker import get_current_worker

from rnn_tui.errors import RnnTuiError
from rnn_tui.safetext import safe_text
from rnn_tui.tui.format import bar
from rnn_tui.tui.keys import bind
from rnn_tui.tui.panes import corpus_task_views as task_views
from rnn_tui.tui.panes import corpus_views as views
from rnn_tui.tui.panes.base import Pane
from rnn_tui.tui.panes.corpus_measure import Superseded, measure, try_model
from rnn_tui.tui.widgets.chart import Chart
from rnn_tui.tui.widgets.line_input import LineInput
from rnn_tui.tui.widgets.status import StatusLine
from rnn_tui.tui.widgets.suggest import SourceSuggester
from rnn_tui.tui.widgets.tail import TailView

if TYPE_CHECKING:
    from rnn_tui.corpus.sources import NamedCorpus
    from rnn_tui.plugin.describe import PluginDescription
    from rnn_tui.training.config import Layer, RunConfig
    from rnn_tui.training.estimate import Estimate
    from rnn_tui.training.survey import Statistics

BUILT_IN = "stdlib"
_WIDE = 124  # two columns of counts with nine digits fit side by side


class CorpusPane(Pane):
    """Choose a text, see it measured, train on it."""

    title = "Corpus"
    key = "1"
    default_focus = "#corpus-names"

    BINDINGS: ClassVar = [
        bind("b", "built_in", "Built-in", "Look at the built-in corpus: Python's own sources", footer=True),
        bind("slash,e", "edit", "Choose", "Type a file, a folder or a name", footer=True, shown_as="/"),
        bind("n", "names", "Names", "List the corpora that have a name", footer=True),
        bind("t", "train", "Train", "Train on this corpus", footer=True),
        bind("g", "get", "Get", "Download the corpus that is marked in the list"),
        bind("o", "view('overview')", "Overview", "Counts, splits, findings, baselines"),
        bind("v", "view('vocabulary')", "Vocabulary", "Tokens, coverage, rank and frequency"),
        bind("l", "view('lines')", "Lines", "Lengths of lines and words"),
        bind("x", "view('text')", "Text", "The text itself"),
        bind("escape", "leave_input", "Leave input", "Leave the input, so that single keys act"),
    ]

    DEFAULT_CSS = """
    CorpusPane .corpus-row { height: 1; }
    CorpusPane .corpus-row Label { width: 11; color: $foreground 75%; }
    CorpusPane .corpus-row LineInput { width: 1fr; background: $surface; padding: 0 1; }
    CorpusPane .corpus-row LineInput:focus { background: $primary 25%; }
    CorpusPane .corpus-row Select { width: 20; margin-left: 2; }
    CorpusPane .corpus-row Select > SelectCurrent { background: $surface; padding: 0 1; }
    CorpusPane #corpus-empty { height: 1fr; margin-top: 1; }
    CorpusPane #corpus-empty Static { margin-bottom: 1; }
    CorpusPane #corpus-names { height: auto; border: none; padding: 0; background: transparent; }
    CorpusPane TabbedContent { height: 1fr; display: none; }
    CorpusPane TabPane { padding: 0; }
    CorpusPane VerticalScroll { scrollbar-size-vertical: 1; }
    CorpusPane.-found TabbedContent { display: block; }
    CorpusPane.-found #corpus-empty { display: none; }
    CorpusPane .block { height: auto; margin-bottom: 1; }
    CorpusPane #corpus-coverage { margin: 0; }
    CorpusPane .columns { height: auto; layout: vertical; }
    CorpusPane .columns > Vertical { height: auto; }
    CorpusPane.-broad .columns { layout: horizontal; }
    CorpusPane.-broad .columns > Vertical { width: 1fr; margin-right: 3; }
    CorpusPane #corpus-tokens { width: 2fr; }
    CorpusPane #corpus-right { width: 3fr; margin-left: 3; }
    CorpusPane Chart { height: 1fr; min-height: 6; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: Statistics | None = None
        self.config: RunConfig | None = None
        self._taken: Estimate | str | None = None
        self._chosen: Layer = ("", {})
        self._names: list[NamedCorpus] = []
        self._told = 0.0

    # -- layout ---------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        with Horizontal(classes="corpus-row"):
            yield Label("corpus")
            yield LineInput(
                placeholder="a file, a folder, or a name", suggester=SourceSuggester(), id="corpus-source"
            )
            yield Select(
                [("char", "char")], value="char", allow_blank=False, compact=True, id="corpus-tokenizer"
            )
        with Horizontal(classes="corpus-row"):
            yield Label("clean up")
            yield LineInput(
                placeholder="nothing; or steps such as: lowercase, letters-only",
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
        yield StatusLine(id="corpus-status")
        with Vertical(id="corpus-empty"):
            yield Static(views.EMPTY)
            yield OptionList(id="corpus-names", compact=True, markup=False)
        with TabbedContent():
            with TabPane("o Overview", id="overview"), VerticalScroll(), Horizontal(classes="columns"):
                with Vertical():
                    for name in ("figures", "splits", "baselines", "estimate"):
                        yield Static(classes="block", id=f"corpus-{name}", markup=False)
                with Vertical():
                    yield Static(classes="block", id="corpus-findings", markup=False)
                    yield Static(classes="block", id="corpus-beginning", markup=False)
            with TabPane("v Vocabulary", id="vocabulary"), Horizontal():
                with VerticalScroll(id="corpus-tokens"):
                    yield Static(id="corpus-vocabulary", markup=False)
                with Vertical(id="corpus-right"):
                    yield Static(classes="block", id="corpus-coverage", markup=False)
                    yield Chart("rank and frequency", x_name="rank", ascii=self.shell.ascii or None)
            with TabPane("l Lines", id="lines"), VerticalScroll():
                yield Static(classes="block", id="corpus-line-figures", markup=False)
                with Horizontal(classes="columns"):
                    with Vertical():
                        yield Static(classes="block", id="corpus-line-lengths", markup=False)
                    with Vertical():
                        yield Static(classes="block", id="corpus-word-lengths", markup=False)
                yield Static(classes="block", id="corpus-repeated", markup=False)
            with TabPane("x Text", id="text"):
                yield TailView(id="corpus-text")

    def on_mount(self) -> None:
        self.query_one(Chart).configure(log_x=True, log_y=True)
        self.query_one("#corpus-source", LineInput).value = str(self.shell.recall("corpus.source", ""))
        self._list_names()

    def on_resize(self) -> None:
        self.set_class(self.size.width >= _WIDE, "-broad")
        self._take_names(self._names)
        if self.found is not None:
            self._fill(self.found)

    def shown(self) -> None:
        super().shown()
        if self.config is not None and self._resolved(self._chosen) != self.config:
            self.look(self.config.corpus.source)  # the form has other settings now

    def described(self, descriptions: "list[PluginDescription]") -> None:
        usable = [one.info.name for one in descriptions if one.info.kind == "tokenizer" and one.error is None]
        if not usable:
            self._say("no tokenizer is installed, so no text can be measured; see the Plugins pane", bad=True)
            return
        select = self.query_one("#corpus-tokenizer", Select)
        chosen = select.value
        with self.prevent(Select.Changed):
            select.set_options([(Content(safe_text(name, limit=16)), name) for name in usable])
            select.value = chosen if chosen in usable else usable[0]

    # -- choosing -------------------------------------------------------------------------------------------------

    @work(thread=True, group="names", exclusive=True)
    def _list_names(self) -> None:
        from rnn_tui.corpus.sources import named_corpora

        self.app.call_from_thread(self._take_names, named_corpora())

    def _take_names(self, known: "list[NamedCorpus]") -> None:
        self._names = known
        names = self.query_one("#corpus-names", OptionList)
        marked = names.highlighted or 0
        width = max(20, self.size.width - 2)
        names.set_options(
            [Option(views.named(one).truncate(width, ellipsis=True), id=one.name) for one in known]
        )
        names.highlighted = min(marked, len(known) - 1)

    @on(OptionList.OptionSelected, "#corpus-names")
    def _name_chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.look(str(event.option_id))

    @on(Input.Submitted, "#corpus-source")
    @on(Input.Submitted, "#corpus-steps")
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.look(self.query_one("#corpus-source", LineInput).value.strip())

    @on(Select.Changed, "#corpus-tokenizer")
    @on(Select.Changed, "#corpus-task")
    def _reading_chosen(self, event: Select.Changed) -> None:
        if self._chosen[1]:
            self.look(self.query_one("#corpus-source", LineInput).value.strip())

    def look(self, source: str) -> None:
        """Measure a corpus and show it."""
        self.query_one("#corpus-source", LineInput).value = source
        steps = self.query_one("#corpus-steps", LineInput).value.split(",")
        chosen = {
            "corpus": {"source": source, "normalise": [step.strip() for step in steps if step.strip()]},
            "tokenizer": {"name": str(self.query_one("#corpus-tokenizer", Select).value)},
            "task": {"name": str(self.query_one("#corpus-task", Select).value)},
        }
        self._chosen = ("clean up", chosen)
        try:
            self._measure(self._resolved(self._chosen))
        except RnnTuiError as error:
            self._failed(str(error))

    def _resolved(self, chosen: "Layer") -> "RunConfig":
        """Return the settings of a run on this corpus: those of the form of the Train pane where they fit.

        Raises:
            RnnTuiError: when what was chosen here is wrong.
        """
        from rnn_tui.training.config import resolve

        forms: list[Any] = list(self.app.query("TrainForm"))
        entered = [
            {section: values for section, values in form.settings().items() if section not in chosen[1]}
            for form in forms
        ]
        try:
            return resolve([*(("the form", settings) for settings in entered), chosen]).config
        except RnnTuiError:
            return resolve([chosen]).config

    @work(thread=True, exclusive=True, group="corpus")
    def _measure(self, config: "RunConfig") -> None:
        try:
            found, text = measure(config, self._progress)
        except Superseded:
            return
        except RnnTuiError as error:
            self.app.call_from_thread(self._failed, str(error))
            return
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(self._show, config, found, text)

    @work(thread=True, exclusive=True, group="estimate")
    def _try(self, config: "RunConfig", found: "Statistics") -> None:
        worker = get_current_worker()
        taken = try_model(config, found, lambda: worker.is_cancelled)
        if not worker.is_cancelled:
            self.app.call_from_thread(self._tried, taken)

    def _tried(self, taken: "Estimate | str") -> None:
        self._taken = taken
        if self.found is not None:
            self._fill(self.found)

    def _progress(self, what: str, done: int, total: int | None) -> None:
        """Say how far the thread is, ten times a second at most; end it if another corpus was asked for."""
        if get_current_worker().is_cancelled:
            raise Superseded
        if time.monotonic() - self._told > 0.1:
            self._told = time.monotonic()
            part = ""
            if total:
                filled, rest = bar(done / total, 20, ascii=self.shell.ascii)
                part = f"  {filled}{rest} {done / total:.0%}"
            self.app.call_from_thread(self._say, f"{what} …{part}")

    def _failed(self, message: str) -> None:
        """Say why, and show no figures: those of the corpus before would be taken for this one's."""
        self.found = self.config = None
        self.remove_class("-found")
        self._say(message, bad=True)

    # -- showing --------------------------------------------------------------------------------------------------

    def _show(self, config: "RunConfig", found: "Statistics", text: str) -> None:
        self.found, self.config, self._taken = found, config, None
        self.shell.remember("corpus.source", config.corpus.source)
        self.add_class("-found")
        self._fill(found)
        self._try(config, found)
        focused = self.screen.focused
        if focused is not None and self in focused.ancestors_with_self:
            self.call_after_refresh(self._focus_view)
        view = self.query_one("#corpus-text", TailView)
        view.write_all([(text, "generated", None)])
        self.query_one("#corpus-beginning", Static).update(views.beginning(text))
        view.action_top()
        chart = self.query_one(Chart)
        log, title, chart.x_name, series = task_views.curves(found)
        chart.configure(log_x=log, log_y=log)
        chart.show(series, title=title)
        warnings = sum(finding.level == "warning" for finding in found.findings)
        self._say(f"{warnings} warnings, see Overview" if warnings else "t trains on it", bad=warnings > 0)

    def _fill(self, found: "Statistics") -> None:
        """Write the blocks for the present width."""
        assert self.config is not None
        width = self.size.width
        blocks = task_views.blocks(
            found,
            width,
            half=(width - 6) // 2 if self.has_class("-broad") else width - 2,
            left=max(20, (width - 3) * 2 // 5 - 2),
            tall=self.size.height >= 34,
            ascii=self.shell.ascii,
        )
        blocks["findings"] = views.findings(found.findings)
        noun = "rows" if self.config.task.name == "series" else "tokens"
        blocks["estimate"] = task_views.estimate(self._taken, self.config.model, noun)
        for static in self.query(".block, #corpus-vocabulary").results(Static):
            name = (static.id or "").removeprefix("corpus-")
            if name != "beginning":
                static.update(blocks.get(name, ""))
                static.display = name in blocks
        self.query_one("#corpus-tokens").display = "vocabulary" in blocks

    def _say(self, text: str, *, bad: bool = False) -> None:
        self.query_one(StatusLine).say(text, bad)

    # -- actions --------------------------------------------------------------------------------------------------

    def action_built_in(self) -> None:
        self.look(BUILT_IN)

    def action_edit(self) -> None:
        self.query_one("#corpus-source").focus()

    def action_names(self) -> None:
        self.remove_class("-found")
        self._list_names()
        self.query_one("#corpus-names").focus()

    def action_view(self, name: str) -> None:
        if self.found is not None:
            self.add_class("-found")
            self.query_one(TabbedContent).active = name
            self.call_after_refresh(self._focus_view)

    def _focus_view(self) -> None:
        """Give the focus to what scrolls in the view, so that arrows and page keys act on it."""
        view = self.query_one(TabbedContent).active_pane
        for widget in () if view is None else view.query("VerticalScroll, TailView"):
            widget.focus(scroll_visible=False)
            return

    def action_train(self) -> None:
        if self.config is None:
            self._say("choose a corpus first; b takes the built-in one")
            return
        corpus = {"source": self.config.corpus.source, "normalise": list(self.config.corpus.normalise)}
        settings: dict[str, dict[str, Any]] = {
            "corpus": corpus,
            "tokenizer": {"name": self.config.tokenizer.name},
        }
        if self.config.task.name != "next-token":
            settings["task"] = {"name": self.config.task.name}
        self.shell.new_run(settings)

    def action_get(self) -> None:
        names = self.query_one("#corpus-names", OptionList)
        if not self.has_class("-found") and names.highlighted is not None:
            self._get(str(names.get_option_at_index(names.highlighted).id))

    @work(thread=True, exclusive=True, group="corpus")
    def _get(self, name: str) -> None:
        from rnn_tui.corpus.download import get

        try:
            get(name, progress=self._progress)
        except Superseded:
            return
        except RnnTuiError as error:
            self.app.call_from_thread(self._failed, str(error))
            return
        self.app.call_from_thread(self._got, name)

    def _got(self, name: str) -> None:
        self._list_names()
        self.look(name)
