"""The first row of the prompt pane: which model, and what it is."""

from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Select, Static
from textual.worker import get_current_worker

from rnn_tui.errors import RnnTuiError
from rnn_tui.safetext import safe_text
from rnn_tui.tui.widgets.line_input import LineInput

EMPTY = Content.assemble(
    ("No model yet\n\n", "bold"),
    "A run can be prompted here as soon as it trains, and while it does.\n\n",
    ("alt+2", "bold $accent"), " train one now\n",
    ("f5", "bold $accent"), " choose a model file from somewhere else\n",
)  # fmt: skip
"""What the pane says where no model is chosen."""

OTHER_FILE = ""
"""The value of the last entry, which asks for a path."""


class ModelBar(Vertical):
    """The runs that have a model, newest first, and any other model file by its path."""

    DEFAULT_CSS = """
    ModelBar { height: auto; }
    ModelBar > Horizontal { height: 1; }
    ModelBar Select { width: 30; }
    ModelBar SelectCurrent { background: $panel; padding: 0 1; }
    ModelBar Static.info { width: 1fr; margin-left: 2; color: $foreground 60%; }
    ModelBar Static.info { text-wrap: nowrap; text-overflow: ellipsis; }
    ModelBar LineInput { display: none; background: $panel; }
    ModelBar.-other-file LineInput { display: block; }
    """

    class Chosen(Message):
        """A model file is wanted, perhaps the one that is there; `prompt` is for the line, `go` completes it."""

        def __init__(self, path: Path, prompt: str = "", go: bool = False) -> None:
            super().__init__()
            self.path, self.prompt, self.go = path, prompt, go

    class Trouble(Message):
        """Something that was asked for cannot be had."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, runs_dir: Path) -> None:
        super().__init__()
        self.runs_dir = runs_dir
        self.path: Path | None = None
        self._models: list[tuple[str, str]] = []

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Select([], prompt="choose a model", compact=True, type_to_search=False)
            yield Static(classes="info", markup=False)
        yield LineInput(placeholder="path of a model file, a run folder or a checkpoint")

    def on_mount(self) -> None:
        self.take(self.path)

    @work(thread=True, exclusive=True)
    def find(self, choose: str = "", prompt: str = "", go: bool = False) -> None:
        """Look for runs with a model; ask for that of the run `choose`, or for the newest if there is none yet."""
        from rnn_tui.inference.target import model_of
        from rnn_tui.runs.layout import RunFolder
        from rnn_tui.runs.listing import list_runs

        found: list[tuple[str, str]] = []
        trouble = f"there is no run {choose}" if choose else ""
        try:
            for run in list_runs(self.runs_dir):
                try:
                    found.append((run.name, str(model_of(RunFolder(run.path)))))
                    trouble = "" if run.name == choose else trouble
                except RnnTuiError as error:
                    trouble = str(error) if run.name == choose else trouble
        except RnnTuiError as error:
            trouble = str(error)
        if not get_current_worker().is_cancelled:  # a later search asks for something else
            self.app.call_from_thread(self._found, found, choose, trouble, prompt, go)

    def _found(self, found: list[tuple[str, str]], choose: str, trouble: str, prompt: str, go: bool) -> None:
        self._models = found
        self.take(self.path)
        if trouble:
            self.post_message(self.Trouble(trouble))
        wanted = next((path for name, path in found if name == choose), None)
        if not choose and self.path is None and found:
            wanted = found[0][1]
        if wanted is not None:
            self.post_message(self.Chosen(Path(wanted), prompt, go))

    def take(self, path: Path | None) -> None:
        """Show `path` as the model in use."""
        self.path = path
        self.remove_class("-other-file")
        known = list(self._models)
        if path is not None and str(path) not in (value for _, value in known):
            known.insert(0, (path.name, str(path)))
        options = [*known, ("other file …", OTHER_FILE)]
        select = self.query_one(Select)
        with self.prevent(Select.Changed):
            select.set_options([(Content(safe_text(name, limit=60)), value) for name, value in options])
            if path is not None:
                select.value = str(path)

    def describe(self, text: str) -> None:
        """Say what the model is."""
        self.query_one(".info", Static).update(Content(safe_text(text)), layout=False)

    def open(self) -> None:
        """Unfold the list."""
        select = self.query_one(Select)
        select.focus()
        select.action_show_overlay()

    @property
    def asking(self) -> bool:
        """Whether a path is being typed."""
        return self.has_class("-other-file")

    @on(Select.Changed)
    def _picked(self, event: Select.Changed) -> None:
        event.stop()
        if event.value == OTHER_FILE:
            self.add_class("-other-file")
            self.query_one(LineInput).focus()
        elif isinstance(event.value, str):
            self.post_message(self.Chosen(Path(event.value)))

    @on(Input.Submitted)
    def _path_given(self, event: Input.Submitted) -> None:
        from rnn_tui.inference.target import resolve_target

        event.stop()
        try:
            self.post_message(self.Chosen(resolve_target(event.value.strip(), self.runs_dir)))
        except RnnTuiError as error:
            self.post_message(self.Trouble(str(error)))

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
