"""Another way over time, or another number of threads, in the middle of a run.

While the eager rung trains, a thread beside it compiles the step; when that is done, the two race. Threads are timed
again when updates take twice as long as they did, since somebody else may now need the cores, and every few minutes,
since they may have gone. A switch is an event, in the log before it takes effect: a run that resumes from an earlier
checkpoint makes it again at its step.

All this is for the CPU and never with `--exact`, which fixes both before the first step.
"""

import math
import secrets
import statistics
import time
from dataclasses import replace
from threading import Thread
from typing import TYPE_CHECKING, Any, cast

import torch

from rnn_tui.model.device import best_threads, fastest, time_threads
from rnn_tui.model.recurrence import Engine
from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.training.pace import FASTER, free_steps, race, take_engine
from rnn_tui.training.progress import Change

if TYPE_CHECKING:
    from rnn_tui.training.loop import Trainer

WORTH_COMPILING = 60.0
"""Seconds that a run must still take for the second or three of a compiler to be worth it."""

HALVED = 2.0
"""Threads are timed again when an update takes so many times as long as it did."""
SOON, LATER, SELDOM = 60.0, 90.0, 3600.0
"""Seconds: threads are timed at most once in `SOON`, without any sign after `LATER`, and then twice as seldom with each
time that has changed nothing, at last once in `SELDOM`. A time costs up to two seconds."""
_BETTER = 0.9

_BLOCK_SECONDS, _BLOCK_UPDATES = 3.0, 20
_JOIN = 20.0


class Watch:
    """The pace of the updates: their median over blocks of some seconds, beside the best block so far."""

    def __init__(self) -> None:
        self._interval = LATER
        self._timed_at = time.monotonic()
        self.restart()

    def restart(self) -> None:
        """Forget the pace so far: what it depends on was chosen anew."""
        self._times: list[float] = []
        self._spent = 0.0
        self._best = math.inf

    def took(self, seconds: float, positions: int) -> None:
        """Count one update; by position, since windows differ in length."""
        self._times.append(seconds / positions)
        self._spent += seconds

    def due(self) -> str:
        """Return why threads are to be timed again, if they are."""
        if self._spent < _BLOCK_SECONDS or len(self._times) < _BLOCK_UPDATES:
            return ""
        recent = statistics.median(self._times)
        self._best = min(self._best, recent)
        self._times, self._spent = [], 0.0
        since = time.monotonic() - self._timed_at
        if recent > HALVED * self._best and since >= SOON:
            return f"updates took {recent / self._best:.1f} times as long as before"
        return "to see whether cores have become free" if since >= self._interval else ""

    def timed(self, *, changed: bool) -> None:
        """Take note that threads were timed."""
        self._timed_at = time.monotonic()
        self._interval = LATER if changed else min(2 * self._interval, SELDOM)
        self.restart()


class Ahead:
    """The compilation of a model, in a thread of its own.

    Attributes:
        problem: half a sentence on why there is no compiled form; to be read when it is done.
    """

    def __init__(self, model: RecurrentModel) -> None:
        self.problem: str | None = None
        self._model = model
        self._thread = Thread(target=self._compile, name="compile", daemon=True)
        self._thread.start()

    def _compile(self) -> None:
        try:
            self.problem = self._model.compile_ahead()
        except Exception as error:  # a stranger's step, a stranger's compiler
            self.problem = f"{type(error).__name__}: {(str(error).splitlines() or ['no message'])[0][:200]}"

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def join(self) -> None:
        """Wait for its end, but not for ever: a process that ends under a thread inside torch may crash."""
        self._thread.join(_JOIN)


