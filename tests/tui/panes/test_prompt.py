"""The prompt pane with a fake engine in a real child process."""

import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Select, Static

from rnn_tui.corpus.copied import Copied
from rnn_tui.tui.engine_client import EngineClient, Piece
from rnn_tui.tui.panes.prompt import PromptPane
from rnn_tui.tui.panes.prompt_model import ModelBar
from rnn_tui.tui.panes.prompt_settings import PromptSettings, SettingsPanel
from rnn_tui.tui.panes.prompt_turns import Conversation, StateRef, Turn, ending, last_characters
from rnn_tui.tui.widgets.line_input import LineInput
from rnn_tui.tui.widgets.lines import Lines
from rnn_tui.tui.widgets.next_tokens import NextTokens

FAKE = [sys.executable, str(Path(__file__).parents[1] / "fake_engine.py")]
SIZES = [(80, 24), (140, 45)]


async def until(pilot: Pilot[None], condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Let the app run until `condition` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        await pilot.pause(0.02)


Prompting = Callable[..., AbstractAsyncContextManager[tuple[PromptPane, Pilot[None]]]]


@pytest.fixture
def prompting(tmp_path: Path, make_host: Any) -> Prompting:
    """Return a context with a pane that has a model of the fake engine; completions have 3 tokens."""

    @asynccontextmanager
    async def start(
        mode: str = "model", size: tuple[int, int] = (80, 24)
    ) -> AsyncIterator[tuple[PromptPane, Pilot[None]]]:
        model = tmp_path / f"{mode}.safetensors"
        model.write_text("100")
        pane = PromptPane(EngineClient(FAKE))
        async with make_host(pane, tmp_path / "runs").run_test(size=size) as pilot:
            await pilot.pause()
            pane.post_message(ModelBar.Chosen(model))
            await until(pilot, lambda: pane.session.current)
            pane.settings = PromptSettings(length=3, seed=7)
            yield pane, pilot

    return start


def status(pane: PromptPane) -> str:
    return " ".join(pane.query_one("#prompt-status", Lines).text.split())


def transcript(pane: PromptPane) -> str:
    pane.tail.flush()
    return "\n".join(row.text for row in pane.tail.text.rows)


async def enter(pilot: Pilot[None], pane: PromptPane, line: str) -> None:
    """Type a line, give it, and wait for the completion."""
    pane.line.value = line
    pane.line.focus()
    await pilot.press("enter")
    await pilot.pause()
    await until(pilot, lambda: pane.writing is None)


async def test_copied_passages_are_marked_in_the_transcript(prompting: Prompting) -> None:
    async with prompting("copied", size=(100, 24)) as (pane, pilot):
        await enter(pilot, pane, "ab")
        pane.tail.flush()
        # w7.0 w7.1 w7.2, of which characters 2 to 9 are copied
        pieces = pane.tail.text.rows[1].pieces()
        assert [(text, tag.kind) for text, tag in pieces if tag.kind != "prompt"] == [
            ("w7", "generated"), (".0 ", "copied"), ("w7.1", "copied"), (" ", "generated"), ("w7.2 ", "generated"),
        ]  # fmt: skip
        assert status(pane).startswith("new 25 % of 3-grams (held-out text 50 %), longest copy 7 · 3 tokens")
        underlined = [s.text for s in pane.tail.render_line(1) if s.style is not None and s.style.underline]
        assert "".join(underlined) == ".0 w7.1"
        await pilot.press("f3")  # the colours of surprise leave the mark
        underlined = [s.text for s in pane.tail.render_line(1) if s.style is not None and s.style.underline]
        assert "".join(underlined) == ".0 w7.1"
        # it stays marked when the text goes on, and goes with its turn
        await enter(pilot, pane, "")
        assert sum(tag.kind == "copied" for row in pane.tail.text.rows for _, tag in row.pieces()) == 4
        await pilot.press("f4")
        await pilot.press("f4")
        assert transcript(pane).strip() == ""


def test_what_is_said_at_the_end_fits() -> None:
    turn = Turn("a", fresh=True, not_compared="the corpus is gone")
    whole = "20 tokens · 10 tokens/s · the length is reached   enter goes on"
    assert ending(turn, "length", 20, 2.0, 200) == (
        f"{whole} · not compared with the training text: the corpus is gone"
    )
    assert ending(turn, "length", 20, 2.0, 80) == whole
    turn.copied = Copied(
        novel=0.25, n=8, held_out=None, longest=1234, at=0, mark=24, spans=(), chars=3000, compared=1.0
    )
    told = "new 25 % of 8-grams, longest copy 1,234"
    assert ending(turn, "length", 20, 2.0, 200) == f"{told} · {whole}"
    assert ending(turn, "length", 20, 2.0, 80) == f"{told} · 20 tokens · 10 tokens/s"
    assert ending(turn, "length", 20, 2.0, 40) == told


@pytest.mark.parametrize("size", SIZES)
async def test_a_prompt_is_completed(prompting: Prompting, size: tuple[int, int]) -> None:
    async with prompting(size=size) as (pane, pilot):
        assert "step 100 · validation 1.500 · lstm" in str(pane.models.query_one(".info", Static).content)
        await pilot.press("a", "b", "enter")
        await until(pilot, lambda: bool(pane.talk.turns) and pane.writing is None)
        assert transcript(pane) == "▪ 1  temperature 0.8 · seed 7 · step 100\nabw7.0 w7.1 w7.2 "
        assert "3 tokens" in status(pane)
        assert pane.line.value == ""
        assert [row[1] for row in pane.query(NextTokens).first().rows] == ["e", " ", "\n"]
        assert pane.has_class("-side") == (size[0] >= 100)


async def test_continue_retry_undo_reset(prompting: Prompting) -> None:
    async with prompting() as (pane, pilot):
        await enter(pilot, pane, "ab")
        first = pane.talk.turns[0].after
        assert first is not None
        await enter(pilot, pane, "")  # an empty line goes on, from the state that is there
        assert transcript(pane).endswith("abw7.0 w7.1 w7.2 w7.0 w7.1 w7.2 ")
        assert pane.talk.before(pane.talk.turns[1], first.load) == (first, "")
        await pilot.press("ctrl+r")
        await until(pilot, lambda: pane.writing is None)
        assert transcript(pane).endswith(
            "abw7.0 w7.1 w7.2 w8.0 w8.1 w8.2 "
        )  # the seed after the one that was set
        await pilot.press("f4")
        assert transcript(pane).endswith("step 100\nabw7.0 w7.1 w7.2 ")
        await enter(pilot, pane, "/continue xy")
        assert transcript(pane).endswith("abw7.0 w7.1 w7.2 xyw7.0 w7.1 w7.2 ")
        await enter(pilot, pane, "/reset")
        assert transcript(pane) == ""
        assert pane.talk.turns == []


async def test_an_aligned_model_answers_with_labels(prompting: Prompting) -> None:
    async with prompting("labels") as (pane, pilot):
        assert "aligned · step 100" in str(pane.models.query_one(".info", Static).content)
        assert "sampling settings are not used" in status(pane)
        await enter(pilot, pane, "/carry on")  # means nothing here either
        await enter(pilot, pane, "ab")
        await enter(pilot, pane, "cd")
        assert transcript(pane) == "▪ 1  step 100\nab → AB\n\n▪ 2  step 100\ncd → CD"
        assert "2 labels" in status(pane)
        assert pane.session.client.busy is False  # no look-ahead was asked for
        await enter(pilot, pane, "")
        assert "type one" in status(pane)
        assert len(pane.talk.turns) == 2


async def test_coming_back_reads_a_model_that_was_rewritten(prompting: Prompting, tmp_path: Path) -> None:
    async with prompting() as (pane, pilot):
        (tmp_path / "model.safetensors").write_text("20000")
        pane.hidden()
        pane.shown()
        await until(pilot, lambda: "step 20,000" in str(pane.models.query_one(".info", Static).content))


async def test_carry_goes_on_from_the_last_state(prompting: Prompting) -> None:
    async with prompting() as (pane, pilot):
        await enter(pilot, pane, "a")
        await enter(pilot, pane, "b")
        assert [turn.fresh for turn in pane.talk.turns] == [True, True]
        await enter(pilot, pane, "/carry on")
        await enter(pilot, pane, "c")
        assert pane.talk.turns[2].fresh is False
        assert "w7.2 cw7.0" in transcript(pane)


async def test_escape_ends_a_completion_and_keeps_it(prompting: Prompting) -> None:
    async with prompting("slow") as (pane, pilot):
        await enter(pilot, pane, "/length 100000")
        pane.line.value = "a"
        await pilot.press("enter")
        await until(pilot, lambda: pane.writing is not None and len(pane.writing.made) > 2)
        await pilot.press("b", "enter")
        assert "still writing" in status(pane)
        await pilot.press("escape")
        await until(pilot, lambda: pane.writing is None)
        assert "ended by you" in status(pane)
        assert pane.talk.turns[0].after is not None
        assert "aw7.0 w7.1 " in transcript(pane)
        assert pane.line.value == "b"


async def test_a_dead_engine_is_one_line_and_the_text_is_read_again(prompting: Prompting) -> None:
    async with prompting() as (pane, pilot):
        await enter(pilot, pane, "ab")
        assert pane.session.client._process is not None
        pane.session.client._process.kill()
        await until(pilot, lambda: not pane.session.client.alive)
        await enter(pilot, pane, "")
        assert pane.session.client.starts == 2
        assert transcript(pane).endswith(
            "abw7.0 w7.1 w7.2 w7.0 w7.1 w7.2 "
        )  # what was read again is not shown twice


async def test_a_crash_in_the_middle_keeps_what_was_written(prompting: Prompting) -> None:
    async with prompting("crash") as (pane, pilot):
        await enter(pilot, pane, "ab")
        shown = transcript(pane).replace("\n", " ")
        assert "abhalf a " in shown
        assert "the prompt engine is gone: it ended with exit code 3" in shown
        assert "gone" in status(pane)
        assert pane.app.is_running


async def test_a_model_that_changed_is_loaded_again(prompting: Prompting, tmp_path: Path) -> None:
    async with prompting() as (pane, pilot):
        await enter(pilot, pane, "ab")
        (tmp_path / "new").write_text("2500")
        (tmp_path / "new").rename(tmp_path / "model.safetensors")
        await enter(pilot, pane, "cd")
        assert "▪ 2  temperature 0.8 · seed 7 · step 2,500" in transcript(pane)
        assert "step 2,500" in str(pane.models.query_one(".info", Static).content)
        assert pane.session.client.starts == 1


async def test_unknown_symbols_are_named(prompting: Prompting) -> None:
    async with prompting() as (pane, pilot):
        await enter(pilot, pane, "žluť")
        assert "not in the vocabulary: 'ž', 'ť'; the model reads" in transcript(pane)


async def test_a_refusal_is_told(tmp_path: Path, make_host: Any) -> None:
    model = tmp_path / "refuse.safetensors"
    model.write_text("")
    pane = PromptPane(EngineClient(FAKE))
    async with make_host(pane, tmp_path / "runs").run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        pane.post_message(ModelBar.Chosen(model))
        await until(pilot, lambda: "not installed" in status(pane))
        pane.post_message(ModelBar.Chosen(tmp_path / "missing.safetensors"))
        await until(pilot, lambda: "No such file" in status(pane))


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_text_does_nothing(prompting: Prompting, size: tuple[int, int]) -> None:
    name = "hostile[@click=app.quit]x\x1b]52;c;aGk=\x07"
    async with prompting(name, size) as (pane, pilot):
        await pilot.press("f3")
        await enter(pilot, pane, "[/] [bold]x \x1b]52;c;aGk=\x07 \u202e" + "e" + "\u0301" * 100)
        await enter(pilot, pane, "/stop [/]\x1b")
        await enter(pilot, pane, "/temp [@click=app.quit]x[/]")
        for widget in pane.query("*"):
            for strip in widget.render_lines(widget.size.region):
                assert not set("\x1b\x9b\x07\u202e") & set(strip.text)
        assert pane.app.is_running


async def test_the_line_keeps_newlines_and_history(prompting: Prompting) -> None:
    async with prompting() as (pane, pilot):
        pane.line.focus()
        await pilot.press("a", "ctrl+j", "b")
        assert pane.line.value == "a␊b"
        await pilot.press("enter")
        await until(pilot, lambda: bool(pane.talk.turns) and pane.writing is None)
        assert pane.talk.turns[0].prompt == "a\nb"
        await pilot.press("c", "up")
        assert pane.line.value == "a␊b"
        await pilot.press("down")
        assert pane.line.value == "c"


async def test_what_comes_next_is_shown_while_typing(prompting: Prompting) -> None:
    async with prompting() as (pane, pilot):
        pane.line.focus()
        await pilot.press("x", "y")
        await until(pilot, lambda: [row[1] for row in pane.query(NextTokens).first().rows] == ["y", "b"])


async def test_settings_are_checked_as_they_are_typed(prompting: Prompting) -> None:
    async with prompting() as (pane, pilot):
        assert not pane.has_class("-side")
        await pilot.press("f2")
        assert pane.has_class("-side")
        field = pane.query_one("#setting-temp", LineInput)
        assert field.has_focus
        field.value = "hot"
        await pilot.pause()
        assert field.has_class("-wrong")
        assert pane.settings.temperature == 0.8
        assert "temperature must be a number from 0 to 100" in str(
            pane.query_one(".setting-help", Static).content
        )
        field.value = "0.3"
        await pilot.pause()
        assert not field.has_class("-wrong")
        assert pane.settings.temperature == 0.3
        await enter(pilot, pane, "/top-k 9")
        assert pane.query_one("#setting-top-k", LineInput).value == "9"
        assert pane.query_one(SettingsPanel).settings.top_k == 9


async def test_runs_with_a_model_are_offered(tmp_path: Path, make_host: Any) -> None:
    for name in ("with", "without"):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "config.toml").write_text('[model]\narch = "lstm"\n')
    (tmp_path / "runs" / "with" / "model.safetensors").write_text("5")
    pane = PromptPane(EngineClient(FAKE))
    async with make_host(pane, tmp_path / "runs").run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: pane.session.current)
        select = pane.models.query_one(Select)
        assert select.value == str(tmp_path / "runs" / "with" / "model.safetensors")
        pane.load("without")
        await until(pilot, lambda: "run without has no model yet" in status(pane))
        pane.load("with", prompt="ab", go=True)
        await until(pilot, lambda: bool(pane.talk.turns) and pane.writing is None)
        assert "abw" in transcript(pane)


