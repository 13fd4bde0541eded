import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnn_tui.safetext import SafeStream, safe_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain, naïve, 深圳 👩", "plain, naïve, 深圳 👩"),
        ("\x1b]52;c;AAAA\x07", "␛]52;c;AAAA␇"),
        ("a\tb\nc\r\0\x7f", "a␉b␊c␍␀␡"),
        ("\x9b31m\x90", "\ufffd31m\ufffd"),
        ("a\u202eb\u2066c\u200e", "a\ufffdb\ufffdc\ufffd"),
        ("\u2028\u2029\ufeff", "\ufffd\ufffd\ufffd"),
        ("\ud83d", "\ufffd"),
        ("e" + "\u0301" * 20, "e" + "\u0301" * 8),
        ("ก" + "\u0e49" * 9 + "ข", "ก" + "\u0e49" * 8 + "ข"),
        ("a" + "\u200b" * 5 + "\ufe0f" * 5 + "b", "a" + "\u200b" * 5 + "\ufe0f" * 3 + "b"),
        ("a" + "\U000e0041" * 9, "a" + "\U000e0041" * 8),
        ("\u3164" * 20 + "a", "\u3164" * 8 + "a"),
        ("\ufff9a\ufffab\ufffb\ufffe\u206a", "\ufffda\ufffdb\ufffd\ufffd\ufffd"),
        ("👩‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿 हिन्दी ที่ é שלום", "👩‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿 हिन्दी ที่ é שלום"),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
        (12.5, "12.5"),
    ],
)
def test_by_hand(text: object, expected: str) -> None:
    assert safe_text(text) == expected


def test_long_text_is_cut() -> None:
    assert safe_text("x" * 5000) == "x" * 4095 + "…"
    assert safe_text("x" * 4096) == "x" * 4096
    assert safe_text("abcdef", limit=4) == "abc…"
    assert safe_text("x" * 5000, limit=None) == "x" * 5000


def test_newlines_and_tabs_of_a_block() -> None:
    assert safe_text("a\tb\r\nc\x1b\n", newlines=True) == "a   b\nc␛\n"
    assert safe_text("abcdef\nab", newlines=True, limit=4) == "abc…\nab"


@given(st.text(st.characters(), max_size=50), st.booleans())
def test_nothing_left_can_drive_a_terminal(text: str, newlines: bool) -> None:
    for char in safe_text(text, newlines=newlines):
        assert unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp") or (newlines and char == "\n")
        assert unicodedata.bidirectional(char) not in (
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        )


@given(st.text(st.characters(), max_size=50))
def test_twice_is_once(text: str) -> None:
    assert safe_text(safe_text(text)) == safe_text(text)


def test_a_stream_knows_what_came_before() -> None:
    stream = SafeStream()
    pieces = ["ab\t", "c", "e", *["\u0301"] * 20, "x\n", "\t", "\x1b", "[2J"]
    assert "".join(map(stream.clean, pieces)) == "ab  ce" + "\u0301" * 8 + "x\n    ␛[2J"


@given(st.text(st.characters(), max_size=60), st.integers(1, 20))
def test_pieces_are_what_the_whole_is(text: str, size: int) -> None:
    stream = SafeStream()
    pieces = "".join(stream.clean(text[at : at + size]) for at in range(0, len(text), size))
    if "\r" not in text:  # which ends a line only where a newline follows at once
        assert pieces == safe_text(text, newlines=True, limit=None)
    assert safe_text(pieces, newlines=True, limit=None) == pieces
