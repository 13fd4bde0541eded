"""A run in a program of one's own: what it measured, its model, and how to steer it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rnn_tui.errors import BusyError, UsageError
from rnn_tui.inference.config import Backend
from rnn_tui.library import arguments
from rnn_tui.library.boundary import safe_errors
from rnn_tui.library.places import StrPath, name_or_path, runs_folder
from rnn_tui.library.steering import follow
from rnn_tui.runs.asking import ask
from rnn_tui.runs.eventline import Event
from rnn_tui.runs.events import EventReader, effective, number
from rnn_tui.runs.folder import find_run
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.listing import RunSummary, summarise
from rnn_tui.runs.listing import list_runs as summaries
from rnn_tui.runs.status import run_state

if TYPE_CHECKING:
    from rnn_tui.library.model import Model
    from rnn_tui.training.config import RunConfig

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
OnEvent = Callable[[Event], object]


@safe_errors()
def open_run(name: StrPath, *, runs_dir: StrPath | None = None) -> "Run":
    """Return a run that is there, training or not.

        >>> rnn_tui.open_run("fox").state
        'finished'

    Args:
        name: of the run, or the path of its folder; a `pathlib.Path` is always a path.
        runs_dir: where runs lie; None: `RNN_TUI_RUNS`, else `./runs`.

    Raises:
        InputError: when there is none; names the nearest.
    """
    return Run(find_run(runs_folder(runs_dir), name_or_path("name", name)))


@safe_errors()
def list_runs(runs_dir: StrPath | None = None) -> "list[Run]":
    """Return all runs of a folder, the newest first; none when it does not exist.

        >>> "fox" in [run.name for run in rnn_tui.list_runs()]
        True

    Args:
        runs_dir: where runs lie; None: `RNN_TUI_RUNS`, else `./runs`.

    Raises:
        InputError: when the folder cannot be read.
    """
    return [Run(RunFolder(found.path)) for found in summaries(runs_folder(runs_dir))]


@dataclass(frozen=True, eq=False)
class History:
    """The curves of a run. Where it went on again from an earlier step, what came after that step is left out.

    Attributes:
        step: int64 (N,), the optimiser updates done at each point of the training curve.
        loss: float64 (N,), of the training batches since the point before, in `unit`.
        lr: float64 (N,), the learning rate.
        epoch: float64 (N,), passes over the training split.
        seconds: float64 (N,), of training, pauses left out.
        tokens_per_second: float64 (N,).
        validation_step: int64 (M,).
        validation_loss: float64 (M,), in `unit`.
        measures: what came with each validation, float64 (M,) by name: `perplexity` and its like.
        unit: of the losses, such as "nats per token"; empty before the run begins.
    """

    step: Integers
    loss: Floats
    lr: Floats
    epoch: Floats
    seconds: Floats
    tokens_per_second: Floats
    validation_step: Integers
    validation_loss: Floats
    measures: dict[str, Floats]
    unit: str

    def __repr__(self) -> str:
        return f"<History: {len(self.step):,} points, {len(self.validation_step):,} validations>"


class Run:
    """A run: a folder that a worker process writes and everybody may read. Made by `train`, `open_run`, `list_runs`.

        >>> run = rnn_tui.open_run("fox")
        >>> history = run.history()
        >>> history.step.shape == history.loss.shape, history.unit
        (True, 'nats per token')
        >>> len(run.model().generate("the ", length=10))
        10

    It holds no open file and keeps nothing: every question is answered from the folder, so any number of threads and
    processes may ask.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self._folder.name

    @property
    def path(self) -> Path:
        """Its folder, absolute."""
        return self._folder.path

    @property
    def state(self) -> str:
        """What is true of it now: `created`, `starting`, `running`, `paused`, `stopping`, `finished`, `stopped`,
        `failed`, `diverged`, `crashed` or `damaged`."""
        return run_state(self._folder).state

    @property
    def message(self) -> str:
        """What is to be said of its state, such as why it failed; may be empty."""
        return run_state(self._folder).message

    @property
    @safe_errors()
    def config(self) -> "RunConfig":
        """All its settings, for `train` to take again; InputError when its folder is damaged."""
        from rnn_tui.training.stored import stored_config

        return stored_config(self._folder)

    def summary(self) -> RunSummary:
        """Return its row of `rnn-tui runs list`: settings, steps, losses, times; a dataclass, so that pandas makes a
        table of several."""
        return summarise(self._folder)

    def events(self) -> list[Event]:
        """Return all that its log holds, the oldest first."""
        return EventReader(self._folder.events_path).poll()

    def history(self) -> History:
        """Return its curves so far as arrays."""
        events = effective(self.events())
        unit, names = "", []
        for event in events:
            if event.kind in ("start", "resume"):
                unit = str(event.data.get("unit", ""))
                known = event.data.get("measures")
                names = [str(name) for name in known] if isinstance(known, list) else []
        train = [event for event in events if event.kind == "train"]
        validation = [event for event in events if event.kind == "validation"]

        def column(points: list[Event], key: str) -> Floats:
            return np.array([number(event.data.get(key)) for event in points], np.float64)

        def steps(points: list[Event]) -> Integers:
            return np.array([event.step for event in points], np.int64)

        return History(
            step=steps(train),
            loss=column(train, "loss"),
            lr=column(train, "lr"),
            epoch=column(train, "epoch"),
            seconds=column(train, "elapsed"),
            tokens_per_second=column(train, "tokens_per_second"),
            validation_step=steps(validation),
            validation_loss=column(validation, "loss"),
            measures={name: column(validation, name) for name in names},
            unit=unit,
        )

    @safe_errors()
    def model(self, *, device: str = "cpu", backend: Backend = "torch") -> "Model":
        """Load its best model so far, as `load` does, also while it trains.

        Raises:
            InputError: when it has none yet; else as `load`.
        """
        from rnn_tui.inference.target import model_of
        from rnn_tui.library.model import Model

        return Model(model_of(self._folder), device=device, backend=backend)

    @safe_errors()
    def wait(self, on_event: OnEvent | None = None) -> "Run":
        """Follow it to its end and return it; of one that has ended, return at once. One that was stopped is no error.

        KeyboardInterrupt ends the following and is raised again; the run goes on.

        Args:
            on_event: called with each event that happens meanwhile.

        Raises:
            DivergedError, OutOfMemoryError, DiskError, RnnTuiError: when it fails, or has failed; the same class as
                the exit code of `rnn-tui watch` stands for.
        """
        arguments.callback("on_event", on_event)
        return followed(self, on_event, since=time.time())

    @safe_errors()
    def stop(self) -> None:
        """Have it write a checkpoint and end, and wait for that; `resume` goes on from there.

        Raises:
            InputError: when it is not training.
            BusyError: when it does not answer within a minute; it may still do so.
        """
        ask(self._folder, "stop", origin="library")

    @safe_errors()
    def pause(self) -> None:
        """Have it pause at its next step, and wait for that; `resume` goes on. Raises as `stop`."""
        ask(self._folder, "pause", origin="library")

    @safe_errors()
    def resume(
        self,
        *,
        steps: int | None = None,
        epochs: float | None = None,
        minutes: float | None = None,
        detach: bool = False,
        on_event: OnEvent | None = None,
    ) -> "Run":
        """Go on with it: a paused one at once, a stopped or crashed one from its last checkpoint; return it.

            >>> run = rnn_tui.train(corpus="fox.txt", hidden_size=8, steps=2, threads=1)
            >>> run.resume(steps=4).history().step.tolist()[-1]
            4

        Args:
            steps, epochs, minutes: another budget in the place of its own: how much it is to have done in the end.
            detach: return as soon as it goes on; else follow it to its end, as `wait`.
            on_event: called with each event that happens while this call follows.

        Raises:
            UsageError: when it is complete and no budget is given, or paused and one is.
            BusyError: when it is training.
            InputError, DiskError: when its folder cannot be read or written; else as `wait`.
        """
        from rnn_tui.runs.supervisor import start_worker

        arguments.switch("detach", detach)
        arguments.callback("on_event", on_event)
        asked: Mapping[str, float | None] = {"steps": steps, "epochs": epochs, "minutes": minutes}
        budget = {key: value for key, value in asked.items() if value is not None}
        seen, since = run_state(self._folder), time.time()
        if seen.alive and seen.state == "paused":
            if budget:
                raise UsageError(f"run {self.name} is paused and goes on with its own budget; stop it first")
            ask(self._folder, "resume", origin="library")
        elif seen.alive or seen.state == "starting":
            raise BusyError(f"run {self.name} is {seen.state} already; wait() follows it")
        else:
            from rnn_tui.training.plugins import look_for_plugins
            from rnn_tui.training.stored import extend

            look_for_plugins(self._folder)
            if budget:
                extend(self._folder, budget)
            start_worker(self._folder, resume=True)
        return self if detach else followed(self, on_event, since=since)

    def __repr__(self) -> str:
        return f"<Run {str(self.path)!r}: {self.state}>"


def followed(run: Run, on_event: OnEvent | None, *, since: float = 0.0, fresh: bool = False) -> Run:
    """Follow a run to its end and return it.

    Args:
        since: unix time from which on events are told.
        fresh: it was started just now; one that could not begin is removed, as it holds nothing.

    Raises:
        RnnTuiError: of the class that its exit code stands for, unless it ended well or was stopped.
    """
    try:
        follow(run._folder, on_event, since=since, fresh=fresh)
    except KeyboardInterrupt as error:
        error.add_note(
            f"run {run.name} goes on by itself: rnn_tui.open_run({str(run.path)!r}) finds it, and its stop() ends it"
        )
        raise
    return run
