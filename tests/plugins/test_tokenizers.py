"""Tokenizers: ids and texts worked out by hand. The general laws are in test_laws.py."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rnn_tui_text import char
from rnn_tui_text.byte import ByteTokenizer
from rnn_tui_text.char import CharTokenizer
from rnn_tui_text.splitting import TOKEN
from rnn_tui_text.word import WordTokenizer


def _words(text, **options):
    return WordTokenizer.train([text], WordTokenizer.Options(**options))


def _pieces(text):
    tokenizer = _words(text)
    return [tokenizer.token_text(token) for token in tokenizer.encode(text)]


# ------------------------------------------------------------------------------------------------- char


def test_char_ids_follow_frequency_then_code_point():
    tokenizer = CharTokenizer.train(["banana"], None)  # a 3, n 2, b 1
    assert tokenizer.to_state() == {"symbols": "anb"}
    assert tokenizer.vocab_size == 4
    assert tokenizer.encode("banana").tolist() == [3, 1, 2, 1, 2, 1]
    assert CharTokenizer.train(["cab"], None).to_state() == {"symbols": "abc"}


@pytest.mark.parametrize(
    ("most", "symbols"), [(0, "anbc"), (5, "anbc"), (4, "anb"), (3, "an"), (2, "a"), (1, "")]
)
def test_char_vocabulary_is_cut_by_frequency_then_code_point(most, symbols):
    text = "bananac"  # a 3, n 2, b 1, c 1
    tokenizer = CharTokenizer.train([text], CharTokenizer.Options(max_vocabulary=most))
    assert tokenizer.to_state() == {"symbols": symbols}
    assert tokenizer.vocab_size == len(symbols) + 1  # <unk> counts
    shown = "".join(char if char in symbols else "\ufffd" for char in text)
    again = CharTokenizer.from_state(tokenizer.to_state())
    assert again.decode(again.encode(text)) == tokenizer.decode(tokenizer.encode(text)) == shown
    assert tokenizer.unknown("abc") == [char for char in "abc" if char not in symbols]


def test_char_unknown_is_id_0_and_shown_as_replacement():
    tokenizer = CharTokenizer.train(["ab"], None)
    assert tokenizer.encode("aéb漢").tolist() == [1, 0, 2, 0]
    assert tokenizer.unknown("aéb漢é") == ["é", "漢"]
    assert tokenizer.decode([1, 0, 2]) == "a\ufffdb"
    assert tokenizer.unknown_id == 0


def test_char_ids_widen_with_the_vocabulary():
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 300)))
    tokenizer = CharTokenizer.train([text, "a"], None)
    assert tokenizer.encode("a").dtype == np.uint16
    assert tokenizer.decode(tokenizer.encode(text + "a")) == text + "a"


@pytest.mark.parametrize(
    "alphabet", ["ab \n", "aé\x00ÿ", "a’é漢😀", "a" + "".join(map(chr, range(0x4E00, 0x4F10)))]
)
@given(data=st.data())
def test_char_as_a_dictionary(alphabet, data):
    """An alphabet of Latin-1, one that is wider, and one whose ids take two bytes; texts that need a wider table."""
    tokenizer = CharTokenizer.train([alphabet], None)
    table = {symbol: index for index, symbol in enumerate(tokenizer.to_state()["symbols"], 1)}
    text = data.draw(st.text(st.sampled_from(alphabet + "aÿāżœ漢\U0010ffff\ud800"), max_size=40))
    ids = tokenizer.encode(text)
    assert ids.tolist() == [table.get(char, 0) for char in text]
    assert ids.dtype == (np.uint16 if len(alphabet) > 255 else np.uint8)
    assert ids.flags.writeable  # as torch asks


def test_char_counts_over_blocks(monkeypatch):
    """Blocks whose last code points differ: each adds to its own part of the counts."""
    text = "aaaa漢漢漢\U0010ffff\U0010ffff" + "é" * 5
    monkeypatch.setattr(char, "_COUNTED_AT_ONCE", 3)
    assert CharTokenizer.train([text], None).to_state() == {"symbols": "éa漢\U0010ffff"}


def test_char_takes_a_surrogate_for_the_replacement_character():
    tokenizer = CharTokenizer.train(["a\ud800a\ufffd"], None)
    assert tokenizer.to_state() == {"symbols": "a\ufffd"}
    assert tokenizer.encode("\udfff").tolist() == [2]


@pytest.mark.parametrize("state", [{"symbols": "aa"}, {"symbols": "a\ud800"}, {"symbols": ["a"]}, {}, None])
def test_char_refuses_a_bad_state(state):
    with pytest.raises(ValueError, match="state of a char tokenizer"):
        CharTokenizer.from_state(state)


# ------------------------------------------------------------------------------------------------- word


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Well, well...\n", ["Well", ",", " well", "...", "\n"]),
        ("don't 'tis l’eau rock'n'roll", ["don't", " '", "tis", " l’eau", " rock'n", "'", "roll"]),
        ("a  b   c\n\n  d ", ["a", " ", " b", "  ", " c", "\n\n ", " d", " "]),
        ("x = y1+2_z", ["x", " =", " y1", "+", "2_z"]),
        ("床前 明月,光。", ["床", "前", " ", "明", "月", ",", "光", "。"]),
        ("say 漢字か kana", ["say", " ", "漢", "字", "か", " kana"]),
        ("cafe\u0301 हिन्दी Grüße", ["cafe\u0301", " हिन्दी", " Grüße"]),
        ('"?!--"', ['"', "?", "!", "--", '"']),
        ("a" * 100, ["a" * 48, "a" * 48, "a" * 4]),
        (" " * 70 + "x", [" " * 64, " " * 5, " x"]),
        ("=" * 65, ["=" * 64, "="]),
    ],
)
def test_word_pieces(text, tokens):
    assert _pieces(text) == tokens


def test_word_vocabulary_is_cut_by_frequency():
    text = "a b a b a c"  # "a" 1, " a" 2, " b" 2, " c" 1
    assert _words(text).to_state() == {"tokens": [" a", " b", " c", "a"]}
    assert _words(text, min_frequency=2).to_state() == {"tokens": [" a", " b"]}
    assert _words(text, max_vocabulary=2).to_state() == {"tokens": [" a"]}
    assert _words(text, max_vocabulary=2).vocab_size == 2


def test_word_vocabulary_and_ids_as_by_expression():
    """Words of every length, some only once, over several blocks, beside a count of what the expression finds."""
    words = [
        f" w{number if number % 5 == 0 else number % 97}{'x' * (number % 23)}" for number in range(30_000)
    ]
    text = "é,".join(words)
    tokens = [match.group() for match in TOKEN.finditer(text)]
    ranked = sorted(Counter(tokens).items(), key=lambda item: (-item[1], item[0]))
    tokenizer = _words(text)
    assert len(text) > 4 * 65_536
    assert tokenizer.to_state() == {"tokens": [token for token, _ in ranked]}
    table = {token: index for index, (token, _) in enumerate(ranked, 1)}
    assert tokenizer.encode(text).tolist() == [table[token] for token in tokens]
    frequent = _words(text, min_frequency=5)
    kept = {token: index for index, (token, count) in enumerate(ranked, 1) if count >= 5}
    assert 1 < len(kept) < len(table)
    assert frequent.encode(text).tolist() == [kept.get(token, 0) for token in tokens]
    assert frequent.unknown(text) == [token for token in dict.fromkeys(tokens) if token not in kept]


def test_word_unknown():
    tokenizer = _words("the cat, the dog. 床", max_vocabulary=0)
    ids = tokenizer.encode("the fox, the bird. 床鳥 the")
    assert (ids == 0).sum() == 3
    assert tokenizer.unknown("the fox, the bird. 床鳥 the fox") == [" fox", " bird", "鳥"]
    assert tokenizer.decode(ids) == "the <unk>, the <unk>. 床<unk> the"
    assert tokenizer.token_text(0) == "<unk>"


@pytest.mark.parametrize(
    "state",
    [{"tokens": "ab"}, {"tokens": ["a", "a"]}, {"tokens": [""]}, {"tokens": ["a" * 69]}, {"tokens": [1]}, {}],
)
def test_word_refuses_a_bad_state(state):
    with pytest.raises(ValueError, match="state of a word tokenizer"):
        WordTokenizer.from_state(state)


def test_word_real_blocks_stream_like_one():
    """With the real block size: a text of several blocks whose cuts fall inside words and runs."""
    text = ("Words, don't " + "-" * 90 + " " * 90 + "é漢字 end.\n") * 800  # 165 K characters, blocks of 64 K
    tokenizer = _words(text)
    whole = tokenizer.encode(text)
    cut = [text[start : start + 777] for start in range(0, len(text), 777)]
    assert np.concatenate(list(tokenizer.encode_stream(cut))).tolist() == whole.tolist()
    assert tokenizer.decode(whole) == text
    one_line = _words("Words, don't " + "-" * 90 + " " * 90 + "é漢字 end.\nWords")
    assert whole[:20].size == 20
    assert [tokenizer.token_text(t) for t in whole[:20]] == [
        one_line.token_text(t) for t in one_line.encode(text[:1000])[:20]
    ]


# ------------------------------------------------------------------------------------------------- byte


def test_byte_ids_are_utf8():
    tokenizer = ByteTokenizer.train([], None)
    assert tokenizer.encode("aé漢").tolist() == [0x61, 0xC3, 0xA9, 0xE6, 0xBC, 0xA2]
    assert tokenizer.encode("\ud800").tolist() == [0xEF, 0xBF, 0xBD]
    assert tokenizer.unknown_id is None


def test_byte_decoder_waits_for_whole_characters():
    decoder = ByteTokenizer().decoder()
    assert [decoder.push(byte) for byte in "é漢".encode()] == ["", "é", "", "", "漢"]
    assert decoder.push(0xE6) == ""
    assert decoder.push(0x61) == "\ufffda"  # cut short by a letter
    assert decoder.push(0xE6) == ""
    assert decoder.flush() == "\ufffd"


def test_byte_tokens_can_be_told_apart():
    tokenizer = ByteTokenizer()
    assert tokenizer.token_text(0x61) == "a"
    assert len({tokenizer.token_text(token) for token in range(256)}) == 256
