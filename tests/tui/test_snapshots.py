"""Whole screens, as they were looked at and accepted: `tests/snapshots`, compared cell by cell.

`RNN_TUI_SNAPSHOTS=write python -m pytest tests/tui/test_snapshots.py` accepts what the screens show now. Each of the
files is a picture that any browser shows.
"""

import contextlib
import difflib
import math
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len
from textual.widgets import Select

from rnn_tui.preferences import Preferences
from rnn_tui.runs.labels import set_labels
from rnn_tui.runs.listing import Listing
from rnn_tui.training.estimate import Estimate, Memory
from rnn_tui.tui.app import RnnTuiApp
from rnn_tui.tui.dialogs import Help
from rnn_tui.tui.engine_client import EngineClient
from rnn_tui.tui.machine import Load, Sampler
from rnn_tui.tui.panes.prompt_settings import PromptSettings
from rnn_tui.tui.settings_dialog import SettingsDialog

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
ACCEPT = "RNN_TUI_SNAPSHOTS=write python -m pytest tests/tui/test_snapshots.py"
WRITE = os.environ.get("RNN_TUI_SNAPSHOTS") == "write"  # before `private_home` hides it
STILL = 1.5 if WRITE else 15.0
"""Seconds without a change after which a screen is taken for settled, though not what it should be."""
NOW = 1_750_000_000.0
"""2025-06-15 15:06:40 UTC."""
_CELL = 12.2, 24.4
"""Width and height of a cell in rich's pictures."""


def normalised(svg: str) -> str:
    """Leave out what says nothing of the screen: the checksum in rich's ids, the font from the network, the clips."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<clipPath id=\"[^\"]*-line-\d+\">.*?</clipPath>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r" clip-path=\"url\(#[^\"]*-line-\d+\)\"", "", svg)
    svg = svg.replace("font-family: Fira Code, monospace", "font-family: Menlo, Consolas, monospace")
    return re.sub(r"terminal-\d+-", "screen-", svg).replace("><", ">\n<")


@dataclass(frozen=True)
class Screen:
    """What a picture shows: rows of text, and the style and background of each cell."""

    rows: tuple[str, ...]
    inks: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, svg: str) -> "Screen":
        """Read a picture of rich's, in whatever pieces its rows are drawn."""
        root = ElementTree.fromstring(svg.replace(' xmlns="http://www.w3.org/2000/svg"', "", 1))
        styles = dict(re.findall(r"\.screen-(r\d+) \{ (.*?) \}", svg))
        ground = root.find(".//clipPath/rect")
        assert ground is not None
        width, height = (
            round((float(ground.get(of, 0)) + 1) / one)
            for of, one in zip(("width", "height"), _CELL, strict=True)
        )
        text = [[" "] * width for _ in range(height)]
        ink = [[""] * width for _ in range(height)]
        paper = [[""] * width for _ in range(height)]
        for rect in root.iterfind(".//rect[@shape-rendering]"):
            row, begin = (
                round((float(rect.get("y", 0)) - 1.5) / _CELL[1]),
                round(float(rect.get("x", 0)) / _CELL[0]),
            )
            end = begin + round(float(rect.get("width", 0)) / _CELL[0])
            paper[row][begin:end] = [rect.get("fill", "")] * (end - begin)
        for piece in root.iterfind(".//g[@class='screen-matrix']/text"):
            row, column = (
                round((float(piece.get("y", 0)) - 20) / _CELL[1]),
                round(float(piece.get("x", 0)) / _CELL[0]),
            )
            style = styles[piece.get("class", "").removeprefix("screen-")]
            for character in (piece.text or "").replace("\xa0", " "):
                if cells := cell_len(character):
                    text[row][column : column + cells] = [character, *[""] * (cells - 1)]
                    ink[row][column : column + cells] = [style] * cells
                    column += cells
                else:
                    text[row][column - 1] += character
        inks = [
            [f"{a if c.strip() else ''} on {b}" for c, a, b in zip(*line, strict=True)]
            for line in zip(text, ink, paper, strict=True)
        ]
        return cls(tuple("".join(row).rstrip() for row in text), tuple(map(tuple, inks)))

    def difference(self, found: "Screen") -> str:
        """Say in which rows `found` has another text or, where no text differs, other colours; empty: in none."""
        if self.rows != found.rows:
            return "\n".join(
                difflib.unified_diff(self.rows, found.rows, "accepted", "found", lineterm="", n=2)
            )
        told = []
        for y, (before, now) in enumerate(zip(self.inks, found.inks, strict=True)):
            pairs = enumerate(zip(before, now, strict=True))
            for (old, new), cells in groupby(pairs, key=lambda one: one[1]):
                if old != new:
                    places = [x for x, _ in cells]
                    words = found.rows[y][places[0] : places[-1] + 1]
                    told.append(
                        f"row {y + 1}, columns {places[0] + 1} to {places[-1] + 1} {words!r}: {old} → {new}"
                    )
        return "\n".join(["the text is the same, the colours are not", *told[:12]]) if told else ""


