"""Following a run: from its events to figures, and from those to a bar on a terminal or lines in a log."""

import math
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

from rnn_tui.cli.output import console, count, duration, figure, say
from rnn_tui.safetext import safe_text

if TYPE_CHECKING:
    from rnn_tui.runs.events import Event

LINE_EVERY = 5.0
"""Seconds between lines of training figures where there is no terminal to redraw."""


@dataclass
class Figures:
    """What is known of a run so far. Losses in the unit of the task, times in seconds.

    Attributes:
        unit: of the losses.
        measures: what came with the newest validation, such as the perplexity.
        tokens_per_second: since the point of the curve before the newest one.
        baselines: the losses of simple models on the validation split.
        line_every: steps between lines where there is no screen; 0: by time.
        sample: how much of the newest sample is copied from the training text, in words.
        evaluation: what was measured when the run was complete.
    """

    step: int = 0
    total_steps: int | None = None
    minutes: float = 0.0
    epoch: float = 0.0
    elapsed: float = 0.0
    eta: float | None = None
    parameters: int | None = None
    train_loss: float | None = None
    validation_loss: float | None = None
    best_loss: float | None = None
    best_step: int | None = None
    tokens_per_second: float | None = None
    task: str = ""
    unit: str = ""
    measures: dict[str, float | None] = field(default_factory=dict)
    baselines: dict[str, float | None] = field(default_factory=dict)
    line_every: int = 0
    sample: str = ""
    evaluation: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    _tokens: float = 0.0  # at the newest point
    _taken: float = 0.0  # those of updates whose speed is known, and their seconds
    _spent: float = 0.0

    def take(self, event: "Event") -> None:
        """Bring the figures up to date with one event."""
        data = event.data
        if event.kind != "checkpoint":  # told when its files are there, with the step of what is in them
            self.step = event.step
        match event.kind:
            case "start" | "resume":
                self.parameters, self.total_steps = (
                    _whole(data.get("parameters")),
                    _whole(data.get("total_steps")),
                )
                self.minutes = _number(data.get("minutes")) or 0.0
                self.task = str(data.get("task", ""))
                self.unit, self.line_every = str(data.get("unit", "")), _whole(data.get("line_every")) or 0
                named, known = data.get("measures"), data.get("baselines")
                self.measures = dict.fromkeys(map(str, named if isinstance(named, list) else ()))
                self.baselines = {
                    str(name): _number(value)
                    for name, value in (known.items() if isinstance(known, dict) else ())
                }
                self.reason, self.exit_code = "", None
            case "train":
                self.train_loss = _number(data.get("loss"))
                self.tokens_per_second = _number(data.get("tokens_per_second"))
                self._count(_number(data.get("tokens")) or 0.0)
                self.epoch = _number(data.get("epoch")) or 0.0
                self.elapsed = _number(data.get("elapsed")) or 0.0
                self.eta = _number(data.get("eta"))
            case "validation":
                self.validation_loss = _number(data.get("loss"))
                self.measures = {name: _number(data.get(name)) for name in self.measures}
                if data.get("best"):
                    self.best_loss, self.best_step = self.validation_loss, event.step
            case "sample":
                self.sample = copied_line(data)
            case "evaluation":
                self.evaluation = data
            case "rollback":
                self.step = min(event.step, _whole(data.get("to_step")) or 0)
            case "end":
                self.reason, self.message = str(data.get("reason", "")), str(data.get("message", ""))
                self.exit_code = _whole(data.get("exit_code", 0))
                self.step = _whole(data.get("steps", event.step)) or 0
                self.epoch = _number(data.get("epochs")) or self.epoch
                self.elapsed = _number(data.get("elapsed")) or self.elapsed
                for name in ("train_loss", "validation_loss", "best_loss"):
                    setattr(self, name, _number(data.get(name)))
                self.best_step = _whole(data.get("best_step"))

    @property
    def share(self) -> float | None:
        """How much of the budget is used, 0 to 1; None while that is not known."""
        shares = []
        if self.total_steps:
            shares.append(self.step / self.total_steps)
        if self.minutes:
            shares.append(self.elapsed / (60 * self.minutes))
        return min(1.0, max(shares)) if shares else None

    @property
    def mean_tokens_per_second(self) -> float | None:
        """Over all updates, what is done between them left out; the newest speed where the events tell no more."""
        return self._taken / self._spent if self._spent else self.tokens_per_second

    def _count(self, tokens: float) -> None:
        new, self._tokens = tokens - self._tokens, tokens
        if (
            new > 0 and self.tokens_per_second and math.isfinite(new / self.tokens_per_second)
        ):  # it may have gone back
            self._taken, self._spent = self._taken + new, self._spent + new / self.tokens_per_second

    def line(self, *, measured: bool = True) -> str:
        """The figures as one line, what matters most first: a narrow terminal cuts its end.

        Args:
            measured: with the newest validation.
        """
        parts = [f"step {count(self.step)}" + (f"/{count(self.total_steps)}" if self.total_steps else "")]
        validation = {"validation": figure(self.validation_loss)}
        validation |= {name: figure(value) for name, value in list(self.measures.items())[:1]}
        named = {
            "loss": figure(self.train_loss),
            **(validation if measured else {}),
            "left": duration(self.eta),
            "best": figure(self.best_loss),
            "tokens/s": count(self.tokens_per_second),
        }
        return "  ".join([*parts, *[f"{name} {text}" for name, text in named.items() if text]])


