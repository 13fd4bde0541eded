"""The Inspect pane with a fake engine in a real child process."""

import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.geometry import Region
from textual.pilot import Pilot
from textual.widgets import Select, Static

from rnn_tui.tui.app import RnnTuiApp
from rnn_tui.tui.engine_client import EngineClient
from rnn_tui.tui.panes.inspect import InspectPane
from rnn_tui.tui.panes.inspect_source import BUILT_IN
from rnn_tui.tui.panes.inspect_units import Unit

FAKE = [sys.executable, str(Path(__file__).with_name("fake_inspector.py"))]
TEXT = 'He said "yes" at 10.\nNo.\n' * 8
H, C, H2 = "layer 1 h", "layer 1 c", "layer 2 h"
Inspecting = Callable[..., AbstractAsyncContextManager[tuple[InspectPane, Pilot[None]]]]


@pytest.fixture
def inspecting(tmp_path: Path, make_host: Any) -> Inspecting:
    """Return a context with a pane in an app whose screen has the classes of the real one."""

    @asynccontextmanager
    async def start(
        size: tuple[int, int] = (80, 24), *, ascii: bool = False
    ) -> AsyncIterator[tuple[InspectPane, Pilot[None]]]:
        class Host(make_host):
            HORIZONTAL_BREAKPOINTS = RnnTuiApp.HORIZONTAL_BREAKPOINTS
            VERTICAL_BREAKPOINTS = RnnTuiApp.VERTICAL_BREAKPOINTS

        pane = InspectPane(EngineClient(FAKE))
        async with Host(pane, tmp_path / "runs", ascii=ascii).run_test(size=size) as pilot:
            await pilot.pause()
            yield pane, pilot

    return start


def model(tmp_path: Path, mode: str = "model") -> str:
    """Return the path of a file that the fake engine takes for a model."""
    path = tmp_path / f"{mode}.safetensors"
    path.touch()
    return str(path)


def status(pane: InspectPane) -> str:
    return " ".join(pane.status.text.split())


def levels(pane: InspectPane) -> list[int]:
    return list(pane.main.glow._levels)


def notes(pane: InspectPane) -> str:
    return str(pane.query_one("#inspect-note", Static).content)


def table(pane: InspectPane) -> list[list[str]]:
    return [
        [str(cell) for cell in pane.body.side.table.get_row_at(row)]
        for row in range(pane.body.side.table.row_count)
    ]


async def give(pilot: Pilot[None], pane: InspectPane, key: str, text: str) -> None:
    """Press the key that asks for something, and give it."""
    await pilot.press(key)
    pane.asking.line.value = text
    await pilot.press("enter")


