"""Byte pairs as tokens, learnt and applied by Hugging Face `tokenizers`.

The library is given bytes: each as the character of that number, U+0000 to U+00FF, so that the ids of single bytes are
the bytes themselves. Cutting a text into pieces is done here, for a stream as for a whole text; see `pieces`.
"""

import codecs
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from rnn_tui.plugin import Decoder, Ids, Meta, Tokenizer
from rnn_tui_bpe.pieces import LONGEST, pieces_of

_BYTES = 256
_MOST = 65_536  # ids of 16 bits
_BETWEEN = b"\xff"  # stands between pieces: no byte of UTF-8
_KEPT = 1 << 17  # pieces whose ids are remembered: 20 MB


class BytePairTokenizer(Tokenizer):
    """Byte pairs: frequent words and parts of words as one token, any other text byte by byte.

    Ids 0 to 255 are the bytes of UTF-8, so that nothing is unknown. Each further token joins two earlier ones: the pair
    that is next to each other most often in the training text, ties by lower ids, over and over. No token goes beyond a
    word with the space before it, three digits, or a row of marks.

    Bytes that form no character are shown as U+FFFD. Lone surrogates, which UTF-8 cannot hold, are encoded as U+FFFD.

    Source: R. Sennrich, B. Haddow and A. Birch, "Neural machine translation of rare words with subword units" (arXiv
    1508.07909); on bytes, A. Radford et al., "Language models are unsupervised multitask learners" (2019).
    """

    api_version = 1

    @dataclass(frozen=True)
    class Options:
        max_vocabulary: Annotated[
            int, Meta(ge=_BYTES, le=_MOST, description="Tokens at most, the 256 bytes included.")
        ] = 1024
        min_frequency: Annotated[
            int, Meta(ge=1, description="A pair that is rarer in the training text is not joined.")
        ] = 2

    def __init__(self, merges: list[tuple[int, int]]) -> None:
        """Make the tokenizer that joins these pairs of ids, in this order.

        Raises:
            ValueError: when a pair cannot be joined, or is joined twice.
        """
        self._merges = merges
        self._tokens = _tokens(merges)
        texts = [token.decode("latin-1") for token in self._tokens]
        pairs = [(texts[one], texts[other]) for one, other in merges]
        model = models.BPE({text: number for number, text in enumerate(texts)}, pairs)
        self._known = _Known(model, np.min_scalar_type(len(texts) - 1))

    @classmethod
    def train(cls, texts: Iterable[str], options: Options) -> Self:
        trainer = trainers.BpeTrainer(
            vocab_size=options.max_vocabulary,
            min_frequency=options.min_frequency,
            initial_alphabet=[chr(byte) for byte in range(_BYTES)],
            show_progress=False,
        )
        library = tokenizers.Tokenizer(models.BPE())
        library.pre_tokenizer = pre_tokenizers.CharDelimiterSplit(_BETWEEN.decode("latin-1"))
        library.train_from_iterator(map(_as_bytes, pieces_of(texts)), trainer)
        model = json.loads(library.to_str())["model"]
        ids = model["vocab"]
        return cls([(ids[one], ids[other]) for one, other in model["merges"]])

    @property
    def vocab_size(self) -> int:
        return len(self._tokens)

    def encode(self, text: str) -> Ids:
        return np.concatenate(list(self.encode_stream([text])))

    def encode_stream(self, texts: Iterable[str]) -> Iterator[Ids]:
        return map(self._known.ids, pieces_of(texts))

    def decode(self, ids: Iterable[int] | Ids) -> str:
        numbers = ids.tolist() if isinstance(ids, np.ndarray) else ids
        return b"".join([self._tokens[number] for number in numbers]).decode(errors="replace")

    def decoder(self) -> Decoder:
        return _BytePairDecoder(self._tokens)

    def token_text(self, token: int) -> str:
        r"""As text; bytes that are no whole character as `\xe4`."""
        return self._tokens[token].decode(errors="backslashreplace")

    def to_state(self) -> dict[str, Any]:
        return {"merges": [list(pair) for pair in self._merges]}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        merges = state.get("merges") if isinstance(state, dict) and len(state) == 1 else None
        if not isinstance(merges, list) or not all(map(_is_pair, merges)):
            raise ValueError("the state of a bpe tokenizer is {'merges': [[id, id], ...]}")
        return cls([(one, other) for one, other in merges])


class _Known(dict[str, bytes]):
    """The ids of each piece of text, as the bytes of their array; the library is asked once for each."""

    def __init__(self, model: models.BPE, dtype: npt.DTypeLike) -> None:
        super().__init__()
        self._model = model
        self._dtype = dtype

    def __missing__(self, piece: str) -> bytes:
        if len(self) >= _KEPT:
            self.clear()
        found = [token.id for token in self._model.tokenize(piece.encode().decode("latin-1"))]
        ids = self[piece] = np.array(found, self._dtype).tobytes()
        return ids

    def ids(self, pieces: Iterable[str]) -> Ids:
        return np.frombuffer(bytearray().join(map(self.__getitem__, pieces)), self._dtype)


class _BytePairDecoder(Decoder):
    def __init__(self, tokens: list[bytes]) -> None:
        self._tokens = tokens
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        return self._decoder.decode(self._tokens[token])

    def flush(self) -> str:
        return self._decoder.decode(b"", final=True)


def _tokens(merges: list[tuple[int, int]]) -> list[bytes]:
    """Return the bytes and what is joined from them, by id."""
    if len(set(merges)) != len(merges):
        raise ValueError("the state of a bpe tokenizer joins a pair twice")
    tokens = [bytes([byte]) for byte in range(_BYTES)]
    there = set(tokens)
    for one, other in merges:
        if not (0 <= one < len(tokens) and 0 <= other < len(tokens)):
            raise ValueError("the state of a bpe tokenizer joins a token that is not there yet")
        token = tokens[one] + tokens[other]
        if token not in there:  # else it is a second way to one token: a, bc beside ab, c
            there.add(token)
            tokens.append(token)
        if len(token) > LONGEST or len(tokens) > _MOST:
            raise ValueError(
                f"the state of a bpe tokenizer has over {_MOST} tokens, or one over {LONGEST} bytes"
            )
    return tokens


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(number) is int for number in value)


def _as_bytes(pieces: list[str]) -> str:
    return _BETWEEN.join(map(str.encode, pieces)).decode("latin-1")