async def test_with_no_model_it_says_what_to_do(tmp_path: Path, make_host: Any) -> None:
    pane = PromptPane(EngineClient(FAKE))
    async with make_host(pane, tmp_path / "runs").run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.2)
        assert pane.has_class("-empty")
        assert "No model yet" in str(pane.query_one("#prompt-empty", Static).content)
        await pilot.press("a", "enter")
        await pilot.pause()
        assert "choose a run or a model file first" in status(pane)
        assert pane.session.client.starts == 0


async def test_leaving_ends_the_engine(prompting: Prompting) -> None:
    async with prompting("slow") as (pane, pilot):
        pane.settings = PromptSettings(length=100_000)
        pane.line.value = "a"
        await pilot.press("enter")
        await until(pilot, lambda: pane.writing is not None and bool(pane.writing.made))
        client = pane.session.client
    assert not client.alive


def test_a_turn_starts_where_the_text_before_it_ended() -> None:
    load, other = (1, 1), (1, 2)
    talk = Conversation()
    one = Turn("ab", fresh=True, made=[Piece("cd")], after=StateRef(5, load))
    two = Turn("", fresh=False, made=[Piece("ef")])
    three = Turn("gh", fresh=False)
    for turn in (one, two, three):
        talk.add(turn)
    assert talk.before(one, load) == (None, "")
    assert talk.before(two, load) == (StateRef(5, load), "")
    assert talk.before(three, load) == (StateRef(5, load), "ef")  # two was cut off: its text is read again
    assert talk.before(three, other) == (None, "abcdef")  # another load: everything is