async def test_units_are_found_stepped_through_and_starred(
    inspecting: Inspecting, tmp_path: Path, until: Any
) -> None:
    async with inspecting() as (pane, pilot):
        assert "Look inside a model" in str(pane.query_one("#inspect-state", Static).content)
        pane.load(model(tmp_path), text=TEXT)
        await until(pilot, lambda: pane.body.values is not None and pane.body.side.table.row_count == 3)
        # the survey's best unit colours the text at once: 1 inside quotes, -1 outside
        assert pane.body.unit == Unit(H, 0)
        assert [row[1:] for row in table(pane)] == [
            ["quotes", f"{H} 0", "+0.99"], ["digits", f"{H} 5", "-0.97"], ["capitals", f"{H} 4", "+0.90"],
        ]  # fmt: skip
        inside = TEXT[:25].index('"'), TEXT[:25].rindex('"')
        assert levels(pane)[:25] == [4 if inside[0] <= at < inside[1] else -4 for at in range(25)]
        assert "layer 1 h unit 0 of 6" in " ".join(pane.unit_bar.text.split())
        await until(
            pilot,
            lambda: status(pane) == "1 of 200 'H' value -1.000 the text that was handed over · 200 tokens",
        )
        await pilot.press("right", "down")
        assert pane.main.glow.cursor == 22  # the second letter of the second line
        await until(pilot, lambda: status(pane).startswith("23 of 200 'o' value -1.000 surprise 1.25 nats"))
        await pilot.press("pagedown", "end", "up", "left", "pageup", "home")
        assert pane.main.glow.cursor == 0

        await pilot.press("n")
        await until(pilot, lambda: pane.body.values is not None and pane.body.unit == Unit(H, 1))
        assert levels(pane)[:9] == [-4, -3, -2, -1, 0, 1, 2, 3, 4]
        await pilot.press("p", "p")
        await until(pilot, lambda: pane.body.values is not None and pane.body.unit == Unit(H2, 5))
        assert levels(pane)[TEXT.index("1")] == -4
        await pilot.press("l", "l")
        await until(pilot, lambda: pane.body.values is not None and pane.body.unit == Unit(C, 5))
        assert "-3 " in pane.unit_bar.text  # the scale of a part that is not bounded
        await pilot.press("L")
        await until(pilot, lambda: pane.body.values is not None and pane.body.unit == Unit(H, 5))
        await pilot.press("o", "4", "enter")
        await until(pilot, lambda: pane.body.values is not None and pane.body.unit == Unit(H, 4))
        assert set(levels(pane)) == {0, 2}
        await pilot.press("x")  # 0.4 is the unit's largest value
        assert set(levels(pane)) == {0, 4}
        assert "-0.4 " in pane.unit_bar.text
        await pilot.press("x")
        await give(pilot, pane, "o", "2 h:9")
        assert "0 to 5" in status(pane)
        assert pane.asking.asking
        await pilot.press("escape")
        assert not pane.asking.asking

        await pilot.press("s", "f")
        assert pilot.app.memory["inspect.stars"] == {model(tmp_path): [[H, 4]]}
        assert [row[0] for row in table(pane)] == ["", "", "★"]
        await pilot.press(
            "k"
        )  # the table is in view and has the focus: another unit colours the text at once
        await until(pilot, lambda: pane.body.values is not None and pane.body.unit == Unit(H, 5))
        await pilot.press("j")
        await until(pilot, lambda: pane.body.values is not None and pane.body.unit == Unit(H, 4))
        await pilot.press("c")
        await until(pilot, lambda: pane.query_one("InspectSide Select", Select).expanded)
        await pilot.press("down", "enter")
        await until(pilot, lambda: [row[1] for row in table(pane)] == [f"{H} 4"])
        await pilot.press("s")
        assert pilot.app.memory["inspect.stars"] == {model(tmp_path): []}

        pane.query_one("InspectSide Select", Select).value = "quotes"
        await until(pilot, lambda: "tokens" in notes(pane))
        assert notes(pane) == "16.0 % of the tokens, underlined in the text"
        assert table(pane)[0][1:] == [f"{H} 0", "+0.99", "+1.00", "-1.00"]
        row = pane.main.glow.render_line(0)
        underlined = "".join(s.text for s in row if s.style is not None and s.style.underline)
        assert underlined == '"yes'
        await give(pilot, pane, "e", "[0-9")
        assert "not a regular expression" in status(pane)
        await pilot.press("end", "right_square_bracket", "enter")
        await until(pilot, lambda: pane.body.unit == Unit(H, 5) and pane.body.values is not None)
        assert notes(pane) == "8.0 % of the tokens, underlined in the text"
        pane.query_one("InspectSide Select", Select).value = "brackets"
        await until(pilot, lambda: notes(pane) == "the text has no brackets")
        assert table(pane) == []


