"""The corpus pane on small texts whose figures are known."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList, Select, Static, TabbedContent

from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.plugin.describe import PluginDescription
from rnn_tui.plugin.registry import list_plugins
from rnn_tui.tui.panes.corpus import CorpusPane
from rnn_tui.tui.widgets.bars import bar, bars, table, visible
from rnn_tui.tui.widgets.chart import Chart
from rnn_tui.tui.widgets.line_input import LineInput
from rnn_tui.tui.widgets.lines import Lines
from rnn_tui.tui.widgets.suggest import SourceSuggester
from rnn_tui.tui.widgets.tail import TailView

SIZES = [(80, 24), (140, 45)]
HOSTILE = "[/] [@click=app.quit]x[/] \x1b[2J\x1b]52;c;aGk=\x1b\\ \x9b1m \u202e e" + "\u0301" * 300 + "\n"


async def until(pilot: Pilot[None], condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        await pilot.pause(0.02)


def status(pane: CorpusPane) -> str:
    return " ".join(pane.query_one("#corpus-status", Lines).text.split())


def block(pane: CorpusPane, name: str) -> str:
    return str(pane.query_one(f"#corpus-{name}", Static).content)


async def look(pilot: Pilot[None], pane: CorpusPane, source: object) -> None:
    await until(pilot, lambda: bool(pane.query("#corpus-names")))
    pane.look(str(source))
    await until(pilot, lambda: pane.found is not None)
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES)
async def test_first_start_offers_the_built_in_corpus_in_one_key(
    tmp_path: Path, make_host: Any, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    looked: list[str] = []
    monkeypatch.setattr(CorpusPane, "look", lambda self, source: looked.append(source))
    pane = CorpusPane()
    async with make_host(pane, tmp_path).run_test(size=size) as pilot:
        names = pane.query_one("#corpus-names", OptionList)
        await until(pilot, lambda: names.option_count == 5 and names.has_focus)
        assert "Look at a text before you train on it" in str(
            pane.query_one("#corpus-empty Static", Static).content
        )
        prompts = [str(names.get_option_at_index(index).prompt) for index in range(5)]
        assert prompts[0].startswith("stdlib")
        assert "g downloads it" in next(prompt for prompt in prompts if prompt.startswith("timemachine"))
        await pilot.press("b")
        assert looked == ["stdlib"]
        await pilot.press("down", "enter")
        assert looked[1:] == ["fables-en"]


async def test_the_figures_of_a_known_text(tmp_path: Path, make_host: Any) -> None:
    text = tmp_path / "abc.txt"
    text.write_text("ab\n" * 3000 + "zz\n" * 100)  # 9,300 characters; z only at the end, in validation
    pane = CorpusPane()
    app = make_host(pane, tmp_path)
    async with app.run_test(size=(140, 45)) as pilot:
        await look(pilot, pane, text)
        figures = block(pane, "figures")
        assert "9,300" in figures
        # train is the first int(9300 · 0.9) = 8,370 characters
        assert "90.0%" in block(pane, "splits")
        assert "8,370" in block(pane, "splits")
        assert "uniform" in block(pane, "baselines")
        assert "occur only in held-out text: z" in block(pane, "findings")
        vocabulary = block(pane, "vocabulary").split("\n")
        assert [line.split()[0] for line in vocabulary[1:4]] == [
            "␊",
            "a",
            "b",
        ]  # as often, in code point order
        assert all("33.33%" in line for line in vocabulary[1:4])
        assert "top 3" in block(pane, "coverage")
        assert "100.0%" in block(pane, "coverage")
        assert "only held out" in block(pane, "line-figures")
        assert pane.query_one(TailView).text.rows[0].text == "ab"
        assert pane.query_one(Chart).log_x
        assert [list(series.x) for series in pane.query_one(Chart)._series] == [[1, 2, 3]]
        assert app.memory["corpus.source"] == str(text)


async def test_a_failure_hides_the_figures_of_the_corpus_before(tmp_path: Path, make_host: Any) -> None:
    (tmp_path / "good.txt").write_text("good text " * 300)
    (tmp_path / "bad.txt").write_bytes(b"\0" * 1000)
    pane = CorpusPane()
    async with make_host(pane, tmp_path).run_test(size=(80, 24)) as pilot:
        await look(pilot, pane, tmp_path / "good.txt")
        pane.look(str(tmp_path / "bad.txt"))
        await until(pilot, lambda: "a binary file" in status(pane))
        assert not pane.has_class("-found")
        pane.action_train()
        assert "choose a corpus first" in status(pane)


async def test_each_view_has_its_key_and_scrolls(tmp_path: Path, make_host: Any) -> None:
    text = tmp_path / "text.txt"
    text.write_text("".join(f"line {number}\n" for number in range(2000)))
    pane = CorpusPane()
    async with make_host(pane, tmp_path).run_test(size=(80, 24)) as pilot:
        pane.focus()
        await look(pilot, pane, text)
        for key, view in (("v", "vocabulary"), ("l", "lines"), ("x", "text"), ("o", "overview")):
            await pilot.press(key)
            await pilot.pause()
            assert pane.query_one(TabbedContent).active == view
        await pilot.press("x")
        await pilot.pause()
        tail = pane.query_one(TailView)
        assert tail.render_line(0).text.rstrip() == "line 0"
        await pilot.press("pagedown")
        assert tail.render_line(0).text.rstrip() != "line 0"
        await pilot.press("n")
        assert not pane.has_class("-found")


async def test_t_trains_on_it(tmp_path: Path, make_host: Any) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Some Text. " * 500)
    pane = CorpusPane()
    app = make_host(pane, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.focused is not None)
        await pilot.press("t")
        assert "choose a corpus first" in status(pane)
        await until(pilot, lambda: bool(pane.query("#corpus-steps")))
        pane.query_one("#corpus-steps", LineInput).value = "lowercase, strip-punctuation"
        await look(pilot, pane, text)
        pane.focus()
        await pilot.press("t")
        assert app.asked == [
            (
                "new_run",
                {
                    "corpus": {"source": str(text), "normalise": ["lowercase", "strip-punctuation"]},
                    "tokenizer": {"name": "char"},
                },
            )
        ]


@pytest.mark.parametrize(
    ("source", "steps", "message"),
    [
        ("tinyshakespear", "", "did you mean 'tinyshakespeare'"),
        ("timemachine", "", "fetch it with: rnn-tui corpus get timemachine"),
        ("", "", "no corpus given"),
        ("stdlib", "lowercase, shout", "corpus.normalise"),
    ],
)
async def test_bad_input_is_one_line(
    tmp_path: Path, make_host: Any, source: str, steps: str, message: str
) -> None:
    pane = CorpusPane()
    async with make_host(pane, tmp_path).run_test(size=(140, 45)) as pilot:
        pane.query_one("#corpus-steps", LineInput).value = steps
        pane.look(source)
        await until(pilot, lambda: message in status(pane))
        assert pane.found is None
        assert pane.query_one("#corpus-status", Lines).lines[0][0][1] == "bad"


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_text_does_nothing(tmp_path: Path, make_host: Any, size: tuple[int, int]) -> None:
    text = tmp_path / "\x1b]0;hi\x07[@click=app.quit]x.txt"
    text.write_bytes(HOSTILE.encode() * 30 + b"\xff\xfe" + b"x" * 1_000_000)
    pane = CorpusPane()
    async with make_host(pane, tmp_path).run_test(size=size) as pilot:
        await until(pilot, lambda: bool(pane.query("#corpus-names")))
        pane._measure(CorpusConfig(source=str(text)), "char")  # the input would not hold such a name
        await until(pilot, lambda: pane.found is not None)
        for key in "vlxo":
            await pilot.press(key)
            await pilot.pause()
            for widget in pane.query("*"):
                if widget.size:
                    for strip in widget.render_lines(widget.size.region):
                        assert not set("\x1b\x9b\x07\u202e") & set(strip.text)
        assert pane.app.is_running


async def test_a_tokenizer_that_breaks_is_one_line(
    tmp_path: Path, make_host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rnn_tui.plugin import registry

    class Broken:
        @classmethod
        def train(cls, texts: object, options: object) -> None:
            raise ZeroDivisionError("\x1b[31mno [/] good")

    monkeypatch.setattr(registry, "load_plugin", lambda kind, name: Broken)
    pane = CorpusPane()
    async with make_host(pane, tmp_path).run_test(size=(80, 24)) as pilot:
        pane.look("fables-en")
        await until(pilot, lambda: "ZeroDivisionError" in status(pane))
        assert "␛[31mno [/] good" in status(pane)


async def test_tokenizers_come_from_the_descriptions(tmp_path: Path, make_host: Any) -> None:
    found = [
        PluginDescription(info, form="Tokenizer", error="broken" if info.name == "byte" else None)
        for info in list_plugins("tokenizer")
    ]
    pane = CorpusPane()
    async with make_host(pane, tmp_path).run_test(size=(80, 24)) as pilot:
        pane.described(found)
        await pilot.pause()
        select = pane.query_one("#corpus-tokenizer", Select)
        assert sorted(value for _, value in select._options if isinstance(value, str)) == ["char", "word"]
        assert select.value == "char"
        pane.described([])
        assert "no tokenizer is installed" in status(pane)


async def test_suggestions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "one.txt").write_text("x")
    (tmp_path / "books" / "evil\x1b[2J").write_text("x")
    monkeypatch.chdir(tmp_path)
    suggester = SourceSuggester()
    assert await suggester.get_suggestion("tiny") == "tinyshakespeare"
    assert await suggester.get_suggestion("boo") == "books"
    assert await suggester.get_suggestion("books/o") == "books/one.txt"
    assert await suggester.get_suggestion("books/e") is None  # a name that would act on the terminal
    assert await suggester.get_suggestion("nowhere/x") is None


def test_bars() -> None:
    assert bar(0.5, 4) == "██  "
    assert bar(0.0, 4) == "    "
    assert bar(1.5, 4) == "████"
    assert bar(0.28125, 4) == "█▏  "  # 9 eighths
    assert bar(0.0001, 4) == "▏   "
    assert bar(float("nan"), 2) == "  "
    assert bar(0.5, 4, ascii=True) == "##  "
    assert visible(" ") == "␣"
    assert visible("\n") == "␊"
    assert visible("") == "∅"
    assert bars([("天", 1.0, "9"), ("a", 0.5, "10")], 12).plain == "天 ██████  9\n a ███    10"
    assert table([("a", "1"), ("bb", "22")]).plain == "a    1\nbb  22"
