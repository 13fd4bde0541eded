"""The suffix order and the match lengths, against sorting and `in`."""

from hypothesis import example, given
from hypothesis import strategies as st

from rnn_tui.corpus.suffixes import codes_of, match_lengths, occurs, suffix_order

TEXTS = st.text(alphabet="ab", min_size=1, max_size=60) | st.text(alphabet="aé文😀", min_size=1, max_size=40)


@given(TEXTS)
@example("a" * 500)
@example("ab" * 250)
@example("abracadabra" * 50)
def test_the_order_is_that_of_sorted(text):
    expected = sorted(range(len(text)), key=lambda begin: text[begin:])
    assert suffix_order(codes_of(text)).tolist() == expected


def test_the_order_of_banana():
    # a, ana, anana, banana, na, nana
    assert suffix_order(codes_of("banana")).tolist() == [5, 3, 1, 0, 4, 2]


@given(TEXTS, st.text(alphabet="abé文😀", max_size=20))
def test_match_lengths_are_those_of_a_search(text, sample):
    expected = [
        max(size for size in range(len(sample) - begin + 1) if sample[begin : begin + size] in text)
        for begin in range(len(sample))
    ]
    assert match_lengths(sample, text, suffix_order(codes_of(text))) == expected


def test_a_passage_at_the_end_and_one_that_would_go_beyond_it():
    text = "to be or not to be"
    order = suffix_order(codes_of(text))
    assert occurs("not to be", text, order)
    assert not occurs("not to be ", text, order)
    assert not occurs("zebra", text, order)  # after the last suffix
