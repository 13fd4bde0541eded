"""Runs that look like a worker's, made with the code that the worker writes with."""

import math
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rnn_tui.plugin.describe import PluginDescription
from rnn_tui.plugin.options import OptionInfo
from rnn_tui.plugin.registry import PluginInfo
from rnn_tui.runs.events import EventWriter
from rnn_tui.runs.folder import RunFolder, create_run
from rnn_tui.runs.lock import RunLock
from rnn_tui.runs.status import my_status, write_status

START: dict[str, Any] = {
    "engine": "loop", "engine_reason": "", "device": "cpu", "device_name": "cpu", "precision": "fp32", "threads": 4,
    "parameters": 356_000, "vocab_size": 65, "tokenizer": "char", "arch": "lstm", "corpus": "stdlib",
    "tokens_train": 900_000, "tokens_validation": 100_000, "characters_train": 900_000, "steps_per_epoch": 440,
    "total_steps": 2000, "minutes": 0, "log_every": 5, "validate_every": 100, "chars_per_token": 1.0,
    "bytes_per_token": 1.0, "task": "next-token", "unit": "nats per token", "measures": ["perplexity", "bpc", "bpb"],
    "baselines": {"uniform": math.log(65), "unigram": 3.2, "trigram": 2.3}, "torch": "2", "exactness": "",
}  # fmt: skip


@pytest.fixture(autouse=True)
def patient(request: pytest.FixtureRequest) -> None:
    """Every app here is driven by a pilot."""
    request.getfixturevalue("patient_pilot")


class FakeRun:
    """A run whose worker is this test."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.events = EventWriter(folder.events_path, 1)
        self.lock: RunLock | None = None

    def start(self, **changes: Any) -> None:
        self.events.write("start", 0, **(START | changes))

    def train(self, first: int, last: int, every: int = 5) -> None:
        """Write a curve that falls from ln 65 and is known in closed form: 4.17 · step^-0.13."""
        for step in range(first, last + 1, every):
            loss = 4.17 * max(step, 1) ** -0.13
            self.events.write(
                "train", step, loss=loss, grad_norm=0.5, clipped=0.03, lr=0.004 * (1 - step / 4000),
                tokens_per_second=41_000.0, epoch=step / 440, tokens=step * 2048, elapsed=step * 0.05,
                eta=(2000 - step) * 0.05,
            )  # fmt: skip
            if step % 100 == 0:
                value = loss + 0.05
                self.events.write(
                    "validation", step, loss=value, perplexity=math.exp(value), bpc=value / math.log(2),
                    bpb=value / math.log(2), tokens=100_000, best=True, seconds=0.4,
                )  # fmt: skip

    def status(self, state: str, step: int = 0, **more: Any) -> None:
        status = my_status(state, attempt=1, step=step)
        for key, value in more.items():
            setattr(status, key, value)
        write_status(self.folder, status)

    def hold(self) -> None:
        """Look alive."""
        self.lock = RunLock.acquire(self.folder)

    def let_go(self) -> None:
        if self.lock is not None:
            self.lock.release()
            self.lock = None


@pytest.fixture
def runs_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for runs, with every other place the app writes to but the cache beside it."""
    for name in ("CONFIG", "DATA", "STATE"):
        monkeypatch.setenv(f"RNN_TUI_{name}_DIR", str(tmp_path / name.lower()))
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    return tmp_path / "runs"


@pytest.fixture
def make_run(runs_dir: Path) -> Iterator[Callable[..., FakeRun]]:
    """Return a function that makes a fake run by name."""
    made: list[FakeRun] = []

    def make(name: str = "lstm-stdlib-1", config: dict[str, Any] | None = None) -> FakeRun:
        tables = config or {
            "corpus": {"source": "stdlib"}, "tokenizer": {"name": "char"},
            "model": {"arch": "lstm", "hidden_size": 256},
        }  # fmt: skip
        run = FakeRun(create_run(runs_dir, name, tables))
        made.append(run)
        return run

    yield make
    for run in made:
        run.let_go()
        run.events.close()


DESCRIPTIONS = [
    PluginDescription(
        PluginInfo("architecture", "gru", "x:GRU", "rnn-tui", "1", None), "A GRU.", "A GRU.",
        (OptionInfo("reset", "choice", "before", "Where the reset gate acts.", choices=("before", "after")),), "Cell",
    ),
    PluginDescription(
        PluginInfo("architecture", "lstm", "x:LSTM", "rnn-tui", "1", None), "An LSTM.", "An LSTM.",
        (OptionInfo("forget_bias", "float", 0.0, "Added to the forget gate."),), "Cell",
    ),
    PluginDescription(
        PluginInfo("architecture", "broken", "x:B", "bad[/]", "1", None), error="it raised ImportError",
    ),
    PluginDescription(PluginInfo("tokenizer", "char", "x:C", "rnn-tui", "1", None), "Characters.", "", (), "Tokenizer"),
    PluginDescription(PluginInfo("tokenizer", "byte", "x:Y", "rnn-tui", "1", None), "Bytes.", "", (), "Tokenizer"),
]  # fmt: skip


@pytest.fixture
def no_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugins are known without starting a process that imports torch."""
    monkeypatch.setattr("rnn_tui.plugin.describe.describe_plugins", lambda **_: list(DESCRIPTIONS))


def _screen_text(app: Any) -> str:
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips(app.screen.size))


@pytest.fixture
def screen_text() -> Callable[[Any], str]:
    """What the terminal shows, row by row."""
    return _screen_text


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """Wait for what a thread will bring about; fails with the screen when it does not."""

    async def wait(pilot: Any, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail("waited in vain; the screen is\n" + _screen_text(pilot.app))
            await pilot.pause(0.02)

    return wait


@pytest.fixture
def finished(make_run: Callable[..., FakeRun]) -> Callable[..., FakeRun]:
    """Return a function that makes a finished run by name, made at `made` in unix time: the last one stands first."""

    def make(name: str, made: float = 0.0, best: float = 1.234, **config: Any) -> FakeRun:
        tables = {
            "corpus": {"source": "stdlib"}, "tokenizer": {"name": "char"}, "model": {"arch": "lstm"},
            "about": {"created": made, "id": name},
        }  # fmt: skip
        run = make_run(name, tables | config)
        run.start()
        run.train(5, 200)
        run.status("finished", 200, total_steps=200, best_loss=best)
        return run

    return make


@pytest.fixture
def open_runs(until: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[Any]]:
    """Go to the Runs pane and wait until it shows so many runs; return it."""

    async def show(pilot: Any, count: int) -> Any:
        await pilot.press("5")
        await until(pilot, lambda: pilot.app.current_pane == "runs")
        pane = pilot.app.pane("runs")
        pane._timer.pause()  # so that a test says when it looks
        await until(pilot, lambda: len(pane._shown) == count and pane.chosen != "")
        return pane

    return show
