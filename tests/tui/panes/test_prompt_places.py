"""The prompt pane with a fake engine: branches, snapshots, batches, steering, columns, files."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from textual import events

from rnn_tui.tui.panes import prompt_editor
from rnn_tui.tui.panes.prompt_editor import Editor, edit_elsewhere, read_text
from rnn_tui.tui.widgets.next_tokens import NextTokens
from rnn_tui.tui.widgets.tail_text import LEVELS

Prompting = Callable[..., AbstractAsyncContextManager[Any]]


def prompts(talk: Any) -> list[str]:
    return [turn.prompt for turn in talk.pane.column.talk.turns]


async def test_turns_branches_and_snapshots(prompting: Prompting, monkeypatch: pytest.MonkeyPatch) -> None:
    async with prompting() as talk:
        pane, tree = talk.pane, talk.pane.column.talk
        await talk.press("f7")
        assert "no turns yet" in talk.status
        await talk.enter("/snapshots")
        assert "no snapshots yet" in talk.status
        for text in "abc":
            await talk.enter(text)
        await talk.press("f7")
        assert pane.stage.turns.has_focus
        assert pane.stage.turns.highlighted == 2
        assert "seed 7 · step 100 · 3 tokens · prompt 1.50 nats a token" in talk.status
        copied: list[str] = []
        monkeypatch.setattr(pane.app, "copy_to_clipboard", copied.append)
        await talk.press("k", "c")
        assert copied == ["bw7.0 w7.1 w7.2 "]
        await talk.press("enter")  # go on from b: a branch
        assert [branch.name for branch in tree.branches] == ["main", "b2"]
        assert prompts(talk) == ["a", "b"]
        assert talk.transcript().endswith("bw7.0 w7.1 w7.2 ")
        assert pane.line.input.has_focus
        await talk.enter("d")
        await talk.press("f7", "z")  # nothing comes after it
        assert prompts(talk) == ["a", "b", "d"]
        await talk.press("f7", "up", "up", "j", "z")
        assert prompts(talk) == ["a", "b"]
        await talk.enter("/branches main")
        assert prompts(talk) == ["a", "b", "c"]
        await talk.press("f7", "up", "d")
        assert [branch.name for branch in tree.branches] == ["main"]
        await talk.press("home", "n")
        assert prompts(talk) == ["a"]
        await talk.enter("/branch mine")
        assert tree.current.name == "mine"
        await talk.enter("/branches nowhere")
        assert "no branch 'nowhere'" in talk.status
        await talk.enter("e")
        await talk.enter("/save here")
        await talk.press("f4", "f4")
        assert prompts(talk) == []
        await talk.enter("/go here")
        assert prompts(talk) == ["a", "e"]
        await talk.enter("/go there")
        assert "no snapshot 'there'" in talk.status
        await talk.enter("/reset")
        assert prompts(talk) == []


async def test_snapshots_are_listed_and_saved_to_files(prompting: Prompting, tmp_path: Path) -> None:
    async with prompting() as talk:
        pane, file = talk.pane, tmp_path / "state.safetensors"
        await talk.enter("/save one")
        assert "nothing to keep yet" in talk.status
        await talk.enter("ab")
        await talk.enter(f"/save one {file}")
        await talk.until(lambda: "snapshot one, also in" in talk.status)
        assert json.loads(file.read_text()) == {"state": 1, "text": "abw7.0 w7.1 w7.2 "}
        await talk.enter("cd")
        await talk.enter(f"/save two {file}")
        await talk.until(lambda: len(pane.app.screen_stack) == 2)  # asks before it replaces a file
        await talk.pilot.press("n")
        await talk.until(lambda: "is as it was" in talk.status)
        await talk.enter(f"/save two {file}")
        await talk.until(lambda: len(pane.app.screen_stack) == 2)
        await talk.pilot.press("y")
        await talk.until(lambda: "snapshot two, also in" in talk.status)
        assert json.loads(file.read_text())["state"] == 2
        await talk.enter("/snapshots")
        assert pane.stage.snapshots.option_count == 2
        await talk.press("j", "k", "d")
        assert list(pane.column.talk.snapshots) == ["two"]
        await talk.press("enter")
        assert prompts(talk) == ["ab", "cd"]
        await talk.enter("/reset")
        await talk.enter(f"/restore {file}")
        await talk.until(lambda: "restored" in talk.status)
        assert talk.transcript() == "restored from state.safetensors\nabw7.0 w7.1 w7.2 cdw7.0 w7.1 w7.2 "
        await talk.enter("")  # from the state that came back
        assert pane.column.talk.before(pane.column.talk.last, (1, 1))[0].id == 3
        await talk.enter("/restore nothing.safetensors")
        await talk.until(lambda: "No such file" in talk.status)
        await talk.enter("/restore")
        assert "a file is needed: /restore FILE" in talk.status


async def test_one_of_a_batch_becomes_the_turn(prompting: Prompting) -> None:
    async with prompting() as talk:
        pane = talk.pane
        await talk.enter("/batch 3 ab")
        view = pane.stage.choices
        assert view.has_focus
        shown = "\n".join(row.text for row in view.text.rows)
        # the last row is complete first; 0, 0.7 and 1.4 nats
        assert " 1   3 tokens · 0.70 nats a token · seed 9\nw9.0 w9.1 w9.2 " in shown
        assert talk.status == "1-3 picks one b keeps the others as branches esc drops all"
        await talk.press("5", "b")  # there is no fifth
        assert "the others become branches b drops them" in talk.status
        await talk.press("2")
        assert talk.transcript() == "▪ 1  temperature 0.8 · seed 8 · step 100\nabw8.0 w8.1 w8.2 "
        assert len(pane.column.talk.branches) == 3
        assert pane.line.input.has_focus
        await talk.press("f8")
        assert len(view.turns) == 5
        await talk.press("escape")
        assert len(pane.column.talk.turns) == 1
        await talk.enter("/batch 10")
        assert "must be from 1 to 9" in talk.status
        await talk.enter("")
        state = pane.column.talk.last.parent.after
        assert pane.column.talk.before(pane.column.talk.last, (1, 1)) == (state, "")


async def test_a_batch_that_is_ended_gives_what_there_is(prompting: Prompting) -> None:
    async with prompting("slow") as talk:
        pane = talk.pane
        await talk.enter("/length 60")
        pane.line.input.value = "/batch 2 a"
        await talk.pilot.press("enter")
        await talk.until(lambda: "tokens esc ends it" in talk.status)
        await talk.press("escape")
        assert len(pane.stage.choices.turns) == 2
        assert "picks one" in talk.status


@pytest.mark.parametrize("size", [(80, 24), (140, 45)])
async def test_tokens_are_picked_by_hand(prompting: Prompting, size: tuple[int, int]) -> None:
    async with prompting(size=size) as talk:
        pane = talk.pane
        await talk.enter("ab")
        await talk.press("f6")
        table = next(table for table in pane.query(NextTokens) if table.has_focus)
        await talk.until(lambda: bool(table.rows))
        assert table.size.height == 11
        before = talk.transcript()
        await talk.press("down", "up", "end", "home", "enter")
        turn = pane.column.talk.last
        assert turn.prompt == ""
        assert turn.fresh is False
        assert len(turn.picks) == 1
        assert talk.transcript() == before + turn.completed
        assert turn.completed.strip()
        await talk.press("2")
        assert pane.column.talk.last is turn
        assert len(turn.made) == 2
        await talk.press("backspace")
        assert len(turn.made) == 1
        await talk.press("backspace")
        assert talk.transcript() == before
        assert [row[1] for row in table.rows] == ["e", " ", "\n"]
        await talk.press("backspace")
        assert "no token was picked here" in talk.status
        await talk.press("f6")
        assert pane.line.input.has_focus
        await talk.press("x")
        await talk.until(lambda: pane._table_of == "x")
        await talk.press("f6", "1")
        turn = pane.column.talk.last
        assert (turn.prompt, turn.fresh, len(turn.picks), len(turn.made)) == ("x", True, 1, 1)
        assert talk.transcript().endswith("x" + turn.completed)
        assert pane.line.input.value == ""


async def test_models_side_by_side(prompting: Prompting, tmp_path: Path) -> None:
    (tmp_path / "other.safetensors").write_text("7")
    async with prompting(size=(120, 30)) as talk:
        pane, stage = talk.pane, talk.pane.stage
        assert pane.has_class("-side")
        await talk.press("f10", "alt+w")
        assert "the last column stays" in talk.status
        await talk.enter(f"/compare {tmp_path / 'other.safetensors'}")
        await talk.until(lambda: len(stage.columns) == 2 and stage.column.session.current)
        assert stage.column is stage.columns[1]
        await talk.enter("ab")
        first, second = stage.columns
        assert talk.transcript(first).endswith("abw7.0 w7.1 w7.2 ")
        assert talk.transcript(second).endswith("\n7\nabsecond7.0 second7.1 second7.2 ")
        assert "2 other.safetensors: 3 tokens" in talk.status
        assert first.display
        assert second.display
        await talk.press("ctrl+r")
        assert talk.transcript(first).endswith("abw8.0 w8.1 w8.2 ")
        assert talk.transcript(second).endswith("absecond8.0 second8.1 second8.2 ")
        await talk.pilot.resize_terminal(60, 24)  # one at a time
        await talk.quiet()
        assert [column.display for column in stage.columns] == [False, True]
        assert talk.info.startswith("2 of 2, f10: next")
        await talk.press("f10")
        assert [column.display for column in stage.columns] == [True, False]
        await talk.press("f4")
        assert talk.transcript(first) == talk.transcript(second) == ""
        await talk.press("ctrl+n", "escape")
        await talk.until(lambda: len(stage.columns) == 3)
        await talk.press("ctrl+n", "escape")
        await talk.until(lambda: len(stage.columns) == 4)
        await talk.press("ctrl+n")
        assert "four models stand side by side already" in talk.status
        await talk.press("alt+w")
        assert [column.session.slot for column in stage.columns] == ["main", "second", "third"]


async def test_colours_go_round_and_the_legend_says_what_they_mean(prompting: Prompting) -> None:
    async with prompting() as talk:
        pane = talk.pane
        await talk.enter("ab")
        legends = []
        for _ in range(3):
            await talk.press("f3")
            legends.append(str(pane.query_one("LevelLegend").render()).split())
            assert pane.has_class("-colours")
        assert [legend[0] for legend in legends] == list(LEVELS)
        assert legends[0][1:] == ["under", "0.5", "0.5", "1", "2", "4", "over", "7", "nats"]
        assert legends[2][1:] == ["1", "2", "3-5", "6-10", "11-100", "beyond"]
        await talk.press("f3")
        assert not pane.has_class("-colours")
        await talk.enter("/color rank")
        assert pane.shell.recall("prompt.colours") == "rank"
        await talk.enter("/colour taste")
        assert "not by 'taste'" in talk.status
        await talk.enter("/help")
        assert "/batch [N] [TEXT]" in "\n".join(row.text for row in pane.stage.commands.text.rows)
        await talk.press("escape", "alt+h")
        assert pane.stage.has_class("-commands")


async def test_prompts_in_several_lines_and_from_files(
    prompting: Prompting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with prompting() as talk:
        pane = talk.pane
        pane.line.input.value = "a␊b"
        pane.line.input.focus()
        await talk.press("ctrl+o")
        editor = pane.query_one(Editor)
        assert editor.text == "a\nb"
        editor.post_message(events.Paste("\tc\x1b[2J\nd"))
        await talk.quiet()
        assert editor.text == "a\nb␉c␛[2J\nd"
        await talk.press("escape")
        assert pane.line.input.value == "a␊b␉c␛[2J␊d"
        await talk.press("ctrl+o", "ctrl+s")
        assert pane.column.talk.last.prompt == "a\nb\tc␛[2J\nd"
        assert pane.line.input.has_focus
        # the user's own editor: what it leaves comes back
        await talk.press("ctrl+t")
        assert "cannot be put to sleep" in talk.status

        @contextmanager
        def suspend() -> Any:
            yield

        monkeypatch.setattr(pane.app, "suspend", suspend)
        monkeypatch.setattr(prompt_editor, "edit_elsewhere", lambda text: text + "!")
        pane.line.input.value = "x"
        await talk.press("ctrl+t")
        assert pane.line.input.value == "x!"
        monkeypatch.setattr(prompt_editor, "edit_elsewhere", lambda text: text + "\ny")
        await talk.press("ctrl+t")
        assert pane.query_one(Editor).text == "x!\ny"
        await talk.press("escape")
        (tmp_path / "prompt.txt").write_bytes(b"from\r\na file \xff")
        await talk.enter(f"/file {tmp_path / 'prompt.txt'}")
        await talk.until(lambda: pane.column.talk.last.prompt == "from\na file \ufffd")
        await talk.quiet()
        out = tmp_path / "out.json"
        await talk.enter(f"/export {out}")
        await talk.until(out.exists)
        assert [turn["prompt"] for turn in json.loads(out.read_text())["transcripts"][0]["turns"]] == [
            "a\nb\tc␛[2J\nd", "from\na file \ufffd",
        ]  # fmt: skip
        await talk.enter("/export out.doc")
        assert "ends in .txt, .md, .json" in talk.status
        await talk.enter("/edit")
        assert pane.line.editing


def test_files_that_are_no_prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from rnn_tui.errors import InputError

    os.mkfifo(tmp_path / "pipe")
    for name, why in ((".", "Is a directory|not a file"), ("pipe", "not a file"), ("none", "No such file")):
        with pytest.raises(InputError, match=why):
            read_text(tmp_path / name)
    monkeypatch.setattr(prompt_editor, "LONGEST", 3)
    (tmp_path / "long").write_text("abcd")
    with pytest.raises(InputError, match="longer than a prompt may be"):
        read_text(tmp_path / "long")


def test_the_users_editor_is_run_on_a_file_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from rnn_tui.errors import InputError

    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "sed -i s/b/xyz/")
    assert edit_elsewhere("abc") == "axyzc"
    monkeypatch.setenv("EDITOR", "false")
    with pytest.raises(InputError, match="ended with 1; the prompt is as it was"):
        edit_elsewhere("abc")
    monkeypatch.setenv("EDITOR", "/no/such/editor")
    with pytest.raises(InputError, match="cannot be started"):
        edit_elsewhere("abc")
