"""A text read in blocks from any place: joined it is the text, and every place is found."""

import numpy as np
import pytest

from rnn_tui.corpus import reading
from rnn_tui.corpus.compare import cut_passage, cut_sample, samples
from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.pairs import prepare_pairs
from rnn_tui.corpus.prepare import prepare
from rnn_tui.corpus.reading import Cutter, Piece, reader
from rnn_tui.corpus.series import prepare_series
from rnn_tui.errors import InputError, PluginError
from rnn_tui.plugin.options import make_options
from rnn_tui.plugin.registry import load_plugin

TEXT = "Ünder the 天地玄黄 sky,\nin 2 lines – “so”.\n\n" * 40 + "天地玄黄" * 300 + " the end"


def prepared_of(tmp_path, text, name="char", **config):
    path = tmp_path / "text.txt"
    path.write_text(text)
    tokenizer = load_plugin("tokenizer", name)
    options = make_options(getattr(tokenizer, "Options", None), {}, owner=name)
    return prepare(CorpusConfig(source=str(path), **config), tokenizer, options)


@pytest.mark.parametrize("name", ["char", "byte", "word"])
@pytest.mark.parametrize("block", [31, 256, 100_000])
def test_the_blocks_are_the_text(tmp_path, monkeypatch, name, block):
    monkeypatch.setattr(reading, "BLOCK", block)
    prepared = prepared_of(tmp_path, TEXT, name, validation=0.2, test=0.1)
    book = reader(prepared)
    pieces = [piece for number in range(book.blocks) for piece in book.block(number)]
    assert [piece.token for piece in pieces[1:]] == [piece.end for piece in pieces[:-1]]  # no gap, no overlap
    assert pieces[-1].end == book.tokens == sum(split.tokens for split in prepared.splits.values())
    if name != "word":  # which writes <unk> for what training lacks
        assert "".join(piece.text for piece in pieces) == TEXT
    for token in range(0, book.tokens, 5):
        begin, end = book.bounds(book.block_of(token))
        assert begin <= token < end
    starts = [book.block_of(part.begin) for part in book.parts]
    assert [part.name for part in book.parts] == ["train", "validation", "test"]
    assert all(book.begins_part(start) and book.bounds(start)[0] == part.begin
               for start, part in zip(starts, book.parts, strict=True))  # fmt: skip


def test_a_character_of_three_bytes_is_one_piece(tmp_path):
    book = reader(prepared_of(tmp_path, "a天b" * 40, "byte"))
    assert book.block(0)[:4] == [Piece("a", 0, 1, False), Piece("天", 1, 3, False), Piece("b", 4, 1, False),
                                 Piece("a", 5, 1, False)]  # fmt: skip


def test_unknown_tokens_are_marked(tmp_path):
    prepared = prepared_of(tmp_path, "ab" * 45 + "xyz" * 4, "char")
    book = reader(prepared)
    strange = [piece for number in range(book.blocks) for piece in book.block(number) if piece.unknown]
    # int(102 · 0.9) = 91 characters train: x, the last of them, is known
    assert [piece.token for piece in strange] == [at for at in range(91, 102) if (at - 90) % 3]


@pytest.mark.parametrize("name", ["char", "byte"])
@pytest.mark.parametrize("searched", [5, 64, 1 << 16])
def test_find(tmp_path, monkeypatch, name, searched):
    monkeypatch.setattr(reading, "_SEARCHED", searched)
    book = reader(prepared_of(tmp_path, TEXT, name))

    def place(query, start=0):
        found = book.find(query, start)
        return None if found is None else book.text(*found)

    assert [place(query) for query in ("天", "地玄", "UNDER", "ünder", "Under", "– “")] == [
        "天", "地玄", None, "Ünder", None, "– “",
    ]  # fmt: skip
    first = book.find("the", 0)
    assert book.find("the", first[0]) == first
    assert book.find("the", first[0] + 1)[0] > first[0]
    if name == "char":
        assert first == (6, 9)
        assert book.find("玄黄天", 100)[0] == TEXT.index("玄黄天", 100)
    assert book.find("the", 0, lambda at: True) is None
    assert book.find("", 0) is None
    told = []
    assert book.find("nowhere", 0, lambda at: told.append(at)) is None
    assert told == sorted(told)


def test_what_has_no_ids_of_all_of_it_is_read_by_character(tmp_path):
    (tmp_path / "s.csv").write_text("a,b\n" + "1,2\n" * 3000)
    book = reader(prepare_series(CorpusConfig(source=str(tmp_path / "s.csv"))))
    assert (book.noun, book.tokens, len(book.parts)) == ("character", 12_004, 1)
    assert "".join(piece.text for number in range(book.blocks) for piece in book.block(number)) == (
        "a,b\n" + "1,2\n" * 3000
    )
    assert book.find("A,B", 0) is None
    assert book.find("a,b", 0) == (0, 4)  # the whole line
    (tmp_path / "p.tsv").write_text("ab\tba\n" * 10)
    pairs = prepare_pairs(
        CorpusConfig(source=str(tmp_path / "p.tsv")), load_plugin("tokenizer", "byte"), None
    )
    assert [(part.name, part.begin, part.end) for part in reader(pairs).parts] == [
        ("train", 0, 54),
        ("validation", 54, 60),
    ]


def test_a_cache_that_is_gone_is_said(tmp_path):
    prepared = prepared_of(tmp_path, TEXT)
    book = reader(prepared)
    prepared.splits["train"].path.unlink()
    with pytest.raises(InputError, match="the cache was deleted"):
        book.block(0)


def test_a_tokenizer_that_cannot_decode_is_said():
    class Broken:
        unknown_id = None

        def decode(self, ids):
            raise ZeroDivisionError("no")

    with pytest.raises(PluginError, match="Broken cannot decode its own ids: ZeroDivisionError: no"):
        Cutter(Broken()).pieces([1])


def test_a_sample_by_another_tokenizer(tmp_path):
    prepared = prepared_of(tmp_path, "ab " * 300 + "abcz" * 25, validation=0.1)
    sample, counted = samples(prepared)
    assert ("".join(sample), "".join(counted)) == ("ab " * 300, "abcz" * 25)
    char = cut_sample(sample, counted, load_plugin("tokenizer", "char"), None)
    assert (char.vocab_size, char.chars_per_token, char.unknown) == (4, 1, 0.5)
    byte = cut_sample(sample, counted, load_plugin("tokenizer", "byte"), None)
    assert (byte.vocab_size, byte.unknown) == (256, 0)
    assert [(piece.text, piece.tokens) for piece in cut_passage(byte.tokenizer, "a–")] == [("a", 1), ("–", 3)]
    assert cut_sample(sample, counted, load_plugin("tokenizer", "byte"), None, cancelled=lambda: True) is None
    assert np.isclose(char.chars_per_token, 1)
