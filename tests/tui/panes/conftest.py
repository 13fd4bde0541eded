"""An app around one pane, with what the pane asks of the real one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Footer

from rnn_tui.plugin.describe import PluginDescription
from rnn_tui.tui import theme
from rnn_tui.tui.panes.base import Pane


class Host(App[None]):
    """Records what a pane asks for."""

    AUTO_FOCUS = ""

    def __init__(self, pane: Pane, runs_dir: Path, *, ascii: bool = False) -> None:
        super().__init__()
        self.host_pane = pane
        self.runs_dir = runs_dir
        self.ascii = ascii
        self.descriptions: list[PluginDescription] | None = None
        self.memory: dict[str, Any] = {}
        self.asked: list[tuple[str, Any]] = []
        for own in theme.THEMES:
            self.register_theme(own)
        self.theme = theme.DARK

    def compose(self) -> ComposeResult:
        yield self.host_pane
        yield Footer()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        chosen = self.current_theme
        return theme.chart_variables(dark=chosen.dark, ansi=chosen.ansi)

    def on_mount(self) -> None:
        self.call_after_refresh(self.host_pane.shown)

    def recall(self, key: str, default: Any = None) -> Any:
        return self.memory.get(key, default)

    def remember(self, key: str, value: Any) -> None:
        self.memory[key] = value

    def new_run(self, settings: Any = None) -> None:
        self.asked.append(("new_run", settings))

    def show_pane(self, name: str) -> None:
        self.asked.append(("show_pane", name))

    def tell(self, text: str) -> None:
        self.asked.append(("tell", text))

    def fail(self, error: object) -> None:
        self.asked.append(("fail", str(error)))


@pytest.fixture
def make_host() -> Callable[..., Host]:
    """Return the class; a test module cannot import it from here."""
    return Host
