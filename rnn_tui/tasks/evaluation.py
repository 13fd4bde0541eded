"""The loss of a whole stretch of tokens: warm, read as one stream, and cold, in fresh windows."""

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.model.state import where_reset
from rnn_tui.tasks.cross_entropy import surprise
from rnn_tui.tasks.metrics import Evaluation, default_lanes
from rnn_tui.tasks.task import IGNORED

TOKENS_AT_ONCE = 2048
"""Tokens read at a time, all lanes together, on a CPU: what comes of them fits its caches. With 64 lanes 1.0 to 1.6
times as fast as 16,384, with one lane 1.5 times as fast as 32 (LSTMs of 128 to 1024, one thread)."""

TOKENS_AT_ONCE_ELSEWHERE = 16_384
"""On other devices, where starting a kernel is what takes the time."""


@dataclass(frozen=True, eq=False)
class ColdEvaluation:
    """The loss at each position of a window that starts knowing nothing, as sums.

    Attributes:
        nats: float64 (W,), of all tokens that stood at that position of their window.
        counts: int64 (W,), how many these are; none is 0.
    """

    nats: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]

    @property
    def window(self) -> int:
        return len(self.nats)

    @property
    def tokens(self) -> int:
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """Nats per token, every token counted alike."""
        return float(self.nats.sum()) / self.tokens if self.tokens else math.nan

    @property
    def by_position(self) -> npt.NDArray[np.float64]:
        """Nats per token (W,): entry i after i + 1 tokens of context."""
        return self.nats / self.counts

    def curve(self, points: int) -> tuple[tuple[int, float], ...]:
        """Return (position from 1, nats per token), at most `points` of them.

        Every position where they are few enough; else stretches that grow with the position, each under its first.
        """
        edges = np.arange(self.window + 1)
        if self.window > points:
            edges = np.unique(np.geomspace(1, self.window + 1, points + 1).round().astype(np.int64)) - 1
        return tuple(
            (int(begin) + 1, float(self.nats[begin:end].sum() / self.counts[begin:end].sum()))
            for begin, end in itertools.pairwise(edges)
        )


@torch.inference_mode()
def evaluate(
    model: RecurrentModel,
    ids: npt.NDArray[Any],
    *,
    lanes: int | None = None,
    window: int | None = None,
    warm: int = 128,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Return the loss of every token of `ids` but the first, the state carried throughout.

    One stream at batch 1 is the strict definition (`lanes=1`) and many times slower. With lanes, the stream is cut
    into equal stretches read side by side; each first reads the last `warm` tokens before its stretch, uncounted, so
    that none starts cold. On a trained character model the two figures differ in the fourth decimal.

    Args:
        model: left in the mode it was in.
        ids: one-dimensional; may be a memory map, read in pieces.
        lanes: None takes `default_lanes`.
        window: positions at once; None takes what is fast. It does not change the result.
        progress: called with tokens done and tokens in all.
    """
    total = len(ids) - 1
    if total < 1:
        return Evaluation(0.0, 0, 1)
    lanes = min(lanes or default_lanes(total), total)
    stretch = -(-total // lanes)  # targets for each lane, rounded up; the last lanes may have fewer
    warm = min(warm, stretch) if lanes > 1 else 0
    window = window or positions_at_once(model.device, lanes)
    begins = np.arange(lanes)[:, None] * stretch  # (lanes, 1): index of each lane's first counted input
    nats = _exact(torch.zeros((), device=model.device))
    with evaluation_mode(model):
        state = model.initial_state(lanes)
        if warm:
            inputs, _ = _read(model, ids, begins + np.arange(-warm, 1))
            first = torch.arange(lanes, device=model.device) == 0  # has nothing before it and starts fresh
            state = where_reset(first, state, model(inputs, state)[1])
        for position in range(0, stretch, window):
            end = min(position + window, stretch)
            inputs, targets = _read(model, ids, begins + np.arange(position, end + 1))
            features, state = model(inputs, state)
            nats += _exact(surprise(model, features, targets)).sum()
            if progress:
                progress(min(total, end * lanes), total)
    return Evaluation(float(nats), total, lanes)


@torch.inference_mode()
def evaluate_cold(
    model: RecurrentModel,
    ids: npt.NDArray[Any],
    window: int,
    *,
    rows: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> ColdEvaluation:
    """Return the loss of every token of `ids` but the first, in fresh windows that lie end to end.

    This is how a model without a memory beyond its window is measured, and how random sampling trains. Each window
    begins with the state at zero on the last token of the one before, so that every token is predicted once.

    Args:
        model: left in the mode it was in.
        ids: one-dimensional; may be a memory map, read in pieces.
        window: positions; at most as many as there are. The last window may end early.
        rows: windows side by side. It does not change the result.
        progress: called with tokens done and tokens in all.
    """
    total = max(0, len(ids) - 1)
    window = min(window, total)
    nats, counts = _exact(torch.zeros(window, device=model.device)), np.zeros(window, np.int64)
    starts = np.arange(0, total, max(1, window))
    with evaluation_mode(model):
        for row in range(0, len(starts), rows):
            begins = starts[row : row + rows, None]  # (B, 1): index of each window's first input
            state = model.initial_state(len(begins))
            piece = positions_at_once(model.device, len(begins))
            for position in range(0, window, piece):
                end = min(position + piece, window)
                inputs, targets = _read(model, ids, begins + np.arange(position, end + 1))
                features, state = model(inputs, state)
                nats[position:end] += _exact(surprise(model, features, targets)).sum(0)
                counts[position:end] += (begins + np.arange(position, end) < total).sum(0)
            if progress:
                progress(int(counts.sum()), total)
    return ColdEvaluation(nats.cpu().numpy(), counts)


@contextmanager
def evaluation_mode(model: RecurrentModel) -> Iterator[None]:
    """No dropout within; afterwards the mode that was."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def tokens_at_once(device: torch.device) -> int:
    """Return how many tokens are read at a time, all rows together."""
    return TOKENS_AT_ONCE if device.type == "cpu" else TOKENS_AT_ONCE_ELSEWHERE


def positions_at_once(device: torch.device, rows: int) -> int:
    """Return how many positions are read at a time in so many rows."""
    return max(1, tokens_at_once(device) // rows)


def _read(
    model: RecurrentModel, ids: npt.NDArray[Any], indices: npt.NDArray[np.int64]
) -> tuple[Tensor, Tensor]:
    """Return the tokens at `indices` (B, T + 1) as inputs and targets, int64 (B, T).

    `IGNORED` is what comes after a position that the text does not have.
    """
    tokens = ids[np.clip(indices, 0, len(ids) - 1)].astype(np.int64)
    targets = np.where((indices[:, :-1] >= 0) & (indices[:, 1:] < len(ids)), tokens[:, 1:], IGNORED)
    return torch.from_numpy(tokens[:, :-1]).to(model.device), torch.from_numpy(targets).to(model.device)


def _exact(losses: Tensor) -> Tensor:
    """As float64, on the CPU if the device has none."""
    return losses.double() if losses.device.type != "mps" else losses.cpu().double()