async def test_the_map_the_gates_and_the_reach(inspecting: Inspecting, tmp_path: Path, until: Any) -> None:
    async with inspecting((160, 50)) as (pane, pilot):
        pane.load(model(tmp_path), text=TEXT)
        await until(pilot, lambda: pane.main.map.heat is not None and pane.body.values is not None)
        heat_map = pane.main.map
        # text, units and a small map at once
        assert all(widget.region.area for widget in (pane.body.side.table, pane.main.glow, heat_map))
        await pilot.press("m")
        await until(pilot, lambda: heat_map.has_focus)
        assert not pane.main.glow.region.area
        assert pane.body.side.table.region.area
        assert heat_map.render_line(0).text.strip().startswith('He said "yes" at 10.↵No.')
        await pilot.press("down", "right", "right", "right")
        await until(
            pilot, lambda: status(pane).startswith("unit 1 token 4 's' value -0.25 enter shows the unit")
        )
        assert pane.main.glow.cursor == 3
        # the upper half of a cell is unit 0 and the lower one unit 1, where the cursor is
        assert heat_map.render_line(1).text.split()[0] == "1"
        await pilot.press("enter")
        await until(
            pilot,
            lambda: pane.body.unit == Unit(H, 1) and pane.body.values is not None and pane.view == "text",
        )
        await pilot.press("m", "0")
        await until(pilot, lambda: heat_map.heat is not None and len(heat_map.heat.starts) == 100)
        await until(pilot, lambda: status(pane).startswith("unit 1 tokens 3 to 4"))
        await pilot.press("plus")
        await until(pilot, lambda: heat_map.heat is not None and len(heat_map.heat.starts) == heat_map.room)
        await pilot.press("minus")
        await until(pilot, lambda: heat_map.heat is not None and len(heat_map.heat.starts) == 100)
        await pilot.press("plus", "shift+right", "shift+right")
        await until(pilot, lambda: heat_map.heat is not None and heat_map.heat.end == 200)
        assert pane.main.glow.cursor == 199
        await pilot.press("shift+left", "shift+left", "pagedown", "pageup", "up")
        await until(pilot, lambda: heat_map.heat is not None and heat_map.heat.starts[0] == 0)
        await pilot.press("w")
        assert "choose a pattern first" in status(pane)
        pane.query_one("InspectSide Select", Select).value = "quotes"
        await until(pilot, lambda: pane.main.pattern == "quotes")
        await pilot.press("m", "w")
        await until(pilot, lambda: heat_map.heat is not None and heat_map.heat.units[0] == (5,))
        await until(pilot, lambda: "by quotes" in status(pane))
        await pilot.press("l")  # a part of three times the values
        await until(pilot, lambda: heat_map.heat is not None and heat_map.heat.scale == 3.0)
        await until(pilot, lambda: "unit 0 token 1 'H' value -3.00" in status(pane))
        assert "-3 " in pane.unit_bar.text

        await pilot.press("a")
        await until(pilot, lambda: "forget f" in pane.main._panels.text)
        rows = pane.main._panels.text.splitlines()
        assert rows[3].split() == [
            "layer",
            "1",
            "input",
            "i",
            "layer",
            "1",
            "forget",
            "f",
            "layer",
            "1",
            "output",
            "o",
        ]
        assert re.findall(r"\d+ %", rows[4]) == ["50 %", "100 %", "0 %"]
        assert re.findall(r"\d+ %", rows[5]) == ["25 %", "0 %", "75 %"]
        await pilot.press("b")
        await until(pilot, lambda: "after 7 tokens" in pane.main._sentence.text)
        assert [one.name for one in pane.main.chart._series] == ["the whole state", "layer 1", "layer 2"]
        await pilot.press("t")
        assert pane.main.glow.has_focus
        await pilot.click(pane.tabs, offset=(22, 0))
        assert pane.view == "map"