class Stage:
    """An app at one size, and the screens of it that are not what was accepted."""

    def __init__(self, app: RnnTuiApp, pilot: Any, until: Any, screen_text: Any) -> None:
        self.app, self.pilot = app, pilot
        self._until, self._text = until, screen_text
        self.wrong: list[str] = []
        self.found: dict[str, str] = {}

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def until(self, *wanted: Callable[[], object] | str) -> None:
        """Wait until all of this holds, or is to be read."""
        await self._until(
            self.pilot,
            lambda: all(one in self._text(self.app) if isinstance(one, str) else one() for one in wanted),
            60.0,
        )

    async def look(self, name: str, *wanted: Callable[[], object] | str) -> None:
        """Wait for a screen to become the accepted one; take note of what differs if it settles at another."""
        await self.until(*wanted)
        path = SNAPSHOTS / f"{name}-{self.app.size.width}x{self.app.size.height}.svg"
        accepted = Screen.of(path.read_text()) if path.exists() and not WRITE else None
        svg, since = "", time.monotonic()
        while not svg or time.monotonic() - since < STILL:
            before, svg = svg, normalised(self.app.export_screenshot(title="rnn-tui", simplify=True))
            if svg != before:
                screen, since = Screen.of(svg), time.monotonic()
                if screen == accepted:
                    return
            await self.pilot.pause(0.05)
        if WRITE:
            path.write_text(svg)
            return
        difference = accepted.difference(screen) if accepted else "no such screen was accepted yet"
        self.wrong.append(f"{path.stem}: {difference}")
        self.found[f"{path.stem}.new.svg"] = svg

    async def give(self, *lines: str) -> None:
        """Give lines to the models of the Prompt pane, each when the one before is answered."""
        pane: Any = self.app.pane("prompt")
        for line in (*lines, None):
            await self.until(lambda: not pane.feed.writing and not pane.client.busy)
            if line is not None:
                pane.line.input.value = line
                await self.press("enter")


@pytest.fixture
def stage(
    until: Any, screen_text: Any, tmp_path: Path
) -> Callable[..., contextlib.AbstractAsyncContextManager[Stage]]:
    """Return a context with an app of one size; it fails at its end with all screens that differ.

    One app shows many screens: a start takes longer than all of them.
    """

    @contextlib.asynccontextmanager
    async def start(
        width: int, height: int, theme: str = "rnn-dark", *, ascii: bool = False
    ) -> AsyncIterator[Stage]:
        app = RnnTuiApp(Path("runs"), ascii=ascii, preferences=Preferences(theme=theme))
        async with app.run_test(size=(width, height)) as pilot:
            it = Stage(app, pilot, until, screen_text)
            await it.until(lambda: app.descriptions is not None)
            yield it
        for name, svg in it.found.items():
            tmp_path.with_name(name).write_text(svg)
        if it.wrong:
            told = "\n\n".join(it.wrong)
            pytest.fail(
                f"{told}\n\nthe new ones are in {tmp_path.parent}\nto accept: {ACCEPT}", pytrace=False
            )

    return start


