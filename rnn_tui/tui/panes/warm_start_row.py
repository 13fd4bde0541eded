"""The row of the form for the weights that a run begins with, which decide its architecture and tokenizer."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from textual import events, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from rnn_tui.errors import RnnTuiError
from rnn_tui.tui.panes.fields import Field

_HELP = (
    "A run or a model file with whose weights it begins; architecture and tokenizer are those of the model"
)


class WarmStartRow(Vertical):
    """The name of a run or a path. The model is read when the cursor leaves the row, or when `take_over` is called."""

    DEFAULT_CSS = "WarmStartRow { height: auto; }"

    class Chosen(Message):
        """The settings of the model, section → key → value, go into the form, and then `then` is done."""

        def __init__(self, settings: Mapping[str, Mapping[str, Any]], then: Callable[[], object]) -> None:
            super().__init__()
            self.settings, self.then = settings, then

    class Refused(Message):
        """It is no model that can be used, which the row says."""

    def __init__(self, runs_dir: Path) -> None:
        super().__init__()
        self._runs_dir = runs_dir
        self._taken = ""

    def compose(self) -> ComposeResult:
        from rnn_tui.plugin.options import OptionInfo

        info = OptionInfo("warm_start", "str", "", _HELP)
        yield Field("run", info, suggestions=runs_in(self._runs_dir))

    @property
    def target(self) -> str:
        """What is entered."""
        return str(self.query_one(Field).value).strip()

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        self.take_over(lambda: None)

    def take_over(self, then: Callable[[], object]) -> None:
        """Do `then`, after the settings of the model are in the form where they are not yet."""
        if self.target == self._taken:
            then()
        else:
            self._read(self.target, then)

    @work(thread=True, exclusive=True, group="warm")
    def _read(self, target: str, then: Callable[[], object]) -> None:
        from rnn_tui.inference.target import resolve_target
        from rnn_tui.training.warm_start import settings_of_model

        try:
            settings = settings_of_model(resolve_target(target, self._runs_dir))[1] if target else {}
        except RnnTuiError as error:
            self.app.call_from_thread(self._refuse, str(error))
            return

        def taken() -> None:
            self._taken = target  # not before: who starts while the rows are being filled waits for them, too
            then()

        self.post_message(self.Chosen(settings, taken))

    def _refuse(self, message: str) -> None:
        field = self.query_one(Field)
        field.set_wrong(message)
        field.scroll_visible()
        self.post_message(self.Refused())


def runs_in(runs_dir: Path) -> list[str]:
    """Return the names of the runs that there are."""
    from rnn_tui.runs.folder import is_run

    try:
        return sorted(entry.name for entry in runs_dir.iterdir() if is_run(entry))
    except OSError:
        return []
