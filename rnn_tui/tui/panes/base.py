"""What every pane has in common, and what a pane may ask of the app around it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.binding import Binding
from textual.containers import Vertical

from rnn_tui.tui.keys import named, rows

if TYPE_CHECKING:
    from rnn_tui.plugin.describe import PluginDescription
    from rnn_tui.tui.app import RnnTuiApp


class Pane(Vertical, can_focus=True):
    """One of the six pages. The id is the lower-case title.

    Subclasses set `title`, `key`, and `BINDINGS` written with `rnn_tui.tui.keys.bind`: from these rows come dispatch,
    footer, palette and help. Bindings act while the pane or something inside has the focus; `default_focus` names what
    gets it when the pane is shown: the first that is there (the pane itself if nothing is named). A pane with inputs
    binds escape to `leave_input`.
    """

    title: ClassVar[str]
    key: ClassVar[str]
    default_focus: str = ""

    DEFAULT_CSS = """
    Pane { height: 1fr; padding: 0 1; }
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        cls.BINDINGS = named(cls.title.lower(), cls.BINDINGS)
        super().__init_subclass__(**kwargs)

    def __init__(self) -> None:
        super().__init__(id=self.title.lower())

    @property
    def shell(self) -> "RnnTuiApp":
        """The app, with its real type.

        What panes use of it: `runs_dir`, `ascii`, `descriptions` (None until known), `open_prompt(run, prompt=, go=)`,
        `open_run(run)`, `open_inspect(run_or_path, text)`, `new_run(settings)`,
        `offer_undo(text, callback)`, `show_pane(id)`, `tell(text)`, `fail(error)`, `recall(key, default)` and
        `remember(key, value)` for what should survive a restart (JSON values).
        """
        return cast("RnnTuiApp", self.app)

    @classmethod
    def table(cls) -> list[Binding]:
        """Return this pane's rows of the key table, those of widgets inside that have keys of their own included."""
        return [row for row in rows(cls.BINDINGS) if row.action != "leave_input"]

    def action_leave_input(self) -> None:
        """Give the focus to the pane itself, so that single keys act again."""
        self.focus(scroll_visible=False)

    def shown(self) -> None:
        """Called each time the pane becomes visible; focuses `default_focus` unless something inside has the focus."""
        focused = self.screen.focused
        if focused is not None and self in focused.ancestors:
            return
        if self.default_focus:
            for widget in self.query(self.default_focus):
                if widget.focusable and widget.display:
                    widget.focus(scroll_visible=False)
                    return
        self.focus(scroll_visible=False)

    def hidden(self) -> None:
        """Called when another pane takes the place; stop polling here."""

    def described(self, descriptions: "list[PluginDescription]") -> None:
        """Called once the pane is there and the plugins are known, and again when they are read anew."""

    def unsaved(self) -> str:
        """Return what is on the screen only and would be missed after a crash."""
        return ""

    def load(self, run_name: str, **wishes: Any) -> None:
        """Take up a run: Train shows it; Prompt loads its model (wishes: prompt: str, go: bool)."""

    def new_run(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        """Open the form for a new run with `settings` filled in; Train does."""
