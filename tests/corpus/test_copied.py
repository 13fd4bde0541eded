"""The memorisation meter, on texts whose copies are known because they were put there."""

import json
import random
import string

import numpy as np
import pytest

from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.copied import (
    MEASURED,
    SampleMeter,
    TrainingText,
    describe,
    knows_by_heart,
    read_copied,
    sequence_length,
)
from rnn_tui.corpus.prepare import prepare
from rnn_tui.corpus.suffixes import codes_of

DIGITS = "".join(random.Random(1).choices("0123456789", k=10_000))
"""H = log2 10 = 3.32 bits and N = 10^4: n = 2 log2(10^4) / log2(10) = 8, mark = 24."""


@pytest.fixture(scope="module")
def digits():
    return TrainingText(DIGITS)


def letters(count, seed=0):
    return "".join(random.Random(seed).choices(string.ascii_lowercase, k=count))


def test_n_follows_from_size_and_entropy(digits):
    assert (digits.n, digits.mark) == (8, 24)
    # four symbols, equally often: 2 bits, and 2 log2(4096) / 2 = 12
    assert sequence_length(codes_of("abcd" * 1024)) == 12
    # 4096 ideographs once each: 12 bits, so 2
    assert sequence_length(codes_of("".join(map(chr, range(0x4E00, 0x5E00))))) == 2
    assert sequence_length(codes_of("a" * 1000)) == 64
    assert sequence_length(codes_of("a")) == 2


def test_a_text_of_its_own(digits):
    copied = digits.compare(letters(100))
    assert (copied.novel, copied.longest, copied.spans, copied.share) == (1.0, 0, (), 0.0)
    assert not copied.memorised


def test_the_training_text_itself(digits):
    copied = digits.compare(DIGITS[:500])
    assert (copied.novel, copied.longest, copied.at, copied.spans) == (0.0, 500, 0, ((0, 500),))
    assert copied.memorised
    assert copied.chars == 500


def test_a_passage_in_the_middle(digits):
    copied = digits.compare(letters(30) + DIGITS[4000:4040] + letters(50))
    assert copied.spans == ((30, 70),)
    assert (copied.longest, copied.at) == (40, 30)
    # of 120 - 8 + 1 sequences, the 40 - 8 + 1 within the passage are old
    assert copied.novel == (113 - 33) / 113
    assert copied.share == 40 / 120
    assert not copied.memorised


def test_half_of_the_text_in_copies_is_the_limit(digits):
    assert digits.compare(letters(40) + DIGITS[:40]).memorised
    assert not digits.compare(letters(41) + DIGITS[:40]).memorised


def test_passages_shorter_than_the_mark_are_not_marked(digits):
    copied = digits.compare("x" + DIGITS[100:123] + "x" + DIGITS[300:324] + "x")
    assert copied.spans == ((25, 49),)


def test_passages_that_overlap_are_one_span_and_neighbours_are_two():
    training = TrainingText(DIGITS[:5000] + letters(20, seed=3) + DIGITS[5000:])
    joined = DIGITS[4960:5000] + letters(20, seed=3) + DIGITS[5000:5040]
    assert training.compare(joined).spans == ((0, 100),)
    assert training.compare(joined).longest == 100
    # two passages with a common middle: digits and letters, then those letters and what followed them elsewhere
    twice = TrainingText(DIGITS[:30] + letters(30, seed=4) + "|" + letters(30, seed=4) + DIGITS[50:80])
    copied = twice.compare(DIGITS[:30] + letters(30, seed=4) + DIGITS[50:80])
    assert copied.spans == ((0, 90),)
    assert copied.longest == 60
    apart = TrainingText(letters(60, seed=5) + "|" + DIGITS[:60])
    assert apart.compare(letters(60, seed=5) + DIGITS[:60]).spans == ((0, 60), (60, 120))


def test_a_copy_may_begin_in_the_prompt(digits):
    prompt, text = letters(10) + DIGITS[:20], DIGITS[20:35] + letters(25)
    assert digits.compare(text).spans == ()  # 15 characters alone are short
    copied = digits.compare(text, prompt=prompt)
    assert copied.spans == ((0, 15),)
    assert (copied.longest, copied.at) == (15, 0)  # the prompt was not generated
    assert copied.novel == digits.compare(text).novel
    # but a continuation that soon leaves a long passage of the prompt is none
    assert digits.compare(DIGITS[1000:1005] + letters(30), prompt=DIGITS[900:1000]).spans == ()


def test_texts_too_short_to_compare(digits):
    assert digits.compare("") is None
    assert digits.compare("1234567", prompt=DIGITS) is None
    assert digits.compare(DIGITS[:8]).novel == 0.0


