"""The kit catches what it says it catches: laws of tokenizers, for each one that breaks it."""

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
from rnn_tui_text.byte import ByteTokenizer
from rnn_tui_text.char import CharTokenizer
from rnn_tui_text.word import WordTokenizer

from rnn_tui.plugin import Meta
from rnn_tui.plugin.testing import TokenizerLaws
from rnn_tui.plugin.testing.laws import laws_of

sys.path.insert(0, str(Path(__file__).parent))
from catching import says, tried


class Undocumented(CharTokenizer):
    pass


class FailsAtItsLeast(CharTokenizer):
    """Broken."""

    @dataclass(frozen=True)
    class Options:
        max_vocabulary: Annotated[int, Meta(ge=0, le=9, description="How many.")] = 9

    @classmethod
    def train(cls, texts, options):
        if options.max_vocabulary == 0:
            raise ZeroDivisionError("no vocabulary")
        return super().train(texts, None)


class FailsAlways(FailsAtItsLeast):
    """Broken: whatever the option."""

    @classmethod
    def train(cls, texts, options):
        raise ZeroDivisionError("no vocabulary")


class ForgetsAccents(CharTokenizer):
    """Broken."""

    def encode(self, text):
        return super().encode(text.replace("é", "e"))


class LowersLetters(ByteTokenizer):
    """Broken: and does not say so. The training text has no such letter."""

    def encode(self, text):
        return super().encode(text.replace("Ω", "ω"))


class TakesAnUnknownForAnother(CharTokenizer):
    """Broken."""

    def encode(self, text):
        return super().encode(text.replace("Ω", "λ"))


class FailsAtSurrogates(ByteTokenizer):
    """Broken."""

    def encode(self, text):
        return np.frombuffer(text.encode(), np.uint8)


class ReturnsWideIds(CharTokenizer):
    """Broken."""

    def encode(self, text):
        return super().encode(text).astype(np.int64)


class MarksTheEnd(CharTokenizer):
    """Broken."""

    def encode(self, text):
        return np.append(super().encode(text), super().encode(" "))


class CutsWordsAtPieces(WordTokenizer):
    """Broken."""

    def encode_stream(self, texts):
        for text in texts:
            yield from super().encode_stream([text])


class CountsPieces(WordTokenizer):
    """Broken."""

    @classmethod
    def train(cls, texts, options):
        return super().train([f"{text}\n" for text in texts], options)


class DecodesByteByByte(ByteTokenizer):
    """Broken."""

    class Decoder:
        def push(self, token):
            return bytes([token]).decode(errors="replace")

        def flush(self):
            return ""

    def decoder(self):
        return self.Decoder()


class DecodesListsOnly(ByteTokenizer):
    """Broken."""

    def decode(self, ids):
        return super().decode(ids) + (" " if isinstance(ids, np.ndarray) and len(ids) > 2 else "")


class HasAnInvisibleToken(ByteTokenizer):
    """Broken."""

    def token_text(self, token):
        return "" if token == 7 else super().token_text(token)


class LosesItsState(CharTokenizer):
    """Broken."""

    @classmethod
    def from_state(cls, state):
        return cls(super().from_state(state)._symbols[:-1])


class KeepsSurrogates(CharTokenizer):
    """Broken."""

    @classmethod
    def train(cls, texts, options):
        return cls("".join(sorted(set("".join(texts)))))


class BelievesItsState(ByteTokenizer):
    """Broken."""

    @classmethod
    def from_state(cls, state):
        return cls()


class StumblesOverItsState(CharTokenizer):
    """Broken."""

    @classmethod
    def from_state(cls, state):
        return cls(state["symbols"])


