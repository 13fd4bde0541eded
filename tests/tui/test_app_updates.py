"""What is sent, judged by a terminal emulator."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.segment import Segment
from textual.strip import Strip

from rnn_tui.tui.updates import TightUpdate

pyte = pytest.importorskip("pyte")


def emulate(update: TightUpdate, before: list[str]) -> list[str]:
    screen = pyte.Screen(20, len(before))
    stream = pyte.Stream(screen)
    stream.feed("\r\n".join(before))
    stream.feed(update.render_segments(Console(color_system="truecolor", force_terminal=True, width=20)))
    return [line.rstrip() for line in screen.display]


def strip(text: str) -> Strip:
    return Strip([Segment(part) for part in text.split("|")])


def test_a_span_in_the_middle_is_all_that_is_sent() -> None:
    update = TightUpdate([{0: strip("ABC|DEF|GHI")}], [(0, 4, 6)], [[9]])
    assert emulate(update, ["........."]) == ["....EF..."]
    sent = update.render_segments(Console(color_system=None, force_terminal=True))
    assert not set("ABCDGHI") & set(sent.replace("\x1b[1;5H", ""))


def test_spans_over_several_chops_and_rows() -> None:
    chops: Any = [{0: strip("aaaa"), 4: strip("bb|bb"), 8: strip("cccc")}, {0: strip("dddd|dddddddd")}]
    update = TightUpdate(chops, [(0, 2, 9), (1, 0, 3), (1, 11, 12)], [[4, 8, 12], [12]])
    assert emulate(update, ["............", "............"]) == ["..aabbbbc...", "ddd........d"]


def test_a_chop_that_something_covers_is_left_alone() -> None:
    chops: Any = [{0: strip("aaaa"), 4: None, 8: strip("cccc")}]
    assert emulate(TightUpdate(chops, [(0, 0, 12)], [[4, 8, 12]]), ["............"]) == ["aaaa....cccc"]


def test_wide_characters() -> None:
    update = TightUpdate([{0: strip("ab你好cd")}], [(0, 4, 6)], [[8]])
    shown = emulate(update, ["........"])
    assert shown[0].startswith("....好")


@pytest.mark.usefixtures("no_children")
async def test_the_emulator_and_the_app_agree(
    make_run: Any, runs_dir: Path, until: Any, screen_text: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that a session would send, fed to an emulator, gives the screen that the app believes in."""
    from rnn_tui.tui.app import RnnTuiApp

    sent: list[str] = []

    def display(self: Any, screen: Any, renderable: Any) -> None:
        from textual._compositor import ChopsUpdate, CompositorUpdate

        if type(renderable) is ChopsUpdate:
            renderable = TightUpdate.of(renderable)
        if isinstance(renderable, CompositorUpdate) and not self._batch_count and screen is self.screen:
            sent.append(renderable.render_segments(self.console))

    monkeypatch.setattr(RnnTuiApp, "_display", display)
    run = make_run()
    run.hold()
    run.start()
    run.train(5, 100)
    run.status("running", 100)
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=(100, 30)) as pilot:
        for first, last in ((105, 200), (205, 320), (325, 455)):
            run.train(first, last)
            run.events.write("sample", last, prompt="你", text=f"好 {last}", temperature=1.0)
            await until(pilot, lambda last=last: f"step {last} " in screen_text(app))
        await pilot.press("5")
        await until(pilot, lambda: "● running" in screen_text(app))
        await pilot.press("2", "question_mark")
        await pilot.pause(0.3)
        await pilot.press("escape")
        await until(pilot, lambda: "step 455 " in screen_text(app))
        await pilot.pause(1.2)

        def agree() -> bool:
            emulator = pyte.Screen(100, 30)
            pyte.Stream(emulator).feed("".join(sent))
            shown = [row.replace(" ", "") for row in screen_text(app).splitlines()]
            # pyte keeps an empty cell beside a wide character
            return [row.replace(" ", "") for row in emulator.display] == shown

        await until(pilot, agree)  # what was painted last may be on its way
