"""Characters as tokens."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np

from rnn_tui.plugin import Decoder, Ids, Meta, Tokenizer
from rnn_tui_text.blocks import blocks

_CODES = 0x110000
_REPLACEMENT = 0xFFFD
_SURROGATES = slice(0xD800, 0xE000)
_COUNTED_AT_ONCE = 1 << 18
"""Characters in a block. Each costs a histogram up to its last code point, which line by line is slow."""


class CharTokenizer(Tokenizer):
    """One token for each Unicode code point.

    Id 0 is `<unk>`, any character that is not in the vocabulary; it is shown as U+FFFD. The others follow by
    frequency in the training text, the most frequent first, ties by code point. Lone surrogates, which are no
    characters, count as U+FFFD.
    """

    api_version = 1

    @dataclass(frozen=True)
    class Options:
        max_vocabulary: Annotated[
            int,
            Meta(
                ge=0, description="Keep only so many of the most frequent characters, <unk> included; 0: all."
            ),
        ] = 0

    def __init__(self, symbols: str) -> None:
        """Make the tokenizer whose ids 1, 2, ... are the characters of `symbols`, all different."""
        self._symbols = symbols
        self._codes = np.concatenate([[_REPLACEMENT], _code_points(symbols)]).astype("<u4")
        # 1 to 4 MB, most of which is never touched: one look-up for each character, whatever the script
        self._ids = np.zeros(_CODES, np.min_scalar_type(len(symbols)))
        self._ids[self._codes[1:]] = np.arange(1, len(symbols) + 1)
        self._ids[_SURROGATES] = self._ids[_REPLACEMENT]
        # every code point up to 255, for `bytes.translate`, where an id is a byte
        self._latin = self._ids[:256].tobytes() if len(symbols) < 256 else None

    @classmethod
    def train(cls, texts: Iterable[str], options: Options | None) -> Self:
        counts = np.zeros(_CODES, np.int64)
        for block in blocks(texts, _COUNTED_AT_ONCE):
            found = np.bincount(_code_points(block))
            counts[: len(found)] += found
        counts[_REPLACEMENT] += counts[_SURROGATES].sum()
        counts[_SURROGATES] = 0
        seen = counts.nonzero()[0]
        by_frequency = seen[np.argsort(-counts[seen], kind="stable")]  # stable: ties stay in code point order
        if options is not None and options.max_vocabulary:
            by_frequency = by_frequency[: options.max_vocabulary - 1]
        return cls(by_frequency.astype("<u4").tobytes().decode("utf-32-le"))

    @property
    def vocab_size(self) -> int:
        return len(self._codes)

    @property
    def unknown_id(self) -> int:
        return 0

    def encode(self, text: str) -> Ids:
        if self._latin is not None:  # 1.5 times as fast as the look-up below
            try:
                data = text.encode("latin-1")
            except UnicodeEncodeError:  # said at the first wider character
                pass
            else:
                return np.frombuffer(bytearray(data.translate(self._latin)), np.uint8)
        return np.take(self._ids, _code_points(text))

    def decode(self, ids: Iterable[int] | Ids) -> str:
        tokens = ids if isinstance(ids, np.ndarray) else np.fromiter(ids, np.int64)
        return self._codes[tokens].tobytes().decode("utf-32-le")

    def decoder(self) -> Decoder:
        return _CharDecoder(self)

    def unknown(self, text: str) -> list[str]:
        return [symbol for symbol in dict.fromkeys(text) if not self._ids[ord(symbol)]]

    def to_state(self) -> dict[str, Any]:
        return {"symbols": self._symbols}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        symbols = state.get("symbols") if isinstance(state, dict) and len(state) == 1 else None
        if not isinstance(symbols, str):
            raise ValueError("the state of a char tokenizer is {'symbols': text}")
        # as a set of strings 390,000 took 45 MB; more than there are characters need no counting
        codes = _code_points(symbols[: _CODES + 1])
        if len(codes) > _CODES or np.count_nonzero(np.bincount(codes)) != len(codes):
            raise ValueError("the state of a char tokenizer holds a symbol twice")
        if ((codes >= _SURROGATES.start) & (codes < _SURROGATES.stop)).any():
            raise ValueError("the state of a char tokenizer holds a surrogate, which is no character")
        return cls(symbols)


class _CharDecoder(Decoder):
    def __init__(self, tokenizer: CharTokenizer) -> None:
        self._tokenizer = tokenizer

    def push(self, token: int) -> str:
        return self._tokenizer.decode([token])


def _code_points(text: str) -> Ids:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
