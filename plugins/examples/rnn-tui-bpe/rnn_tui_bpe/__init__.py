"""The tokenizer `bpe` for rnn-tui."""

from rnn_tui_bpe.tokenizer import BytePairTokenizer

__all__ = ["BytePairTokenizer"]
