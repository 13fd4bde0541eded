"""What the command and its child process say to each other: JSON lines, requests one way and messages the other.

Free of torch: the command only asks, waits and shows.
"""

from typing import Any, Literal

import msgspec


class Subject(msgspec.Struct, frozen=True):
    """An architecture with its options."""

    name: str
    options: dict[str, Any] = {}


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a process of its own does.

    Attributes:
        what: `trial` (is the contract kept?), `speed` of all subjects side by side, or the name of a group of tasks.
        seeds: each is a training of every task of the group.
        parameters: that every model is to have.
        limit: seconds of processor time for all trainings together.
        silence: seconds without a sign after which it is ended.
    """

    what: str
    subjects: tuple[Subject, ...]
    quick: bool = False
    seeds: tuple[int, ...] = ()
    parameters: int = 20_000
    limit: float = 300.0
    silence: float = 120.0


class Request(msgspec.Struct, frozen=True):
    """Jobs to be done, as many at once as there are cores."""

    jobs: tuple[Job, ...]


class Ready(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """The first message.

    Attributes:
        tasks: the groups, in order, and all that their figures depend on.
        cores: jobs that are done at once.
    """

    machine: str
    torch: str
    tasks: dict[str, str]
    cores: int = 1


class Progress(msgspec.Struct, frozen=True, tag=True):
    """Of a job, the share that is done."""

    job: int
    share: float


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One figure.

    Attributes:
        at: the lag, length or depth; 0 for a figure that has none.
        value: in the measure's unit; on its way `nan` or `inf` as text, which JSON has no number for.
        score: 0 is chance and 1 perfect; None where there is no such scale.
        beyond: whether no training sequence was so long or deep.
    """

    at: int = 0
    value: float | str
    score: float | None = None
    beyond: bool = False


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one kind.

    Attributes:
        name: `copy`, `adding`, and so on.
        axis: what `at` counts; empty for a single figure.
        unit: of the values.
        chance: the value of one who guesses.
        better: which values are; empty where they are neither.
    """

    name: str
    axis: str = ""
    unit: str
    chance: float | None = None
    better: Literal["high", "low", ""] = "high"
    points: tuple[Point, ...]


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one training.

    Attributes:
        group: the task's.
        task: the task with its settings.
        updates: that were taken, of `planned`.
        seconds: of processor time.
        loss: the mean of the last tenth of the updates; None where there is none, or it is not finite.
        problem: why there is no figure, or why training ended early; empty where all went well.
        cached: whether it was not done now.
    """

    group: str
    architecture: str
    task: str
    seed: int
    hidden_size: int
    parameters: int
    engine: str
    engine_reason: str
    updates: int
    planned: int
    seconds: float
    loss: float | None
    problem: str
    measures: tuple[Measure, ...]
    cached: bool = False


class Trained(msgspec.Struct, frozen=True, tag=True):
    """A training of a job is over."""

    job: int
    training: Training


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens per second, as `rnn_tui.bench.timing.Spread`."""

    median: float
    least: float
    most: float
    busy: bool


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """How fast one architecture is, on one thread, tokens per second.

    Attributes:
        train: 32 windows of 64 characters.
        sample: one stream.
        train_engine, sample_engine: the rungs.
    """

    architecture: str
    train: Speed | None = None
    sample: Speed | None = None
    train_engine: str = ""
    sample_engine: str = ""
    problem: str = ""


class Timed(msgspec.Struct, frozen=True, tag=True):
    """Speeds, measured side by side."""

    job: int
    rates: tuple[Rate, ...]


class Failed(msgspec.Struct, frozen=True, tag=True):
    """A job ended with nothing more to come; why, as one clause."""

    job: int
    problem: str


class Ended(msgspec.Struct, frozen=True, tag=True):
    """A job is over, whether or not it failed."""

    job: int


Message = Ready | Progress | Trained | Timed | Failed | Ended
