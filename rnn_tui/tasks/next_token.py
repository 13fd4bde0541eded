"""Predicting the next token: the loss of a batch and the loss of a whole split."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from rnn_tui.model.language_model import LanguageModel
from rnn_tui.model.state import where_reset
from rnn_tui.plugin.core import State

IGNORED = -100
LOGITS_AT_ONCE = 8_000_000
"""Logits held at a time while evaluating: 32 MB in float32."""


def sequence_loss(
    model: LanguageModel,
    ids: Tensor,
    targets: Tensor,
    state: State,
    *,
    reset: Tensor | None = None,
    loss_on: Literal["all", "last"] = "all",
) -> tuple[Tensor, State]:
    """Return the mean cross-entropy in nats per token, and the state after the last token.

    Args:
        ids: int64 (B, T).
        targets: int64 (B, T), the token that follows each.
        state: from `model.initial_state` or an earlier window.
        reset: bool (B, T), see `Core.forward`.
        loss_on: every position, or only the last of each row.
    """
    features, state = model(ids, state, reset=reset)  # (B, T, O)
    if loss_on == "last":
        features, targets = features[:, -1], targets[:, -1]  # (B, O), (B,)
    logits = model.logits(features)
    return functional.cross_entropy(logits.flatten(0, -2), targets.flatten()), state


@dataclass(frozen=True)
class Evaluation:
    """The loss of a stretch of tokens, as a sum, so that parts can be added exactly."""

    nats: float
    tokens: int
    lanes: int

    @property
    def mean(self) -> float:
        """Nats per token."""
        return self.nats / self.tokens if self.tokens else math.nan


def default_lanes(tokens: int) -> int:
    """How many lanes `evaluate` reads a stream in: at least 1,024 tokens each, at most 64."""
    return min(64, max(1, tokens // 1024))


@torch.inference_mode()
def evaluate(
    model: LanguageModel,
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
    window = max(1, min(window, LOGITS_AT_ONCE // (lanes * model.vocab_size)))
    begins = np.arange(lanes)[:, None] * stretch  # (lanes, 1): index of each lane's first counted input
    was_training = model.training
    model.eval()
    device = model.device
    nats = torch.zeros((), dtype=torch.float64)
    try:
        initial = state = model.initial_state(lanes)
        first = torch.arange(lanes, device=device) == 0
        position = -warm
        while position < stretch:
            end = 0 if position < 0 else min(position + window, stretch)
            indices = begins + np.arange(position, end)  # (lanes, T)
            counted = (indices >= 0) & (indices < total)
            inputs = ids[np.clip(indices, 0, total)].astype(np.int64)
            features, state = model(torch.from_numpy(inputs).to(device), state)
            if position < 0:  # warmed up; the first lane has nothing before it and starts fresh
                state = where_reset(first, initial, state)
            else:
                targets = np.where(counted, ids[np.clip(indices + 1, 0, total)].astype(np.int64), IGNORED)
                losses = functional.cross_entropy(
                    model.logits(features).flatten(0, 1).float(),
                    torch.from_numpy(targets).to(device).flatten(),
                    ignore_index=IGNORED,
                    reduction="none",
                )
                nats += losses.double().sum().cpu() if device.type != "mps" else losses.cpu().double().sum()
                if progress:
                    progress(min(total, end * lanes), total)
            position = end
    finally:
        model.train(was_training)
    return Evaluation(float(nats), total, lanes)
