"""What a model must beat: uniform, unigram and trigram predictors of the same held-out tokens.

All three are proper distributions over the vocabulary, whatever the context.

    uniform   p(w) = 1 / V
    unigram   p(w) = (c(w) + 1) / (N + V)                                               add-one
    bigram    p(w | v)   = (c(vw)  + a2 T(v)  p(w))     / (c(v)  + a2 T(v))
    trigram   p(w | u v) = (c(uvw) + a3 T(uv) p(w | v)) / (c(uv) + a3 T(uv))

c(h) counts the tokens seen after the context h, T(h) how many different ones; an unseen context passes the
question on to the shorter one. With a = 1 this is interpolated Witten-Bell smoothing (Witten and Bell 1991,
method C; Chen and Goodman 1999, section 2.4). Here a2 and a3 are picked from a small grid so that the last tenth
of the training tokens is likeliest under counts of the rest.

Beside them stands xz, a compressor that anybody has: how much longer the file of the training text becomes when the
held-out text is added to it. It reads bytes and repeats what it has seen, which n-grams do not.
"""

import lzma
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_tui.corpus.prepare import PreparedCorpus

Ids = npt.NDArray[np.integer[Any]]
Keys = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_GRID = tuple(2.0**power for power in range(-4, 7))


@dataclass(frozen=True)
class Baselines:
    """Mean negative log-likelihood of the held-out tokens, in nats per token."""

    uniform: float
    unigram: float
    bigram: float
    trigram: float


@dataclass(frozen=True)
class Xz:
    """What xz needs for a held-out text after a training text.

    Attributes:
        bits: by which the compressed training text grows.
        chars, bytes: of the held-out text that was read.
        train_chars: of the training text before it.
        nats_per_token: with the tokens per character of the whole split.
    """

    bits: int
    chars: int
    bytes: int
    train_chars: int
    nats_per_token: float


def baselines(train_ids: Ids, held_out_ids: Ids, vocab_size: int, *, limit: int = 2_000_000) -> Baselines:
    """Return the four figures.

    Args:
        train_ids: Token ids, shape (n,); the last `limit` are counted.
        held_out_ids: Token ids, shape (m,), m >= 1; the first `limit` are predicted, the first one from no
            context and the second from one token.
        vocab_size: Every id is below it.
        limit: Bounds the time: two million tokens take a few seconds.
    """
    train = np.asarray(train_ids[-limit:], dtype=np.int64)
    held_out = np.asarray(held_out_ids[:limit], dtype=np.int64)
    a2, a3 = _fit_scales(train, vocab_size)
    found = _Model(train, vocab_size).look_up(held_out)
    return Baselines(
        uniform=math.log(vocab_size),
        unigram=_nats(found.unigram),
        bigram=_nats(np.concatenate([found.unigram[:1], found.bigram(a2)])),
        trigram=_nats(found.trigram(a2, a3)),
    )


def xz(
    training: PreparedCorpus,
    held_out: PreparedCorpus,
    split: str,
    *,
    train_limit: int = 4_000_000,
    limit: int = 500_000,
) -> Xz:
    """Measure xz (preset 9, extreme) on a split after the training split of `training`.

    Args:
        train_limit: the last so many characters of the training text are read.
        limit: the first so many characters of the split are compressed. Together they bound the time: a megabyte takes
            about half a second, twice, and memory is some twelve times the bytes.

    Raises:
        UsageError: when there is no such split.
    """
    train, part = training.split("train"), held_out.split(split)
    start = max(0, train.chars - train_limit)
    before = training.text("train", start).encode()
    text = held_out.text(split, 0, limit)
    after = text.encode()
    bits = 8 * (_compressed(before + after) - _compressed(before))
    chars_per_token = part.chars / part.tokens
    return Xz(
        bits=bits,
        chars=len(text),
        bytes=len(after),
        train_chars=train.chars - start,
        nats_per_token=bits * math.log(2) / len(text) * chars_per_token,
    )


def _compressed(data: bytes) -> int:
    """Return how many bytes the xz file of `data` has."""
    # the preset's dictionary is 64 MiB, which takes ten times as much memory; beyond the text it changes nothing
    window = min(1 << 26, max(1 << 12, 1 << (len(data) - 1).bit_length()))
    settings = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": window}
    return len(lzma.compress(data, filters=[settings]))


