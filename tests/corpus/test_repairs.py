"""The steps that mend what the doctor finds; that no cut into pieces matters is a law in test_normalise.py."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnn_tui.corpus import repairs
from rnn_tui.corpus.accents import accent_finding
from rnn_tui.corpus.normalise import normalise

lines = st.lists(st.sampled_from(["a", "b", "", "  ", "a ", "long line"]), max_size=12)


def whole(text: str, step: str) -> str:
    return "".join(normalise([text], [step]))


@pytest.mark.parametrize(
    ("step", "text", "expected"),
    [
        ("unix-newlines", "a\r\nb\rc\n\r\n\r", "a\nb\nc\n\n\n"),
        ("drop-controls", "a\0b\x1b[2J\tc\x7f\x85\r\nd\re", "ab[2J\tc\r\nde"),
        ("compose", "e\u0301 Å \u1100\u1161\u11a8 d\u0323\u0307", "é Å 각 ḍ\u0307"),
        ("drop-repeated-lines", "a\nb\na\n\n\nb\nc", "a\nb\n\n\nc"),
    ],
)
def test_by_hand(step: str, text: str, expected: str) -> None:
    assert whole(text, step) == expected


@given(lines)
def test_the_first_of_each_line_stays(given: list[str]) -> None:
    kept = [line for at, line in enumerate(given) if not line.strip() or line not in given[:at]]
    assert whole("".join(f"{line}\n" for line in given), "drop-repeated-lines") == "".join(
        f"{x}\n" for x in kept
    )


@given(st.text(st.characters(blacklist_categories=["Cs"]), max_size=12), st.integers(0, 12))
def test_compose_is_nfc_wherever_the_text_is_cut(text: str, cut: int) -> None:
    assert "".join(normalise([text[:cut], text[cut:]], ["compose"])) == unicodedata.normalize("NFC", text)


def test_no_settled_character_joins_with_one_before() -> None:
    # What NFC puts together ends in one of these; a text must not be cut in front of it.
    seconds = {
        unicodedata.normalize("NFD", chr(code))[1:2] for code in range(0x10000) if not 0xD800 <= code < 0xE000
    }
    assert not [char for char in seconds if char and repairs._SETTLED.match(char)]


def test_a_line_too_long_to_compare_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repairs, "LONGEST_LINE", 5)
    text = "abcdef\nabcde\nabcdef\nabcde\n"
    for size in (1, 2, 3, 7, 100):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        assert "".join(repairs.drop_repeated_lines(pieces)) == "abcdef\nabcde\nabcdef\n"


def test_accents_of_their_own_are_told() -> None:
    assert accent_finding(["plain", "é"]) is None
    found = accent_finding(["e\u0301", "a", "o\u0308u\u0308"])
    assert found is not None
    assert found.text.startswith("3 accents")
