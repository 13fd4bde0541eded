"""A cache and a data folder of its own for each test, and two small tokenizers."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Send the cache and the data folder to a temporary place, which is returned."""
    root = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("RNN_TUI_CACHE_DIR", str(root / "cache"))
    monkeypatch.setenv("RNN_TUI_DATA_DIR", str(root / "data"))
    return root


class Chars:
    """Id 0 is unknown, then the characters of the training text in code point order."""

    unknown_id = 0

    def __init__(self, symbols: list[str]) -> None:
        self.symbols = symbols
        self.vocab_size = len(symbols) + 1

    @classmethod
    def train(cls, texts: Iterable[str], options: Any) -> Self:
        return cls(sorted(set().union(*map(set, texts))))

    def encode_stream(self, texts: Iterable[str]) -> Iterator[np.ndarray]:
        ids = {symbol: index + 1 for index, symbol in enumerate(self.symbols)}
        for text in texts:
            yield np.array([ids.get(char, 0) for char in text], dtype=np.int64)

    def token_text(self, token: int) -> str:
        return ["\ufffd", *self.symbols][token]

    def to_state(self) -> dict[str, Any]:
        return {"symbols": self.symbols}


class Words:
    """Words between single spaces; a word at the end of a piece waits for the next one."""

    unknown_id = 0

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.vocab_size = len(words) + 1

    @classmethod
    def train(cls, texts: Iterable[str], options: Any) -> Self:
        return cls(sorted(set("".join(texts).split())))

    def encode_stream(self, texts: Iterable[str]) -> Iterator[np.ndarray]:
        ids = {word: index + 1 for index, word in enumerate(self.words)}
        held = ""
        for text in texts:
            *whole, held = (held + text).split(" ")
            yield np.array([ids.get(word, 0) for word in whole if word], dtype=np.int64)
        yield np.array([ids.get(word, 0) for word in [held] if word], dtype=np.int64)

    def token_text(self, token: int) -> str:
        return ["\ufffd", *self.words][token]

    def to_state(self) -> dict[str, Any]:
        return {"words": self.words}


@pytest.fixture
def chars() -> type[Chars]:
    return Chars


@pytest.fixture
def words() -> type[Words]:
    return Words
