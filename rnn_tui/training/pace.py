"""How fast a run goes and how often it looks: its way over time, its threads, its intervals.

Chosen by timing steps that change nothing, at the start and, by `switching`, in the middle of a run.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import torch

from rnn_tui.model.device import best_threads, cpu_count, timed, visit
from rnn_tui.model.recurrence import Engine
from rnn_tui.tasks.task import Batch
from rnn_tui.training.config import RunConfig
from rnn_tui.training.graphed import graphed
from rnn_tui.training.setup import same_randomness

if TYPE_CHECKING:
    from rnn_tui.training.loop import Trainer

FASTER = 0.97
"""A way over time is called faster than another where it takes at most so much of the other's seconds."""

_PROBE = 0.1  # seconds
_SHORT = 4  # positions


@dataclass(frozen=True)
class Pace:
    """What is in force; stands in every checkpoint, so that a resumed run does the same.

    Attributes:
        engine: the way over time, see `rnn_tui.training.update.Update.engine`.
    """

    threads: int
    log_every: int
    validate_every: int
    engine: str = "loop"


def first_pace(trainer: "Trainer") -> Pace:
    """Choose all of it for a run that begins. With `exact` nothing is timed, so that two runs choose alike."""
    config, model = trainer.config, trainer.model
    runtime, device = config.runtime, model.device
    wanted = runtime.engine
    if wanted == "auto":
        wanted = "graph" if device.type == "cuda" else "eager"
    elif wanted == "compiled" and device.type == "cpu" and not runtime.exact:
        wanted = "eager"  # until it is compiled
    torch.set_num_threads(1)  # tracing is many tiny products: where cores are busy, more threads take longer
    take_engine(trainer, wanted)
    if runtime.exact:
        pace = exact_pace(config, trainer.total_steps)
    else:
        probe = probe_of(trainer)
        pace = timed_pace(trainer, probe)
        if runtime.engine == "auto" and model.engine()[0] == "eager" and device.type == "cpu":
            seconds = race(probe, lambda: model.select_engine("eager"), lambda: model.select_engine("loop"))
            if seconds[1] < FASTER * seconds[0]:
                fast, slow = (f"{1e3 * probe.scale * s:.1f} ms" for s in (seconds[1], seconds[0]))
                model.select_engine("loop", f"the plain loop, which was faster: {fast} a step against {slow}")
                pace = timed_pace(trainer, probe)
    return replace(pace, engine=trainer.update.engine()[0])


def take_engine(trainer: "Trainer", engine: str) -> None:
    """Put a way over time in force, or the best there is in its place; `Update.engine` then says which, and why.

    Args:
        engine: as `Update.engine` names it.
    """
    model, precision = trainer.model, trainer.config.runtime.precision
    trainer.update = trainer.plain
    if precision in ("bf16", "fp16"):
        model.select_engine("loop", f"the plain loop, because the other ways do not know {precision}")
    elif engine == "graph":
        model.select_engine("eager")
    elif engine != "own":
        model.select_engine(cast(Engine, engine))
    if engine == "graph":
        update = graphed(trainer.plain, lambda message: _note(trainer, message))
        if isinstance(update, str):
            _note(trainer, f"the update is not recorded as a CUDA graph: {update}")
        else:
            trainer.update = update


def _note(trainer: "Trainer", message: str) -> None:
    trainer.journal.event("note", trainer.progress.step, message=message)


@dataclass(frozen=True)
class Probe:
    """A step to be timed.

    Attributes:
        batch: on a CPU cut to so few positions that a step takes about `_PROBE` seconds, so that there is time to try
            every number of threads; the products of a position are as large in a short window as in a long one.
        scale: how many such steps a whole window takes.
        positions: that a whole batch reads.
    """

    trainer: "Trainer"
    batch: Batch
    scale: float
    positions: int

    def __call__(self) -> None:
        self.trainer.update.rehearse(self.batch)


