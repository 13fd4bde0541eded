"""Whole screens, as they were looked at and accepted: `tests/snapshots`, compared cell by cell.

`RNN_TUI_SNAPSHOTS=write python -m pytest tests/tui/test_snapshots.py` accepts what the screens show now. Each of the
files is a picture that any browser shows.
"""

import difflib
import math
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len
from textual.widgets import Select

from rnn_tui.preferences import Preferences
from rnn_tui.runs.labels import set_labels
from rnn_tui.training.estimate import Estimate, Memory
from rnn_tui.tui.app import RnnTuiApp
from rnn_tui.tui.dialogs import Help
from rnn_tui.tui.engine_client import EngineClient
from rnn_tui.tui.machine import Load
from rnn_tui.tui.panes.prompt_settings import PromptSettings
from rnn_tui.tui.settings_dialog import SettingsDialog

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
ACCEPT = "RNN_TUI_SNAPSHOTS=write python -m pytest tests/tui/test_snapshots.py"
WRITE = os.environ.get("RNN_TUI_SNAPSHOTS") == "write"  # before `private_home` hides it
STILL = 1.5 if WRITE else 4.0
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


Check = Callable[..., Awaitable[None]]


@pytest.fixture
def check(until: Any, tmp_path: Path) -> Check:
    """Return a function that waits until a screen is the accepted one, and fails with what differs if it settles
    at another."""

    async def compare(pilot: Any, name: str, condition: Callable[[], bool]) -> None:
        await until(pilot, condition)
        path = SNAPSHOTS / f"{name}.svg"
        accepted = Screen.of(path.read_text()) if path.exists() and not WRITE else None
        last, since = "", time.monotonic()
        while not last or time.monotonic() - since < STILL:
            svg = normalised(pilot.app.export_screenshot(title="rnn-tui", simplify=True))
            if svg != last:
                last, since = svg, time.monotonic()
                screen = Screen.of(svg)
                if accepted is not None and not accepted.difference(screen):
                    return
            await pilot.pause(0.05)
        if WRITE:
            path.write_text(last)
            return
        new = tmp_path.with_name(f"{name}.new.svg")
        new.write_text(last)
        told = accepted.difference(screen) if accepted else "there is no such snapshot yet"
        pytest.fail(f"{name}: {told}\n\nfound: {new}\nto accept: {ACCEPT}", pytrace=False)

    return compare


ESTIMATE = Estimate(
    parameters=342_590, memory=Memory(base=250_000_000, weights=1, gradients=1, optimiser=2, working=3, peak=185_000_000),
    seconds_per_step=0.0825, tokens_per_second=24_826.0, steps_per_epoch=23, seconds_per_epoch=125.0, steps=230,
    seconds=7200.0, threads=3, device="cpu", engine="eager", note="only the first step was timed",
)  # fmt: skip


