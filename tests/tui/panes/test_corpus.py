"""The corpus pane on small texts whose figures are known."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList, Select, Static

from rnn_tui.plugin.describe import PluginDescription
from rnn_tui.plugin.registry import list_plugins
from rnn_tui.training.config import RunConfig
from rnn_tui.training.estimate import Estimate, Memory
from rnn_tui.tui.panes.corpus import CorpusPane
from rnn_tui.tui.widgets.line_input import LineInput
from rnn_tui.tui.widgets.lines import Lines
from rnn_tui.tui.widgets.suggest import SourceSuggester

SIZES = [(80, 24), pytest.param((140, 45), marks=pytest.mark.slow)]
HOSTILE = "[/] [@click=app.quit]x[/] \x1b[2J\x1b]52;c;aGk=\x1b\\ \x9b1m \u202e e" + "\u0301" * 300 + "\n"


ESTIMATE = Estimate(
    parameters=342_590,
    memory=Memory(base=250_000_000, weights=1, gradients=1, optimiser=2, working=3, peak=185_000_000),
    seconds_per_step=0.0825,
    tokens_per_second=24_826.0,
    steps_per_epoch=23,
    seconds_per_epoch=125.0,
    steps=230,
    seconds=7200.0,
    threads=3,
    device="cpu",
    engine="eager",
    note="only the first step was timed",
)


@pytest.fixture(autouse=True)
def tried(monkeypatch: pytest.MonkeyPatch) -> list[RunConfig]:
    """No child process tries a model; the settings that it would have been asked about."""
    asked: list[RunConfig] = []

    def try_model(config: RunConfig, *_: object) -> Estimate:
        asked.append(config)
        return ESTIMATE

    monkeypatch.setattr("rnn_tui.tui.panes.corpus.try_model", try_model)
    return asked


async def until(pilot: Pilot[None], condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        await pilot.pause(0.02)


def shown(pane: CorpusPane) -> str:
    """What the terminal shows."""
    return "\n".join(strip.text for strip in pane.screen._compositor.render_strips(pane.screen.size))


def status(pane: CorpusPane) -> str:
    return " ".join(pane.query_one("#corpus-status", Lines).text.split())


def block(pane: CorpusPane, name: str) -> str:
    return str(pane.query_one(f"#corpus-{name}", Static).content)


async def look(pilot: Pilot[None], pane: CorpusPane, source: object) -> None:
    await until(pilot, lambda: bool(pane.query("#corpus-names")))
    pane.look(str(source))
    await until(pilot, lambda: pane.reading is not None)
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
        await until(pilot, lambda: names.option_count == 7 and names.has_focus)
        assert "Look at a text before you train on it" in str(
            pane.query_one("CorpusList Static", Static).content
        )
        prompts = [str(names.get_option_at_index(index).prompt) for index in range(7)]
        assert prompts[0].startswith("stdlib")
        assert "d downloads it" in next(prompt for prompt in prompts if prompt.startswith("timemachine"))
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
        assert "9,300" in block(pane, "figures")
        # train is the first int(9300 · 0.9) = 8,370 characters
        assert "90.0 %" in block(pane, "splits")
        assert "8,370" in block(pane, "splits")
        assert "uniform" in block(pane, "baselines")
        assert "1 character occurs only in held-out text: z" in block(pane, "findings")
        assert "only held out" in block(pane, "line-figures")
        assert app.memory["corpus.source"] == str(text)


async def test_repeated_text(tmp_path: Path, make_host: Any) -> None:
    text = tmp_path / "twice.txt"
    text.write_text("".join(f"{number} and so on " for number in range(200)) * 2)  # 2,690 characters, twice
    pane = CorpusPane()
    async with make_host(pane, tmp_path).run_test(size=(140, 45)) as pilot:
        await look(pilot, pane, text)
        assert "50.0 %, in 1 passages of 60 bytes or more" in block(pane, "line-figures")
        assert block(pane, "repeated").split("\n")[1].split()[-4:] == ["2,690", "2", "0", "2,690"]
        assert "100.0 %" in block(pane, "splits")  # of the validation text was seen in training
        assert "100% of the validation text lies in passages" in block(pane, "findings")


async def test_what_training_takes(tmp_path: Path, make_host: Any, tried: list[RunConfig]) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Some Text. " * 500)
    pane = CorpusPane()
    async with make_host(pane, tmp_path).run_test(size=(140, 45)) as pilot:
        await look(pilot, pane, text)
        await until(pilot, lambda: "342,590" in block(pane, "estimate"))
        told = block(pane, "estimate")
        assert "lstm 1 x 256" in told
        for figure in ("185 MB beside 250 MB", "82.5 ms, 24.8k tokens a second", "2:05", "2h00"):
            assert figure in told
        assert told.endswith("only the first step was timed")
        assert [config.corpus.source for config in tried] == [str(text)]
        pane.tabs.estimated("there is no architecture 'lstn'")
        assert "there is no architecture 'lstn'" in block(pane, "estimate")


async def test_settings_come_from_the_form(tmp_path: Path, make_host: Any, tried: list[RunConfig]) -> None:
    class TrainForm(Static):
        entered: ClassVar[dict[str, Any]] = {
            "model": {"hidden_size": 64},
            "data": {"batch_size": 4},
            "corpus": {"source": "other"},
        }

        def settings(self) -> dict[str, Any]:
            return self.entered

    text = tmp_path / "text.txt"
    text.write_text("Some Text. " * 500)
    pane = CorpusPane()
    async with make_host(pane, tmp_path).run_test(size=(140, 45)) as pilot:
        await pilot.app.mount(TrainForm())
        await look(pilot, pane, text)
        await until(pilot, lambda: len(tried) == 1)
        assert (tried[0].model.hidden_size, tried[0].corpus.source) == (64, str(text))
        assert "steps of 4 windows of 64 tokens" in block(pane, "splits")
        pane.shown()
        TrainForm.entered = {"model": {"hidden_size": 32}}
        pane.shown()
        await until(pilot, lambda: len(tried) == 2)
        assert tried[1].model.hidden_size == 32
        TrainForm.entered = {"model": {"hidden_size": "many"}}  # what is wrong there is for the form to say
        pane.shown()
        await until(pilot, lambda: len(tried) == 3)
        assert tried[2].model.hidden_size == 256


@pytest.mark.parametrize("size", SIZES)
async def test_a_series(tmp_path: Path, make_host: Any, size: tuple[int, int]) -> None:
    table = tmp_path / "s.csv"
    table.write_text("up,down\n" + "".join(f"{row},{-2 * row}\n" for row in range(100)))
    pane = CorpusPane()
    app = make_host(pane, tmp_path)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: bool(pane.query("#corpus-task")))
        await look(pilot, pane, table)  # what it is for is guessed
        assert pane.query_one("#corpus-task", Select).value == "series"
        assert block(pane, "figures").split("\n")[2].split() == [
            "up", "44.5", "25.98", "0", "89", "1", "100.0", "%",
        ]  # fmt: skip
        assert "rows" in block(pane, "splits")
        assert "lie outside the range" in block(pane, "findings")
        assert block(pane, "baselines") == ""
        pane.action_train()
        assert app.asked[-1][1]["task"] == {"name": "series"}
        pane.query_one("#corpus-task", Select).value = "aligned"  # the table is no such corpus
        await until(pilot, lambda: "no tab" in status(pane))
        pane.query_one("#corpus-task", Select).value = "next-token"
        await until(pilot, lambda: pane.reading is not None)
        assert "characters" in block(pane, "splits")


async def test_lines_with_labels(tmp_path: Path, make_host: Any) -> None:
    lines = tmp_path / "p.tsv"
    lines.write_text("ab\tba\nabc\tcba\n" * 10)
    pane = CorpusPane()
    async with make_host(pane, tmp_path).run_test(size=(140, 45)) as pilot:
        await until(pilot, lambda: bool(pane.query("#corpus-task")))
        await look(pilot, pane, lines)
        assert pane.query_one("#corpus-task", Select).value == "aligned"
        assert "have the source of a training line" in block(pane, "findings")
        assert "labels only held out  none" in block(pane, "line-figures")
        await pilot.press("v")
        await until(pilot, lambda: pane.tabs.active == "vocabulary")
        assert "only a text has its vocabulary here" in shown(pane)


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
        assert pane.reading is None
        assert pane.query_one("#corpus-status", Lines).lines[0][0][1] == "bad"


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_text_does_nothing(tmp_path: Path, make_host: Any, size: tuple[int, int]) -> None:
    text = tmp_path / "\x1b]0;hi\x07[@click=app.quit]x.txt"
    text.write_bytes(HOSTILE.encode() * 30 + b"\xff\xfe" + b"x" * 1_000_000)
    pane = CorpusPane()
    async with make_host(pane, tmp_path).run_test(size=size) as pilot:
        await until(pilot, lambda: bool(pane.query("#corpus-names")))
        pane.look(str(text))
        await until(pilot, lambda: pane.reading is not None)
        for key in ("v", "x", "s", "w", "f", "p", "o"):
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
    from rnn_tui.training import data

    class Broken:
        @classmethod
        def train(cls, texts: object, options: object) -> None:
            raise ZeroDivisionError("\x1b[31mno [/] good")

    monkeypatch.setattr(data, "load_plugin", lambda kind, name: Broken)
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