def _number(value: object) -> float | None:
    if value is None:
        return None
    from rnn_tui.runs.events import number

    return number(value)


def _whole(value: object) -> int | None:
    found = _number(value)
    return int(found) if found is not None and math.isfinite(found) else None


class View(Protocol):
    """Shows figures and events as they come."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def show(self, event: "Event", figures: Figures) -> None: ...


class Lines:
    """Lines of figures, every few seconds or every so many steps, and one for each thing worth saying."""

    def __init__(self) -> None:
        self._told = -LINE_EVERY
        self._losses: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def show(self, event: "Event", figures: Figures) -> None:
        if event.kind == "train" and not self._due(event, figures):
            return
        if event.kind in ("train", "validation"):
            self._told = time.monotonic()
            say(figures.line(measured=event.kind == "validation"))
        elif text := narration(event):
            say(text)

    def _due(self, event: "Event", figures: Figures) -> bool:
        """Whether a line is to be written; where it is one every so many steps, their mean loss goes into it."""
        if not figures.line_every:
            return time.monotonic() - self._told >= LINE_EVERY
        self._losses.append(math.nan if figures.train_loss is None else figures.train_loss)
        if event.step % figures.line_every:
            return False
        figures.train_loss = sum(self._losses) / len(self._losses)
        self._losses = []
        return True


_STYLES = {"divergence": "bold red", "warning": "yellow", "rollback": "yellow"}


class Bar:
    """A bar at the foot of the terminal; samples and remarks scroll by above it."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        words = TextColumn(
            "{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")
        )
        self._bar = Progress(BarColumn(16), words, console=console(sys.stderr))
        self._task = self._bar.add_task("starting", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._bar.stop()
        finally:  # a second Ctrl-C comes in the middle of it
            self._bar.console.show_cursor()

    def show(self, event: "Event", figures: Figures) -> None:
        from rich.text import Text

        share = figures.share
        total = None if share is None else 1.0
        self._bar.update(
            self._task, total=total, completed=share or 0.0, description=safe_text(figures.line())
        )
        if event.kind == "sample":
            block = safe_text(f"{event.data.get('prompt', '')}{event.data.get('text', '')}", newlines=True)
            self._bar.console.print(Text(f"\nsample at step {event.step:d}:", style="bold"))
            self._bar.console.print(Text(block.strip("\n"), style="dim"))
        elif text := narration(event):
            self._bar.console.print(Text(safe_text(text), style=_STYLES.get(event.kind, "")))


def narration(event: "Event") -> str:
    """Return the line that tells of an event; empty for those that only carry figures."""
    from rnn_tui.runs.switches import switch_line

    data: dict[str, Any] = event.data
    match event.kind:
        case "start" | "resume":
            what = (
                "starting"
                if event.kind == "start"
                else f"going on from step {data.get('from_step', event.step)}"
            )
            size = count(_number(data.get("parameters")))
            where = data.get("device_name") or data.get("device")
            exactness = f"; repeatable {data['exactness']}" if data.get("exactness") else ""
            return f"{what}: {data.get('arch')}, {size} parameters, on {where}{exactness}"
        # an error is told when the run has ended with it
        case "note" | "warning" | "divergence" | "rollback":
            head = {"warning": "warning: ", "divergence": f"step {event.step}: "}.get(event.kind, "")
            return f"{head}{data.get('message', '')}"
        case "engine" | "threads":
            return f"step {event.step}: {switch_line(event)}"
        case "state":
            why = f": {data['message']}" if data.get("message") else ""
            return f"{data.get('state')} at step {event.step}{why}"
        case "command":
            return f"{data.get('command')} at step {event.step} (asked for by {data.get('origin', '?')})"
        case "sample":
            return f"sample: {data.get('prompt', '')}{data.get('text', '')}"[:200]
        case "transcription":
            return f"step {event.step}: {data.get('source', '')} → {data.get('text', '')}"[:200]
        case "forecast":
            return forecast_line(data)
    return ""


def copied_line(data: dict[str, Any]) -> str:
    """Return how much of a sample is copied from the training text; empty where that was not measured."""
    from rnn_tui.corpus.copied import describe, read_copied

    copied = read_copied(data)
    return describe(copied, str(data.get("text", ""))) if copied else ""


def forecast_line(data: dict[str, Any]) -> str:
    """Return the mean squared errors of forecasts at their horizons, beside those of staying where one is."""
    errors, persistence = (
        value if isinstance(value := data.get(key), dict) else {} for key in ("errors", "persistence")
    )
    parts = [
        f"{horizon} ahead {figure(_number(error))} ({figure(_number(persistence.get(horizon)))})"
        for horizon, error in errors.items()
    ]
    return f"squared error (of persistence): {', '.join(parts)}"


def view() -> View:
    """Return what suits standard error: a bar, or lines."""
    return Bar() if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else Lines()


def show_events(events: Iterable["Event"], shown: View, figures: Figures, *, since: float = 0.0) -> None:
    """Take every event into `figures` and show those that happened after `since` (unix time)."""
    with shown:
        for event in events:
            figures.take(event)
            if event.time >= since:
                shown.show(event, figures)
