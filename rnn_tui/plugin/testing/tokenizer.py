"""Laws of a tokenizer."""

import hashlib
import json
import os
import subprocess
import sys
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnn_tui.plugin import API_VERSION, Tokenizer
from rnn_tui.plugin.options import make_options
from rnn_tui.plugin.tokenizer import Ids

SAMPLE = (
    'It\'s a small text: 2 lines, some marks... and --well-- "quotes"!\n'
    "\tNaïve café, ελληνικά, 床前明月光, かな; 😀 e\u0301.\r\n\n   The end  \n"
)

# what tokens are made of, and long runs of it: where one token ends must not depend on where a piece does
_FRAGMENTS = st.one_of(
    st.sampled_from(
        [" ", "  ", "\n", "a", "The", " end", "'", "don't", ".", ", ", "明", "é", "e\u0301", "😀"]
    ),
    st.builds(lambda symbol, count: symbol * count, st.sampled_from(" a.\n-'"), st.integers(1, 200)),
    st.text(max_size=8),
)
_PIECES = st.lists(_FRAGMENTS, max_size=12)

# inherited tests run in several classes, which is just what is meant; the same examples in every run
_SETTINGS = settings(
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[
        HealthCheck.differing_executors,
        HealthCheck.function_scoped_fixture,  # a trained tokenizer does not change
        HealthCheck.too_slow,
    ],
)

_CHILD = """
import hashlib, importlib, json, sys
from rnn_tui.plugin.options import make_options
module, name, options, text = json.loads(sys.stdin.read())
tokenizer_class = getattr(importlib.import_module(module), name)
tokenizer = tokenizer_class.train([text], make_options(tokenizer_class.Options, options, owner=name))
state = json.dumps(tokenizer.to_state(), sort_keys=True)
print(hashlib.sha256(state.encode() + tokenizer.encode(text).tobytes()).hexdigest())
print([name for name in ("torch", "textual") if name in sys.modules])
"""


