import codecs
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnn_tui.corpus.decoding import Counts, decode, suspect
from rnn_tui.errors import InputError


def read(data: bytes, *, cuts: list[int] | None = None, strict: bool = False) -> tuple[str, Counts]:
    """Decode `data` cut before each of `cuts`."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts or [])})
    blocks = [data[a:b] for a, b in pairwise(places)]
    counts = Counts()
    return "".join(decode(blocks, counts, where="it.txt", strict=strict)), counts


def reference(data: bytes) -> tuple[str, int]:
    """Decode whole, with Python's own replacement, and add up the bytes it reports as wrong."""
    wrong = 0

    def handler(error: UnicodeError) -> tuple[str, int]:
        nonlocal wrong
        assert isinstance(error, UnicodeDecodeError)
        wrong += error.end - error.start
        return "\ufffd", error.end

    codecs.register_error("rnn-tui-test", handler)
    return data.decode("utf-8", "rnn-tui-test"), wrong


pieces = st.one_of(
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\ufeff"), max_size=8).map(
        str.encode
    ),
    st.sampled_from(
        [
            b"\r\n",
            b"\r",
            b"\n",
            b"\xc3",
            b"\xe6\xb7",
            b"\xff",
            b"\x80\x80",
            b"\xed\xa0\x80",
            b"\x1b[",
            b"\t",
            b"\x7f",
            b"\xc2\x9b",
        ]
    ),
)


@given(st.lists(pieces, max_size=12).map(b"".join), st.lists(st.integers(0, 400), max_size=6))
def test_the_text_and_the_counts_do_not_depend_on_the_blocks(middle: bytes, cuts: list[int]) -> None:
    data = b"some plain text " * 20 + middle
    text, counts = read(data, cuts=cuts)
    whole, wrong = reference(data)
    assert text == whole
    assert counts.invalid_bytes == wrong
    assert counts.bytes == len(data)
    assert counts.crlf == whole.count("\r\n")
    assert counts.newlines == whole.count("\n")
    lone = whole.count("\r") - whole.count("\r\n")
    assert counts.controls == lone + sum(
        (char < " " and char not in "\t\r\n") or "\x7f" <= char <= "\x9f" for char in whole
    )


def test_offsets_and_counts_by_hand() -> None:
    text, counts = read(b"ab\xff" + b"-" * 97 + b"\xe6\xb7q\0\x1b", cuts=[2, 3, 101])
    assert text == "ab\ufffd" + "-" * 97 + "\ufffdq\0\x1b"
    assert counts.invalid_bytes == 3  # FF, and the two bytes of a three-byte character cut short
    assert (counts.first_invalid_offset, counts.first_invalid_file) == (2, "it.txt")
    assert counts.controls == 1
    assert counts.files == 1


@pytest.mark.parametrize("cuts", [[], [4], [1, 2, 3]])
def test_a_byte_order_mark_is_left_out_and_offsets_count_it(cuts: list[int]) -> None:
    text, counts = read(b"\xef\xbb\xbf0123456789\xff", cuts=[cut + 3 for cut in cuts])
    assert text == "0123456789\ufffd"
    assert counts.bom
    assert counts.bytes == 14
    assert counts.first_invalid_offset == 13


def test_only_a_byte_order_mark_is_an_empty_text() -> None:
    assert read(b"\xef\xbb\xbf")[0] == ""


def test_strict_names_file_and_offset() -> None:
    with pytest.raises(InputError, match=r"it\.txt: not valid UTF-8 at byte offset 5;"):
        read(b"abcde\xe9 f", cuts=[3], strict=True)
    assert read("abcdé".encode(), cuts=[5], strict=True)[0] == "abcdé"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le", "utf-16-be"])
def test_utf16_is_refused_with_a_way_out(encoding: str) -> None:
    with pytest.raises(InputError, match=r"looks like UTF-.*iconv -f UTF-(16|32)"):
        read("plain text, but wide".encode(encoding))


def test_binary_is_refused() -> None:
    with pytest.raises(InputError, match="2 % of its bytes are NUL"):
        read(b"x" * 98 + b"\0\0")
    assert read(b"x" * 99 + b"\0")[1].nul == 1
    with pytest.raises(InputError, match="50 % of its bytes are not UTF-8"):
        read(b"\x89a\xffb" * 100)
    with pytest.raises(InputError, match="NUL"):  # before the rest of a large file is read
        list(decode([b"\0" * 65536, *[b"x" * 65536] * 200], Counts(), where="x", strict=False))


@pytest.mark.parametrize(
    ("text", "encoding", "suspicion"),
    [
        ("Le c\u0153ur a ses raisons que la raison ne conna\u00eet point. " * 3, "cp1252", "WINDOWS-1252"),
        (
            "V\u00e9rit\u00e9 en de\u00e7\u00e0 des Pyr\u00e9n\u00e9es, erreur au-del\u00e0. " * 3,
            "latin-1",
            "ISO-8859-1",
        ),
        ("caf\u00e9s", "latin-1", "ISO-8859-1"),
        ("床前明月光，疑是地上霜。", "gbk", "GB18030"),
    ],
)
def test_other_encodings_are_suspected(text: str, encoding: str, suspicion: str) -> None:
    assert suspect(text.encode(encoding)) == suspicion


def test_damage_in_good_utf8_is_no_suspicion() -> None:
    assert suspect("Voilà déjà l'été".encode() + b"\xff") == ""
