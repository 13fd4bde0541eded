"""What a process of the scorecard does: one architecture on one group of tasks, or a trial, or a race."""

import math
import time
from collections.abc import Callable
from functools import partial

import torch
from msgspec.structs import replace

from rnn_tui.errors import PluginError, RnnTuiError
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.contract import check_architecture
from rnn_tui.model.recurrent_model import RecurrentModel, build_model
from rnn_tui.plugin.loading import describe_error
from rnn_tui.plugin.options import parse_options
from rnn_tui.plugin.registry import find_plugin, load_plugin
from rnn_tui.score.learning import Learned, learn
from rnn_tui.score.sizes import equal_size
from rnn_tui.score.speed import race
from rnn_tui.score.task import ScoreTask
from rnn_tui.score.tasks import all_tasks
from rnn_tui.score.wire import (
    Failed,
    Job,
    Measure,
    Message,
    Progress,
    Rate,
    Subject,
    Timed,
    Trained,
    Training,
)
from rnn_tui.training.setup import keep_memory, seed_everything, warm_up_math

Send = Callable[[Message], None]

_SIGN = 0.25  # seconds between two signs of life

REFERENCE = "text"
"""The group whose inputs decide the sizes that are tried and timed."""


def perform(number: int, job: Job, send: Send) -> None:
    """Do a job on one thread and tell of it; what fails is a message, too."""
    torch.set_num_threads(1)
    keep_memory()
    warm_up_math()
    try:
        if job.what == "trial":
            _try(job)
        elif job.what == "speed":
            send(Timed(number, _time(job, lambda share: send(Progress(number, share)))))
        else:
            _learn(number, job, send)
    except RnnTuiError as error:
        send(Failed(number, str(error)))
    except Exception as error:  # a plugin raises whatever it likes
        send(Failed(number, describe_error(error)))


def _builder(subject: Subject, inputs: dict[str, int]) -> Callable[[int], RecurrentModel]:
    """Return what builds a model by its hidden size."""
    plugin = load_plugin("architecture", subject.name)
    given = parse_options(
        getattr(plugin, "Options", None), subject.options, owner=f"architecture {subject.name}"
    )

    def build(hidden_size: int) -> RecurrentModel:
        return build_model(plugin, given, ModelConfig(arch=subject.name, hidden_size=hidden_size), **inputs)

    return build


def sized(build: Callable[[int], RecurrentModel], parameters: int) -> tuple[int, int]:
    """Return the hidden size that gives so many parameters, and how many it gives."""
    return equal_size(lambda hidden_size: build(hidden_size).parameter_count(), parameters)


def _try(job: Job) -> None:
    inputs = all_tasks(quick=job.quick)[REFERENCE][0].inputs
    for subject in job.subjects:
        owner = str(find_plugin("architecture", subject.name))
        try:
            build = _builder(subject, inputs)
            model = build(sized(build, job.parameters)[0])
        except RnnTuiError as error:
            raise error if str(error).startswith(owner) else PluginError(f"{owner}: {error}") from error
        check_architecture(model, owner)


def _time(job: Job, told: Callable[[float], object]) -> tuple[Rate, ...]:
    inputs = all_tasks(quick=job.quick)[REFERENCE][0].inputs
    sizes: dict[str, Callable[[], RecurrentModel] | str] = {}
    for subject in job.subjects:
        try:
            build = _builder(subject, inputs)
            sizes[subject.name] = partial(build, sized(build, job.parameters)[0])
        except Exception as error:  # a plugin raises whatever it likes
            sizes[subject.name] = describe_error(error)
    return race(sizes, inputs["vocab_size"], quick=job.quick, told=told)


def _learn(number: int, job: Job, send: Send) -> None:
    """Train every task of a group with every seed, the model built and taken apart once."""
    (subject,) = job.subjects
    group = all_tasks(quick=job.quick)[job.what]
    total = len(job.seeds) * sum(task.updates for task in group)
    build = _builder(subject, group[0].inputs)
    hidden_size, parameters = sized(build, job.parameters)
    model = build(hidden_size)
    model.select_engine("compiled")
    engine, reason = model.engine()
    done, sign = 0, 0.0
    begin = time.process_time()

    def told(updates: int) -> None:
        nonlocal sign
        if time.monotonic() - sign > _SIGN:
            sign = time.monotonic()
            send(Progress(number, (done + updates) / total))

    told(0)
    for seed in job.seeds:
        for task in group:
            left = job.limit - (time.process_time() - begin)
            learned = _trained(model, build, hidden_size, task, seed, left, told)
            training = Training(
                group=job.what,
                architecture=subject.name,
                task=repr(task),
                seed=seed,
                hidden_size=hidden_size,
                parameters=parameters,
                engine=engine,
                engine_reason=reason,
                planned=task.updates,
                problem=learned.stopped,
                updates=learned.updates,
                seconds=learned.seconds,
                loss=learned.loss if math.isfinite(learned.loss) else None,
                measures=tuple(map(_sendable, learned.measures)),
            )
            send(Trained(number, training))
            done += task.updates


def _trained(
    model: RecurrentModel,
    build: Callable[[int], RecurrentModel],
    hidden_size: int,
    task: ScoreTask,
    seed: int,
    limit: float,
    told: Callable[[int], object],
) -> Learned:
    if limit <= 0:
        return Learned(updates=0, seconds=0.0, loss=math.nan, stopped="out of time before its turn")
    begin = time.process_time()
    try:
        seed_everything(seed)
        model.load_state_dict(build(hidden_size).state_dict())
        return learn(model, task, seed=seed, limit=limit, told=told)
    except Exception as error:  # a plugin raises whatever it likes
        seconds = time.process_time() - begin
        return Learned(updates=0, seconds=seconds, loss=math.nan, stopped=describe_error(error))


def _sendable(measure: Measure) -> Measure:
    """The same with numbers that JSON does not have as text."""
    points = [
        each if math.isfinite(float(each.value)) else replace(each, value=str(each.value))
        for each in measure.points
    ]
    return replace(measure, points=tuple(points))