class Switching:
    """Switches the way over time and the number of threads of one trainer, between two updates."""

    def __init__(self, trainer: "Trainer", until: int) -> None:
        """Switch those of `trainer`; by its own decision not before step `until`, see `Replay`."""
        runtime = trainer.config.runtime
        self.trainer = trainer
        self._until = until
        self._free = trainer.model.device.type == "cpu" and not runtime.exact
        self._asked = runtime.engine == "compiled"
        self._may_compile = runtime.engine in ("auto", "compiled") and runtime.precision == "fp32"
        self._may_time = not runtime.threads
        self._ahead: Ahead | None = None
        self._watch = Watch()

    def took(self, seconds: float, positions: int) -> None:
        """Take note of one update."""
        self._watch.took(seconds, positions)

    def consider(self) -> None:
        """Switch what is better switched before the next update. Costs a microsecond where nothing is due."""
        if not self._free or self.trainer.progress.step < self._until:
            return
        if self._ahead is not None:
            if self._ahead.done:
                problem, self._ahead = self._ahead.problem, None
                self._compiled(problem)
        elif self._may_compile and self._worth_compiling():
            self._may_compile = False
            self._ahead = Ahead(self.trainer.model)
        elif self._may_time and (reason := self._watch.due()):
            self._time_threads(reason)

    def close(self) -> None:
        """Let nothing run on when the run ends."""
        if self._ahead is not None:
            self._ahead.join()

    def switch(self, change: Change) -> None:
        """Write a change into the log, then let it take effect with the next update."""
        trainer, data = self.trainer, change.data
        trainer.journal.event(change.kind, change.step, durable=True, **data)
        trainer.progress.took_effect(change.id)
        threads = int(data["threads"] if change.kind == "engine" else data["to"])
        if change.kind == "engine":
            take_engine(trainer, data["to"])
            engine, reason = trainer.update.engine()
            if engine != data["to"]:
                message = f"resuming is not bit-exact: engine {data['to']} is now {engine}: {reason}"
                trainer.journal.event("warning", change.step, message=message)
        torch.set_num_threads(threads)
        trainer.pace = replace(trainer.pace, engine=trainer.update.engine()[0], threads=threads)
        self._watch.restart()

    def _worth_compiling(self) -> bool:
        trainer = self.trainer
        if trainer.pace.engine not in ("loop", "eager"):  # it is compiled, or not made of steps
            self._may_compile = False
        elif not self._asked:
            left = trainer.eta if trainer.progress.step > 2 else None  # the first updates are slower
            return left is not None and left > WORTH_COMPILING
        return self._may_compile

    def _compiled(self, problem: str | None) -> None:
        """Take the compiled form where there is one and, unless it was asked for, it wins a race."""
        trainer, model, now = self.trainer, self.trainer.model, self.trainer.pace
        self._watch.restart()
        reason, threads, before, after = "", now.threads, math.nan, math.nan
        if problem is None:
            with free_steps(trainer) as probe:
                engine, why = model.engine()
                before, after = race(
                    probe,
                    lambda: model.select_engine(cast(Engine, engine), why),
                    lambda: model.select_engine("compiled"),
                )
                model.select_engine("compiled")
                engine, reason = model.engine()
                if engine != "compiled":
                    problem = reason
                elif not self._asked and after >= FASTER * before:
                    problem = f"{_ms(probe.scale * after)} a step against {_ms(probe.scale * before)} are not faster"
                elif self._may_time:
                    threads, after = best_threads(probe)
                before, after = probe.scale * before, probe.scale * after
        if problem is None:
            self._decide(
                "engine",
                {"from": now.engine, "to": "compiled", "threads": threads, "reason": reason},
                before,
                after,
            )
        elif self._asked or now.engine == "eager":  # the loop has said why already
            message = f"the step is not run compiled: {problem}"
            trainer.journal.event("note", trainer.progress.step, message=message)

    def _time_threads(self, reason: str) -> None:
        now = self.trainer.pace.threads
        with free_steps(self.trainer) as probe:
            times = time_threads(probe)
        best = fastest(times)
        present = times.get(now, math.inf)  # the search ended before it: fewer were far faster
        changed = best != now and times[best] < _BETTER * present
        self._watch.timed(changed=changed)
        if changed:
            data = {"from": now, "to": best, "reason": reason}
            self._decide("threads", data, probe.scale * present, probe.scale * times[best])

    def _decide(self, kind: str, data: dict[str, Any], before: float, after: float) -> None:
        """Switch; `before` and `after` are the seconds of a step."""
        step = self.trainer.progress.step
        found = {"id": secrets.token_hex(6), **data, "before": before, "after": after}
        self.switch(Change(step, kind, found))


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.1f} ms"
