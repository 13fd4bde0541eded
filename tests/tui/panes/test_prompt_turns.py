"""A turn as it stands in the transcript; texts and figures worked out by hand."""

import pytest

from rnn_tui.corpus.copied import Copied
from rnn_tui.tui.engine_client import Piece
from rnn_tui.tui.panes.prompt_settings import PromptSettings
from rnn_tui.tui.panes.prompt_turns import (
    Pick,
    Turn,
    ending,
    header,
    last_characters,
    mean_surprise,
    unknown_note,
)
from rnn_tui.tui.widgets.status import rows_of
from rnn_tui.tui.widgets.tail_text import Span


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


def test_what_is_copied_has_a_kind_of_its_own_and_keeps_what_was_measured() -> None:
    copied = Copied(
        novel=0.5, n=3, held_out=None, longest=2, at=0, mark=2, spans=((1, 3),), chars=4, compared=1.0
    )
    turn = Turn("", fresh=False, made=[Piece("ab", 1.0, 1, 2.0, 3), Piece("cd", 0.5)], copied=copied)
    assert turn.completion() == [
        Span("a", "generated", 1.0, 2.0, 3),
        Span("b", "copied", 1.0, 2.0, 3),
        Span("c", "copied", 0.5),
        Span("d", "generated", 0.5),
    ]


def test_a_symbol_that_the_model_lacks_stands_as_it_was_typed() -> None:
    read = [Piece("a", 1.0), Piece("\ufffd", 2.0, 0, unknown=True, source="ž"), Piece("?", unknown=True)]
    turn = Turn("ažb", fresh=True, header="▪ 1", note="not in the vocabulary", read=read)
    assert turn.opening(first=True) == [
        Span("▪ 1\n", "note"),
        Span("not in the vocabulary\n", "note"),
        Span("a", "prompt", 1.0),
        Span("ž", "unknown", 2.0),
        Span("?", "unknown"),
    ]
    assert turn.opening(first=False)[0].text == "\n\n▪ 1\n"


@pytest.mark.parametrize(
    ("unknown", "prompt", "stand_in", "note"),
    [
        ([], "abc", "?", ""),
        (["ž"], "abc", "?", ""),  # was in what was read again only
        (
            ["ž"], "až", "\ufffd",
            "not in the vocabulary: 'ž'; the model reads its unknown token \ufffd instead, so it cannot know it and "
            "will never write it",
        ),
        (
            ["ž", " "], "ž ", None,
            "not in the vocabulary: 'ž', ' '; the model reads its unknown token instead, so it cannot know them and "
            "will never write them",
        ),
    ],
)  # fmt: skip
def test_unknown_symbols_are_explained(unknown: list[str], prompt: str, stand_in: str, note: str) -> None:
    assert unknown_note(unknown, prompt, stand_in) == note


def test_many_unknown_symbols_are_counted() -> None:
    letters = "αβγδεζηθικ"
    assert "'θ' and 2 more; the model" in unknown_note(letters, letters, "?")


def test_replayed_text_is_not_shown_again() -> None:
    pieces = (Piece("ab"), Piece("cd"), Piece("ef"))
    assert [piece.text for piece in last_characters(pieces, 6)] == ["ab", "cd", "ef"]
    assert [piece.text for piece in last_characters(pieces, 9)] == ["ab", "cd", "ef"]
    assert [piece.text for piece in last_characters(pieces, 3)] == ["d", "ef"]
    assert [piece.text for piece in last_characters(pieces, 2)] == ["ef"]
    assert last_characters(pieces, 0) == []


def test_an_unknown_token_counts_as_the_symbol_it_stands_for() -> None:
    pieces = (Piece("ab"), Piece("<unk>", unknown=True, source="Žluť"), Piece(" c"))
    assert [piece.text for piece in last_characters(pieces, 6)] == ["<unk>", " c"]
    cut = last_characters(pieces, 4)
    assert [(piece.text, piece.source) for piece in cut] == [("<unk>", "Žluť"), (" c", "")]


def test_headers_and_facts() -> None:
    turn = Turn("ab", fresh=True, settings=PromptSettings(top_k=5), seed=12, tries=2, step=1200)
    assert header(turn, 3, ascii=True) == "# 3  temperature 0.8 · top-k 5 · seed 12 · step 1,200 · try 2"
    turn.read = [Piece("a"), Piece("b", 1.5)]
    turn.made = [Piece("c", 1.0), Piece("d", 2.0)]
    assert turn.facts() == [
        "temperature 0.8 · top-k 5", "seed 12", "step 1,200", "try 2", "2 tokens", "prompt 1.50 nats a token",
        "completion 1.50 nats a token",
    ]  # fmt: skip
    greedy = Turn("", fresh=True, settings=PromptSettings(temperature=0), seed=4)
    assert header(greedy, 1, ascii=False) == "▪ 1  greedy"
    picked = Turn("", fresh=False, picks=[Pick(None, ())], made=[Piece("x", 0.25)])
    assert picked.facts() == ["1 picked by hand", "1 tokens", "completion 0.25 nats a token"]


def test_the_first_token_of_a_text_was_predicted_by_nothing() -> None:
    assert mean_surprise([Piece("a"), Piece("b", 1.0), Piece("c", 2.0)]) == 1.5
    assert mean_surprise([Piece("a")]) is None


def test_a_status_line_breaks_between_its_hints() -> None:
    assert rows_of("a fact   esc leaves", 20) == ["a fact   esc leaves"]
    assert rows_of("a fact   esc leaves   d drops", 20) == ["a fact   esc leaves", "d drops"]
    assert rows_of("one two three   x", 8) == ["one two", "three", "x"]
    assert rows_of("", 8) == [""]
