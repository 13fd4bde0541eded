"""Make the pictures of the README from the app itself: `make docs`.

Trains the demo for a minute in a folder of its own, then shows each pane and saves it as SVG.
"""

import asyncio
import os
import re
import tempfile
from pathlib import Path

PICTURES = Path(__file__).parent / "pictures"
SIZE = (112, 34)


def save(app: object, name: str) -> None:
    """Save the screen without the web font that rich's SVG asks the network for."""
    svg: str = app.export_screenshot(title="rnn-tui")  # type: ignore[attr-defined]
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("font-family: Fira Code, monospace", "font-family: Menlo, Consolas, monospace")
    (PICTURES / f"{name}.svg").write_text(svg)


async def take(runs_dir: Path) -> None:
    """Start the demo in the app, as a newcomer does, and take a picture of each pane on the way."""
    from rnn_tui.tui.app import RnnTuiApp

    app = RnnTuiApp(runs_dir, demo=True)
    async with app.run_test(size=SIZE) as pilot:
        await asyncio.sleep(48)
        await pilot.pause()
        save(app, "train")
        while app.current_pane != "prompt":
            await asyncio.sleep(0.5)
        await asyncio.sleep(12)
        await pilot.pause()
        save(app, "prompt")
        for key, name in (("alt+1", "corpus"), ("alt+4", "runs"), ("alt+5", "plugins")):
            await pilot.press(key)
            await pilot.pause()
            if name == "corpus":
                await pilot.press("b")
                await asyncio.sleep(8)
            await asyncio.sleep(1)
            save(app, name)


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        for name in ("CONFIG", "STATE", "DATA"):
            os.environ[f"RNN_TUI_{name}_DIR"] = str(Path(home) / name)
        asyncio.run(take(Path(home) / "runs"))


if __name__ == "__main__":
    main()