CASES = [
    (Undocumented, "it_declares_itself", "no docstring"),
    (FailsAtItsLeast, "every_option_trains_at_its_ends", "max_vocabulary=0|ZeroDivisionError: no vocabulary"),
    (FailsAtItsLeast, "every_option_trains_at_its_ends", "likely    the bounds or choices of the option"),
    (FailsAlways, "every_option_trains_at_its_ends", "likely    nothing of this option: with its defaults"),
    (
        ForgetsAccents,
        "round_trip_of_the_training_text",
        "unknown() names no symbol|expected  the text|lower-cased",
    ),
    (ForgetsAccents, "round_trip_of_parts_of_the_training_text", "'é' was encoded and decoded|came      'e'"),
    (LowersLetters, "any_text_has_ids", "'Ω' was encoded|came      'ω'"),
    (
        TakesAnUnknownForAnother,
        "any_text_has_ids",
        "unknown('Ω')|unknown_id, which is 0|two different tables",
    ),
    (
        FailsAtSurrogates,
        "any_text_has_ids",
        "UnicodeEncodeError|text.encode()|with      text='\\ud800'",
    ),
    (ReturnsWideIds, "any_text_has_ids", "encode('')|uint8, the smallest unsigned type|int64"),
    (MarksTheEnd, "empty_text", "no ids and an empty text|marks the beginning or the end"),
    (CutsWordsAtPieces, "encoding_streams", "encode_stream([|hold back what may still grow"),
    (CountsPieces, "training_streams", "train([|blocks of a fixed size"),
    (DecodesByteByByte, "streamed_text_has_no_half_characters", "token 195|getincrementaldecoder"),
    (DecodesByteByByte, "decoding_streams", "one by one, then flush()|as decode gives|each token by itself"),
    (DecodesListsOnly, "decoding_streams", "[0, 0, 0] as an array"),
    (HasAnInvisibleToken, "every_token_can_be_shown", "token_text(7)|came      ''"),
    (LosesItsState, "state_survives_json", "was written as JSON, read and given to from_state()"),
    (KeepsSurrogates, "state_survives_json", "lone surrogates|UnicodeEncodeError|so that they are unknown"),
    (BelievesItsState, "a_hostile_state_is_refused", "from_state(None)|ValueError|is not looked at"),
    (
        StumblesOverItsState,
        "a_hostile_state_is_refused",
        "from_state(None)|TypeError|check the keys and types",
    ),
]


@pytest.mark.parametrize(("broken", "law", "words"), CASES)
def test_a_broken_tokenizer_is_caught(broken, law, words):
    says(tried(TokenizerLaws, f"test_{law}", tokenizer_class=broken), words)


def test_each_law_has_a_tokenizer_that_breaks_it():
    elsewhere = {"test_same_text_same_ids_in_every_process"}  # below
    assert {f"test_{law}" for _, law, _ in CASES} | elsewhere == set(laws_of(TokenizerLaws))


class TakesAStrangeState(CharTokenizer):
    """Whole: what is a little strange does no harm."""

    @classmethod
    def from_state(cls, state):
        if not isinstance(state, dict) or not isinstance(state.get("symbols"), str):
            raise ValueError("no symbols")
        return cls("".join(dict.fromkeys(state["symbols"])))


def test_a_strange_state_may_be_taken_where_it_does_no_harm():
    law = "test_a_hostile_state_is_refused"
    assert tried(TokenizerLaws, law, tokenizer_class=TakesAStrangeState).outcome == "pass"


HASHING = """
from rnn_tui_text.char import CharTokenizer

class DependsOnHashing(CharTokenizer):
    '''Broken.'''

    @classmethod
    def train(cls, texts, options):
        return cls("".join(set("".join(texts))))
"""
LOADING = """
import torch
from rnn_tui_text.char import CharTokenizer

class LoadsTorch(CharTokenizer):
    '''Broken.'''
"""


@pytest.mark.parametrize(
    ("source", "name", "words"),
    [
        (HASHING, "DependsOnHashing", "PYTHONHASHSEED=|the same vocabulary and ids|the order of a set"),
        (LOADING, "LoadsTorch", "torch not to be imported|torch in sys.modules"),
    ],
)
def test_dependence_on_the_process_is_caught(tmp_path, monkeypatch, source, name, words):
    (tmp_path / f"{name.lower()}.py").write_text(source)
    (tmp_path / "torch.py").write_text("")  # quicker to load than the real one, which this process has
    monkeypatch.syspath_prepend(str(tmp_path))
    broken = getattr(importlib.import_module(name.lower()), name)
    says(tried(TokenizerLaws, "test_same_text_same_ids_in_every_process", tokenizer_class=broken), words)
