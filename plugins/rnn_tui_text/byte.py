"""Bytes as tokens."""

import codecs
from collections.abc import Iterable
from typing import Any, Self

import numpy as np

from rnn_tui.plugin import Decoder, Ids, Tokenizer
from rnn_tui_text.surrogates import to_utf8


class ByteTokenizer(Tokenizer):
    """One token for each byte of the text in UTF-8: 256 ids, nothing to learn, nothing unknown.

    Bytes that form no character are shown as U+FFFD. Lone surrogates, which UTF-8 cannot hold, are encoded as
    U+FFFD.
    """

    api_version = 1

    @classmethod
    def train(cls, texts: Iterable[str], options: Any) -> Self:
        return cls()

    @property
    def vocab_size(self) -> int:
        return 256

    def encode(self, text: str) -> Ids:
        return np.frombuffer(to_utf8(text), np.uint8).copy()  # writable, as torch asks

    def decode(self, ids: Iterable[int] | Ids) -> str:
        tokens = ids.astype(np.uint8).tobytes() if isinstance(ids, np.ndarray) else bytes(ids)
        return tokens.decode(errors="replace")

    def decoder(self) -> Decoder:
        return _ByteDecoder()

    def token_text(self, token: int) -> str:
        """ASCII as it is, any other byte as `<E4>`."""
        return chr(token) if token < 128 else f"<{token:02X}>"

    def to_state(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        if state != {}:
            raise ValueError("the state of a byte tokenizer is empty")
        return cls()


class _ByteDecoder(Decoder):
    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        return self._decoder.decode(bytes([token]))

    def flush(self) -> str:
        return self._decoder.decode(b"", final=True)
