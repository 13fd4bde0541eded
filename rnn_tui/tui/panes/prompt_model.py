"""The first row of a column of the prompt pane: which model, and what it is."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList, Select, Static
from textual.worker import get_current_worker

from rnn_tui.errors import InputError, RnnTuiError
from rnn_tui.safetext import safe_text
from rnn_tui.tui.widgets.line_input import LineInput

EMPTY = Content.assemble(
    ("No model yet\n\n", "bold"),
    "A run can be prompted here as soon as it trains, and while it does.\n\n",
    ("alt+2", "bold $accent"), "  train one now\n",
    ("f5", "bold $accent"), "     choose a model\n",
    ("/help", "bold $accent"), "  all commands\n",
)  # fmt: skip
"""What a column says where no model is chosen. A column is 36 cells wide at the least."""

READY = Content.assemble(
    ("Type a text\n\n", "bold"),
    ("enter", "bold $accent"), "   the model goes on from it\n",
    ("ctrl+r", "bold $accent"), "  again with another seed\n",
    ("f8", "bold $accent"), "      five, to pick one from\n",
    ("f6", "bold $accent"), "      pick the next token\n",
    ("ctrl+n", "bold $accent"), "  another model beside it\n",
    ("/help", "bold $accent"), "   all commands\n",
)  # fmt: skip
LABELS = Content.assemble(
    ("Type a text\n\n", "bold"),
    ("enter", "bold $accent"), "   the model labels its tokens\n",
    ("ctrl+n", "bold $accent"), "  another model beside it\n",
    ("/help", "bold $accent"), "   all commands\n",
)  # fmt: skip
"""What it says before the first prompt, by what the model does."""

OTHER_FILE = ""
"""The value of the last entry, which asks for a path."""

CHECKPOINTS = 12
"""How many of the chosen run's checkpoints are offered, the newest."""


@dataclass(frozen=True)
class RunModel:
    """A run that has a model, and its checkpoints as (what they are called, path), newest first."""

    name: str
    folder: Path
    model: str
    checkpoints: tuple[tuple[str, str], ...]


def find_models(runs_dir: Path) -> list[RunModel]:
    """Return the runs that can be prompted, newest first; raises what `list_runs` raises."""
    from rnn_tui.inference.target import model_of
    from rnn_tui.runs.layout import RunFolder
    from rnn_tui.runs.listing import list_runs

    found: list[RunModel] = []
    for summary in list_runs(runs_dir):
        run = RunFolder(summary.path)
        try:
            model = str(model_of(run))
        except RnnTuiError:
            continue
        kept = tuple((f"{run.name}@{step}", path) for step, path in _checkpoints(run.checkpoints))
        found.append(RunModel(run.name, run.path, model, kept))
    return found


def _checkpoints(folder: Path) -> list[tuple[int, str]]:
    """Return step and model file of the newest checkpoints."""
    from rnn_tui.runs.layout import checkpoint_key

    try:
        names = os.listdir(folder)
    except OSError:
        return []
    known = sorted(((key, name) for name in names if (key := checkpoint_key(name))), reverse=True)
    models = ((key[0], folder / name / "model.safetensors") for key, name in known[:CHECKPOINTS])
    return [(step, str(path)) for step, path in models if path.is_file()]


