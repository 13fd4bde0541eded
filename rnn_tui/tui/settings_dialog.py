"""The settings screen: the section `[app]` of the settings file as a form."""

from dataclasses import replace
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import DescendantFocus
from textual.widgets import Static

from rnn_tui.errors import DiskError, InputError, UsageError
from rnn_tui.paths import settings_file
from rnn_tui.plugin.options import OptionInfo, option_infos, parse_options
from rnn_tui.preferences import SECTION, Preferences, write
from rnn_tui.safetext import safe_text
from rnn_tui.tui.dialogs import BOX, Dialog
from rnn_tui.tui.keys import bind
from rnn_tui.tui.panes.fields import Field

AT_ONCE = ("theme",)
"""What is seen at once; the others are read when the app starts."""
_LAST = "as chosen last"


class SettingsDialog(Dialog):
    """Shows what is in force, keeps what is changed; answers "kept" where a new start is needed."""

    DEFAULT_CSS = f"""
    SettingsDialog {{ {BOX}
        & > .box {{ width: 100; padding: 1 2; }}
        .title {{ text-style: bold; margin-bottom: 1; }}
        .hint {{ margin-top: 1; height: auto; }}
        #meaning {{ margin-top: 1; height: 1; }}
        Field > .label {{ width: 12; }}
        Field > Entry, Field > Select {{ width: 24; }}
    }}
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("ctrl+s", "keep", "Keep", "Write the settings to your file", footer=True, priority=True)
    ]

    def __init__(self, now: Preferences, themes: list[str]) -> None:
        super().__init__()
        self._now = now
        self._themes = themes
        self._theme_before = ""

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box", can_focus=False):
            yield Static(Content("Settings of the app"), classes="title")
            for info in option_infos(Preferences):
                value = getattr(self._now, info.name)
                if info.name == "theme":
                    info = replace(info, type="choice", choices=(_LAST, *self._themes))
                    value = value or _LAST
                yield Field(SECTION, info, value)
            yield Static("", id="meaning")
            yield Static(Content("ctrl+s keeps them    esc leaves them"), classes="hint")
            where = safe_text(settings_file(), limit=200)
            yield Static(
                Content(f"They are kept in {where}; keys of your own go there too: rnn-tui config keys"),
                classes="hint",
            )
            yield Static("", classes="error")

    def on_mount(self) -> None:
        super().on_mount()
        self._theme_before = self.app.theme
        self.query(Field).first().focus_editor()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Show the whole help of the row that has the cursor; beside the row there may be no room for it."""
        field = event.widget.parent
        text = field.info.help if isinstance(field, Field) else ""
        self.query_one("#meaning", Static).update(Content(safe_text(text)))

    def on_field_changed(self, event: Field.Changed) -> None:
        """Show a theme as soon as it is chosen."""
        event.stop()
        if event.field.info.name == "theme" and event.field.value in self.app.available_themes:
            self.app.theme = event.field.value

    def action_leave(self) -> None:
        self.app.theme = self._theme_before
        self.dismiss(None)

    def action_keep(self) -> None:
        infos = {info.name: info for info in option_infos(Preferences)}
        changed: dict[str, Any] = {}
        for field in self.query(Field):
            name = field.info.name
            given = "" if field.value == _LAST else field.value
            try:
                value = _checked(infos[name], given)
            except ValueError as error:
                field.set_wrong(str(error))
                field.focus_editor()
                return
            if value != getattr(self._now, name):
                changed[name] = value
        try:
            for name, value in changed.items():
                write(name, None if value == infos[name].default else value)
        except (InputError, DiskError) as error:
            self.query_one(".error", Static).update(Content(safe_text(error, limit=300)))
            return
        self.dismiss("kept" if changed.keys() - set(AT_ONCE) else None)


def _checked(info: OptionInfo, value: Any) -> Any:
    """Return a value as a preference has it.

    Raises:
        ValueError: saying what would be right.
    """
    try:
        return parse_options(Preferences, {info.name: value}, owner="the app")[info.name]
    except UsageError:
        raise ValueError(f"must be {info.expected()}") from None
