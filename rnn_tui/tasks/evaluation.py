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
from torch.nn import functional

from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.model.state import where_reset
from rnn_tui.tasks.metrics import Evaluation, default_lanes
from rnn_tui.tasks.task import IGNORED

LOGITS_AT_ONCE = 8_000_000
"""Logits held at a time while evaluating: 32 MB in float32."""


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
    window: int = 256,
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
        window: positions at once; shortened for large vocabularies. It does not change the result.
        progress: called with tokens done and tokens in all.
    """
    total = len(ids) - 1
    if total < 1:
        return Evaluation(0.0, 0, 1)
    lanes = min(lanes or default_lanes(total), total)
    stretch = -(-total // lanes)  # targets for each lane, rounded up; the last lanes may have fewer
    warm = min(warm, stretch) if lanes > 1 else 0
    window = max(1, min(window, LOGITS_AT_ONCE // (lanes * model.output_size)))
    begins = np.arange(lanes)[:, None] * stretch  # (lanes, 1): index of each lane's first counted input
    device = model.device
    nats = torch.zeros((), dtype=torch.float64)
    with evaluation_mode(model):
        initial = state = model.initial_state(lanes)
        first = torch.arange(lanes, device=device) == 0
        position = -warm
        while position < stretch:
            end = 0 if position < 0 else min(position + window, stretch)
            indices = begins + np.arange(position, end)  # (lanes, T)
            counted = (indices >= 0) & (indices < total)
            features, state = model(_take(ids, np.clip(indices, 0, total), device), state)
            if position < 0:  # warmed up; the first lane has nothing before it and starts fresh
                state = where_reset(first, initial, state)
            else:
                nats += _surprise(model, features, ids, indices, counted).sum().cpu()
                if progress:
                    progress(min(total, end * lanes), total)
            position = end
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
    nats, counts = np.zeros(window), np.zeros(window, np.int64)
    starts = np.arange(0, total, max(1, window))
    rows = min(rows, max(1, LOGITS_AT_ONCE // model.output_size))
    piece = min(256, max(1, LOGITS_AT_ONCE // (rows * model.output_size)))
    with evaluation_mode(model):
        for row in range(0, len(starts), rows):
            begins = starts[row : row + rows, None]  # (B, 1): index of each window's first input
            state = model.initial_state(len(begins))
            for position in range(0, window, piece):
                end = min(position + piece, window)
                indices = begins + np.arange(position, end)  # (B, T)
                counted = indices < total
                features, state = model(_take(ids, np.minimum(indices, total), model.device), state)
                losses = _surprise(model, features, ids, indices, counted)
                nats[position:end] += losses.sum(0).cpu().numpy()
                counts[position:end] += counted.sum(0)
            if progress:
                progress(int(counts.sum()), total)
    return ColdEvaluation(nats, counts)


@contextmanager
def evaluation_mode(model: RecurrentModel) -> Iterator[None]:
    """No dropout within; afterwards the mode that was."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _take(ids: npt.NDArray[Any], indices: npt.NDArray[np.int64], device: torch.device) -> Tensor:
    return torch.from_numpy(ids[indices].astype(np.int64)).to(device)


def _surprise(
    model: RecurrentModel,
    features: Tensor,
    ids: npt.NDArray[Any],
    indices: npt.NDArray[np.int64],
    counted: npt.NDArray[np.bool_],
) -> Tensor:
    """Return the nats of the token after each of `indices` (B, T), as float64 (B, T); 0 where it is not counted."""
    targets = _take(ids, np.clip(indices + 1, 0, len(ids) - 1), model.device)
    targets[torch.from_numpy(~counted).to(model.device)] = IGNORED
    losses = functional.cross_entropy(
        model.outputs(features).flatten(0, 1).float(),
        targets.flatten(),
        ignore_index=IGNORED,
        reduction="none",
    ).view_as(targets)
    return losses.double() if losses.device.type != "mps" else losses.cpu().double()  # which has no float64
