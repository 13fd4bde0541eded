"""Wrapping and storage behind the tail widget; row borders worked out by hand."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from rnn_tui.tui.widgets import tail_text
from rnn_tui.tui.widgets.tail_text import LEVELS, Change, Span, Tag, TailText, level, wrap

PROMPT, GENERATED = Tag("prompt"), Tag("generated")


def shown(text: TailText) -> list[str]:
    return [row.text for row in text.rows]


def cut(text: str, width: int) -> list[str]:
    return [text[start:end] for start, end in wrap(text, width)]


@pytest.mark.parametrize(
    ("text", "width", "rows"),
    [
        ("", 5, [""]),
        ("hello", 5, ["hello"]),
        ("hello world", 5, ["hello", "world"]),  # the space that does not fit belongs to no row
        ("hello ", 5, ["hello"]),
        ("to be or not", 6, ["to be ", "or not"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),  # nowhere to break
        ("    abcdef", 6, ["    ab", "cdef"]),  # indentation alone is no row
        ("天地玄黄", 5, ["天地", "玄黄"]),  # two cells each: 5 cells hold two
        ("天地玄黄", 4, ["天地", "玄黄"]),
        ("天", 1, ["天"]),  # wider than the view: a row of its own, and no endless loop
        ("ab天cd", 3, ["ab", "天", "cd"]),  # breaks beside a wide character, not inside a word
        ("ae\u0301bc", 2, ["ae\u0301", "bc"]),  # a combining mark takes no cell and stays with its letter
    ],
)
def test_wrap(text: str, width: int, rows: list[str]) -> None:
    assert cut(text, width) == rows


@given(st.text(alphabet="ab  天地é\u0301-", max_size=80), st.integers(2, 12))
def test_rows_fit_and_lose_only_single_spaces(text: str, width: int) -> None:
    rows = wrap(text, width)
    assert all(cell_len(text[start:end]) <= width for start, end in rows)
    for (_, end), (start, _) in pairwise(rows):
        assert text[end:start] in ("", " ")
    assert text[rows[-1][1] :] in ("", " ")


@given(st.lists(st.text(alphabet="ab \n天\t", max_size=9), max_size=30), st.integers(2, 12))
def test_appending_in_pieces_equals_wrapping_at_once(pieces: list[str], width: int) -> None:
    text = TailText(width)
    for piece in pieces:
        text.append(piece, GENERATED)
    before = shown(text)
    text.resize(width)
    assert shown(text) == before


def test_append_names_the_first_new_cell() -> None:
    text = TailText(8)
    assert text.append("天ab", PROMPT) == Change(0, 0, 0)
    assert text.append("cd", GENERATED) == Change(0, 4, 0)  # 天 takes two cells, a and b one each
    assert text.append(" ef", GENERATED) == Change(0, 6, 0)
    assert shown(text) == ["天abcd ", "ef"]  # "ef" would end at cell 9: it goes down whole
    assert text.append("\n\nx", GENERATED) == Change(1, 2, 0)
    assert shown(text) == ["天abcd ", "ef", "", "x"]


def test_a_word_that_moves_down_changes_the_row_from_where_it_stood() -> None:
    text = TailText(8)
    text.append("abc def", GENERATED)
    assert text.append("gh", GENERATED) == Change(0, 4, 0)
    assert shown(text) == ["abc ", "defgh"]


def test_rows_are_cut_at_the_borders_of_spans() -> None:
    text = TailText(4)
    text.append("ab", PROMPT)
    text.append("cdef", GENERATED)
    assert text.rows[0].pieces() == [("ab", PROMPT), ("cd", GENERATED)]
    assert text.rows[1].pieces() == [("ef", GENERATED)]


def test_tabs_count_from_the_start_of_the_line_across_pieces() -> None:
    text = TailText(40)
    for piece in ("ab", "\t", "c\td\n\te"):
        text.append(piece, GENERATED)
    assert shown(text) == ["ab  c   d", "    e"]


def test_hostile_text_is_visible_and_inert() -> None:
    text = TailText(60)
    text.append("\x1b[2J \x1b]52;c;aGk=\x07 \x9b1m \u202eabc [/] [@click=app.quit]x[/]", GENERATED)
    assert shown(text) == ["␛[2J ␛]52;c;aGk=␇ �1m �abc [/] [@click=app.quit]x[/]"]


def test_a_flood_of_marks_in_single_pieces_is_bounded() -> None:
    text = TailText(20)
    text.append("a", GENERATED)
    for _ in range(1000):
        text.append("\u0301", GENERATED)
    assert shown(text) == ["a" + 8 * "\u0301"]


def test_old_lines_go_when_there_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_text, "MAX_CHARS", 100)
    text = TailText(20)
    dropped = 0
    for number in range(50):
        dropped += text.append(f"{number:08d}\n", GENERATED).dropped
    assert shown(text)[0] == f"{dropped:08d}"
    assert shown(text)[-2] == "00000049"
    assert sum(map(len, shown(text))) <= 100
    assert len(text.rows) == 51 - dropped


def test_a_line_without_end_is_cut_and_copied_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_text, "MAX_LINE", 10)
    text = TailText(4)
    text.append("abcdefghijklm\nnop", GENERATED)
    assert [line.text for line in text.lines] == ["abcdefghij", "klm", "nop"]
    assert shown(text) == ["abcd", "efgh", "ij", "klm", "nop"]
    assert text.copy((0, 1), (4, 2)) == "bcdefghijklm\nno"


def test_copy_keeps_the_space_that_a_wrap_swallowed() -> None:
    text = TailText(5)
    text.append("hello world", GENERATED)
    assert text.copy((0, 3), (1, 2)) == "lo wo"
    assert text.copy((0, 0), (9, 0)) == "hello world"


@pytest.mark.parametrize(
    ("measure", "value", "expected"),
    [
        *[
            ("surprise", nats, n)
            for nats, n in ((0.0, 0), (0.49, 0), (0.5, 1), (1.5, 2), (3.9, 3), (6.0, 4), (7.0, 5))
        ],
        *[("entropy", nats, n) for nats, n in ((0.4, 0), (1.2, 2), (4.5, 5), (float("nan"), 5))],
        *[
            ("rank", rank, n)
            for rank, n in ((0, 0), (1, 1), (4, 2), (5, 3), (9, 3), (10, 4), (99, 4), (100, 5))
        ],
        ("surprise", None, -1),
    ],
)
def test_levels(measure: str, value: float | None, expected: int) -> None:
    assert level(value, LEVELS[measure]) == expected


def test_a_span_knows_its_levels() -> None:
    assert Span("a").tag == Tag("generated")
    assert Span("a", "prompt", 2.5, 0.1, 7).tag == Tag("prompt", (3, 0, 3))
    assert Span("a", "prompt", 2.5).tag == Tag("prompt", (3, -1, -1))
