"""A training of one task, short and the same each time."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch

from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.score.task import ScoreTask
from rnn_tui.score.wire import Measure
from rnn_tui.tasks.evaluation import evaluation_mode
from rnn_tui.tasks.task import Task
from rnn_tui.training.config import OptimConfig, RunConfig
from rnn_tui.training.optim import build_optimizer
from rnn_tui.training.update import PlainUpdate

NOT_FINITE = 10
"""Updates in a row whose loss or gradient is not finite, after which a training is given up."""
WARMUP = 50
FLOOR = 0.05
"""Where the rate ends, as a share of its highest."""
_TEST = 1_000_003  # what is tested is drawn from another stream than what is learnt


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What came of a training.

    Attributes:
        updates: that were taken.
        seconds: of processor time, of training alone.
        loss: the mean of the last tenth of them; nan where there is none.
        stopped: why there are not more updates, as one clause; empty where there are all.
        measures: what the model is then capable of; none where its weights are of no use.
    """

    updates: int
    seconds: float
    loss: float
    stopped: str = ""
    measures: tuple[Measure, ...] = ()


def learn(
    model: RecurrentModel,
    task: ScoreTask,
    *,
    seed: int,
    limit: float = math.inf,
    told: Callable[[int], object] = lambda done: None,
) -> Learned:
    """Train `model` on `task` and measure it.

    AdamW without decay, the gradient clipped at 1, the rate rising over the first updates and falling as a cosine: the
    same for every architecture.

    Args:
        seed: of what is drawn; the weights are the caller's.
        limit: seconds of processor time after which the training ends where it is.
        told: called with the updates done.
    """
    config = RunConfig(optim=OptimConfig(lr=task.rate, clip=1.0))
    optimizer = build_optimizer(config.optim, model.parameters())
    update = PlainUpdate(config, model.train(), optimizer, cast(Task, task))
    draw = np.random.default_rng(seed)
    with evaluation_mode(model), torch.inference_mode():
        before = task.untrained(model)
    losses: list[float] = []
    stopped, bad = "", 0
    begin = time.process_time()
    for done in range(task.updates):
        update(task.batch(draw), None, task.rate * _share(done, task.updates))
        outcome = update.outcomes()[0]
        losses.append(outcome.loss)
        bad = 0 if outcome.finite else bad + 1
        if bad == NOT_FINITE:
            what = "loss" if not math.isfinite(outcome.loss) else "gradient"
            stopped = f"its {what} is not finite from update {done + 2 - bad} on"
            break
        told(done + 1)
        if time.process_time() - begin > limit:
            stopped = f"out of time after {done + 1} of {task.updates} updates"
            break
    last = losses[-max(1, len(losses) // 10) :]
    learned = Learned(
        updates=len(losses),
        seconds=time.process_time() - begin,
        loss=float(np.mean(last)),
        stopped=stopped,
    )
    if bad == NOT_FINITE:
        return learned
    with evaluation_mode(model), torch.inference_mode():
        after = task.measure(model, np.random.default_rng(seed + _TEST))
    return replace(learned, measures=after + before)


def _share(done: int, updates: int) -> float:
    """The rate of an update, as a share of the highest."""
    warm = min(1.0, (done + 1) / WARMUP)
    return warm * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * done / updates)))
