"""Transcripts as files, and the lists of turns; expected texts written by hand."""

import json
from pathlib import Path

import pytest
from rich.cells import cell_len

from rnn_tui.errors import UsageError
from rnn_tui.tui.engine_client import Event, Piece
from rnn_tui.tui.panes.prompt_export import Told, render
from rnn_tui.tui.panes.prompt_lists import excerpt, snapshot_row, turn_row
from rnn_tui.tui.panes.prompt_settings import PromptSettings
from rnn_tui.tui.panes.prompt_tree import Row, Tree
from rnn_tui.tui.panes.prompt_turns import Turn


@pytest.fixture
def told() -> list[Told]:
    model = Event("loaded", arch="lstm", tokenizer="char", step=1200, vocab_size=65, validation_loss=1.5)
    one = Turn(
        "a", fresh=True, settings=PromptSettings(stop=("x",)), seed=7, step=1200,
        read=[Piece("\ufffd", None, 0, unknown=True, source="a")],
        made=[Piece("b", 1.0, 3, 2.0, 4), Piece("```", 3.0)],
    )  # fmt: skip
    two = Turn("", fresh=False, seed=8, step=1200, made=[Piece("c", 0.5)], error="it broke")
    return [Told("run-1", Path("/models/m.safetensors"), model, [one, two])]


def test_plain_text_reads_on(told: list[Told]) -> None:
    assert render(told, ".txt") == (
        "run-1: lstm, char, step 1,200\n"
        "\n\n[1] temperature 0.8 · seed 7 · step 1,200 · 2 tokens · completion 2.00 nats a token\n"
        "ab```c\n[it broke]\n"
    )


def test_fences_are_longer_than_those_in_the_text(told: list[Told]) -> None:
    text = render(told, ".md")
    assert "# run-1: lstm, char, step 1,200\n\n## 1. fresh start\n" in text
    assert "Prompt:\n\n```text\na\n```\n" in text
    assert "Completion:\n\n````text\nb```\n````\n" in text
    assert "## 2. goes on\n" in text
    assert text.endswith("Error:\n\n```text\nit broke\n```\n")


def test_json_holds_each_token(told: list[Told]) -> None:
    document = json.loads(render(told, ".json"))
    assert document["format"] == 1
    (transcript,) = document["transcripts"]
    assert transcript["model"] == {
        "name": "run-1", "path": "/models/m.safetensors", "task": "", "arch": "lstm", "tokenizer": "char",
        "vocab_size": 65, "parameters": 0, "step": 1200, "validation_loss": 1.5,
    }  # fmt: skip
    one, two = transcript["turns"]
    assert one["prompt_tokens"] == [
        {
            "text": "\ufffd",
            "id": 0,
            "surprise": None,
            "entropy": None,
            "rank": None,
            "unknown": True,
            "source": "a",
        }
    ]
    assert one["completion_tokens"][0] == {"text": "b", "id": 3, "surprise": 1.0, "entropy": 2.0, "rank": 4}
    assert one["settings"]["stop"] == ["x"]
    assert "seed" not in one["settings"]
    assert (one["seed"], one["completion"], one["error"]) == (7, "b```", None)
    assert (two["fresh"], two["error"]) == (False, "it broke")


def test_what_cannot_be_written_is_said(told: list[Told]) -> None:
    with pytest.raises(UsageError, match=r"ends in \.txt, \.md, \.json"):
        render(told, ".doc")
    with pytest.raises(UsageError, match="nothing to write yet"):
        render([Told("x", None, None, [])], ".txt")


@pytest.mark.parametrize(
    ("text", "room", "shown"),
    [
        ("a\n  b\tc", 9, "a b c"),
        ("abcdef", 4, "abc…"),
        ("天地玄黄", 5, "天地…"),
        ("\x1b[2Jx", 9, "␛[2Jx"),
        ("ab", 0, ""),
    ],
)
def test_excerpts_fit_their_cells(text: str, room: int, shown: str) -> None:
    assert excerpt(text, room) == shown


def test_a_turn_is_one_row_as_wide_as_the_list() -> None:
    turn = Turn("ask", fresh=True, made=[Piece("answer "), Piece("天地" * 40)])
    row = Row(turn, 12, 2, True, ("b2", "here[/]"), ("snap\x1b",), shown=True)
    content = turn_row(row, "b2", 60, ascii=True)
    assert content.plain.startswith("  `- 12  askanswer 天地")
    assert content.plain.rstrip().endswith("< here  here[/]  * snap␛")
    assert cell_len(content.plain) == 60
    assert "\n" not in content.plain
    apart = Turn("ask", fresh=True, made=[Piece(" then")])  # the space is the model's, and stands between
    assert (
        turn_row(Row(apart, 1, 0, False, (), (), shown=True), "main", 60, ascii=True).plain.strip()
        == "1  ask then"
    )


def test_a_snapshot_shows_how_its_text_ends() -> None:
    tree = Tree()
    tree.add(Turn("x" * 50 + " the end", fresh=True))
    # 40 cells: name 5, turns 7, gaps of 2, a margin of 2 and 22 for the text
    assert snapshot_row("one", tree.turns[0], 5, 40).plain == f"one    1 turns  …{'x' * 13} the end"
