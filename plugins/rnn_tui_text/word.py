"""Words, marks and spaces as tokens."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np

from rnn_tui.plugin import Decoder, Meta, Tokenizer
from rnn_tui.plugin.tokenizer import Ids
from rnn_tui_text.blocks import blocks
from rnn_tui_text.surrogates import without_surrogates

UNKNOWN = "<unk>"

# Ideographs and kana stand alone: their scripts put no spaces between words.
_ALONE = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Accents and vowel signs inside words, which re's \w leaves out: Latin, Hebrew, Arabic, Indic, Thai, the
# joiners.
_SIGNS = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u0900-\u0dff\u0e31-\u0e4e\u200c\u200d"
_LETTER = f"(?:[^\\W{_ALONE}]|[{_SIGNS}])"
# Every part has a longest form, so that a token never looks further than _LOOK characters ahead.
_TOKEN = re.compile(
    f"[{_ALONE}]"
    f"| ?{_LETTER}{{1,48}}(?:['’]{_LETTER}{{1,12}})?"  # a word, with one apostrophe inside: don't, l'eau
    f"| ?([^\\w\\s{_SIGNS}{_ALONE}])\\1{{0,63}}"  # a mark, repeated: , ... ---
    f"|\\s{{1,64}}(?= [^\\s{_ALONE}])"  # white space, up to the space that the next word takes
    f"|\\s{{1,64}}"
)
_LOOK = 68
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
        self._ids = {token: index for index, token in enumerate(tokens, 1)}
        self._dtype = np.min_scalar_type(len(tokens))

    @classmethod
    def train(cls, texts: Iterable[str], options: Options) -> Self:
        counts: Counter[str] = Counter()
        for tokens in _token_stream(texts):
            counts.update(tokens)
        kept = [(-count, token) for token, count in counts.items() if count >= options.min_frequency]
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
        get = self._ids.get
        for tokens in _token_stream(texts):
            yield np.fromiter((get(token, 0) for token in tokens), self._dtype, len(tokens))

    def decode(self, ids: Iterable[int] | Ids) -> str:
        tokens = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
        decoder = self.decoder()
        return "".join([decoder.push(token) for token in tokens])

    def decoder(self) -> Decoder:
        return _WordDecoder(self._tokens)

    def unknown(self, text: str) -> list[str]:
        tokens = (token for block in _token_stream([text]) for token in block)
        return [token for token in dict.fromkeys(tokens) if token not in self._ids]

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
        if not all(0 < len(token) <= _LOOK and without_surrogates(token) == token for token in tokens):
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


_TAKES_SPACE = re.compile(f"[,.;:!?>]|{_LETTER}")


def _token_stream(texts: Iterable[str]) -> Iterator[list[str]]:
    """Cut text that comes in pieces into tokens, the same ones whatever the pieces.

    A token's form depends on _LOOK characters from its start and no more: where so many are there it is
    final, the rest waits for the next block.
    """
    held = ""
    for block in blocks(texts, _CUT_AT_ONCE):
        held += without_surrogates(block)
        tokens, end = _tokens_before(len(held) - _LOOK, held)
        held = held[end:]
        yield tokens
    yield _tokens_before(len(held), held)[0]


def _tokens_before(limit: int, text: str) -> tuple[list[str], int]:
    """Return the tokens of `text` that start before `limit`, and where the next one starts."""
    tokens = [match.group() for match in _TOKEN.finditer(text)]
    end = len(text)
    while tokens and end - len(tokens[-1]) >= limit:
        end -= len(tokens.pop())
    return tokens, end
