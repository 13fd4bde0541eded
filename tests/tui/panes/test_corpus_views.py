"""The views of a measured corpus, by their keys."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList, Select

from rnn_tui.plugin.describe import PluginDescription
from rnn_tui.plugin.options import option_infos
from rnn_tui.plugin.registry import list_plugins, load_plugin
from rnn_tui.tui.panes.corpus import CorpusPane
from rnn_tui.tui.panes.corpus_said import Superseded
from rnn_tui.tui.panes.corpus_tokenizers import CutColumn
from rnn_tui.tui.widgets.chart import Chart
from rnn_tui.tui.widgets.line_input import LineInput
from rnn_tui.tui.widgets.lines import Lines
from rnn_tui.tui.widgets.row_table import RowTable
from rnn_tui.tui.widgets.token_scroll import TokenScroll


@pytest.fixture(autouse=True)
def no_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnn_tui.tui.panes.corpus.try_model", lambda *_: "not tried")


class Looking:
    """A pane under test, and what tests do with it."""

    def __init__(self, pilot: Pilot[None], pane: CorpusPane) -> None:
        self.pilot, self.pane = pilot, pane

    async def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited in vain; the screen is\n{self.screen}"
            await self.pilot.pause(0.02)

    async def look(self, source: object) -> None:
        self.pane.look(str(source))
        await self.until(lambda: self.pane.reading is not None)
        await self.pilot.pause()

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def view(self, key: str, name: str) -> None:
        """Press the key of a view and wait until it has its size."""
        await self.press(key)
        await self.until(lambda: self.pane.tabs.active == name)
        await self.pilot.pause()

    async def type(self, text: str, line: str = "corpus-ask") -> None:
        """Enter something into a line that was asked for."""
        await self.until(lambda: getattr(self.pane.screen.focused, "id", "") == line)
        self.pane.query_one(f"#{line}", LineInput).value = text
        await self.press("enter")

    @property
    def screen(self) -> str:
        return "\n".join(
            strip.text for strip in self.pane.screen._compositor.render_strips(self.pane.screen.size)
        )

    @property
    def status(self) -> str:
        return " ".join(self.pane.query_one("#corpus-status", Lines).text.split())

    @property
    def place(self) -> str:
        return " ".join(self.pane.query_one("#corpus-place", Lines).text.split())

    @property
    def scroll(self) -> TokenScroll:
        return self.pane.query_one(TokenScroll)

    @property
    def rows(self) -> list[str]:
        """The rows of the text in view, without the track."""
        return [line[:-1].rstrip() for line in self.scroll.text.split("\n")]


async def test_the_whole_text_by_its_keys(tmp_path: Path, make_host: Any) -> None:
    text = tmp_path / "text.txt"
    lines = [f"line {number}" for number in range(2000)]
    text.write_text("\n".join(lines) + "\n")  # 18,890 characters, of which 17,001 train
    pane = CorpusPane()
    async with make_host(pane, tmp_path).run_test(size=(80, 24)) as pilot:
        it = Looking(pilot, pane)
        await it.until(lambda: pane.app.focused is not None)
        await it.press("x")
        assert "choose a corpus first" in it.status
        await it.look(text)
        await it.view("x", "text")
        assert it.rows[0].startswith("── train begins: tokens 0 to 17,000")
        assert it.rows[1:4] == lines[:3]
        await it.press("down", "j")
        assert it.rows[0] == "line 1"
        await it.press("up", "k", "k")
        await it.press("pagedown")
        height = it.scroll.size.height
        assert it.rows[0] == lines[height - 2]  # a row stays, and the first was the rule
        await it.press("pageup", "end")
        assert it.rows[-1] == "line 1999"
        await it.press("home")
        await it.press("percent_sign")
        await it.type("50%")
        # character 9,445 is in the row of line 1055, which begins at 10·7 + 90·8 + 900·9 + 55·10
        assert (it.rows[0], it.scroll.token) == ("line 1055", 9440)
        assert it.place.startswith("50.0 % token 9,440 of 18,890, train")
        await it.press("percent_sign")
        await it.type("17001")
        assert it.rows[0].startswith("── validation begins: tokens 17,001 to 18,889")
        assert it.place.startswith("90.0 % token 17,001 of 18,890, validation")
        await it.press("percent_sign")
        await it.type("nowhere")
        assert "a place is a share" in it.place
        await it.press("slash")
        await it.type("line 77")
        await it.until(lambda: "from the beginning again" in it.place)
        assert "line 77" in it.rows
        hit = it.scroll.token
        await it.press("n")
        await it.until(lambda: it.scroll.token > hit and "line 770" in it.rows)
        await it.press("slash")
        await it.type("no such line")
        await it.until(lambda: "no 'no such line' in this text" in it.place)
        await it.press("slash", "escape")
        assert it.scroll.has_focus
        await it.press("home", "s")
        assert it.scroll.look == "shades"  # of characters, one after the other, plain is the first look
        assert it.rows[1] == "line 0␊"
        await it.press("s")
        assert it.rows[1] == "l│i│n│e│ │0│␊"
        await pilot.click(TokenScroll, offset=(it.scroll.size.width - 1, it.scroll.size.height - 1))
        assert it.scroll.token > 17_001
        await it.press("s")
        assert it.scroll.look == "plain"


async def test_the_vocabulary_and_the_first_place_of_a_token(tmp_path: Path, make_host: Any) -> None:
    text = tmp_path / "text.txt"
    text.write_text("aab\n" * 500 + "“" + "aab\n" * 100)
    pane = CorpusPane()
    async with make_host(pane, tmp_path).run_test(size=(80, 24)) as pilot:
        it = Looking(pilot, pane)
        await it.look(text)
        await it.view("v", "vocabulary")
        table = pane.query_one(RowTable)
        await it.until(lambda: table.count == 5)  # with the unknown one
        assert "a" in it.screen
        await it.press("slash")
        assert pane.query_one("#corpus-filter", LineInput).has_focus
        pane.query_one("#corpus-filter", LineInput).value = "U+201C"
        await it.until(lambda: table.count == 1)
        assert "1 of 5 tokens" in it.screen
        await it.press("enter")
        assert table.has_focus
        await it.press("enter")
        await it.until(lambda: pane.tabs.active == "text" and "“" in it.screen)
        assert it.scroll._marked == range(2000, 2001)
        await it.view("v", "vocabulary")
        pane.query_one("#corpus-filter", LineInput).value = ""
        await it.until(lambda: table.count == 5)
        table.focus()
        await it.press("down", "j", "up", "k", "end", "home", "pagedown", "i")
        await it.until(
            lambda: it.pane.tabs.active == "vocabulary" and "nowhere in the text" in it.status
        )  # <unk>
        await pilot.click(RowTable, offset=(5, 1))
        assert table.cursor == 0
        await pilot.click(RowTable, offset=(5, 1))
        await it.until(lambda: pane.tabs.active == "text")
        assert it.scroll._marked == range(0, 1)


async def test_findings_are_answered_and_taken_back(tmp_path: Path, make_host: Any) -> None:
    text = tmp_path / "text.txt"
    text.write_bytes(b"".join(b"Line %d\r\n" % number for number in range(200)) + b"caf\xc3\xa9")
    pane = CorpusPane()
    app = make_host(pane, tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        it = Looking(pilot, pane)
        await it.look(text)
        await it.view("f", "findings")
        assert "end lines as Unix does: clean up with unix-newlines" in it.screen
        crlf = pane.reading
        await it.press("enter")
        await it.until(lambda: pane.reading is not crlf)
        assert pane.query_one("#corpus-steps", LineInput).value == "unix-newlines"
        assert pane.reading is not None
        assert pane.reading.found.chars == crlf.found.chars - 200  # type: ignore[union-attr]
        assert "seen to by the step unix-newlines" in it.screen
        assert app.asked[-1] == ("offer_undo", "end lines as Unix does: clean up with unix-newlines")
        mended = pane.reading
        app.undo()
        await it.until(lambda: pane.reading is not mended)
        assert pane.reading.config.corpus.normalise == ()
        # 1,664 tokens train: the epoch is too short for 32 windows of 64
        listed = pane.query_one("#corpus-finding-list", OptionList)
        prompts = [str(listed.get_option_at_index(index).prompt) for index in range(listed.option_count)]
        listed.highlighted = next(index for index, said in enumerate(prompts) if "but one step" in said)
        before = pane.reading
        await it.press("a")
        await it.until(lambda: pane.reading is not before)
        assert pane.reading.config.data.batch_size == 26  # 1,670 // 64
        assert "also       data.batch_size = 26" in it.screen
        await it.press("t")
        assert app.asked[-1] == (
            "new_run",
            {
                "corpus": {"source": str(text), "normalise": []},
                "tokenizer": {"name": "char"},
                "data": {"batch_size": 26},
            },
        )
        await it.view("o", "overview")
        assert "steps of 26 windows" in it.screen


async def test_tokenizers_side_by_side(tmp_path: Path, make_host: Any) -> None:
    text = tmp_path / "text.txt"
    text.write_text("天地 and the sky\n" * 300)
    pane = CorpusPane()
    app = make_host(pane, tmp_path)
    async with app.run_test(size=(140, 45)) as pilot:
        it = Looking(pilot, pane)
        pane.described(
            [
                PluginDescription(
                    info, "", "", tuple(option_infos(getattr(load_plugin("tokenizer", info.name), "Options", None))),
                    "Tokenizer",
                )
                for info in list_plugins("tokenizer")
            ]
        )  # fmt: skip
        await it.look(text)
        await it.view("w", "tokenizers")
        columns = list(pane.query(CutColumn))
        await it.until(lambda: it.screen.count("characters a token") == 3)
        assert [column.tokenizer for column in columns] == ["char", "byte", "word"]
        # 15 characters of 19 bytes; words: 天, 地, and, the, sky and the newline
        for told in ("0.79 characters a token", "2.50 characters a token", "vocabulary 256, none unknown"):
            assert told in it.screen
        assert columns[0].has_focus
        await it.press("w")  # there are no others
        await it.press("tab", "enter")
        await it.until(lambda: pane.reading is not None and pane.reading.config.tokenizer.name == "byte")
        assert app.asked[-1] == ("offer_undo", "the tokenizer is byte")
        await it.until(lambda: columns[0].tokenizer == "byte" and "0.79" in it.screen)
        await it.view("x", "text")
        assert it.scroll.look == "plain"
        app.undo()
        await it.until(lambda: pane.reading is not None and pane.reading.config.tokenizer.name == "char")
        assert pane.query_one("#corpus-tokenizer", Select).value == "char"


async def test_pictures_and_their_pages(tmp_path: Path, make_host: Any) -> None:
    text = tmp_path / "text.txt"
    text.write_text("a bb ccc\n" * 500)
    pane = CorpusPane()
    async with make_host(pane, tmp_path).run_test(size=(80, 24)) as pilot:
        it = Looking(pilot, pane)
        await it.look(text)
        await it.view("p", "pictures")
        assert "rank and frequency" in it.screen
        assert [series.name for series in pane.query(Chart).first()._series] == ["Zipf's law", "count"]
        for page, told in (
            (2, "% of the text"),
            (3, "line lengths"),
            (4, "word lengths"),
            (5, "most frequent"),
            (1, "rank"),
        ):
            await it.press("p")
            assert f"pictures {page} of 5" in it.status
            assert told in it.screen
        await pilot.resize_terminal(140, 50)
        await pilot.pause()
        for told in ("rank and frequency", "% of the text", "line lengths", "word lengths"):
            assert told in it.screen
        assert "pictures 1 of 5" in it.status
        await it.press("p")
        assert "pictures 2 of 2" in it.status


async def test_a_text_in_another_encoding_is_read_by_one_key(
    tmp_path: Path, make_host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNN_TUI_DATA_DIR", str(tmp_path / "data"))
    text = tmp_path / "old.txt"
    text.write_text("Plain words in it\n" * 400, encoding="utf-16")
    pane = CorpusPane()
    app = make_host(pane, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        it = Looking(pilot, pane)
        pane.look(str(text))
        await it.until(lambda: "a: read a copy converted from UTF-16" in it.status)
        pane.focus()
        await it.press("a")
        await it.until(lambda: pane.reading is not None)
        assert pane.reading is not None
        assert pane.reading.found.chars == 18 * 400  # type: ignore[union-attr]
        assert Path(pane.form.source).read_text() == "Plain words in it\n" * 400


async def test_escape_stops_the_measuring_and_a_download(
    tmp_path: Path, make_host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Some text. " * 300)
    ended: list[str] = []

    def endless(what: str, progress: Any) -> None:
        try:
            while True:
                progress(what, 1, 4)
                time.sleep(0.01)
        except Superseded:
            ended.append(what)
            raise

    pane = CorpusPane()
    async with make_host(pane, tmp_path).run_test(size=(80, 24)) as pilot:
        it = Looking(pilot, pane)
        await it.look(text)
        monkeypatch.setattr(
            "rnn_tui.tui.panes.corpus.measure", lambda _, progress: endless("reading", progress)
        )
        await it.press("e")
        await it.type("fables-en", "corpus-source")
        await it.until(lambda: "reading … ━━━━━─" in it.status and "25 % esc stops" in it.status)
        await it.press("escape")
        await it.until(lambda: ended == ["reading"])
        assert it.status == "stopped; what is shown is the corpus before"
        assert pane.form.source == str(text)
        await it.press("escape", "c")
        names = pane.query_one("#corpus-names", OptionList)
        await it.until(lambda: names.has_focus and names.option_count == 7)
        monkeypatch.setattr("rnn_tui.corpus.download.get", lambda name, progress: endless(name, progress))
        names.highlighted = 5
        await it.press("d")
        await it.until(lambda: "timemachine … ━" in it.status)
        await it.press("escape")
        await it.until(lambda: ended == ["reading", "timemachine"])
        await it.press("o")
        assert pane.has_class("-found")
