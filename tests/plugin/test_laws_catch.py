"""The conformance kit catches what it says it catches: for each law a plugin that breaks it."""

import importlib

import numpy as np
import pytest
import torch
from rnn_tui_scratch.rnn import RNN
from rnn_tui_text.byte import ByteTokenizer
from rnn_tui_text.char import CharTokenizer
from rnn_tui_text.word import WordTokenizer
from rnn_tui_torch.rnn import TorchRNN

from rnn_tui.plugin.testing.architecture import ArchitectureLaws
from rnn_tui.plugin.testing.tokenizer import TokenizerLaws


class KeepsItsStateOnSelf(RNN):
    """Broken."""

    last = 0.0

    def step(self, x, state):
        y, state = super().step(x, state + self.last)
        self.last = y.detach().mean()
        return y, state


class MixesRows(RNN):
    """Broken."""

    def step(self, x, state):
        return super().step(x - x.mean(0), state)


class WritesToItsState(RNN):
    """Broken."""

    def step(self, x, state):
        y, _ = super().step(x, state)
        return y, state.copy_(y.detach())


class DetachesItsState(RNN):
    """Broken: the weight that acts on the state gets no gradient."""

    def step(self, x, state):
        h = torch.tanh(x @ self.W + (state @ self.U).detach() + self.b)
        return h, h


class IgnoresTheAskedForType(RNN):
    """Broken."""

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return torch.zeros(batch_size, self.output_size)


class ChangesItsState(RNN):
    """Broken: begins with a tensor, goes on with a tuple."""

    def step(self, x, state):
        h, _ = super().step(x, state[0] if isinstance(state, tuple) else state)
        return h, (h,)


class DrawsNumbers(RNN):
    """Broken."""

    def step(self, x, state):
        y, state = super().step(x, state)
        return y + torch.randn_like(y), state


class SeesTheFuture(TorchRNN):
    """Broken."""

    def forward(self, xs, state, *, reset=None):
        return super().forward(xs + xs.mean(1, keepdim=True), state, reset=reset)


class IgnoresResets(TorchRNN):
    """Broken."""

    def forward(self, xs, state, *, reset=None):
        return super().forward(xs, state)


class StepsDifferently(TorchRNN):
    """Broken."""

    def step(self, x, state):
        y, state = super().step(x, state)
        return 2 * y, state


def test_no_docstring_is_noticed():
    class Nameless(RNN):
        pass

    with pytest.raises(AssertionError, match="docstring"):
        _break(Nameless, "test_declares_itself")


def _break(broken, law):
    laws = type("Laws", (ArchitectureLaws,), {"architecture": broken})()
    test = getattr(laws, law)
    test(laws.build()) if "layer" in test.__annotations__ else test()


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (KeepsItsStateOnSelf, "test_a_split_changes_nothing"),
        (MixesRows, "test_rows_do_not_mix"),
        (WritesToItsState, "test_inputs_are_not_written_to"),
        (DetachesItsState, "test_gradients_reach_everything"),
        (IgnoresTheAskedForType, "test_initial_state_is_where_it_is_asked_for"),
        (ChangesItsState, "test_shapes"),
        (DrawsNumbers, "test_same_seed_same_numbers"),
        (SeesTheFuture, "test_causality"),
        (IgnoresResets, "test_a_reset_is_a_fresh_start"),
        (StepsDifferently, "test_step_equals_sequence"),
    ],
)
def test_a_broken_architecture_is_caught(broken, law):
    _break(RNN if issubclass(broken, RNN) else TorchRNN, law)  # the whole one passes the same law
    with pytest.raises(AssertionError):
        _break(broken, law)


class ForgetsAccents(CharTokenizer):
    """Broken."""

    def encode(self, text):
        return super().encode(text.replace("é", "e"))


class CutsWordsAtPieces(WordTokenizer):
    """Broken."""

    def encode_stream(self, texts):
        return map(self.encode, texts)


class DecodesByteByByte(ByteTokenizer):
    """Broken."""

    class Decoder:
        def push(self, token):
            return bytes([token]).decode(errors="replace")

        def flush(self):
            return ""

    def decoder(self):
        return self.Decoder()


class BelievesItsState(ByteTokenizer):
    """Broken."""

    @classmethod
    def from_state(cls, state):
        return cls()


class ReturnsWideIds(CharTokenizer):
    """Broken."""

    def encode(self, text):
        return super().encode(text).astype(np.int64)


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (ForgetsAccents, "test_round_trip_of_the_training_text"),
        (CutsWordsAtPieces, "test_encoding_streams"),
        (DecodesByteByByte, "test_no_half_characters"),
        (DecodesByteByByte, "test_decoding_streams"),
        (BelievesItsState, "test_a_hostile_state_is_refused"),
        (ReturnsWideIds, "test_any_text_has_ids"),
    ],
)
def test_a_broken_tokenizer_is_caught(broken, law):
    laws = type("Laws", (TokenizerLaws,), {"tokenizer_class": broken})()
    with pytest.raises((AssertionError, pytest.fail.Exception, BaseExceptionGroup)):
        getattr(laws, law)(tokenizer=laws.train([laws.text]))


HASHING = """
from rnn_tui_text.char import CharTokenizer

class DependsOnHashing(CharTokenizer):
    @classmethod
    def train(cls, texts, options):
        return cls("".join(set("".join(texts))))
"""


def test_dependence_on_the_seed_of_hashing_is_caught(tmp_path, monkeypatch):
    (tmp_path / "hashing_tokenizer.py").write_text(HASHING)
    monkeypatch.syspath_prepend(str(tmp_path))
    broken = importlib.import_module("hashing_tokenizer").DependsOnHashing
    laws = type("Laws", (TokenizerLaws,), {"tokenizer_class": broken})()
    with pytest.raises(AssertionError):
        laws.test_same_text_same_ids_in_every_process(laws.train([laws.text]))
