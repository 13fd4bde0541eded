"""The plugins pane: what it lists, what it says, what it survives."""

from pathlib import Path
from typing import Any

import pytest
from textual.widgets import DataTable, Static

from rnn_tui.plugin.describe import PluginDescription
from rnn_tui.plugin.options import OptionInfo
from rnn_tui.plugin.registry import PluginInfo
from rnn_tui.tui.panes.plugins import PluginsPane, detail, notice, reflow

GRU = PluginDescription(
    PluginInfo("architecture", "gru", "rnn_tui_scratch.gru:GRU", "rnn-tui", "0.1.0", None),
    summary="Gated recurrent unit.",
    doc="Gated recurrent unit.\n\n    z = sigmoid(x Wz)          how much is kept\n\nShapes: x (B, I),\nh (B, H).",
    options=(
        OptionInfo("reset", "choice", "before", "Where the gate acts.", choices=("before", "after")),
        OptionInfo("bias", "float", 1.0, "Of the gate.", minimum=0.0, maximum=5.0),
    ),
    form="Cell",
)
BROKEN = PluginDescription(
    PluginInfo("tokenizer", "bad\x1b[2J[/]", "x:Y", "evil[@click=app.quit]x[/]", "1\x9b", None),
    doc="\x1b]52;c;aGk=\x07 [/foo] \u202e",
    error="its import failed: \x1b[31mboom [/]",
)


def text(pane: PluginsPane, name: str) -> str:
    return str(pane.query_one(name, Static).content)


@pytest.mark.parametrize("size", [(80, 24), (140, 45)])
async def test_plugins_are_listed_and_described(
    tmp_path: Path, make_host: Any, size: tuple[int, int]
) -> None:
    pane = PluginsPane()
    app = make_host(pane, tmp_path)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert "reading" in text(pane, "#plugins-notice")
        pane.described([GRU, BROKEN])
        await pilot.pause()
        assert app.focused is pane.query_one(DataTable)  # which was not there when the pane was shown
        shown = text(pane, "#plugins-text")
        assert "z = sigmoid(x Wz)" in shown
        assert "reset = before   one of before, after" in shown
        assert "bias = 1.0   a number from 0 up to 5" in shown
        await pilot.press("t")
        assert app.asked == [("new_run", {"model": {"arch": "gru"}})]
        await pilot.press("down")
        await pilot.pause()
        assert "boom [/]" in text(pane, "#plugins-text")
        assert "1 cannot be used" in text(pane, "#plugins-notice")
        await pilot.press("t")
        assert app.asked[-1][0] == "fail"
        for widget in pane.query("*"):
            if widget.size:
                for strip in widget.render_lines(widget.size.region):
                    assert not set("\x1b\x9b\x07\u202e") & set(strip.text)
        row = pane.query_one(DataTable).get_row_at(0)
        assert [str(cell) for cell in row] == ["architecture", "gru", "Cell", "rnn-tui 0.1.0"]


async def test_nothing_installed_says_what_to_do(
    tmp_path: Path, make_host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNN_TUI_PLUGINS", "")
    pane = PluginsPane()
    async with make_host(pane, tmp_path).run_test(size=(80, 24)) as pilot:
        pane.described([])
        await pilot.pause()
        shown = text(pane, "#plugins-notice")
        assert "No architecture and no tokenizer is installed that works" in shown
        assert "pip install" in shown
        assert "RNN_TUI_PLUGINS is set: plugins are left out altogether" in shown
        assert not pane.query_one(DataTable).display


def test_notice() -> None:
    assert notice([GRU], None).plain.startswith("No tokenizer is installed that works")
    assert "plugins are taken from rnn-tui-mega only" in notice([GRU], "rnn-tui-mega").plain


def test_a_single_file_shows_its_path_and_a_broken_one_what_to_do() -> None:
    info = PluginInfo(
        "architecture", "mgu", "mgu.py:MGU", "plugins-dir", "sha256:12ab", file="/home/me/cells/mgu.py"
    )
    assert notice([PluginDescription(info, form="Cell")], None, Path("/home/me/cells")).plain.endswith(
        "files of /home/me/cells are plugins, too"
    )
    shown = detail(PluginDescription(info, form="Cell"), 60).plain
    assert shown.startswith(
        "mgu  architecture  Cell\nplugins-dir sha256:12ab  mgu.py:MGU\n/home/me/cells/mgu.py\n"
    )
    broken = detail(PluginDescription(info, error="SyntaxError"), 60).plain
    assert broken.endswith(
        "\nSyntaxError\nmend /home/me/cells/mgu.py, or leave it out with a name that begins with _"
    )


def test_paragraphs_flow_and_equations_stay() -> None:
    assert reflow("One\ntwo.\n\nthree", 40) == "One two.\n\nthree"
    line = "    z = s(x)          kept"
    assert reflow(line, 40) == line
    assert reflow(line, 22) == "    z = s(x)   kept"
    assert reflow(line, 16) == "    z = s(x)\n        kept"


def test_detail_is_text_and_nothing_else() -> None:
    assert "\x1b" not in detail(BROKEN, 60).plain
    assert "no options" in detail(PluginDescription(GRU.info, form="Cell"), 60).plain
