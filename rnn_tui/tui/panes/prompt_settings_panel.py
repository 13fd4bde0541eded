"""The sampling settings as a column of inputs."""

from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Label, Static

from rnn_tui.errors import UsageError
from rnn_tui.safetext import safe_text
from rnn_tui.tui.panes.prompt_settings import (
    HINT,
    SETTINGS,
    PromptSettings,
    Setting,
    parse_setting,
    show_setting,
)
from rnn_tui.tui.widgets.line_input import LineInput


class SettingsPanel(Vertical):
    """The settings as a column of inputs, each checked as it is typed."""

    DEFAULT_CSS = """
    SettingsPanel { height: auto; }
    SettingsPanel .setting { height: 1; }
    SettingsPanel Label { width: 13; color: $foreground 60%; }
    SettingsPanel LineInput { width: 1fr; background: $panel; }
    SettingsPanel .setting-title { text-style: bold; color: $foreground 60%; }
    SettingsPanel LineInput.-wrong { background: $error-muted; color: $text-error; }
    SettingsPanel .setting-help { height: 2; color: $foreground 60%; margin-top: 1; }
    SettingsPanel .setting-help.-wrong { color: $text-error; }
    """

    class Changed(Message):
        """A setting has a new value that is right."""

        def __init__(self, settings: PromptSettings) -> None:
            super().__init__()
            self.settings = settings

    NAMES: ClassVar[dict[str, Setting]] = {f"setting-{setting.command}": setting for setting in SETTINGS}

    def __init__(self) -> None:
        super().__init__()
        self.settings = PromptSettings()

    def compose(self) -> ComposeResult:
        yield Static("settings", classes="setting-title")
        for setting in SETTINGS:
            with Horizontal(classes="setting"):
                yield Label(safe_text(setting.label), markup=False)
                yield LineInput(
                    show_setting(getattr(self.settings, setting.name)),
                    placeholder=safe_text(setting.empty),
                    id=f"setting-{setting.command}",
                )
        yield Static(HINT, classes="setting-help", markup=False)

    def show(self, settings: PromptSettings) -> None:
        """Take over settings that changed elsewhere."""
        self.settings = settings
        for name, setting in self.NAMES.items():
            field = self.query_one(f"#{name}", LineInput)
            shown = show_setting(getattr(settings, setting.name)).replace("\n", "␊")
            if not field.has_focus and field.value != shown:
                with self.prevent(Input.Changed):
                    field.value = shown
                field.remove_class("-wrong")

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        setting = self.NAMES[str(event.input.id)]
        assert isinstance(event.input, LineInput)
        try:
            value = parse_setting(setting, event.input.text)
        except UsageError as error:
            event.input.add_class("-wrong")
            self._say(str(error), wrong=True)
            return
        event.input.remove_class("-wrong")
        self._say(setting.help if event.input.has_focus else "")
        if value != getattr(self.settings, setting.name):
            self.settings = replace(self.settings, **{setting.name: value})
            self.post_message(self.Changed(self.settings))

    def on_descendant_focus(self) -> None:
        focused = self.screen.focused
        if focused is not None and focused.id in self.NAMES:
            self._say(self.NAMES[focused.id].help)

    def on_descendant_blur(self) -> None:
        self._say("")
        self.show(self.settings)  # a field that was left wrong shows the value in force again

    def _say(self, text: str, *, wrong: bool = False) -> None:
        line = self.query_one(".setting-help", Static)
        line.set_class(wrong, "-wrong")
        line.update(Content(safe_text(text) or HINT))
