"""From a run folder to a trainer that is ready for its next update."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from rnn_tui import __version__
from rnn_tui.errors import InputError, UsageError
from rnn_tui.files import disk_error, fsync_directory
from rnn_tui.model.device import pick_device
from rnn_tui.model.file import FORMAT, ModelFile, load_weights, save_model
from rnn_tui.model.recurrence import Engine
from rnn_tui.model.recurrent_model import RecurrentModel, build_model
from rnn_tui.plugin.options import parse_options
from rnn_tui.plugin.registry import load_plugin, plugin_record
from rnn_tui.runs.control import Inbox
from rnn_tui.runs.events import EventReader, number
from rnn_tui.runs.layout import RunFolder
from rnn_tui.training import checkpoint as checkpoints
from rnn_tui.training.config import RunConfig, to_dict
from rnn_tui.training.data import Prepared, prepare_data
from rnn_tui.training.journal import RunJournal
from rnn_tui.training.loop import Trainer
from rnn_tui.training.optim import build_optimizer
from rnn_tui.training.progress import Progress, Replayed
from rnn_tui.training.setup import (
    Pace,
    choose_pace,
    device_name,
    keep_memory,
    race,
    refuse_inexact_kernels,
    seed_everything,
    set_precision,
    warm_up_math,
)
from rnn_tui.training.snapshot import read_progress, restore, tensors_of, values_of
from rnn_tui.training.work import Work, work_of


@dataclass(frozen=True)
class Session:
    """A run that is open in this process: what is written of it, and where.

    Attributes:
        prepared: the data.
        work: what the task makes of it.
    """

    run: RunFolder
    config: RunConfig
    journal: RunJournal
    prepared: Prepared
    work: Work


def open_session(
    run: RunFolder, config: RunConfig, journal: RunJournal, signalled: Callable[[], int | None]
) -> tuple[Trainer, Work]:
    """Build or resume the run; the caller holds its lock.

    Raises:
        RnnTuiError: when the corpus, a plugin, the device or every checkpoint is not what the run needs.
    """
    keep_memory()
    warm_up_math()  # before plugins and seeds: see there
    device = pick_device(config.runtime.device)
    set_precision(config.runtime.precision, device)
    if config.runtime.exact:
        refuse_inexact_kernels(device)
    prepared = prepare_data(
        config,
        progress=lambda what, *_: journal.status("starting", None, message=f"{what} the corpus"),
        keep_in=run.path,
    )
    work = work_of(config, prepared)
    session = Session(run, config, journal, prepared, work)
    architecture = load_plugin("architecture", config.model.arch)
    options = parse_options(
        getattr(architecture, "Options", None),
        config.model.options,
        owner=f"architecture {config.model.arch}",
    )
    found = checkpoints.newest_valid(
        run.checkpoints, lambda message: journal.event("warning", 0, message=message)
    )
    seed_everything(config.runtime.seed)
    model = build_model(architecture, options, config.model, **work.inputs).to(device).train()
    optimizer = build_optimizer(config.optim, model.parameters())

    def trainer_for(progress: Progress, pace: Pace, replay: list[Replayed]) -> Trainer:
        return Trainer(
            config,
            model,
            optimizer,
            work.task,
            pace,
            progress,
            journal=journal,
            requests=Inbox(run),
            signalled=signalled,
            replay=replay,
            write_checkpoint=lambda trainer, reason: save(session, trainer, reason),
            look=lambda trainer: work.look(trainer.model, trainer.progress.step),
        )

    if found is None:
        progress = Progress(base_lr=config.optim.lr)
        trainer = trainer_for(progress, Pace(1, 1, 1), [])
        journal.status("starting", None, force=True, message="timing a few steps")
        trainer.pace = _paced_engine(trainer)
        seed_everything(config.runtime.seed)  # timing took random numbers when there is dropout
        _announce(session, "start", trainer)
        for note in prepared.snapshot.notes:
            journal.event("note", 0, message=note)
        # from here on a kill loses time, never the weights that the run began with
        save(session, trainer, "start")
    else:
        tensors, values = found.load()
        if values.get("corpus") != prepared.fingerprint:
            raise InputError(
                f"the corpus {config.corpus.source} is not what run {run.name} began with; put the text back, or "
                "start a new run on this one"
            )
        load_weights(found.model_path, model)
        progress, pace = read_progress(values)
        torch.set_num_threads(pace.threads)
        _select_engine(model, "eager" if pace.engine == "eager" else "loop", config)
        trainer = trainer_for(progress, pace, _journalled(run, progress))
        _compare(found.manifest.get("environment", {}), environment(trainer), config, journal, progress.step)
        _announce(session, "resume", trainer, from_step=progress.step)
        restore(trainer, tensors, values)
    journal.status("running", trainer, force=True)
    return trainer, work


def _select_engine(model: RecurrentModel, engine: Engine, config: RunConfig) -> None:
    if config.runtime.precision == "bf16":
        model.select_engine("loop", "the plain loop, because the other ways do not know bf16")
    else:
        model.select_engine(engine)


def _paced_engine(trainer: Trainer) -> Pace:
    """Choose the way over time, then threads and intervals. With `auto` the loop has to lose a race, unless `exact`."""
    runtime, model = trainer.config.runtime, trainer.model
    torch.set_num_threads(1)  # tracing is many tiny products: where cores are busy, more threads take longer
    _select_engine(model, runtime.engine, trainer.config)
    pace = _timed_pace(trainer)
    if model.engine()[0] == "eager" and runtime.engine == "auto" and not runtime.exact:
        seconds = race(
            lambda: _free_step(trainer),
            lambda: model.select_engine("eager"),
            lambda: model.select_engine("loop"),
        )
        if seconds is not None and seconds[1] < 0.97 * seconds[0]:
            told = f"the plain loop, which was faster: {1e3 * seconds[1]:.1f} ms a step against {1e3 * seconds[0]:.1f}"
            model.select_engine("loop", told)
            pace = _timed_pace(trainer)
    return replace(pace, engine=model.engine()[0])


def _free_step(trainer: Trainer) -> float:
    """A whole step that changes nothing."""
    loss, *_ = trainer.loss(0, None)
    torch.autograd.backward(loss)
    value = loss.item()  # waits for the device
    trainer.model.zero_grad(set_to_none=True)
    return value


def _timed_pace(trainer: Trainer) -> Pace:
    """Choose threads and intervals by timing whole steps that change nothing."""
    return choose_pace(
        trainer.config,
        trainer.model.device,
        lambda: _free_step(trainer),
        tokens_per_step=trainer.batches.batch(0).positions,
        validation_tokens=trainer.task.validation_positions,
        total_steps=trainer.total_steps,
    )


def environment(trainer: Trainer) -> dict[str, Any]:
    """What the bits of a result depend on beside the configuration."""
    device = trainer.model.device
    return {
        "rnn_tui": __version__,
        "torch": str(torch.__version__),
        "device": device_name(device),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": trainer.pace.threads if device.type == "cpu" else 0,
        "engine": trainer.model.engine()[0],
    }


def _compare(
    then: dict[str, Any], now: dict[str, Any], config: RunConfig, journal: RunJournal, step: int
) -> None:
    differing = [
        f"{key} {then.get(key)} is now {value}" for key, value in now.items() if then.get(key) != value
    ]
    if differing:
        message = f"resuming is not bit-exact: {'; '.join(differing)}"
        if config.runtime.exact:
            raise UsageError(f"{message}; this run was started with --exact")
        journal.event("warning", step, message=message)


def _journalled(run: RunFolder, progress: Progress) -> list[Replayed]:
    """Changes of the rate that were journalled after the checkpoint and are not in it."""
    changes = {
        event.data["id"]: Replayed(event.step, event.data["id"], number(event.data["args"].get("lr")))
        for event in EventReader(run.events_path).poll()
        if event.kind == "command" and event.data.get("command") == "set" and event.step >= progress.step
    }
    return sorted((c for c in changes.values() if c.id not in progress.applied), key=lambda c: c.step)


def exactness(trainer: Trainer) -> str:
    """Say what a resumed or repeated run shares with this one."""
    runtime, device = trainer.config.runtime, trainer.model.device
    if device.type != "cpu" and not runtime.exact:
        return f"to rounding: kernels on {device.type} may differ from run to run; --exact refuses those"
    told = f"bit for bit on this machine with torch {torch.__version__} and {trainer.pace.threads} threads"
    return told + (", up to the step at which the minutes end" if trainer.config.budget.minutes else "")


def _announce(session: Session, kind: str, trainer: Trainer, **more: Any) -> None:
    config, device, task = session.config, trainer.model.device, trainer.task
    session.journal.status("starting", None, force=True, message="measuring the baselines")
    engine, engine_reason = trainer.model.engine()
    session.journal.event(
        kind,
        trainer.progress.step,
        durable=True,
        engine=engine,
        engine_reason=engine_reason,
        device=device.type,
        device_name=device_name(device),
        precision=config.runtime.precision,
        threads=trainer.pace.threads,
        parameters=trainer.model.parameter_count(),
        task=config.task.name,
        unit=task.unit,
        measures=list(task.measures),
        tokenizer=config.tokenizer.name if session.work.codec["tokenizer"] else "",
        arch=config.model.arch,
        corpus=session.prepared.name,
        steps_per_epoch=len(trainer.batches),
        total_steps=trainer.total_steps,
        minutes=config.budget.minutes,
        log_every=trainer.pace.log_every,
        validate_every=trainer.pace.validate_every,
        line_every=config.watch.line_every,
        torch=str(torch.__version__),
        exactness=exactness(trainer),
        **task.facts(),
        **more,
    )


def header_for(session: Session, trainer: Trainer) -> ModelFile:
    """The settings, the tokenizer or scaling, and the figures that go into the model file."""
    config, progress = session.config, trainer.progress
    current = progress.validated_at == progress.step
    return ModelFile(
        config=to_dict(config),
        **session.work.codec,
        architecture=plugin_record("architecture", config.model.arch),
        training={
            "run": session.run.name,
            "corpus": session.prepared.name,
            "fingerprint": session.prepared.fingerprint,
            "step": progress.step,
            "train_loss": progress.train_loss,
            "validation_loss": progress.validation_loss if current else None,
            "best": current and progress.best_step == progress.step,
            **session.work.ratios,
        },
        format=FORMAT,
    )


def save(session: Session, trainer: Trainer, reason: str) -> None:
    """Write a checkpoint, publish its model where it is the best, and remove what is too old."""
    begin = time.monotonic()
    run, progress = session.run, trainer.progress
    header = header_for(session, trainer)
    saved = checkpoints.save(
        run.checkpoints,
        progress.step,
        lambda path: save_model(path, trainer.model, header),
        tensors_of(trainer),
        values_of(trainer) | {"corpus": session.prepared.fingerprint},
        run_id=run.name,
        environment=environment(trainer),
    )
    best = progress.best_step in (progress.step, None)  # before the first validation the newest is the best
    if best or not trainer.task.validation_positions or not run.model_path.exists():
        publish(saved.model_path, run.model_path)
    checkpoints.prune(run.checkpoints, keep=session.config.checkpoint.keep, best_step=progress.best_step)
    session.journal.event(
        "checkpoint",
        progress.step,
        durable=True,
        name=saved.path.name,
        reason=reason,
        seconds=time.monotonic() - begin,
    )


def publish(model: Path, target: Path) -> None:
    """Put a checkpoint's model file in the place of `target`, whole; both are never written to again."""
    temporary = target.with_name(f".tmp-{target.name}")
    try:
        temporary.unlink(missing_ok=True)
        try:
            os.link(model, temporary)
        except OSError:  # a file system without hard links
            shutil.copyfile(model, temporary)
            with temporary.open("rb") as copy:
                os.fsync(copy.fileno())
        os.rename(temporary, target)
        fsync_directory(target.parent)
    except OSError as error:
        raise disk_error(error, f"could not publish {target.name}; the earlier one is whole") from error
