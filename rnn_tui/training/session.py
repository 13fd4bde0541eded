"""From a run folder to a trainer that is ready for its next update."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import torch

from rnn_tui import __version__
from rnn_tui.errors import InputError, UsageError
from rnn_tui.model.device import pick_device
from rnn_tui.model.file import chunks, load_weights, weights
from rnn_tui.model.header import FORMAT, ModelFile
from rnn_tui.model.packing import Block
from rnn_tui.model.precision import precision_note, set_precision
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin.options import parse_options
from rnn_tui.plugin.registry import load_plugin, plugin_record
from rnn_tui.runs.control import Inbox
from rnn_tui.runs.events import EventReader
from rnn_tui.runs.layout import RunFolder
from rnn_tui.training import checkpoint as checkpoints
from rnn_tui.training.config import RunConfig, to_dict
from rnn_tui.training.data import Prepared, prepare_data
from rnn_tui.training.journal import RunJournal
from rnn_tui.training.loop import Trainer
from rnn_tui.training.optim import build_optimizer
from rnn_tui.training.pace import Pace, first_pace, take_engine
from rnn_tui.training.progress import Change, Progress, Replay
from rnn_tui.training.saving import Saving, publish
from rnn_tui.training.setup import (
    device_name,
    keep_memory,
    refuse_inexact_kernels,
    seed_everything,
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

    def trainer_for(progress: Progress, pace: Pace, replay: Replay) -> Trainer:
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
            saving=Saving(copying(session)),
            look=lambda trainer: work.look(trainer.model, trainer.progress.step),
        )

    if found is None:
        progress = Progress(base_lr=config.optim.lr)
        trainer = trainer_for(progress, Pace(1, 1, 1), Replay())
        journal.status("starting", None, force=True, message="timing a few steps")
        trainer.pace = first_pace(trainer)
        seed_everything(config.runtime.seed)  # timing took random numbers when there is dropout
        _announce(session, "start", trainer)
        for note in (*prepared.snapshot.notes, precision_note(config.runtime.precision, device)):
            if note:
                journal.event("note", 0, message=note)
        # from here on a kill loses time, never the weights that the run began with
        if (fault := trainer.save("start")) is not None:
            raise fault
    else:
        tensors, values = found.load()
        if values.get("corpus") != prepared.fingerprint:
            raise InputError(
                f"the corpus {config.corpus.source} is not what run {run.name} began with; put the text back, or "
                "start a new run on this one"
            )
        load_weights(found.model_path, model)
        progress, pace = read_progress(values)
        replay = _journalled(run, progress)
        trainer = trainer_for(progress, pace, replay)
        take_engine(trainer, pace.engine)
        if any(change.data.get("to") == "compiled" for change in replay.changes):
            model.compile_ahead()  # now, and not when its step is reached
        torch.set_num_threads(pace.threads)
        trainer.pace = replace(pace, engine=trainer.update.engine()[0])
        _compare(found.manifest.get("environment", {}), environment(trainer), config, journal, progress.step)
        _announce(session, "resume", trainer, from_step=progress.step)
        restore(trainer, tensors, values)
    journal.status("running", trainer, force=True)
    return trainer, work


def environment(trainer: Trainer) -> dict[str, Any]:
    """What the bits of a result depend on beside the configuration."""
    device = trainer.model.device
    return {
        "rnn_tui": __version__,
        "torch": str(torch.__version__),
        "device": device_name(device),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": trainer.pace.threads if device.type == "cpu" else 0,
        "engine": trainer.update.engine()[0],
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


def _journalled(run: RunFolder, progress: Progress) -> Replay:
    """Return what earlier attempts changed after the checkpoint with this progress, and is not in it."""
    changes: dict[str, Change] = {}
    until = 0
    for event in EventReader(run.events_path).poll():
        if event.kind == "start":  # from nothing: what was before it has no part in this checkpoint
            changes, until = {}, 0
        until = max(until, event.step)
        if event.kind in ("engine", "threads") or (
            event.kind == "command" and event.data.get("command") == "set"
        ):
            change = Change(event.step, event.kind, event.data)
            if change.step >= progress.step and change.id not in progress.applied:
                changes.setdefault(change.id, change)
    return Replay(tuple(sorted(changes.values(), key=lambda change: change.step)), until)


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
    engine, engine_reason = trainer.update.engine()
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


def copying(session: Session) -> Callable[[Trainer], Callable[[], str]]:
    """Return what copies the state of a trainer, and gives what writes that copy; see `Saving`."""
    run, model_block, train_block = session.run, Block(), Block()

    def copy(trainer: Trainer) -> Callable[[], str]:
        header, made_on = header_for(session, trainer), environment(trainer)
        model = model_block.pack(weights(trainer.model))
        train = train_block.pack(tensors_of(trainer))
        state = msgspec.json.encode(values_of(trainer) | {"corpus": session.prepared.fingerprint})
        step, best_step = trainer.progress.step, trainer.progress.best_step
        # before the first validation the newest is the best
        best = best_step in (step, None) or not trainer.task.validation_positions

        def write() -> str:
            """Write a checkpoint, publish its model where it is the best, and remove what is too old."""
            files = {
                "model.safetensors": chunks(model, header),
                "train.safetensors": train.chunks(),
                "state.json": [state],
            }
            saved = checkpoints.save(run.checkpoints, step, files, run_id=run.name, environment=made_on)
            if best or not run.model_path.exists():
                publish(saved.model_path, run.model_path)
            checkpoints.prune(run.checkpoints, keep=session.config.checkpoint.keep, best_step=best_step)
            return saved.path.name

        return write

    return copy
