import math

import numpy as np
import pytest
import torch
from rnn_tui_text.char import CharTokenizer

from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.pairs import prepare_pairs
from rnn_tui.errors import DivergedError
from rnn_tui.inference.torch_reader import TorchReader, undisturbed
from rnn_tui.inference.transcribe import Label, Transcription, transcribe
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin.registry import load_plugin
from rnn_tui.tasks.aligned import evaluate_aligned


@pytest.fixture
def capitals(markov):
    """A model over the characters `abAB`, ids 1 to 4: a to A by 0.7, b to B by 0.6."""
    table = [
        [0.2, 0.2, 0.2, 0.2, 0.2],
        [0.1, 0.1, 0.05, 0.7, 0.05],
        [0.1, 0.1, 0.1, 0.1, 0.6],
        [0.9, 0.04, 0.01, 0.02, 0.03],
        [0.2, 0.2, 0.2, 0.2, 0.2],
    ]
    return TorchReader(markov(torch.tensor(table))), CharTokenizer("abAB")


def test_by_hand(capitals):
    found = transcribe(*capitals, "aba")
    assert (found.text, found.unknown) == ("ABA", ())
    assert [(piece.source, piece.text, piece.token) for piece in found.pieces] == [
        ("a", "A", 3),
        ("b", "B", 4),
        ("a", "A", 3),
    ]
    assert [piece.probability for piece in found.pieces] == pytest.approx([0.7, 0.6, 0.7])


def test_the_unknown_token_is_read_and_told_but_never_a_label(capitals):
    found = transcribe(*capitals, "éAž")
    assert found.unknown == ("é", "ž")
    assert [piece.source for piece in found.pieces] == ["\ufffd", "A", "\ufffd"]
    best = found.pieces[1]  # <unk> is likelier by far, at 0.9; the next best is a
    assert (best.text, best.token) == ("a", 1)
    assert best.probability == pytest.approx(0.04)


def test_an_empty_text(capitals):
    assert transcribe(*capitals, "") == Transcription("", (), ())


def test_bytes_show_whole_characters(markov, byte_tokenizer):
    table = torch.full((256, 256), 1e-6)
    for this, label in zip(b"\xc3\xa9x", b"\xc5\xbey", strict=True):  # é to ž, x to y
        table[this, label] = 1.0
    found = transcribe(TorchReader(markov(table)), byte_tokenizer, "éx")
    assert found.text == "žy"
    assert [(piece.source, piece.text) for piece in found.pieces] == [("", ""), ("é", "ž"), ("x", "y")]
    table[ord("x")] = table[0xC3]
    cut = transcribe(
        TorchReader(markov(table)), byte_tokenizer, "x"
    )  # the label is half a character, and nothing follows
    assert [(piece.source, piece.text, piece.token) for piece in cut.pieces] == [("x", "\ufffd", 0xC5)]


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_line_is_transcribed_as_it_is_evaluated(tmp_path, bidirectional):
    (tmp_path / "t.tsv").write_text("abcab\txyxyx\nbb\tyz\n")
    corpus = prepare_pairs(CorpusConfig(source=str(tmp_path / "t.tsv"), validation=0), CharTokenizer, None)
    torch.manual_seed(2)
    config = ModelConfig(hidden_size=7, num_layers=2, bidirectional=bidirectional)
    model = build_model(load_plugin("architecture", "nn-lstm"), {}, config, corpus.tokenizer.vocab_size)
    with torch.no_grad():
        model.head.bias[0] = -9.0  # never the unknown token
    train = corpus.splits["train"]
    right = 0
    for line, source in enumerate(("abcab", "bb")):
        labels = np.array(
            [piece.token for piece in transcribe(TorchReader(model), corpus.tokenizer, source).pieces]
        )
        right += int((labels == train.line(line)[1]).sum())
    assert right / 7 == evaluate_aligned(model, train).figures["accuracy"]


def test_the_whole_text_is_read_at_once(tmp_path):
    """The first label of a bidirectional model depends on the last token."""
    tokenizer = CharTokenizer("abc")
    torch.manual_seed(0)
    config = ModelConfig(hidden_size=5, bidirectional=True)
    model = build_model(load_plugin("architecture", "nn-gru"), {}, config, tokenizer.vocab_size)
    one, other = (
        transcribe(TorchReader(model), tokenizer, text).pieces[0].probability for text in ("aab", "aac")
    )
    assert one != other


def test_the_model_and_the_generators_are_left_as_they_were(capitals):
    reader, tokenizer = capitals
    reader.model.train()
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    with undisturbed(reader.model):
        torch.rand(3)
        assert transcribe(reader, tokenizer, "a").pieces == (Label("a", "A", 3, pytest.approx(0.7)),)
    assert reader.model.training
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_diverged_model(capitals):
    reader, tokenizer = capitals
    with torch.no_grad():
        reader.model.head.bias[2] = math.nan
    with pytest.raises(DivergedError, match="weights have diverged"):
        transcribe(reader, tokenizer, "ab")