@pytest.fixture(autouse=True)
def fixed(no_children: None, runs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on a screen depends on the moment, the machine, or where the test runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RNN_TUI_CONFIG_DIR", "config")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(time, "time", lambda: NOW)
    load = Load(
        cores=3.9, memory=512_000_000, machine=0.98, count=4, used=6_100_000_000, total=16_000_000_000
    )
    monkeypatch.setattr(
        "rnn_tui.tui.machine.Sampler.sample", lambda _, view, **__: load if view.alive else None
    )
    monkeypatch.setattr("rnn_tui.runs.listing.folder_size", lambda _: 3_400_000)
    monkeypatch.setattr("rnn_tui.tui.panes.corpus.try_model", lambda *_: ESTIMATE)
    for pane, engine in (("prompt", "fake_engine"), ("inspect_session", "panes/fake_inspector")):
        fake = [sys.executable, str(Path(__file__).parent / f"{engine}.py")]
        monkeypatch.setattr(f"rnn_tui.tui.panes.{pane}.EngineClient", lambda fake=fake: EngineClient(fake))


def start(theme: str = "rnn-dark", *, ascii: bool = False) -> RnnTuiApp:
    return RnnTuiApp(Path("runs"), ascii=ascii, preferences=Preferences(theme=theme))


async def test_nothing_yet(check: Check, screen_text: Any) -> None:
    app = start("ansi-dark", ascii=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await check(pilot, "nothing-80x24", lambda: app.ready and "d Demo" in screen_text(app))


async def test_help_and_settings(check: Check, until: Any, screen_text: Any) -> None:
    app = start()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.ready)
        await pilot.press("question_mark")
        await check(pilot, "help-80x24", lambda: isinstance(app.screen, Help))
        await pilot.press("q", "f9")
        await check(pilot, "settings-80x24", lambda: isinstance(app.screen, SettingsDialog))


def prompted(finished: Any, *names: str) -> None:
    """Make runs with a model, the first the newest; the fake engine reads its step from the file."""
    for made, name in enumerate(reversed(names)):
        finished(name, NOW - 3600 + made).folder.model_path.write_text("1500")


async def talk(app: RnnTuiApp, pilot: Any, until: Any, *lines: str) -> Any:
    """Give lines to the models of the Prompt pane, each when the one before is answered."""
    pane: Any = app.pane("prompt")
    for line in lines:
        await until(pilot, lambda: not pane.feed.writing and not pane.client.busy)
        pane.line.input.value = line
        await pilot.press("enter")
    await until(pilot, lambda: not pane.feed.writing and not pane.client.busy)
    return pane


async def test_a_transcript_coloured_by_surprise(
    check: Check, finished: Any, until: Any, screen_text: Any
) -> None:
    prompted(finished, "lstm-stdlib-1")
    app = start()
    async with app.run_test(size=(100, 30)) as pilot:
        app.open_prompt("lstm-stdlib-1")
        await until(pilot, lambda: "step 1,500" in screen_text(app))
        pane: Any = app.pane("prompt")
        pane.set_settings(PromptSettings(length=12, seed=7))
        await talk(app, pilot, until, "def naïve(", "", "class ")
        await pilot.press("f3")
        await check(pilot, "prompt-100x30", lambda: "next token" in screen_text(app))


async def test_two_models_side_by_side(check: Check, finished: Any, until: Any, screen_text: Any) -> None:
    prompted(finished, "lstm-stdlib-1", "gru-stdlib-1")
    app = start("rnn-light")
    async with app.run_test(size=(160, 50)) as pilot:
        app.open_prompt("lstm-stdlib-1")
        await until(pilot, lambda: "step 1,500" in screen_text(app))
        pane: Any = app.pane("prompt")
        pane.set_settings(PromptSettings(length=30, seed=7))
        await talk(app, pilot, until, "/compare gru-stdlib-1")
        await until(
            pilot, lambda: len(pane.stage.columns) == 2 and all(c.session.loaded for c in pane.stage.columns)
        )
        await talk(app, pilot, until, "def main():", "class ")
        await check(pilot, "prompt-160x50", lambda: screen_text(app).count("class ") == 2)


async def test_units_of_a_model(check: Check, finished: Any, until: Any, screen_text: Any) -> None:
    prompted(finished, "lstm-stdlib-1")
    app = start()
    text = 'He said "yes, at 10" and Ann said "no".\nThen both of them went "home" at 11.\n' * 6
    async with app.run_test(size=(160, 50)) as pilot:
        await until(pilot, lambda: app.ready)
        pane: Any = app.pane("inspect")
        app.open_inspect("lstm-stdlib-1", text)
        await until(pilot, lambda: pane.body.values is not None and pane.main.map.heat is not None)
        pane.query_one("InspectSide Select", Select).value = "quotes"
        await check(pilot, "inspect-160x50", lambda: "underlined in the text" in screen_text(app))


def learn(run: Any, first: int, last: int, *, lift: float = 0.0) -> None:
    """Write a curve that falls and wavers."""
    for step in range(first, last + 1, 5):
        loss = 4.17 * step**-0.13 + 0.08 * math.sin(step * 1.7) + lift
        run.events.write(
            "train", step, loss=loss, grad_norm=0.6 + 0.2 * math.sin(step), clipped=0.03, lr=0.004 * (1 - step / 4000),
            tokens_per_second=41_000.0 + 900 * math.sin(step * 0.9), epoch=step / 440, tokens=step * 2048,
            elapsed=step * 0.05, eta=(2000 - step) * 0.05,
        )  # fmt: skip
        if step % 100 == 0:
            value = 4.17 * step**-0.13 + 0.06 + lift
            run.events.write(
                "validation", step, loss=value, perplexity=math.exp(value), bpc=value / math.log(2),
                bpb=value / math.log(2), tokens=100_000, seconds=0.4,
            )  # fmt: skip
            run.events.write("checkpoint", step, reason="validation", name=f"step-{step:08}")


def sample(run: Any, step: int) -> None:
    """Write samples, of which one repeats the training text."""
    copied = {
        "novel": 0.31,
        "n": 8,
        "held_out": 0.46,
        "longest": 31,
        "at": 12,
        "spans": [[9, 40]],
        "chars": 62,
    }
    text = "self, name):\n        return self._items[name]\n\n    def keys("
    run.events.write(
        "sample", step, prompt="def get(", text=text, temperature=0.5, mark=24, compared=1.0, **copied
    )
    run.events.write(
        "sample", step, prompt="import ", text="os\n\nclass Reader(Base):\n    pass", temperature=1.0
    )


async def test_a_run_that_trains(check: Check, make_run: Any, screen_text: Any) -> None:
    run = make_run()
    run.hold()
    run.start(engine="compiled", precision="fp32")
    learn(run, 5, 600)
    run.events.write("command", 600, command="set", args={"lr": 0.002}, origin="app")
    sample(run, 600)
    learn(run, 605, 900)
    run.status("running", 900, total_steps=2000)
    app = start()
    async with app.run_test(size=(80, 24)) as pilot:
        await check(pilot, "train-80x24", lambda: "step 900 of 2,000" in screen_text(app))


async def test_a_run_that_went_back_and_diverged(check: Check, make_run: Any, screen_text: Any) -> None:
    run = make_run()
    run.start()
    learn(run, 5, 400)
    run.events.write("divergence", 400, what="exploding", message="the loss grew from 1.98 to 21.4")
    run.events.write(
        "rollback", 400, to_step=300, lr=0.002, message="went back from step 400 to 300 with half the rate"
    )
    learn(run, 305, 500)
    run.events.write("train", 505, loss=math.nan, grad_norm=math.nan, lr=0.0019)
    told = "the loss is not finite at step 505; a smaller learning rate may help"
    run.events.write("divergence", 505, what="not-finite", message=told)
    run.events.write("end", 505, reason="diverged", message=told)
    run.status("diverged", 505, total_steps=2000, message=told)
    app = start()
    async with app.run_test(size=(100, 30)) as pilot:
        await check(pilot, "diverged-100x30", lambda: "step 505" in screen_text(app))


async def test_a_forecast_that_is_complete(check: Check, make_run: Any, until: Any, screen_text: Any) -> None:
    run = make_run(
        "lstm-sine-1", {"corpus": {"source": "sine"}, "task": {"name": "series"}, "model": {"arch": "lstm"}}
    )
    run.start(
        task="series", unit="squared error", measures=["mse", "rmse"], baselines={"persistence": 0.15},
        tokenizer="", corpus="sine", parameters=17_000, total_steps=300,
    )  # fmt: skip
    for step in range(5, 301, 5):
        error = 0.4 / math.sqrt(step)
        run.events.write(
            "train",
            step,
            loss=error,
            lr=0.01,
            tokens_per_second=9000.0,
            tokens=step * 64,
            elapsed=step * 0.02,
        )
        if step % 50 == 0:
            run.events.write(
                "validation", step, loss=error * 1.1, mse=error * 1.1, rmse=math.sqrt(error * 1.1)
            )
    truth = [round(math.sin(t / 8), 3) for t in range(120)]
    late = [None] * 10 + [round(0.9 * math.sin((t - 2) / 8), 3) for t in range(10, 120)]
    run.events.write(
        "forecast", 300, columns=["x"], begin=600, every=1, truth=truth, forecasts={"1": truth, "64": late},
        errors={"1": 0.0012, "64": 0.047}, persistence={"1": 0.008, "64": 0.31},
    )  # fmt: skip
    run.events.write("end", 300, reason="finished", elapsed=6.0, epochs=3.0)
    run.status("finished", 300, total_steps=300, best_loss=0.0254)
    app = start("rnn-light")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.ready and "step 300" in screen_text(app))
        await pilot.press("f")
        await check(pilot, "series-100x30", lambda: "━ truth" in screen_text(app))