class _Counts:
    """How often each token followed each context.

    A context is a number; contexts and (context, token) pairs are kept as sorted keys, so that memory follows
    the text and not the square or cube of the vocabulary.
    """

    def __init__(self, contexts: Keys, tokens: Keys, vocab_size: int) -> None:
        self._vocab_size = vocab_size
        self._contexts, ranks = np.unique(contexts, return_inverse=True)
        self._pairs, self._counts = np.unique(ranks * vocab_size + tokens, return_counts=True)
        self._totals = np.bincount(ranks, minlength=len(self._contexts))
        self._distinct = np.bincount(self._pairs // vocab_size, minlength=len(self._contexts))

    def rank(self, contexts: Keys) -> Keys:
        """Return the number of each context, -1 for one never seen."""
        return _find(self._contexts, contexts)

    def look_up(self, contexts: Keys, tokens: Keys) -> tuple[Floats, Floats, Floats]:
        """Return c(h w), c(h) and T(h) of each question."""
        rank = self.rank(contexts)
        pair = _find(self._pairs, np.where(rank < 0, -1, rank * self._vocab_size + tokens))
        return _take(self._counts, pair), _take(self._totals, rank), _take(self._distinct, rank)


class _Model:
    """Counts of the training tokens."""

    def __init__(self, ids: Keys, vocab_size: int) -> None:
        self._vocab_size = vocab_size
        self._tokens = np.bincount(ids, minlength=vocab_size)
        self._bigrams = _Counts(ids[:-1], ids[1:], vocab_size)
        # A pair u v has the key rank(u) V + v, below the number of tokens times V: it never overflows.
        self._trigrams = _Counts(self._pair_keys(ids[:-2], ids[1:-1]), ids[2:], vocab_size)

    def _pair_keys(self, u: Keys, v: Keys) -> Keys:
        rank = self._bigrams.rank(u)
        return np.where(rank < 0, -1, rank * self._vocab_size + v)

    def look_up(self, ids: Keys) -> "_Found":
        """Return what is known about every token of `ids` in its place."""
        counts = self._tokens[ids].astype(np.float64)
        return _Found(
            unigram=(counts + 1) / (int(self._tokens.sum()) + self._vocab_size),
            after_one=self._bigrams.look_up(ids[:-1], ids[1:]),
            after_two=self._trigrams.look_up(self._pair_keys(ids[:-2], ids[1:-1]), ids[2:]),
        )


@dataclass(frozen=True)
class _Found:
    """The counts behind the formulas above, for each token of a text; those of a context lack its first tokens."""

    unigram: Floats
    after_one: tuple[Floats, Floats, Floats]
    after_two: tuple[Floats, Floats, Floats]

    def bigram(self, a2: float) -> Floats:
        """Return p(w | v) of every token but the first."""
        return _interpolate(self.after_one, a2, self.unigram[1:])

    def trigram(self, a2: float, a3: float) -> Floats:
        """Return the probability of every token, from up to two before it."""
        shorter = self.bigram(a2)
        longer = _interpolate(self.after_two, a3, shorter[1:])
        return np.concatenate([self.unigram[:1], shorter[:1], longer])


def _fit_scales(train: Keys, vocab_size: int) -> tuple[float, float]:
    """Pick a2, then a3 given a2."""
    cut = len(train) - len(train) // 10
    if cut < 3 or len(train) - cut < 3:
        return 1.0, 1.0
    found = _Model(train[:cut], vocab_size).look_up(train[cut:])
    a2 = min(_GRID, key=lambda a: _nats(found.bigram(a)))
    a3 = min(_GRID, key=lambda a: _nats(found.trigram(a2, a)))
    return a2, a3


def _interpolate(found: tuple[Floats, Floats, Floats], scale: float, shorter: Floats) -> Floats:
    pair, total, distinct = found
    weight = scale * distinct
    seen = total > 0
    return np.where(seen, (pair + weight * shorter) / np.where(seen, total + weight, 1.0), shorter)


def _find(keys: Keys, wanted: Keys) -> Keys:
    """Return where each of `wanted` is in the sorted `keys`, -1 where it is not."""
    if not len(keys):
        return np.full(len(wanted), -1)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, at, -1)


def _take(values: npt.NDArray[np.int64], at: Keys) -> Floats:
    """Return values[at] as float, 0 where `at` is -1."""
    if not len(values):
        return np.zeros(len(at))
    return np.where(at < 0, 0.0, values[at])


def _nats(probabilities: Floats) -> float:
    return float(-np.log(probabilities).mean())
