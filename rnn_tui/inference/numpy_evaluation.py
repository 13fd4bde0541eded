"""The loss of a stretch of tokens by a model in NumPy: the definition of `rnn_tui.tasks.evaluation`, written again."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_tui.inference.numpy_model import NumpyModel
from rnn_tui.inference.sampling import log_probabilities
from rnn_tui.plugin.state import map_state
from rnn_tui.tasks.metrics import Evaluation, default_lanes


def evaluate_numpy(
    model: NumpyModel,
    ids: npt.NDArray[Any],
    *,
    lanes: int | None = None,
    warm: int = 128,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Return the loss of every token of `ids` but the first, the state carried throughout.

    Args:
        ids: one-dimensional; may be a memory map.
        lanes, warm: stretches read side by side, and the tokens before each that it reads first, uncounted; see
            `rnn_tui.tasks.evaluation.evaluate`.
        progress: called with tokens done and tokens in all.
    """
    total = len(ids) - 1
    if total < 1:
        return Evaluation(0.0, 0, 1)
    lanes = min(lanes or default_lanes(total), total)
    stretch = -(-total // lanes)  # rounded up; the last lanes may have fewer
    begins = np.arange(lanes) * stretch
    nats = 0.0
    initial = state = model.initial_state(lanes)
    for position in range(-min(warm, stretch) if lanes > 1 else 0, stretch):
        if position == 0:  # the first lane has nothing before it: it starts here
            state = map_state(lambda fresh, old: np.concatenate([fresh[:1], old[1:]]), initial, state)
        at = begins + position
        logits, state = model.advance(ids[np.clip(at, 0, total)].astype(np.int64), state)
        if position >= 0:
            counted = at < total
            log_p = log_probabilities(logits[counted])  # (B, V)
            nats -= float(log_p[np.arange(len(log_p)), ids[at[counted] + 1]].sum())
            if progress and position % 64 == 63:
                progress(min(total, (position + 1) * lanes), total)
    return Evaluation(nats, total, lanes)