async def test_a_run_among_others(
    check: Check, make_run: Any, finished: Any, until: Any, screen_text: Any
) -> None:
    for name in ("gru-stdlib-1", "rnn-stdlib-1"):
        finished(name, NOW - 7200)
    run = make_run("lstm-stdlib-2")
    run.hold()
    run.start()
    learn(run, 5, 1500, lift=-0.1)
    sample(run, 1500)
    run.events.write("note", 1500, message="compiling took 41 s")
    run.status("running", 1500, total_steps=2000)
    app = start()
    async with app.run_test(size=(160, 50)) as pilot:
        await until(pilot, lambda: app.ready and "step 1,500" in screen_text(app))
        monitor: Any = app.query_one("#monitor")
        monitor.lay_over([Path("runs").absolute() / name for name in ("gru-stdlib-1", "rnn-stdlib-1")])
        await check(pilot, "train-160x50", lambda: "gru-stdlib-1" in screen_text(app))


def make_runs(make_run: Any, finished: Any) -> None:
    """Make runs in four states, with and without labels."""
    for hours, (name, best, arch, size) in enumerate(
        [
            ("lstm-stdlib-3", 1.412, "lstm", 512),
            ("gru-stdlib-2", 1.467, "gru", 256),
            ("lstm-fables-en-1", 1.903, "lstm", 64),
        ],
        1,
    ):
        run = finished(name, NOW - 3600 * hours, best, model={"arch": arch, "hidden_size": size})
        run.status("finished", 200, total_steps=200, best_loss=best, time=NOW - 3500 * hours)
    set_labels(run.folder, tags=["paper", "small"], note="the one for the figure")
    crashed = make_run(
        "rnn-stdlib-1",
        {"corpus": {"source": "stdlib"}, "model": {"arch": "rnn"}, "about": {"created": NOW - 90_000}},
    )
    crashed.start(arch="rnn")
    learn(crashed, 5, 100)
    crashed.status("running", 100, total_steps=2000, time=NOW - 86_400)
    living = make_run(
        "lstm-stdlib-4",
        {
            "corpus": {"source": "stdlib"},
            "tokenizer": {"name": "char"},
            "model": {"arch": "lstm"},
            "about": {"created": NOW - 60},
        },
    )
    living.hold()
    living.start()
    learn(living, 5, 400)
    living.status("running", 400, total_steps=2000, tokens_per_second=41_000.0, eta=80.0)