def test_replayed_text_is_not_shown_again() -> None:
    pieces = (Piece("ab"), Piece("cd"), Piece("ef"))
    assert [piece.text for piece in last_characters(pieces, 6)] == ["ab", "cd", "ef"]
    assert [piece.text for piece in last_characters(pieces, 9)] == ["ab", "cd", "ef"]
    assert [piece.text for piece in last_characters(pieces, 3)] == ["d", "ef"]
    assert [piece.text for piece in last_characters(pieces, 2)] == ["ef"]
    assert last_characters(pieces, 0) == []


async def test_a_model_file_is_chosen_by_its_path(prompting: Prompting, tmp_path: Path) -> None:
    (tmp_path / "second.safetensors").write_text("9")
    async with prompting() as (pane, pilot):
        await enter(pilot, pane, "ab")
        pane.models.query_one(Select).value = ""  # other file
        await until(pilot, lambda: pane.models.asking)
        field = pane.models.query_one(LineInput)
        await until(pilot, lambda: field.has_focus)
        field.value = str(tmp_path / "secnd.safetensors")
        await pilot.press("enter")
        await until(pilot, lambda: "did you mean 'second.safetensors'" in status(pane))
        field.value = str(tmp_path / "second.safetensors")
        await pilot.press("enter")
        await until(
            pilot, lambda: pane.session.current and pane.session.path == tmp_path / "second.safetensors"
        )
        assert not pane.models.asking
        assert pane.talk.turns == []  # another model, another conversation


async def test_states_taken_back_are_forgotten(prompting: Prompting, monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[object] = []
    async with prompting() as (pane, pilot):
        monkeypatch.setattr(pane.session.client, "forget", forgotten.append)
        for text in ("a", "b", "c"):
            await enter(pilot, pane, text)
        await pilot.press("f4")
        assert forgotten == [3]
        await pilot.press("ctrl+l")
        assert forgotten == [3, 1, 2]


async def test_retry_during_a_completion_starts_it_again(prompting: Prompting) -> None:
    async with prompting("slow") as (pane, pilot):
        pane.settings = PromptSettings(length=30, seed=7)
        pane.line.value = "a"
        await pilot.press("enter")
        await until(pilot, lambda: pane.writing is not None and len(pane.writing.made) > 2)
        await pilot.press("ctrl+r")
        await until(pilot, lambda: pane.writing is None)
        assert len(pane.talk.turns) == 1
        assert "try 2" in transcript(pane)
        assert "w7." not in transcript(pane)
        assert "w8.29" in transcript(pane)