def probe_of(trainer: "Trainer") -> Probe:
    """Return the step to time, of a batch that is neither long nor short for this run."""
    epoch = trainer.batches
    batches = sorted((epoch.batch(i) for i in range(min(9, len(epoch)))), key=lambda batch: batch.positions)
    batch = batches[len(batches) // 2]
    whole = Probe(trainer, batch, 1.0, batch.positions)
    length = batch.inputs.shape[1]
    if trainer.model.device.type != "cpu" or length <= _SHORT:
        return whole
    short = replace(whole, batch=first_positions(batch, _SHORT))
    short()
    kept = min(length, max(_SHORT, int(_SHORT * _PROBE / timed(short))))
    return replace(whole, batch=first_positions(batch, kept), scale=length / kept)


def first_positions(batch: Batch, count: int) -> Batch:
    """Return a batch without what comes after its first `count` positions."""
    lengths = None if batch.lengths is None else batch.lengths.clamp(max=count)
    return Batch(batch.inputs[:, :count], batch.targets[:, :count], lengths)


@contextmanager
def free_steps(trainer: "Trainer") -> Iterator[Probe]:
    """Give a step to time in the middle of a run on a CPU, and leave no trace of those that were taken.

    Gradients, random generators, the number of threads and the way over time are as before, and the throughput that is
    told is that of the updates.
    """
    begin, threads = time.monotonic(), torch.get_num_threads()
    engine, reason = trainer.model.engine()
    gradients = [parameter.grad for parameter in trainer.parameters]
    trainer.model.zero_grad(set_to_none=True)
    try:
        with same_randomness():
            yield probe_of(trainer)
    finally:
        torch.set_num_threads(threads)
        trainer.model.select_engine(cast(Engine, engine), reason)
        for parameter, gradient in zip(trainer.parameters, gradients, strict=True):
            parameter.grad = gradient
        trainer.observer.off_the_clock(begin)


def race(
    step: Callable[[], object], first: Callable[[], object], second: Callable[[], object]
) -> tuple[float, float]:
    """Return the seconds of a step after `first` and after `second`, in turn three times, the best of each.

    Leaves `first` in force.
    """
    best = [math.inf, math.inf]
    try:
        for repeat in range(4):
            for index, prepare in enumerate((first, second)):
                prepare()
                seconds = visit(step)
                if repeat:  # the first of each pays for what is made once
                    best[index] = min(best[index], seconds)
    finally:
        first()
    return best[0], best[1]


def exact_pace(config: RunConfig, total_steps: int | None) -> Pace:
    """Fix threads and intervals without looking at the clock."""
    threads = config.runtime.threads or max(1, cpu_count() // 2)
    torch.set_num_threads(threads)
    interval = max(1, (total_steps or 1000) // 20)
    return Pace(threads, config.watch.log_every or 10, config.watch.validate_every or interval)


def timed_pace(trainer: "Trainer", probe: Probe) -> Pace:
    """Choose threads and intervals by timing steps."""
    runtime, watch = trainer.config.runtime, trainer.config.watch
    if trainer.model.device.type != "cpu" or runtime.threads:
        threads = runtime.threads or max(1, min(4, cpu_count() // 2))
        torch.set_num_threads(threads)
        probe()
        seconds = min(timed(probe) for _ in range(3))
    else:
        threads, seconds = best_threads(probe)
    seconds *= probe.scale
    # a validation is a forward pass, a good third of a step for each token; it may cost a fifth of the time at most
    validation_seconds = 0.4 * seconds * trainer.task.validation_positions / probe.positions
    budget_seconds = min(
        trainer.total_steps * seconds if trainer.total_steps else math.inf,
        trainer.config.budget.minutes * 60 or math.inf,
    )
    interval_seconds = max(5 * validation_seconds, min(15.0, budget_seconds / 10))
    interval = max(1, round(interval_seconds / seconds))
    return Pace(threads, watch.log_every or round_125(0.25 / seconds), watch.validate_every or interval)


def round_125(value: float) -> int:
    """Round down to 1, 2 or 5 times a power of ten, between 1 and 100."""
    if value <= 1:
        return 1
    power = 10 ** math.floor(math.log10(value))
    return min(100, int(power * max(m for m in (1, 2, 5) if m * power <= value)))
