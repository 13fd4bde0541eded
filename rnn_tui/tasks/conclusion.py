"""What is measured once, when a run on a text is complete."""

from typing import Any

from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.tasks.evaluation import evaluate, evaluate_cold
from rnn_tui.tasks.next_token import NextToken

POINTS = 64
"""Points of the loss by position, at most."""

TRAIN_TOKENS = 100_000
"""Tokens of the training split that are read at most."""


def conclude(task: NextToken, model: RecurrentModel, seq_len: int) -> dict[str, Any]:
    """Return the figures of a model, as JSON types.

    `split` says of which: validation, as much of it as validating in training reads, or where there is none the
    training split, which says how well it was learned and nothing of other text.

        warm, cold    `loss` in nats per token, `perplexity`, `bpc`, `bpb`: state carried, and in fresh windows
        window        tokens in a cold window
        by_position   cold: [position from 1, nats per token]; where the window is long, of the stretch from there on
        train_loss    warm, of the beginning of the training split, as many tokens as were validated
        gap           by how much the loss of validation is above that; None without a validation split
        baselines     name to nats per token, on the same tokens
    """
    held_out = task.validation
    ids = task.train[:TRAIN_TOKENS] if held_out is None else held_out
    warm, cold = evaluate(model, ids), evaluate_cold(model, ids, seq_len)
    train_loss = warm.mean
    if held_out is not None:
        train_loss = evaluate(model, task.train[: min(len(held_out), TRAIN_TOKENS)]).mean
    return {
        "split": "train" if held_out is None else "validation",
        "tokens": warm.tokens,
        "warm": {"loss": warm.mean, **task.figures(warm.mean)},
        "cold": {"loss": cold.mean, **task.figures(cold.mean)},
        "window": cold.window,
        "by_position": [[position, round(loss, 5)] for position, loss in cold.curve(POINTS)],
        "train_loss": train_loss,
        "gap": None if held_out is None else warm.mean - train_loss,
        "baselines": task.facts()["baselines"],
    }
