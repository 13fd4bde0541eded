"""The prompt pane with a fake engine in a real child process: the line, completions, what goes wrong."""

import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Select, Static

from rnn_tui.tui.engine_client import EngineClient
from rnn_tui.tui.panes.prompt import PromptPane
from rnn_tui.tui.panes.prompt_model import ModelBar
from rnn_tui.tui.panes.prompt_settings import PromptSettings
from rnn_tui.tui.panes.prompt_settings_panel import SettingsPanel
from rnn_tui.tui.widgets.line_input import LineInput
from rnn_tui.tui.widgets.next_tokens import NextTokens

FAKE = [sys.executable, str(Path(__file__).parents[1] / "fake_engine.py")]
SIZES = [(80, 24), pytest.param((140, 45), marks=pytest.mark.slow)]
Prompting = Callable[..., AbstractAsyncContextManager[Any]]


def underlined(pane: PromptPane) -> str:
    strip = pane.column.tail.render_line(1)
    return "".join(segment.text for segment in strip if segment.style is not None and segment.style.underline)


async def test_copied_passages_are_marked_in_the_transcript(prompting: Prompting) -> None:
    async with prompting("copied", size=(100, 24)) as talk:
        await talk.enter("ab")
        text = talk.pane.column.tail.text
        # w7.0 w7.1 w7.2, of which characters 2 to 9 are copied
        pieces = text.rows[1].pieces()
        assert [(text, tag.kind) for text, tag in pieces if tag.kind != "prompt"] == [
            ("w7", "generated"), (".0 ", "copied"), ("w7.1", "copied"), (" ", "generated"), ("w7.2 ", "generated"),
        ]  # fmt: skip
        assert talk.status.startswith("new 25 % of 3-grams (held-out text 50 %), longest copy 7 · 3 tokens")
        assert underlined(talk.pane) == ".0 w7.1"
        await talk.press("f3")  # the colours of surprise leave the mark
        assert talk.pane.column.tail.colours == "surprise"
        assert underlined(talk.pane) == ".0 w7.1"
        # it stays marked when the text goes on, and goes with its turn
        await talk.enter("")
        assert sum(tag.kind == "copied" for row in text.rows for _, tag in row.pieces()) == 4
        await talk.press("f4", "f4")
        assert talk.transcript().strip() == ""


@pytest.mark.parametrize("size", SIZES)
async def test_a_prompt_is_completed(prompting: Prompting, size: tuple[int, int]) -> None:
    async with prompting(size=size) as talk:
        assert "step 100 · validation 1.500 · lstm" in talk.info
        await talk.press("a", "b", "enter")
        assert talk.transcript() == "▪ 1  temperature 0.8 · seed 7 · step 100\nabw7.0 w7.1 w7.2 "
        assert "3 tokens" in talk.status
        assert talk.info.startswith("prompt 1.50 nats a token · step 100")
        assert talk.pane.line.input.value == ""
        assert [row[1] for row in talk.pane.query(NextTokens).first().rows] == ["e", " ", "\n"]
        assert talk.pane.has_class("-side") == (size[0] >= 100)
        assert talk.pane.unsaved().endswith("abw7.0 w7.1 w7.2 \n")


