"""Make the pictures and the recording of the README from the app itself: `make docs`.

Trains the demo for a minute in a folder of its own, as a newcomer does, and goes through the panes. What is recorded is
shown faster where nothing happens but training.
"""

import asyncio
import os
import re
import tempfile
from pathlib import Path

from recording import Recording  # beside this file

PICTURES = Path(__file__).parent / "pictures"
SIZE = (112, 34)


def save(app: object, name: str) -> None:
    """Save the screen without the web font that rich's SVG asks the network for."""
    svg: str = app.export_screenshot(title="rnn-tui")  # type: ignore[attr-defined]
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("font-family: Fira Code, monospace", "font-family: Menlo, Consolas, monospace")
    (PICTURES / f"{name}.svg").write_text(svg)


async def take(runs_dir: Path) -> None:
    """Start the demo in the app and take a picture of each pane on the way."""
    from rnn_tui.tui.app import RnnTuiApp

    film = Recording("rnn-tui")
    app = RnnTuiApp(runs_dir)
    async with app.run_test(size=SIZE) as pilot:

        async def watch(seconds: float, every: float, shown: float) -> None:
            for _ in range(round(seconds / every)):
                await asyncio.sleep(every)
                film.take(app, shown)

        async def press(*keys: str, then: float = 0.5) -> None:
            for key in keys:
                await pilot.press(key)
                await pilot.pause()
                film.take(app, 0.08)
            await watch(then, 0.5, 0.5)

        while app.descriptions is None:
            await asyncio.sleep(0.1)
        await press("alt+1", "b", then=6)
        await press("p", then=2)
        save(app, "corpus")
        await press("alt+2", "d", then=1)
        await watch(45, 1.5, 0.3)
        save(app, "train")
        while app.current_pane != "prompt":
            await watch(1, 1, 0.2)
        await watch(4, 0.5, 0.5)
        await press("f3", then=1)
        await press(*"class ", "enter", then=4)
        save(app, "prompt")
        await press("alt+5", then=1)
        await press("i", then=8)
        save(app, "inspect")
        await press("n", "n", "n", then=1)
        film.save(PICTURES / "session.svg")
        for key, name in (("alt+5", "runs"), ("alt+6", "plugins")):
            await pilot.press(key)
            await asyncio.sleep(2)
            await pilot.pause()
            save(app, name)


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    # asked when Textual is imported; with 16 colours the app has another theme
    os.environ["COLORTERM"] = "truecolor"
    with tempfile.TemporaryDirectory() as home:
        for name in ("CONFIG", "STATE", "DATA"):
            os.environ[f"RNN_TUI_{name}_DIR"] = str(Path(home) / name)
        asyncio.run(take(Path(home) / "runs"))
    shown = "/home/you/models"[: len(home)].ljust(len(home), "s")  # as long, so that nothing moves
    for picture in PICTURES.glob("*.svg"):
        picture.write_text(picture.read_text().replace(home, shown))


if __name__ == "__main__":
    main()
