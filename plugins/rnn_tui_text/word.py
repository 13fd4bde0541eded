"""Words, marks and spaces as tokens."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np

from rnn_tui.plugin import Decoder, Ids, Meta, Tokenizer
from rnn_tui_text.blocks import blocks
from rnn_tui_text.numbering import Numbers, slices
from rnn_tui_text.splitting import LETTER, LOOK, token_starts
from rnn_tui_text.surrogates import without_surrogates

UNKNOWN = "<unk>"

_CUT_AT_ONCE = 1 << 16


class WordTokenizer(Tokenizer):
    """Words with the space before them, runs of one punctuation mark, ideographs one by one, and white space.

    Nothing is lost: the tokens of a text, joined, are the text. `"Well, well...\\n"` is `Well` `,` ` well`
    `...` `\\n`. A word of more than 48 letters is cut.

    Id 0 is `<unk>`, any token that is not in the vocabulary. It is shown as `<unk>`, after a space where it
    follows a word, another `<unk>` or one of `,.;:!?`. The others follow by frequency in the training text, the
    most frequent first, ties by code point. Lone surrogates, which are no characters, count as U+FFFD.
    """

    api_version = 1

    @dataclass(frozen=True)
    class Options:
        min_frequency: Annotated[
            int, Meta(ge=1, description="Rarer tokens of the training text become <unk>.")
        ] = 1
        max_vocabulary: Annotated[
            int,
            Meta(ge=0, description="Keep only so many of the most frequent tokens, <unk> included; 0: all."),
        ] = 0

    def __init__(self, tokens: list[str]) -> None:
        """Make the tokenizer whose ids 1, 2, ... are `tokens`, all different."""
        self._tokens = [UNKNOWN, *tokens]
        self._numbers = Numbers(tokens)
        self._dtype = np.min_scalar_type(len(tokens))

    @classmethod
    def train(cls, texts: Iterable[str], options: Options) -> Self:
        numbers = Numbers()
        counts = np.zeros(1, np.int64)
        for text, starts in _token_stream(texts):
            found = numbers.number(text, starts)
            if len(numbers) >= len(counts):
                counts = np.append(counts, np.zeros(len(numbers), np.int64))
            np.add.at(counts, found, 1)
        pairs = zip(numbers, counts[1 : len(numbers) + 1].tolist(), strict=True)
        kept = [(-count, token) for token, count in pairs if count >= options.min_frequency]
        kept.sort()
        most = options.max_vocabulary - 1 if options.max_vocabulary else len(kept)
        return cls([token for _, token in kept[:most]])

    @property
    def vocab_size(self) -> int:
        return len(self._tokens)

    @property
    def unknown_id(self) -> int:
        return 0

    def encode(self, text: str) -> Ids:
        return np.concatenate(list(self.encode_stream([text])))

    def encode_stream(self, texts: Iterable[str]) -> Iterator[Ids]:
        for block, starts in _token_stream(texts):
            yield self._numbers.find(block, starts).astype(self._dtype)

    def decode(self, ids: Iterable[int] | Ids) -> str:
        tokens = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
        decoder = self.decoder()
        return "".join([decoder.push(token) for token in tokens])

    def decoder(self) -> Decoder:
        return _WordDecoder(self._tokens)

    def unknown(self, text: str) -> list[str]:
        unknown: dict[str, None] = {}
        for block, starts in _token_stream([text]):
            lacking = np.flatnonzero(self._numbers.find(block, starts) == 0)
            unknown.update(dict.fromkeys(slices(block, starts, lacking)))
        return list(unknown)

    def token_text(self, token: int) -> str:
        return self._tokens[token]

    def to_state(self) -> dict[str, Any]:
        return {"tokens": self._tokens[1:]}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        tokens = state.get("tokens") if isinstance(state, dict) and len(state) == 1 else None
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise ValueError("the state of a word tokenizer is {'tokens': [text, ...]}")
        if len(set(tokens)) != len(tokens):
            raise ValueError("the state of a word tokenizer holds a token twice")
        if not all(0 < len(token) <= LOOK and without_surrogates(token) == token for token in tokens):
            raise ValueError("the state of a word tokenizer holds what is no token")
        return cls(list(tokens))


class _WordDecoder(Decoder):
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._last = ""

    def push(self, token: int) -> str:
        text = self._tokens[token]
        if token == 0 and _TAKES_SPACE.match(self._last):
            text = " " + text
        self._last = text[-1]
        return text


_TAKES_SPACE = re.compile(f"[,.;:!?>]|{LETTER}")


def _token_stream(texts: Iterable[str]) -> Iterator[tuple[str, Ids]]:
    """Cut text that comes in pieces into tokens, the same ones whatever the pieces.

    Yields blocks of whole tokens, and where in each its tokens start. A token's form depends on LOOK characters
    from its start and no more: where so many are there it is final, the rest waits for the next block.
    """
    held = ""
    for block in blocks(texts, _CUT_AT_ONCE):
        held += without_surrogates(block)
        starts = token_starts(held)
        final = int(np.searchsorted(starts, len(held) - LOOK))
        end = int(starts[final])
        yield held[:end], starts[:final]
        held = held[end:]
    yield held, token_starts(held)
