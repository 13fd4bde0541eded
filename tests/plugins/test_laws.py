"""Every plugin shipped with rnn-tui keeps the laws of the conformance kit."""

from typing import ClassVar

import pytest
from rnn_tui_scratch.gru import GRU
from rnn_tui_scratch.lstm import LSTM
from rnn_tui_scratch.rnn import RNN
from rnn_tui_text import word
from rnn_tui_text.byte import ByteTokenizer
from rnn_tui_text.char import CharTokenizer
from rnn_tui_text.word import WordTokenizer
from rnn_tui_torch.gru import TorchGRU
from rnn_tui_torch.lstm import TorchLSTM
from rnn_tui_torch.rnn import TorchRNN

from rnn_tui.plugin.testing import ArchitectureLaws, TokenizerLaws


class TestRNN(ArchitectureLaws):
    architecture = RNN


class TestReluRNN(ArchitectureLaws):
    architecture = RNN
    options: ClassVar = {"nonlinearity": "relu"}


class TestGRU(ArchitectureLaws):
    architecture = GRU


class TestResetAfterGRU(ArchitectureLaws):
    architecture = GRU
    options: ClassVar = {"reset": "after"}


class TestLSTM(ArchitectureLaws):
    architecture = LSTM


class TestTorchRNN(ArchitectureLaws):
    architecture = TorchRNN


class TestTorchReluRNN(ArchitectureLaws):
    architecture = TorchRNN
    options: ClassVar = {"nonlinearity": "relu"}


class TestTorchGRU(ArchitectureLaws):
    architecture = TorchGRU


class TestTorchLSTM(ArchitectureLaws):
    architecture = TorchLSTM


class TestChar(TokenizerLaws):
    tokenizer_class = CharTokenizer


class TestWord(TokenizerLaws):
    tokenizer_class = WordTokenizer

    @pytest.fixture(autouse=True)
    def small_blocks(self, monkeypatch):
        """Cut where the generated texts reach, not every 64 K characters."""
        monkeypatch.setattr(word, "_CUT_AT_ONCE", 7)


class TestRareWords(TestWord):
    options: ClassVar = {"min_frequency": 2, "max_vocabulary": 8}


class TestByte(TokenizerLaws):
    tokenizer_class = ByteTokenizer