async def test_the_table_of_runs(
    check: Check, make_run: Any, finished: Any, open_runs: Any, screen_text: Any
) -> None:
    make_runs(make_run, finished)
    app = start("ansi-dark")
    async with app.run_test(size=(80, 24)) as pilot:
        await open_runs(pilot, 5)
        await pilot.press("j")
        await check(pilot, "runs-80x24", lambda: "5 runs" in screen_text(app))


async def test_runs_compared(
    check: Check, make_run: Any, finished: Any, open_runs: Any, screen_text: Any
) -> None:
    make_runs(make_run, finished)
    app = start("rnn-light")
    async with app.run_test(size=(160, 50)) as pilot:
        await open_runs(pilot, 5)
        await pilot.press("j", "m", "j", "m")
        await check(
            pilot,
            "runs-160x50",
            lambda: "model.hidden_size" in screen_text(app) and "━ 2" in screen_text(app),
        )


async def test_a_corpus_in_figures_and_pictures(check: Check, until: Any, screen_text: Any) -> None:
    app = start()
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.ready and app.descriptions is not None)
        await pilot.press("1")
        pane: Any = app.pane("corpus")
        pane.look("fables-en")
        await check(
            pilot, "corpus-100x30", lambda: pane.reading is not None and "342,590" in screen_text(app)
        )
        await pilot.press("p")
        await check(pilot, "corpus-pictures-100x30", lambda: pane.tabs.active == "pictures")
