"""What a corpus looks like by its first lines."""

from pathlib import Path

import pytest

from rnn_tui.corpus.guess import Guess, guess_of, guess_task


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], Guess("next-token")),
        (["It was a dark night.", "It rained."], Guess("next-token")),
        (["ab\tba", "abc\tcba"], Guess("aligned")),
        (["the cat\tDET NOUN", "a dog ran\tDET NOUN VERB"], Guess("aligned")),
        (["one\ttwo words"], Guess("next-token")),  # neither as many characters nor words
        (["ab\tba", "no tab"], Guess("next-token")),
        (["a\tb\tc"], Guess("next-token")),
        (["1", "2.5", "-3e4"], Guess("series")),
        (["up,down", "1,2", "3,4"], Guess("series")),
        (["up;down", "1;2", "3;4"], Guess("series")),
        (["date,open", "2020-01-01,1", "2020-01-02,2"], Guess("series", ("open",))),
        (["2020-01-01,1", "2020-01-02,2", "2020-01-03,3"], Guess("series", ("2",))),
        (['"a, b",n', '"c, d",1', '"e, f",2'], Guess("series", ("n",))),
        (["1800", "A poem"], Guess("next-token")),
        (["1 apple", "2 pears", "3 plums"], Guess("next-token")),
        (["1,2", "1,2,3", "1,2"], Guess("next-token")),
    ],
)
def test_lines(lines: list[str], expected: Guess) -> None:
    assert guess_of(lines) == expected


def test_named_corpora_are_what_their_lists_say() -> None:
    assert [guess_task(name).task for name in ("fables-en", "fables-zh", "hello", "sine")] == [
        "next-token",
        "next-token",
        "aligned",
        "series",
    ]
    assert guess_task("-").task == "next-token"  # it can be read only once


def test_a_line_that_is_cut_by_the_end_of_what_is_read_plays_no_part(tmp_path: Path) -> None:
    (tmp_path / "long.csv").write_bytes(b"\xef\xbb\xbf1,2\r\n" + b"3,4\r\n" * 20_000)
    assert guess_task(str(tmp_path / "long.csv")) == Guess("series")