async def test_continue_retry_undo_reset(prompting: Prompting, monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[object] = []
    async with prompting() as talk:
        pane = talk.pane
        monkeypatch.setattr(pane.client, "forget", forgotten.append)
        await talk.enter("/undo")
        await talk.press("ctrl+r")
        assert "nothing to try again yet" in talk.status
        await talk.enter("ab")
        first = pane.column.talk.turns[0].after
        await talk.enter("")  # an empty line goes on, from the state that is there
        assert talk.transcript().endswith("abw7.0 w7.1 w7.2 w7.0 w7.1 w7.2 ")
        assert pane.column.talk.before(pane.column.talk.turns[1], first.load) == (first, "")
        await talk.press("ctrl+r")  # the seed after the one that was set
        assert talk.transcript().endswith("abw7.0 w7.1 w7.2 w8.0 w8.1 w8.2 ")
        assert forgotten == [2]
        await talk.press("f4")
        assert talk.transcript().endswith("step 100\nabw7.0 w7.1 w7.2 ")
        await talk.enter("/continue xy")
        assert talk.transcript().endswith("abw7.0 w7.1 w7.2 xyw7.0 w7.1 w7.2 ")
        await talk.enter("/undo 2")
        assert talk.transcript() == ""
        await talk.enter("c")
        await talk.press("ctrl+l")
        assert talk.transcript() == ""
        assert pane.column.talk.turns == []
        assert sorted(forgotten) == [1, 2, 3, 4, 5]
        # without `carry` each prompt starts fresh
        await talk.enter("a")
        await talk.enter("b")
        await talk.enter("/carry on")
        await talk.enter("c")
        assert [turn.fresh for turn in pane.column.talk.turns] == [True, True, False]
        assert "w7.2 cw7.0" in talk.transcript()
        await talk.enter("//x")
        assert pane.column.talk.last.prompt == "/x"
        await talk.enter("/rety")
        assert "no command /rety; did you mean 'retry'" in talk.status


async def test_an_aligned_model_answers_with_labels(prompting: Prompting) -> None:
    async with prompting("labels") as talk:
        assert "aligned · step 100" in talk.info
        assert "sampling settings are not used" in talk.status
        await talk.enter("/carry on")  # means nothing here either
        await talk.enter("ab")
        await talk.enter("cd")
        assert talk.transcript() == "▪ 1  step 100\nab → AB\n\n▪ 2  step 100\ncd → CD"
        assert "2 labels" in talk.status
        await talk.enter("")
        assert "type one" in talk.status
        assert len(talk.pane.column.talk.turns) == 2


async def test_a_model_that_changed_is_loaded_again(prompting: Prompting, tmp_path: Path) -> None:
    async with prompting() as talk:
        await talk.enter("ab")
        (tmp_path / "new").write_text("2500")
        (tmp_path / "new").rename(tmp_path / "model.safetensors")
        talk.pane._look()  # what it does every few seconds
        assert talk.info.startswith("newer model there, read at the next prompt")
        await talk.enter("")
        shown = talk.transcript().replace("\n", " ")
        assert "the model is another one since: step 100 before, 2,500 now" in shown
        assert shown.count("ab") == 1  # what was read again is not shown twice
        await talk.enter("cd")
        assert "▪ 2  temperature 0.8 · seed 7 · step 2,500" in talk.transcript()
        assert talk.pane.client.starts == 1
        (tmp_path / "model.safetensors").write_text("20000")
        talk.pane.hidden()
        talk.pane.shown()
        await talk.until(lambda: "step 20,000" in talk.info)


async def test_escape_ends_a_completion_and_keeps_it(
    prompting: Prompting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rnn_tui.tui.panes.prompt.STAYS_SECONDS", 600.0)  # it is read later on a busy machine
    async with prompting("slow") as talk:
        pane, column = talk.pane, talk.pane.column
        await talk.enter("/length 100000")
        pane.line.input.value = "a"
        await talk.pilot.press("enter")
        await talk.until(lambda: column.writing is not None and len(column.writing.made) > 2)
        await talk.pilot.press("b", "enter")
        so_far = len(column.writing.made)
        await talk.until(lambda: len(column.writing.made) > so_far + 50)
        assert "still writing" in talk.status  # and not how far it is
        await talk.press("escape")
        assert "ended by you" in talk.status
        assert column.talk.turns[0].after is not None
        assert "aw7.0 w7.1 " in talk.transcript()
        assert pane.line.input.value == "b"
        pane.set_settings(PromptSettings(length=30, seed=7))
        pane.line.input.value = ""
        await talk.pilot.press("enter")
        await talk.until(lambda: column.writing is not None and len(column.writing.made) > 2)
        await talk.press("ctrl+r")  # in the middle of it
        assert len(column.talk.turns) == 2
        assert "w8.29" in talk.transcript()
        await talk.press("escape")
        assert column.tail.has_focus
        await talk.press("home", "pageup", "pagedown", "escape")
        assert pane.line.input.has_focus
        pane.set_settings(PromptSettings(length=100_000))
        await talk.pilot.press("enter")
        await talk.until(lambda: column.writing is not None and bool(column.writing.made))
    assert not pane.client.alive  # leaving ends the engine


async def test_a_dead_engine_is_one_line_and_the_text_is_read_again(prompting: Prompting) -> None:
    async with prompting() as talk:
        await talk.enter("ab")
        talk.pane.client._process.kill()
        await talk.until(lambda: not talk.pane.client.alive)
        await talk.enter("")
        assert talk.pane.client.starts == 2
        assert talk.transcript().endswith("abw7.0 w7.1 w7.2 w7.0 w7.1 w7.2 ")


async def test_a_crash_in_the_middle_keeps_what_was_written(prompting: Prompting) -> None:
    async with prompting("crash") as talk:
        await talk.enter("ab")
        shown = talk.transcript().replace("\n", " ")
        assert "abhalf a " in shown
        assert "the engine that runs the model is gone: it ended with exit code 3" in shown
        assert "gone" in talk.status


async def test_a_refusal_is_told(tmp_path: Path, make_host: Any, prompting: Prompting) -> None:
    model = tmp_path / "refuse.safetensors"
    model.write_text("")
    async with prompting() as talk:
        models = talk.pane.column.models
        models.post_message(ModelBar.Chosen(model))
        await talk.until(lambda: "not installed" in talk.status)
        models.post_message(ModelBar.Chosen(tmp_path / "missing.safetensors"))
        await talk.until(lambda: "No such file" in talk.status)


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_text_does_nothing(prompting: Prompting, size: tuple[int, int]) -> None:
    name = "hostile[@click=app.quit]x\x1b]52;c;aGk=\x07"
    async with prompting(name, size) as talk:
        pane = talk.pane
        await talk.press("f3")
        await talk.enter("[/] [bold]x \x1b]52;c;aGk=\x07 \u202e" + "e" + "\u0301" * 100)
        await talk.enter("/stop [/]\x1b")
        await talk.enter("/temp [@click=app.quit]x[/]")
        await talk.enter("/branch [/]\x1b[2J")
        await talk.enter("/save [@click=app.quit]x[/]\x1b")
        checked = 0
        for keys in ((), ("f7",), ("escape", "f8"), ("escape", "ctrl+o")):
            await talk.press(*keys)
            for widget in pane.query("*"):
                for strip in widget.render_lines(widget.size.region):
                    checked += 1
                    assert not set("\x1b\x9b\x07\u202e") & set(strip.text)
        assert checked > 100
        assert pane.app.is_running


async def test_the_line_keeps_newlines_and_history(prompting: Prompting) -> None:
    async with prompting() as talk:
        line = talk.pane.line.input
        line.focus()
        await talk.press("a", "ctrl+j", "b")
        assert line.value == "a␊b"
        await talk.press("enter")
        assert talk.pane.column.talk.turns[0].prompt == "a\nb"
        await talk.enter("cow")
        await talk.enter("cat")
        await talk.press("up", "up")
        assert line.value == "cow"
        await talk.press("down", "down")
        assert line.value == ""
        await talk.press("w", "up")  # only what holds what was typed
        assert line.value == "cow"
        await talk.press("up")
        assert line.value == "cow"
        await talk.press("down")
        assert line.value == "w"
        await talk.until(lambda: [row[1] for row in talk.pane.query(NextTokens).first().rows] == ["w", "b"])
        assert talk.pane.shell.recall("prompt.history") == ["a␊b", "cow", "cat"]


async def test_settings_are_checked_as_they_are_typed(prompting: Prompting) -> None:
    async with prompting() as talk:
        pane = talk.pane
        assert not pane.has_class("-side")
        await talk.press("f2")
        assert pane.has_class("-side")
        field = pane.query_one("#setting-temp", LineInput)
        assert field.has_focus
        field.value = "hot"
        await talk.quiet()
        assert field.has_class("-wrong")
        assert pane.settings.temperature == 0.8
        assert "temperature must be a number from 0 to 100" in str(
            pane.query_one(".setting-help", Static).content
        )
        field.value = "0.3"
        await talk.quiet()
        assert not field.has_class("-wrong")
        assert pane.settings.temperature == 0.3
        await talk.enter("/top-k 9")
        assert "top-k is set; it acts on the next completion" in talk.status
        assert pane.query_one("#setting-top-k", LineInput).value == "9"
        assert pane.query_one(SettingsPanel).settings.top_k == 9
        await talk.press("f2")
        assert not pane.has_class("-side")
        assert pane.shell.recall("prompt.settings")["top_k"] == 9


async def test_runs_with_a_model_are_offered(tmp_path: Path, make_host: Any, until: Any) -> None:
    for name in ("with", "without"):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "config.toml").write_text('[model]\narch = "lstm"\n')
    best = tmp_path / "runs" / "with" / "model.safetensors"
    best.write_text("5")
    kept = tmp_path / "runs" / "with" / "checkpoints" / "step-00000003" / "model.safetensors"
    kept.parent.mkdir(parents=True)
    kept.write_text("3")
    pane = PromptPane(EngineClient(FAKE))
    app = make_host(pane, tmp_path / "runs")
    app.memory["prompt.line"] = "begun"
    async with app.run_test(size=(80, 24)) as pilot:

        def says(text: str) -> bool:
            return text in str(pane.query_one("#prompt-status").text)  # type: ignore[attr-defined]

        await until(pilot, lambda: pane.column.session.current)
        assert pane.line.input.value == "begun"
        select = pane.column.models.query_one(Select)
        assert select.value == str(best)
        assert ("with@3", str(kept)) in [(str(label), value) for label, value in select._options]
        pane.load("without")
        await until(pilot, lambda: says("run without has no model yet"))
        pane.load("with", prompt="ab", go=True)
        await until(pilot, lambda: bool(pane.column.talk.turns) and not pane.feed.writing)
        pane.line.input.value = "/model with@3"
        pane.line.input.focus()
        await pilot.press("enter")
        await until(pilot, lambda: pane.column.session.path == kept and pane.column.session.current)
        assert pane.column.talk.turns == []  # another model, another conversation
        assert pane.column.models.model_name == "with@3"
        assert app.memory["prompt.model"] == str(kept)
        pane.line.input.value = "/model with@7"
        await pilot.press("enter")
        await until(pilot, lambda: says("run with has no checkpoint of step 7; it has 3"))
        # any other file, by its path
        (tmp_path / "second.safetensors").write_text("9")
        await pilot.press("f5")
        select.value = ""
        await until(pilot, lambda: pane.column.models.asking)
        field = pane.column.models.query_one(LineInput)
        await until(pilot, lambda: field.has_focus)
        field.value = str(tmp_path / "secnd.safetensors")
        await pilot.press("enter")
        await until(pilot, lambda: says("did you mean 'second.safetensors'"))
        await pilot.press("escape")
        assert not pane.column.models.asking
        select.value = ""
        await until(pilot, lambda: pane.column.models.asking)
        field.value = str(tmp_path / "second.safetensors")
        await until(pilot, lambda: field.has_focus)
        await pilot.press("enter")
        await until(pilot, lambda: pane.column.session.path == tmp_path / "second.safetensors")


async def test_with_no_model_it_says_what_to_do(tmp_path: Path, make_host: Any, until: Any) -> None:
    pane = PromptPane(EngineClient(FAKE))
    async with make_host(pane, tmp_path / "runs").run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: pane.line.input.has_focus)
        assert pane.column.has_class("-empty")
        assert "No model yet" in str(pane.column.query_one(".empty", Static).content)
        await pilot.press("a", "enter")
        await pilot.pause()
        assert "choose a run or a model file first" in str(pane.query_one("#prompt-status").text)  # type: ignore[attr-defined]
        assert pane.line.input.value == "a"  # not lost
        assert pane.client.starts == 0