def test_ideographs():
    symbols = [chr(0x4E00 + index) for index in range(1000)]
    training = TrainingText("".join(random.Random(2).choices(symbols, k=5000)))
    assert (training.n, training.mark) == (3, 9)  # 2 · 12.3 / 9.8 bits = 2.5
    passage = training._text[2000:2010]
    copied = training.compare("天地玄黄" + passage + "宇宙洪荒")
    assert (4, 14) in copied.spans


def test_only_the_beginning_of_a_very_long_text_is_measured(digits):
    copied = digits.compare(DIGITS * 3)
    assert copied.chars == MEASURED
    assert copied.spans == ((0, 10_000), (10_000, 20_000))


def test_fields_go_through_json_and_back(digits):
    copied = digits.compare(letters(30) + DIGITS[4000:4040], held_out=0.5)
    fields = json.loads(json.dumps(copied.fields() | {"text": "and others"}))
    assert fields["memorised"] is True
    assert fields["spans"] == [[30, 70]]
    assert read_copied(fields) == copied
    for bad in (
        None,
        {},
        {"text": "x"},
        fields | {"spans": "x"},
        fields | {"novel": None},
        fields | {"chars": 0},
    ):
        assert read_copied(bad) is None


def test_a_sentence_for_each_case(digits):
    text = letters(50) + DIGITS[4000:4023]
    copied = digits.compare(text, held_out=0.456)
    # of 66 sequences the 16 within the passage of 23 are old: 50 / 66
    assert describe(copied, text) == (
        "new: 76% of its sequences of 8 characters are not in the training text (in held-out text 46%); "
        f"longest copy 23 characters: “{DIGITS[4000:4023]}”"
    )
    text = DIGITS[:100]
    part = TrainingText(DIGITS, compared=0.4)
    assert describe(part.compare(text), text) == (
        "copied from the first 40% of the training text: 100% in passages of 24 characters or more; "
        f"the longest 100 characters: “{DIGITS[:40]} … {DIGITS[85:100]}”"
    )
    escape = "\x1b[2J" * 8
    told = describe(TrainingText(escape * 10).compare(escape), escape)
    assert "\x1b" not in told


def test_when_a_model_knows_its_text_by_heart():
    assert knows_by_heart(0.07)  # perplexity 1.05 a character
    assert not knows_by_heart(1.9)
    assert knows_by_heart(0.07, 7.0)
    assert not knows_by_heart(0.07, 0.08)  # a text that is that easy


def corpus_file(tmp_path, text):
    path = tmp_path / "corpus.txt"
    path.write_text(text)
    return CorpusConfig(source=str(path), validation=0.1)


def test_the_meter_reads_the_training_split(tmp_path, chars, folders):
    config = corpus_file(tmp_path, DIGITS[:9000] + letters(1000))
    prepared = prepare(config, chars, None)
    meter = SampleMeter(prepared)
    fields = meter.measure("", DIGITS[:60])
    assert (fields["longest"], fields["memorised"], fields["held_out"], fields["compared"]) == (
        60,
        True,
        1.0,
        1,
    )
    assert meter.measure("", letters(60))["novel"] == 1.0  # in the validation split only
    assert meter.measure("", "12") == {}
    # the order is in the cache, where another process finds it; a damaged one is made again
    [cached] = (folders / "cache" / "suffixes").glob("*/order.bin")
    assert len(np.fromfile(cached, np.int32)) == 9000
    made = cached.stat().st_mtime_ns
    assert SampleMeter(prepared).measure("", DIGITS[:60]) == fields
    assert cached.stat().st_mtime_ns == made
    cached.write_bytes(b"short")
    assert SampleMeter(prepared).measure("", DIGITS[:60]) == fields
    assert cached.stat().st_size == 36_000


def test_a_passage_across_the_pieces_of_the_text(tmp_path, chars):
    text = DIGITS * 130  # 1.3 million characters are read in two pieces or more
    prepared = prepare(corpus_file(tmp_path, text), chars, None)
    border = prepared.snapshot.marks[1][0]
    fields = SampleMeter(prepared).measure("", text[border - 50 : border + 50])
    assert (fields["longest"], fields["novel"]) == (100, 0.0)


def test_no_validation_split_and_only_a_part_compared(tmp_path, chars, monkeypatch):
    monkeypatch.setattr("rnn_tui.corpus.copied.COMPARED", 2000)
    path = corpus_file(tmp_path, DIGITS).source
    meter = SampleMeter(prepare(CorpusConfig(source=path, validation=0.0), chars, None))
    fields = meter.measure("", DIGITS[:50])
    assert (fields["held_out"], fields["compared"], fields["longest"]) == (None, 0.2, 50)
    assert meter.measure("", DIGITS[5000:5050])["longest"] < 50
