"""An app around one pane, with what the pane asks of the real one."""

import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot
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
        if self.descriptions is not None:
            self.host_pane.described(self.descriptions)
        self.call_after_refresh(self.host_pane.shown)

    def recall(self, key: str, default: Any = None) -> Any:
        return self.memory.get(key, default)

    def remember(self, key: str, value: Any) -> None:
        self.memory[key] = value

    def new_run(self, settings: Any = None) -> None:
        self.asked.append(("new_run", settings))

    def offer_undo(self, text: str, callback: Callable[[], object]) -> None:
        self.asked.append(("offer_undo", text))
        self.undo = callback

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


FAKE = [sys.executable, str(Path(__file__).parents[1] / "fake_engine.py")]


@dataclass
class Prompted:
    """A prompt pane that is tested, and what tests do with it."""

    pane: Any
    pilot: Pilot[None]

    async def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Let the app run until `condition` holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited in vain; the status is {self.status!r}"
            await self.pilot.pause(0.02)

    async def quiet(self) -> None:
        """Wait for what the models are at, and for what that says on its way up to the pane."""
        await self.pilot.pause()
        await self.until(
            lambda: not self.pane.feed.writing and not self.pane.client.busy and not self._asking
        )
        for _ in range(2):
            await self.pilot.pause()

    @property
    def _asking(self) -> bool:
        """Whether a column is at something with the engine; the last of it is what the status says."""
        return any(one.group == "engine" and not one.is_finished for one in self.pilot.app.workers)

    async def press(self, *keys: str) -> None:
        """Press keys, and wait for what they start."""
        await self.pilot.press(*keys)
        await self.quiet()

    async def enter(self, line: str) -> None:
        """Type a line, give it, and wait for what comes of it."""
        self.pane.line.input.value = line
        self.pane.line.input.focus()
        await self.press("enter")

    @property
    def status(self) -> str:
        return " ".join(self.pane.query_one("#prompt-status").text.split())

    @property
    def info(self) -> str:
        return str(self.pane.column.models.query_one(".info").content)

    def transcript(self, column: Any = None) -> str:
        tail = (column or self.pane.column).tail
        tail.flush()
        return "\n".join(row.text for row in tail.text.rows)


@pytest.fixture
def prompting(
    tmp_path: Path, make_host: Callable[..., Host]
) -> Callable[..., AbstractAsyncContextManager[Prompted]]:
    """Return a context with a pane that has a model of the fake engine; completions have 3 tokens."""
    from rnn_tui.tui.engine_client import EngineClient
    from rnn_tui.tui.panes.prompt import PromptPane
    from rnn_tui.tui.panes.prompt_model import ModelBar
    from rnn_tui.tui.panes.prompt_settings import PromptSettings

    @asynccontextmanager
    async def start(mode: str = "model", size: tuple[int, int] = (80, 24)) -> AsyncIterator[Prompted]:
        model = tmp_path / f"{mode}.safetensors"
        model.write_text("100")
        pane = PromptPane(EngineClient(FAKE))
        async with make_host(pane, tmp_path / "runs").run_test(size=size) as pilot:
            await pilot.pause()
            talk = Prompted(pane, pilot)
            pane.column.models.post_message(ModelBar.Chosen(model))
            await talk.until(lambda: pane.column.session.current)
            await talk.quiet()
            pane.set_settings(PromptSettings(length=3, seed=7))
            yield talk

    return start
