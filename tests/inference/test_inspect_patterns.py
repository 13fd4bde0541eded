"""Patterns in a text, each against a line of marks written by hand."""

import pytest

from rnn_tui.errors import UsageError
from rnn_tui.inference import patterns
from rnn_tui.inference.inspect_requests import PATTERNS
from rnn_tui.inference.patterns import find_expression, mark

HAND = [
    ("quotes", 'a "b c" d', "001111000"),  # the opening mark is inside: it was read
    ("quotes", 'x “y” «z» "', "00110011001"),  # an open one goes to the end
    ("quotes", '"a\n\nb"', "110001"),  # a blank line ends it, so the next mark opens
    ("quotes", '"""a "b"\n\nc"""d', "11111111111000" + "0"),  # but not in code
    ("quotes", r'"a\"b"c', "1111100"),
    ("quotes", """x['"']+"y" """, "00000001100"),
    ("single-quotes", "don't 'do it' now", "00000011111100000"),
    ("single-quotes", "b'xy' ‘z’", "011100110"),
    ("brackets", "a(b[c])d)", "011111000"),
    ("bracket-depth", "a(b[c])d)e(\n\n", "0112210000110"),
    ("line-position", "ab\nc\n\nde", "12010012"),
    ("line-left", "ab\nc\n\nde", "10100210"),
    ("line-end", "ab\nc\n\nde", "01011000"),
    ("indent", " \ta\n  b\nc", "188012200"),
    ("comment", "x = '#' # y\n//z", "00000000111" + "0111"),
    ("comment", "#include <a>\n/* b\n*/c http://d", "0" * 13 + "1111111" + "0" * 10),
    ("whitespace", "a b\tc\n", "010101"),
    ("word-start", "it's 2 x_y", "1000010100"),
    ("word-position", "it's 2 x_y", "1234010123"),
    ("after-capital", "aBc DÉ", "010011"),
    ("capitals", "I am NASA Co", "000001111000"),
    ("digits", "a12 ٣", "01101"),
    ("punctuation", "a, b!", "01001"),
    ("sentence-end", "a. b? c!", "01001001"),
    ("regex:[0-9]+", "a12b", "0110"),
    ("regex:^b", "b\nab\nb", "100001"),  # lines have a beginning each
    ("regex:$", "ab\nc", "0101"),  # a match of no length is told of what stands before it
    ("regex:", "ab", "11"),
    ("regex:(?<=a)b", "abb", "010"),
]


@pytest.mark.parametrize(("pattern", "text", "marks"), HAND)
def test_marks_of_characters(pattern, text, marks):
    found = mark(list(text), pattern)
    assert "".join(f"{value:g}" for value in found.values) == marks
    assert found.kind == PATTERNS.get(pattern, "").endswith("(number)") * "number" or found.kind == "yes-no"


def test_every_pattern_was_written_down():
    assert {pattern for pattern, _, _ in HAND if pattern in PATTERNS} == set(PATTERNS)
    assert all(
        (mark(["a"], name).kind == "number") == what.endswith("(number)") for name, what in PATTERNS.items()
    )


@pytest.mark.parametrize(
    ("pattern", "texts", "marks"),
    [
        ("digits", ["ab", "c1", "", "d"], "0110"),  # any character; an empty token is as the one before
        ("digits", ["", "1"], "01"),
        ("quotes", ['say "', "yes", '"', "", ' "no"'], "11000"),  # the last character
        ("line-position", ["ab", "\nc", "def"], "214"),
        ("word-start", ["the", " cat", "s"], "110"),
        ("regex:cat", ["the", " cat", "s"], "010"),
        ("line-end", ["the", " cat", "\n"], "010"),
    ],
)
def test_marks_of_longer_tokens(pattern, texts, marks):
    assert "".join(f"{value:g}" for value in mark(texts, pattern).values) == marks


def test_share_and_whether_it_varies():
    assert mark(list("a1b2"), "digits").share == 0.5
    assert mark(list("a1b2"), "digits").varies
    assert not mark(list("abcd"), "digits").varies


def test_unknown_pattern_names_the_nearest():
    with pytest.raises(UsageError, match=r"no pattern 'qoutes'; did you mean 'quotes'\?; there are quotes,"):
        mark(["a"], "qoutes")


@pytest.mark.parametrize(
    ("expression", "why"),
    [("(a", "is wrong: missing \\)"), ("a" * 1001, "at most 1000"), ("a{2,1}", "is wrong")],
)
def test_expression_that_is_wrong(expression, why):
    with pytest.raises(UsageError, match=why):
        find_expression("aa", expression)


def test_expression_that_never_ends_is_ended(monkeypatch):
    monkeypatch.setattr(patterns, "EXPRESSION_SECONDS", 0.3)
    with pytest.raises(UsageError, match=r"not done after 0\.3 s"):
        find_expression("a" * 5000, "(a+)+b")


def test_expression_is_given_up_when_told_so():
    class Enough(Exception):
        pass

    def check():
        raise Enough

    with pytest.raises(Enough):
        find_expression("a" * 5000, "(a+)+b", check)


def test_a_child_that_dies_is_one_sentence(monkeypatch):
    monkeypatch.setattr(patterns, "_CHILD", "raise SystemExit('broken')")
    with pytest.raises(UsageError, match="could not be searched: broken"):
        find_expression("a", "a")


def test_any_text_can_be_sent_to_the_child():
    assert find_expression("a\ud800\x00é\r\n😀b", "😀") == [(6, 7)]
