"""The interface of a tokenizer. Free of torch: statistics and the corpus pane use it too."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.integer[Any]]
"""Token ids, as a NumPy array."""


class Decoder(ABC):
    """Turns a stream of tokens into text that is final: never half a character."""

    @abstractmethod
    def push(self, token: int) -> str:
        """Take one token id; return the text that is now certain, often the whole token, perhaps nothing."""

    def flush(self) -> str:
        """Return what is still held back at the end of the stream."""
        return ""


class Tokenizer(ABC):
    """Text to ids and back.

    The same text and options give the same ids in every process: no iteration over sets, no hashing of
    strings. Symbols that the vocabulary does not hold have a declared answer (an unknown token, or bytes),
    never an error.
    """

    api_version: ClassVar[int] = 1
    Options: ClassVar[type | None] = None

    @classmethod
    @abstractmethod
    def train(cls, texts: Iterable[str], options: Any) -> Self:
        """Build the vocabulary.

        Args:
            texts: The training text in pieces of any length; read once, never held whole.
            options: An instance of `Options`, or None where the class has none.
        """

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """The number of ids, the unknown token included."""

    @property
    def unknown_id(self) -> int | None:
        """The id that stands for every unknown symbol; None where nothing can be unknown."""
        return None

    @abstractmethod
    def encode(self, text: str) -> Ids:
        """Return the ids of `text`, one-dimensional, in the smallest unsigned type that holds every id."""

    def encode_stream(self, texts: Iterable[str]) -> Iterator[Ids]:
        """Encode text that comes in pieces; equal, joined, to `encode` of the joined text.

        The default is right where no token spans two characters; others hold back what may still grow.
        """
        return map(self.encode, texts)

    @abstractmethod
    def decode(self, ids: Iterable[int] | Ids) -> str:
        """Return the text of `ids`; the unknown token becomes its visible form."""

    @abstractmethod
    def decoder(self) -> Decoder:
        """Return a fresh streaming decoder."""

    def unknown(self, text: str) -> list[str]:
        """Return the distinct symbols of `text` that the vocabulary lacks, in order of appearance."""
        return []

    def token_text(self, token: int) -> str:
        """Return one token as text for a table."""
        return self.decode([token])

    @abstractmethod
    def to_state(self) -> dict[str, Any]:
        """Return everything `from_state` needs, as JSON values."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Build the tokenizer again.

        Raises:
            ValueError: when `state` is not what `to_state` returns.
        """