LOAD = Load(cores=3.9, memory=512_000_000, machine=0.98, count=4, used=6_100_000_000, total=16_000_000_000)
ESTIMATE = Estimate(
    parameters=342_590,
    memory=Memory(base=250_000_000, weights=1, gradients=1, optimiser=2, working=3, peak=185_000_000),
    seconds_per_step=0.0825, tokens_per_second=24_826.0, steps_per_epoch=23, seconds_per_epoch=125.0, steps=230,
    seconds=7200.0, threads=3, device="cpu", engine="eager", note="only the first step was timed",
)  # fmt: skip


@pytest.fixture(autouse=True)
def fixed(
    no_children: None, runs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Nothing on a screen depends on the moment, the machine, or where the test runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RNN_TUI_CONFIG_DIR", "config")
    monkeypatch.setattr(time, "time", lambda: NOW)
    monkeypatch.setattr(Sampler, "sample", lambda _, view, **__: LOAD if view.alive else None)
    look = Listing.look
    monkeypatch.setattr(
        Listing, "look", lambda self: [replace(one, path=Path("runs", one.name)) for one in look(self)]
    )
    monkeypatch.setattr("rnn_tui.runs.listing.folder_size", lambda _: 3_400_000)
    monkeypatch.setattr("rnn_tui.tui.panes.corpus.try_model", lambda *_: ESTIMATE)
    for pane, engine in (("prompt", "fake_engine"), ("inspect_session", "panes/fake_inspector")):
        fake = [sys.executable, str(Path(__file__).parent / f"{engine}.py")]
        monkeypatch.setattr(f"rnn_tui.tui.panes.{pane}.EngineClient", lambda fake=fake: EngineClient(fake))
    with monkeypatch.context() as zone:
        zone.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


# -- runs -------------------------------------------------------------------------------------------------------------


class Maker:
    """Makes runs whose curves fall and waver."""

    def __init__(self, make_run: Any) -> None:
        self._make = make_run

    def run(self, name: str, hours: float, *, arch: str = "lstm", size: int = 256, **start: Any) -> Any:
        """Make a run of `hours` ago."""
        config = {
            "corpus": {"source": start.get("corpus", "stdlib")}, "tokenizer": {"name": "char"},
            "model": {"arch": arch, "hidden_size": size}, "about": {"created": NOW - 3600 * hours},
            "task": {"name": start.get("task", "next-token")},
        }  # fmt: skip
        run = self._make(name, config)
        run.start(arch=arch, **start)
        return run

    def learn(self, run: Any, first: int, last: int, *, lift: float = 0.0) -> None:
        for step in range(first, last + 1, 5):
            loss = 4.17 * step**-0.13 + 0.08 * math.sin(step * 1.7) + lift
            run.events.write(
                "train", step, loss=loss, grad_norm=0.6 + 0.2 * math.sin(step / 90), clipped=0.03,
                lr=0.004 * (1 - step / 4000), tokens_per_second=41_000.0 + 900 * math.sin(step / 60),
                epoch=step / 440, tokens=step * 2048, elapsed=step * 0.05, eta=(2000 - step) * 0.05,
            )  # fmt: skip
            if step % 100 == 0:
                value = 4.17 * step**-0.13 + 0.06 + lift
                run.events.write(
                    "validation", step, loss=value, perplexity=math.exp(value), bpc=value / math.log(2),
                    bpb=value / math.log(2), tokens=100_000, seconds=0.4,
                )  # fmt: skip
                run.events.write("checkpoint", step, reason="validation", name=f"step-{step:08}")

    def sample(self, run: Any, step: int) -> None:
        """Write two samples, of which one repeats the training text."""
        text = "self, name):\n        return self._items[name]\n\n    def keys("
        copied = {
            "novel": 0.31,
            "n": 8,
            "held_out": 0.46,
            "longest": 31,
            "at": 12,
            "spans": [[9, 40]],
            "chars": 62,
        }
        copied |= {"mark": 24, "compared": 1.0}
        run.events.write("sample", step, prompt="def get(", text=text, temperature=0.5, **copied)
        text = "os\n\nclass Reader(Base):\n    pass"
        run.events.write("sample", step, prompt="import ", text=text, temperature=1.0)

    def complete(self, name: str, hours: float, *, lift: float, **more: Any) -> Any:
        """Make a run that is complete and has a model, which the fake engines take for one of step 1,500."""
        run = self.run(name, hours, total_steps=1500, **more)
        self.learn(run, 5, 1500, lift=lift)
        run.events.write("end", 1500, reason="finished", elapsed=75.0, epochs=3.4)
        best = 4.17 * 1500**-0.13 + 0.06 + lift
        run.status("finished", 1500, total_steps=1500, best_loss=best, time=NOW - 3500 * hours)
        run.folder.model_path.write_text("1500")
        return run

    def living(self, name: str) -> Any:
        """Make a run that trains, whose rate was changed."""
        run = self.run(name, 0.02, engine="compiled")
        run.hold()
        self.learn(run, 5, 600)
        run.events.write("command", 600, command="set", args={"lr": 0.002}, origin="app")
        self.sample(run, 600)
        self.learn(run, 605, 900)
        run.status("running", 900, total_steps=2000, best_loss=1.782, tokens_per_second=41_000.0, eta=55.0)
        return run

    def diverged(self, name: str, hours: float) -> Any:
        """Make a run that went back once, and was given up then."""
        run = self.run(name, hours, arch="rnn")
        self.learn(run, 5, 400)
        run.events.write("divergence", 400, what="exploding", message="the loss grew from 1.98 to 21.4")
        told = "went back from step 400 to step 300; the learning rate is 2.00e-3 now"
        run.events.write("rollback", 400, to_step=300, lr=0.002, message=told)
        self.learn(run, 305, 500)
        run.events.write("train", 505, loss=math.nan, grad_norm=math.nan, lr=0.0019)
        told = "the loss is not finite at step 505; a smaller learning rate may help"
        run.events.write("divergence", 505, what="not-finite", message=told)
        run.events.write("end", 505, reason="diverged", message=told)
        run.status("diverged", 505, total_steps=2000, message=told, best_loss=1.919, time=NOW - 3500 * hours)
        return run

    def series(self, name: str, hours: float) -> Any:
        """Make a run on a sine, which is complete."""
        run = self.run(
            name, hours, task="series", unit="squared error", measures=["mse", "rmse"], corpus="sine", tokenizer="",
            baselines={"persistence": 0.15}, parameters=17_000, total_steps=300,
        )  # fmt: skip
        for step in range(5, 301, 5):
            error = 0.4 / step**0.5
            run.events.write(
                "train", step, loss=error, lr=0.01, grad_norm=error, tokens_per_second=9000.0, tokens=step * 64,
                elapsed=step * 0.02,
            )  # fmt: skip
            if step % 50 == 0:
                run.events.write(
                    "validation", step, loss=error + 0.002, mse=error + 0.002, rmse=(error + 0.002) ** 0.5
                )
        truth, near, far = (
            [round(size * math.sin((t - late) / 16), 3) for t in range(120)]
            for size, late in ((1.0, 0), (0.95, 2), (0.7, 12))
        )
        run.events.write(
            "forecast", 300, columns=["x"], begin=600, every=1, truth=truth,
            forecasts={"1": near, "64": [None] * 20 + far[20:]},
            errors={"1": 0.0125, "64": 0.047}, persistence={"1": 0.08, "64": 0.31},
        )  # fmt: skip
        run.events.write("end", 300, reason="finished", elapsed=6.0, epochs=3.0)
        run.status("finished", 300, total_steps=300, best_loss=0.0251, time=NOW - 3500 * hours)
        return run


@pytest.fixture
def maker(make_run: Any) -> Maker:
    return Maker(make_run)


# -- screens ----------------------------------------------------------------------------------------------------------


async def test_in_ascii_with_16_colours(stage: Any, maker: Maker) -> None:
    async with stage(80, 24, "ansi-dark", ascii=True) as it:
        await it.look("nothing", "d Demo")
        maker.living("lstm-stdlib-3")
        labelled = maker.complete("gru-stdlib-2", 1, arch="gru", lift=0.05)
        set_labels(labelled.folder, tags=["paper", "small"], note="the one for the figure")
        maker.complete("lstm-stdlib-2", 5, lift=-0.1)
        maker.diverged("rnn-stdlib-1", 26)
        await it.press("5")
        await it.until("4 runs")
        await it.press("j")
        await it.look("runs", "the one for the figure")


async def test_at_80_columns(stage: Any, maker: Maker) -> None:
    maker.living("lstm-stdlib-3")
    async with stage(80, 24) as it:
        await it.look("train", "step 900 of 2,000")
        await it.press("question_mark")
        await it.look("help", lambda: isinstance(it.app.screen, Help))
        await it.press("q", "f9")
        await it.look("settings", lambda: isinstance(it.app.screen, SettingsDialog))


async def test_at_100_columns_in_light(stage: Any, maker: Maker) -> None:
    maker.series("lstm-sine-1", 1)
    maker.diverged("rnn-stdlib-1", 7)
    maker.complete("lstm-stdlib-2", 8, lift=-0.1)
    async with stage(100, 30, "rnn-light") as it:
        app = it.app
        await it.until("lstm-sine-1", "step 300")
        await it.press("f")
        await it.look("series", "━ truth")
        app.open_run("rnn-stdlib-1")
        await it.look("diverged", "step 505")
        app.open_prompt("lstm-stdlib-2")
        await it.until(lambda: app.current_pane == "prompt", "step 1,500")
        prompt: Any = app.pane("prompt")
        prompt.set_settings(PromptSettings(length=12, seed=7))
        await it.give("def naïve(", "", "class ")
        await it.press("f3")
        await it.look("prompt", "next token", "surprise")
        await it.press("alt+1")
        await it.until(lambda: app.current_pane == "corpus")
        corpus: Any = app.pane("corpus")
        corpus.look("fables-en")
        await it.look("corpus", "342,590")
        await it.press("p")
        await it.look("pictures", lambda: corpus.tabs.active == "pictures")


async def test_at_160_columns(stage: Any, maker: Maker) -> None:
    maker.sample(run := maker.complete("lstm-stdlib-2", 1, lift=-0.1, size=512), 1500)
    maker.complete("gru-stdlib-2", 2, arch="gru", lift=0.05)
    maker.diverged("rnn-stdlib-1", 26)
    run.events.write("note", 1500, message="exported to lstm-stdlib-2.safetensors")
    async with stage(160, 50) as it:
        app = it.app
        monitor: Any = app.query_one("#monitor")
        monitor.lay_over([run.folder.path.with_name(name) for name in ("gru-stdlib-2", "rnn-stdlib-1")])
        await it.look("overlay", "step 1,500", "━ gru-stdlib-2", "━ rnn-stdlib-1")
        app.open_inspect(
            "lstm-stdlib-2", 'He said "yes, at 10" and Ann said "no".\nThen they went "home" at 11.\n' * 12
        )
        await it.until(lambda: app.current_pane == "inspect")
        inspect: Any = app.pane("inspect")
        await it.until(lambda: inspect.body.values is not None and inspect.main.map.heat is not None)
        inspect.query_one("InspectSide Select", Select).value = "quotes"
        await it.look("inspect", "underlined in the text")
        app.open_prompt("lstm-stdlib-2")
        await it.until(lambda: app.current_pane == "prompt", "step 1,500")
        prompt: Any = app.pane("prompt")
        prompt.set_settings(PromptSettings(length=30, seed=7))
        await it.give("/compare gru-stdlib-2")
        await it.until(lambda: sum(bool(one.session.loaded) for one in prompt.stage.columns) == 2)
        await it.give("def main():", "class ")
        await it.look("compare", lambda: it._text(app).count("class ") == 2)
        await it.press("alt+5")
        await it.until("3 runs")
        await it.press("m", "j", "m")
        await it.look("runs", "model.hidden_size", "━ 1  ━ 2")