async def test_texts_models_and_failures(inspecting: Inspecting, tmp_path: Path, until: Any) -> None:
    async with inspecting(ascii=True) as (pane, pilot):
        await pilot.press("r")
        await give(pilot, pane, "i", "ab")
        assert "choose a run or a model file first" in status(pane)
        await pilot.press("n", "l", "s", "o", "e", "c", "x")  # nothing to do these with
        pane.load("no-such-run")
        await until(pilot, lambda: "no-such-run" in status(pane))
        pane._own_text = None
        pane.load(model(tmp_path))
        await until(pilot, lambda: pane.body.values is not None)
        assert pane.trace is not None
        assert "".join(pane.trace.texts) == BUILT_IN
        # in ASCII a row of signs stands under each row of text
        first, below = (pane.main.glow.render_line(y).text for y in (0, 1))
        assert first.startswith('"Well," said')
        assert below.startswith("######======")

        await give(pilot, pane, "i", "Ab 1")
        await until(pilot, lambda: pane.trace is not None and len(pane.trace.texts) == 4)
        assert "typed text" in status(pane)
        (tmp_path / "file.txt").write_text("Zwölf ž")
        await give(pilot, pane, "slash", str(tmp_path / "none.txt"))
        await until(pilot, lambda: "No such file" in status(pane))
        await give(pilot, pane, "slash", str(tmp_path / "file.txt"))
        await until(pilot, lambda: pane.trace is not None and "".join(pane.trace.texts) == "Zwölf ž")
        assert "file.txt · 7 tokens · 1 unknown" in status(pane)
        await pilot.press("i", "up")
        assert pane.asking.line.value == "Ab 1"
        await pilot.press("escape")
        await give(pilot, pane, "i", "")
        await until(pilot, lambda: pane.trace is not None and len(pane.trace.texts) == len(BUILT_IN))

        loaded = pane.session.model
        await pilot.press("r")  # the file may be another one by now: it is loaded again
        await until(pilot, lambda: pane.session.model not in (None, loaded) and pane.body.values is not None)

        # an engine that dies is said to be gone, and the next unit has another one
        pane.load(model(tmp_path, "crash"), text=TEXT)
        await until(
            pilot, lambda: pane.body._run.endswith("crash.safetensors") and pane.body.values is not None
        )
        await pilot.press("o", "5", "enter")
        await until(pilot, lambda: "out of cheese" in status(pane))
        await pilot.press("p")
        await until(pilot, lambda: pane.body.unit == Unit(H, 4) and pane.body.values is not None)
        assert pane.session.client.starts == 2
        pane.load(model(tmp_path, "nogates"), text=TEXT)
        await until(
            pilot,
            lambda: pane.session.path == tmp_path / "nogates.safetensors" and pane.body.values is not None,
        )
        await pilot.press("a")
        await until(pilot, lambda: "an elman cell has no gates" in pane.main._panels.text)
        await pilot.press("t")
        pane.load(model(tmp_path, "wrong"), text=TEXT)
        await until(pilot, lambda: "wrong answer" in status(pane))
        pane.load(model(tmp_path, "hostile"), text=TEXT)
        await until(
            pilot, lambda: pane.body.unit == Unit("layer 1 \x1b[2Jh", 0) and pane.body.values is not None
        )
        assert "␛[2Jh" in pane.unit_bar.text
        pane.load(model(tmp_path, "refuse"), text=TEXT)
        await until(pilot, lambda: "has no tokens to look at" in status(pane))
        assert "Nothing was read" in str(pane.query_one("#inspect-state", Static).content)
        assert pane.query_one("#inspect-state").region.area
        pane.load(model(tmp_path, "slow"), text=TEXT)
        await until(pilot, lambda: "reading … " in pane.status.text)
        assert "of 20,000 esc ends it" in status(pane)
        await pilot.press("escape")
        await until(pilot, lambda: status(pane) == "cancelled")
        await pilot.press("f5")
        assert pane.models.query_one(Select).expanded
        await pilot.press("escape")


async def test_another_unit_repaints_the_cells_that_differ(
    inspecting: Inspecting, tmp_path: Path, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with inspecting() as (pane, pilot):
        pane.load(model(tmp_path), text="ab\ncD ef\ngh1\n")
        await until(pilot, lambda: pane.body.values is not None)
        glow, painted = pane.main.glow, []
        monkeypatch.setattr(type(glow), "refresh", lambda self, *regions, **_: painted.append(regions))
        for unit, regions in (
            (2, ((Region(0, 0, 3, 1), Region(0, 1, 6, 1), Region(0, 2, 4, 1)),)),  # from -1 to 0 everywhere
            (4, ((Region(1, 1, 1, 1),),)),  # only the capital: 0.4
            (5, ((Region(1, 1, 1, 1), Region(2, 2, 1, 1)),)),  # the capital back to 0, the digit to -1
        ):
            painted.clear()
            pane.body.take(Unit(H, unit))
            await until(pilot, lambda: pane.body.values is not None)
            assert tuple(painted) == regions
        painted.clear()
        glow.go(5)  # the cursor: the row it left and the row it is on
        assert painted == [(Region(0, 0, 78, 1),), (Region(0, 1, 78, 1),)]
