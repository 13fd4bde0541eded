"""From a text to token ids on disk: vocabulary, cut, splits, encoding.

The ids lie in the cache, one file a split, in the smallest unsigned type that holds the vocabulary, and are
read memory-mapped. Everything passes in pieces of about a million characters: memory does not grow.
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

import msgspec
import numpy as np
import numpy.typing as npt

from rnn_tui.corpus.cache import discard, publish, staging
from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.snapshot import Progress, Snapshot, snapshot
from rnn_tui.corpus.splits import Prepared, split_bounds
from rnn_tui.errors import InputError, PluginError
from rnn_tui.files import disk_error, write_durable
from rnn_tui.paths import cache_dir

Ids = npt.NDArray[np.integer[Any]]

_FORMAT = 1  # of the cache's files; another number makes all of them again


class Tokenizer(Protocol):
    """The part of `rnn_tui.plugin.Tokenizer` that is used here."""

    @classmethod
    def train(cls, texts: Iterable[str], options: Any) -> Self: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def unknown_id(self) -> int | None: ...
    def encode_stream(self, texts: Iterable[str]) -> Iterator[Ids]: ...
    def token_text(self, token: int) -> str: ...
    def to_state(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Split:
    """One contiguous part of a text, and its token ids."""

    name: str
    """`train`, `validation` or `test`."""
    start_char: int
    chars: int
    bytes: int
    """UTF-8 bytes of its text."""
    tokens: int
    unknown: int
    """How many of the tokens are the unknown token."""
    path: Path
    dtype: str

    def ids(self) -> Ids:
        """Return the ids, shape (tokens,), mapped read-only.

        Raises:
            InputError: when the cache was deleted.
        """
        try:
            return np.memmap(self.path, dtype=self.dtype, mode="r", shape=(self.tokens,))
        except (OSError, ValueError):
            raise InputError(f"{self.path}: the cache was deleted or cut short; start again") from None


@dataclass(frozen=True, kw_only=True)
class PreparedCorpus(Prepared[Split]):
    """A text, its tokenizer and its encoded splits; a split of fewer than two tokens is absent."""

    tokenizer: Tokenizer

    def pieces(self, split: str, start: int = 0, length: int | None = None) -> Iterator[str]:
        """Yield the text of a split, from its character `start` on, about a million characters at a time."""
        part = self.split(split)
        stop = part.chars if length is None else min(part.chars, start + length)
        return self.snapshot.pieces(part.start_char + start, part.start_char + stop)

    def text(self, split: str, start: int = 0, length: int | None = None) -> str:
        """Return `length` characters of a split from its character `start` on."""
        return "".join(self.pieces(split, start, length))


class _Encoded(msgspec.Struct, frozen=True):
    """One split as the cache remembers it."""

    name: str
    start_char: int
    chars: int
    bytes: int
    tokens: int
    unknown: int


def prepare(
    config: CorpusConfig,
    tokenizer_class: type[Tokenizer],
    options: Any,
    *,
    progress: Progress | None = None,
    keep_in: Path | None = None,
) -> PreparedCorpus:
    """Train a tokenizer on the training split and encode all splits with it.

    With `first_tokens` the tokenizer still sees the training split of the whole text (as in Dive into Deep
    Learning, where the vocabulary comes from the book and the corpus is its beginning).

    Args:
        config: The source, the steps, the cut and the splits.
        tokenizer_class: A tokenizer plugin.
        options: An instance of its `Options`, or None where it has none.
        progress: Told what is done; see `Progress`.
        keep_in: The run's folder, for standard input; see `snapshot`.

    Raises:
        InputError: for a text that cannot be used or is too short.
        DiskError: when the cache cannot be written.
    """
    taken = snapshot(config, progress=progress, keep_in=keep_in)
    train = _bounds(taken.chars, config)["train"][1]
    if not train:
        raise _too_short(taken, 0)
    tokenizer = tokenizer_class.train(_told(taken.pieces(0, train), "vocabulary", train, progress), options)
    return _prepare(config, taken, tokenizer, progress)


def prepare_with(
    config: CorpusConfig,
    tokenizer: Tokenizer,
    *,
    progress: Progress | None = None,
    keep_in: Path | None = None,
) -> PreparedCorpus:
    """Encode a text with a tokenizer that exists already: to evaluate, or to resume a run.

    Args and Raises: as `prepare`.
    """
    return _prepare(config, snapshot(config, progress=progress, keep_in=keep_in), tokenizer, progress)


def _bounds(chars: int, config: CorpusConfig) -> dict[str, tuple[int, int]]:
    return split_bounds(chars, config.validation, config.test)


def _prepare(
    config: CorpusConfig, taken: Snapshot, tokenizer: Tokenizer, progress: Progress | None
) -> PreparedCorpus:
    name = type(tokenizer).__qualname__
    settings = (taken.sha256, config.normalise, config.first_tokens, config.validation, config.test)
    fingerprint = _digest(*settings, name, tokenizer.to_state())
    folder = cache_dir() / "tokens"
    final = folder / _digest(_FORMAT, fingerprint, _code_stamp(tokenizer))[:32]
    dtype = np.dtype(np.min_scalar_type(max(0, tokenizer.vocab_size - 1)))
    encoded = _load(final, dtype)
    if encoded is None:
        try:
            encoded = _encode(config, taken, tokenizer, dtype, final, progress)
        except OSError as error:
            raise disk_error(error, f"could not write the encoded corpus in {folder}") from error
    splits = {
        part.name: Split(**msgspec.structs.asdict(part), path=final / f"{part.name}.bin", dtype=dtype.name)
        for part in encoded
        if part.tokens >= 2
    }
    if "train" not in splits:
        raise _too_short(taken, next((part.tokens for part in encoded if part.name == "train"), 0))
    tokens = sum(part.tokens for part in encoded)
    if config.first_tokens > tokens:
        note = f"the text has only {tokens:,} tokens, fewer than the first {config.first_tokens:,} asked for"
        taken = replace(taken, notes=(*taken.notes, note))
    return PreparedCorpus(
        name=taken.name, fingerprint=fingerprint, snapshot=taken, splits=splits, tokenizer=tokenizer
    )


def _encode(
    config: CorpusConfig,
    taken: Snapshot,
    tokenizer: Tokenizer,
    dtype: np.dtype[Any],
    final: Path,
    progress: Progress | None,
) -> list[_Encoded]:
    chars = _cut(taken, tokenizer, config.first_tokens)
    encoded = []
    with staging(final.parent) as staged:
        for name, (start, end) in _bounds(chars, config).items():
            texts = _told(taken.pieces(start, end), "encoding", chars, progress, start)
            tokens, unknown = _write_ids(staged / f"{name}.bin", tokenizer, texts, dtype)
            size = taken.byte_offset(end) - taken.byte_offset(start)
            encoded.append(_Encoded(name, start, end - start, size, tokens, unknown))
        write_durable(staged / "splits.json", [msgspec.json.encode(encoded)])
        if final.exists() and _load(final, dtype) is None:
            discard(final)
        publish(staged, final)
    return encoded


def _write_ids(
    path: Path, tokenizer: Tokenizer, texts: Iterable[str], dtype: np.dtype[Any]
) -> tuple[int, int]:
    """Encode `texts` into a file; return how many tokens there are and how many of them are unknown."""
    tokens = unknown = 0

    def encoded() -> Iterator[memoryview]:
        nonlocal tokens, unknown
        for ids in tokenizer.encode_stream(texts):
            if len(ids) and (int(ids.max()) >= tokenizer.vocab_size or int(ids.min()) < 0):
                raise PluginError(f"{type(tokenizer).__qualname__} gave an id outside its own vocabulary")
            tokens += len(ids)
            if tokenizer.unknown_id is not None:
                unknown += int(np.count_nonzero(ids == tokenizer.unknown_id))
            yield np.ascontiguousarray(ids, dtype).view(np.uint8).data

    write_durable(path, encoded())
    return tokens, unknown


def _cut(taken: Snapshot, tokenizer: Tokenizer, first_tokens: int) -> int:
    """Return the characters of the shortest beginning that has at least `first_tokens` tokens; 0 keeps all.

    More text never has fewer tokens, so bisection finds it; only the beginning is encoded, about log2 of its
    length times.
    """

    def count(chars: int) -> int:
        return sum(len(ids) for ids in tokenizer.encode_stream(taken.pieces(0, chars)))

    high = min(taken.chars, first_tokens) or taken.chars
    if not first_tokens:
        return high
    while count(high) < first_tokens:
        if high == taken.chars:
            return high
        high = min(taken.chars, 2 * high)
    low = 0  # fewer tokens than asked for
    guess = first_tokens - 1  # one token a character: settled at once
    while high - low > 1:
        middle = guess if low < guess < high else (low + high) // 2
        low, high = (middle, high) if count(middle) < first_tokens else (low, middle)
    return high


def _load(folder: Path, dtype: np.dtype[Any]) -> list[_Encoded] | None:
    """Return what is in the cache if it is whole."""
    try:
        encoded = msgspec.json.decode((folder / "splits.json").read_bytes(), type=list[_Encoded])
        sizes = [(folder / f"{part.name}.bin").stat().st_size for part in encoded]
    except (OSError, msgspec.DecodeError):
        return None
    return encoded if sizes == [part.tokens * dtype.itemsize for part in encoded] else None


def _told(
    texts: Iterable[str], what: str, total: int, progress: Progress | None, done: int = 0
) -> Iterator[str]:
    for text in texts:
        yield text
        done += len(text)
        if progress is not None:
            progress(what, done, total)


def _code_stamp(tokenizer: Tokenizer) -> list[list[Any]]:
    """Return the age and size of the tokenizer's files: their author changes them and expects other ids."""
    module = sys.modules[type(tokenizer).__module__]
    file = Path(getattr(module, "__file__", None) or "")
    files = sorted(file.parent.glob("*.py")) if module.__package__ else [file]
    try:
        return [[path.name, path.stat().st_mtime_ns, path.stat().st_size] for path in files]
    except OSError:  # a module without a file, as in an interactive session
        return []


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _too_short(taken: Snapshot, tokens: int) -> InputError:
    return InputError(
        f"{taken.name}: too short: {taken.chars:,} characters leave {tokens} tokens to train on, at least 2 "
        "are needed; give a longer text, or hold out less of it"
    )
