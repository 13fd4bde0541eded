"""The learning rate over a run, as a factor of the base rate. Pure functions."""

import math

from rnn_tui.training.config import OptimConfig


def factor(config: OptimConfig, *, step: int, progress: float, plateau: float) -> float:
    """Return what the base rate is multiplied with at update number `step` (from 0).

    Args:
        progress: share of the budget that is used, 0 to 1.
        plateau: the product of the falls so far; 1 for the other schedules.
    """
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.schedule == "cosine":
        # half a cosine from 1 to lr_floor (Loshchilov & Hutter 2017, without restarts)
        fall = config.lr_floor + (1 - config.lr_floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    elif config.schedule == "step":
        fall = config.factor ** (step // config.step_every)
    elif config.schedule == "plateau":
        fall = plateau
    else:
        fall = 1.0
    if config.schedule in ("step", "plateau"):
        fall = max(fall, config.lr_floor)
    return warmup * fall