class TokenizerLaws:
    """Subclass, set `tokenizer_class`, and let pytest collect it.

    Attributes:
        tokenizer_class: The class under test, importable by its name from its module.
        options: Its options, where they are not the defaults.
        text: What it is trained on.
    """

    tokenizer_class: ClassVar[type[Tokenizer]]
    options: ClassVar[dict[str, Any]] = {}
    text: ClassVar[str] = SAMPLE

    # ------------------------------------------------------------------------------------------ the laws

    def test_declares_itself(self, tokenizer: Tokenizer) -> None:
        assert isinstance(tokenizer, Tokenizer)
        assert tokenizer.api_version == API_VERSION
        assert (self.tokenizer_class.__doc__ or "").strip(), "the docstring is what `plugins show` prints"

    def test_round_trip_of_the_training_text(self, tokenizer: Tokenizer) -> None:
        if not tokenizer.unknown(self.text):
            assert tokenizer.decode(tokenizer.encode(self.text)) == self.text

    @given(data=st.data())
    @_SETTINGS
    def test_round_trip_of_known_text(self, tokenizer: Tokenizer, data: st.DataObject) -> None:
        start = data.draw(st.integers(0, len(self.text)))
        part = self.text[start : data.draw(st.integers(start, len(self.text)))]
        if not tokenizer.unknown(part):
            assert tokenizer.decode(tokenizer.encode(part)) == part

    @given(text=st.text(st.characters(exclude_categories=[])))
    @_SETTINGS
    def test_any_text_has_ids(self, tokenizer: Tokenizer, text: str) -> None:
        """Nothing crashes, lone surrogates included; what is unknown is so by `unknown` and by its id alike."""
        ids = tokenizer.encode(text)
        self.check_ids(tokenizer, ids)
        assert isinstance(tokenizer.decode(ids), str)
        if tokenizer.unknown_id is None:
            assert tokenizer.unknown(text) == []
        else:
            assert bool(tokenizer.unknown(text)) == (tokenizer.unknown_id in ids)

    @given(pieces=_PIECES)
    @_SETTINGS
    def test_encoding_streams(self, tokenizer: Tokenizer, pieces: list[str]) -> None:
        """However text is cut into pieces, the ids are those of the whole."""
        parts = list(tokenizer.encode_stream(iter(pieces)))
        for part in parts:
            self.check_ids(tokenizer, part)
        streamed = np.concatenate([np.zeros(0, np.int64), *parts])
        assert streamed.tolist() == tokenizer.encode("".join(pieces)).tolist()

    @given(pieces=_PIECES)
    @_SETTINGS
    def test_training_streams(self, pieces: list[str]) -> None:
        assert self.train(pieces).to_state() == self.train(["".join(pieces)]).to_state()

    @given(data=st.data())
    @_SETTINGS
    def test_decoding_streams(self, tokenizer: Tokenizer, data: st.DataObject) -> None:
        """Tokens one by one give the text of all, for any tokens at all."""
        ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1), max_size=40))
        decoder = tokenizer.decoder()
        streamed = "".join([*map(decoder.push, ids), decoder.flush()])
        assert streamed == tokenizer.decode(ids) == tokenizer.decode(np.array(ids, np.int64))

    def test_no_half_characters(self, tokenizer: Tokenizer) -> None:
        decoder = tokenizer.decoder()
        pieces = [decoder.push(int(token)) for token in tokenizer.encode("é明😀a")]
        if not tokenizer.unknown("é明😀a"):
            assert not any("\ufffd" in piece for piece in [*pieces, decoder.flush()])

    def test_empty_text(self, tokenizer: Tokenizer) -> None:
        assert len(tokenizer.encode("")) == 0
        assert tokenizer.decode(tokenizer.encode("")) == ""
        self.check_ids(tokenizer, tokenizer.encode(""))
        assert self.train([]).vocab_size >= 1

    def test_every_token_can_be_shown(self, tokenizer: Tokenizer) -> None:
        for token in range(tokenizer.vocab_size):
            assert isinstance(tokenizer.token_text(token), str)
            assert tokenizer.token_text(token) != ""

    def test_state_survives_json(self, tokenizer: Tokenizer) -> None:
        state = tokenizer.to_state()
        again = self.tokenizer_class.from_state(json.loads(json.dumps(state)))
        assert again.to_state() == state
        assert again.vocab_size == tokenizer.vocab_size
        assert again.encode(self.text).tolist() == tokenizer.encode(self.text).tolist()

    def test_a_hostile_state_is_refused(self, tokenizer: Tokenizer) -> None:
        """Model files come from strangers."""
        state = tokenizer.to_state()
        hostile: list[Any] = [None, [], "state", 7, {"nonsense": 1}, {**state, "nonsense": 1}]
        for key, value in state.items():
            hostile += [{**state, key: bad} for bad in (None, 7, [7], [None], {"a": 1})]
            if isinstance(value, str | list) and value:
                hostile.append({**state, key: value * 2})
        for bad in hostile:
            with pytest.raises(ValueError, match="state"):
                self.tokenizer_class.from_state(bad)

    def test_same_text_same_ids_in_every_process(self, tokenizer: Tokenizer) -> None:
        """Whatever the seed of string hashing; and without torch."""
        state = json.dumps(tokenizer.to_state(), sort_keys=True)
        here = hashlib.sha256(state.encode() + tokenizer.encode(self.text).tobytes()).hexdigest()
        names = [self.tokenizer_class.__module__, self.tokenizer_class.__qualname__]
        for seed in ("1", "2"):
            child = subprocess.run(
                [sys.executable, "-P", "-c", _CHILD],
                input=json.dumps([*names, self.options, self.text]),
                env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
                capture_output=True,
                text=True,
                check=True,
            )
            assert child.stdout.split("\n")[:2] == [here, "[]"]

    # ------------------------------------------------------------------------------------------ what they use

    @pytest.fixture
    def tokenizer(self) -> Tokenizer:
        return self.train([self.text])

    def train(self, texts: list[str]) -> Tokenizer:
        options = make_options(
            self.tokenizer_class.Options, self.options, owner=self.tokenizer_class.__name__
        )
        return self.tokenizer_class.train(iter(texts), options)

    def check_ids(self, tokenizer: Tokenizer, ids: Ids) -> None:
        assert ids.ndim == 1
        assert ids.dtype == np.min_scalar_type(tokenizer.vocab_size - 1), "not the smallest unsigned type"
        assert ids.size == 0 or int(ids.max()) < tokenizer.vocab_size