def resolve_model(text: str, runs_dir: Path) -> Path:
    """Return the model file that `text` names: as `resolve_target`, or RUN@STEP for a checkpoint.

    Raises:
        InputError: when there is none, with the nearest name.
    """
    from rnn_tui.inference.target import resolve_target
    from rnn_tui.runs.folder import find_run
    from rnn_tui.runs.layout import checkpoint_name

    text = os.path.expanduser(text.strip())
    run, at, step = text.rpartition("@")
    digits = step.replace(",", "")
    if not at or not re.fullmatch("[0-9]{1,18}", digits) or os.path.exists(text):
        return resolve_target(text, runs_dir)
    folder = find_run(runs_dir, run)
    path = folder.checkpoints / checkpoint_name(int(digits)) / "model.safetensors"
    if not path.is_file():
        steps = [f"{step:,}" for step, _ in _checkpoints(folder.checkpoints)]
        kept = f"; it has {' and '.join(steps)}" if steps else ""
        raise InputError(f"run {run} has no checkpoint of step {int(digits):,}{kept}")
    return path


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

    class Closed(Message):
        """The list was closed and there is no model still."""

    class Trouble(Message):
        """Something that was asked for cannot be had."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, runs_dir: Path) -> None:
        super().__init__()
        self.runs_dir = runs_dir
        self.path: Path | None = None
        self._models: list[RunModel] = []
        self._described = self._place = ""

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Select([], prompt="choose a model", compact=True, type_to_search=False)
            yield Static(classes="info", markup=False)
        yield LineInput(placeholder="path of a model file, a run folder or a checkpoint")

    def on_mount(self) -> None:
        self.take(self.path)
        self.watch(self.query_one(Select), "expanded", self._folded, init=False)

    def _folded(self, unfolded: bool) -> None:
        """The list is closed: where the model is the same as before, go on with that."""
        select = self.query_one(Select)
        if unfolded:
            return
        if self.path is not None and select.value == str(self.path):
            self.post_message(self.Chosen(self.path).set_sender(self))
        elif self.path is None and select.is_blank():
            self.post_message(self.Closed().set_sender(self))

    @work(thread=True, exclusive=True)
    def find(self, choose: str = "", prompt: str = "", go: bool = False, *, any_run: bool = True) -> None:
        """Look for runs with a model; ask for that of the run `choose`, or for the newest if there is none yet."""
        found: list[RunModel] = []
        trouble = ""
        try:
            found = find_models(self.runs_dir)
            if choose and all(run.name != choose for run in found):
                resolve_model(choose, self.runs_dir)
        except RnnTuiError as error:
            trouble = str(error)
        if not get_current_worker().is_cancelled:  # a later search asks for something else
            self.app.call_from_thread(self._found, found, choose, trouble, prompt, go, any_run)

    def _found(
        self, found: list[RunModel], choose: str, trouble: str, prompt: str, go: bool, any_run: bool
    ) -> None:
        self._models = found
        self.take(self.path)
        if trouble:
            self.post_message(self.Trouble(trouble))
        wanted = next((run.model for run in found if run.name == choose), None)
        if not choose and self.path is None and found and any_run:
            wanted = found[0].model
        if wanted is not None:
            self.post_message(self.Chosen(Path(wanted), prompt, go))

    def take(self, path: Path | None) -> None:
        """Show `path` as the model in use."""
        self.path = path
        self.remove_class("-other-file")
        known: list[tuple[str, str]] = []
        for run in self._models:
            known.append((run.name, run.model))
            if path is not None and path.is_relative_to(run.folder):
                known += run.checkpoints
        if path is not None and str(path) not in (value for _, value in known):
            known.insert(0, (path.name, str(path)))
        options = [*known, ("other file …", OTHER_FILE)]
        select = self.query_one(Select)
        with self.prevent(Select.Changed):
            select.set_options([(Content(safe_text(name, limit=60)), value) for name, value in options])
            if path is not None:
                select.value = str(path)
        self._point()

    @property
    def model_name(self) -> str:
        """What the model in use is called: the run's name, with the step if it is a checkpoint."""
        for run in self._models:
            if self.path is not None and self.path.is_relative_to(run.folder):
                return {value: name for name, value in run.checkpoints}.get(str(self.path), run.name)
        return "" if self.path is None else self.path.name

    def describe(self, text: str) -> None:
        """Say what the model is."""
        self._described = text
        shown = " · ".join(part for part in (self._place, text) if part)
        self.query_one(".info", Static).update(Content(safe_text(shown)), layout=False)

    def place(self, text: str) -> None:
        """Say which of several columns this is, where not all of them are to be seen."""
        if text != self._place:
            self._place = text
            self.describe(self._described)

    def open(self) -> None:
        """Unfold the list."""
        select = self.query_one(Select)
        select.focus()
        select.action_show_overlay()
        self.call_after_refresh(self._point)

    def _point(self) -> None:
        """Have the cursor of the list on a model: its first row is none."""
        select = self.query_one(Select)
        if select.expanded and self.path is None:
            select.query_one(OptionList).highlighted = 1

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
        event.stop()
        try:
            self.post_message(self.Chosen(resolve_model(event.value, self.runs_dir)))
        except RnnTuiError as error:
            self.post_message(self.Trouble(str(error)))

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
