"""From a run folder to a trainer that is ready for its next update."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import torch

from rnn_tui.errors import UsageError
from rnn_tui.files import warn_of_room
from rnn_tui.model.contract import check_architecture
from rnn_tui.model.device import pick_device
from rnn_tui.model.file import load_weights
from rnn_tui.model.header import read_header
from rnn_tui.model.precision import precision_note, set_precision
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin.loading import plugin_notes
from rnn_tui.plugin.options import parse_options
from rnn_tui.plugin.registry import find_plugin, load_plugin, plugin_record
from rnn_tui.runs.control import Inbox
from rnn_tui.runs.layout import RunFolder
from rnn_tui.training import checkpoint as checkpoints
from rnn_tui.training.config import RunConfig
from rnn_tui.training.data import prepare_data
from rnn_tui.training.environment import compare_environment, environment, exactness, surroundings
from rnn_tui.training.journal import RunJournal
from rnn_tui.training.loop import Trainer
from rnn_tui.training.optim import build_optimizer
from rnn_tui.training.pace import Pace, first_pace, take_engine
from rnn_tui.training.plugins import OF_PLUGINS, check_plugins, differing_plugins
from rnn_tui.training.progress import Progress, Replay
from rnn_tui.training.resuming import (
    Edited,
    check_source,
    compare_corpus,
    compare_settings,
    journalled,
)
from rnn_tui.training.saving import Saving
from rnn_tui.training.setup import (
    device_name,
    keep_memory,
    refuse_inexact_kernels,
    seed_everything,
    warm_up_math,
)
from rnn_tui.training.snapshot import Saved, read_saved, size_of_checkpoint, take_back
from rnn_tui.training.stored import identity
from rnn_tui.training.storing import Session, copying, going_back
from rnn_tui.training.warm_start import began_with, kept
from rnn_tui.training.work import Work, work_of

Make: TypeAlias = Callable[[Progress, Pace, Replay], Trainer]
"""Makes the trainer of a session."""


def open_session(
    run: RunFolder,
    config: RunConfig,
    journal: RunJournal,
    signalled: Callable[[], int | None],
    accept_data: bool = False,
) -> tuple[Trainer, Work]:
    """Build or resume the run; the caller holds its lock.

    Args:
        accept_data: go on even if the corpus is not what the run began with.

    Raises:
        RnnTuiError: when the corpus, a plugin, the settings, the device or every checkpoint is not what the run needs.
    """
    keep_memory()
    warm_up_math()  # before plugins and seeds: see there
    device = pick_device(config.runtime.device)
    set_precision(config.runtime.precision, device)
    if config.runtime.exact:
        refuse_inexact_kernels(device)
    run_id = identity(run)
    found = checkpoints.newest_valid(
        run.checkpoints, lambda message: journal.event("warning", 0, message=message), run_id
    )
    saved = None if found is None else read_saved(found)
    warm = kept(run) if saved is None else None
    edited = None
    if saved is not None:
        check_plugins(run, saved.header)
        edited = compare_settings(run, config, saved)
        check_source(config)
    prepared = prepare_data(
        config,
        progress=lambda what, *_: journal.status("starting", None, message=f"{what} the corpus"),
        keep_in=run.path,
        made_by=saved.header if saved else read_header(warm) if warm else None,
    )
    work = work_of(config, prepared)
    architecture = load_plugin("architecture", config.model.arch)
    options = parse_options(
        getattr(architecture, "Options", None),
        config.model.options,
        owner=f"architecture {config.model.arch}",
    )
    record = plugin_record("architecture", config.model.arch)
    around = surroundings(record, work.codec["tokenizer"])
    session = Session(run, run_id, config, journal, prepared, work, record, around)
    seed_everything(config.runtime.seed)
    model = build_model(architecture, options, config.model, **work.inputs).to(device).train()
    if warm is not None:
        load_weights(warm, model)
    check_architecture(model, str(find_plugin("architecture", config.model.arch)))
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
            go_back=going_back(session),
        )

    if saved is None or edited is None:
        trainer = _begun(session, trainer_for)
    else:
        trainer = _resumed(session, saved, edited, trainer_for, accept_data=accept_data)
    keep = config.checkpoint.keep + 2  # the best, and the one that is being written
    room = warn_of_room(run.checkpoints, size_of_checkpoint(trainer), keep)
    for note in (*plugin_notes(), *([room] if room else [])):
        journal.event("warning", trainer.progress.step, message=note)
    journal.status("running", trainer, force=True)
    return trainer, work


def _begun(session: Session, trainer_for: Make) -> Trainer:
    """Return the trainer of a run without a checkpoint, with its first one written."""
    config, journal = session.config, session.journal
    trainer = trainer_for(Progress(base_lr=config.optim.lr), Pace(1, 1, 1), Replay())
    journal.status("starting", None, force=True, message="timing a few steps")
    trainer.pace = first_pace(trainer)
    seed_everything(config.runtime.seed)  # timing took random numbers when there is dropout
    _announce(session, "start", trainer)
    precision = precision_note(config.runtime.precision, trainer.model.device)
    began = "" if (begun_with := kept(session.run)) is None else began_with(begun_with)
    for note in (*session.prepared.snapshot.notes, precision, began):
        if note:
            journal.event("note", 0, message=note)
    # from here on a kill loses time, never the weights that the run began with
    if (fault := trainer.save("start")) is not None:
        raise fault
    return trainer


def _resumed(
    session: Session, saved: Saved, edited: Edited, trainer_for: Make, *, accept_data: bool
) -> Trainer:
    """Return the trainer of a run that goes on from a checkpoint."""
    run, config, journal, step = session.run, session.config, session.journal, saved.progress.step
    other_data = compare_corpus(run, config, session.prepared, saved, accept=accept_data)
    anew = bool(other_data) or edited.anew
    pace, replay = edited.pace(saved.pace), journalled(run, saved.progress)
    trainer = trainer_for(replace(saved.progress), pace, replay)
    take_engine(trainer, pace.engine)
    if any(change.data.get("to") == "compiled" for change in replay.changes):
        trainer.model.compile_ahead()  # now, and not when its step is reached
    torch.set_num_threads(pace.threads)
    trainer.pace = replace(pace, engine=trainer.update.engine()[0])
    before, around = saved.environment, environment(trainer, session.surroundings)
    records = {"architecture": session.architecture, "tokenizer": session.work.codec["tokenizer"]}
    inexact = differing_plugins(saved.header, before, records, around, step)
    inexact += compare_environment(before, around)
    inexact += edited.inexact() + ([other_data] if other_data else [])
    if inexact:
        hashes = {key: [before[key], around[key]] for key in OF_PLUGINS if key in before}
        differing = {key: pair for key, pair in hashes.items() if pair[0] != pair[1]}
        _tell_inexact(session, inexact, anew=anew, step=step, plugins=differing)
    _announce(session, "resume", trainer, from_step=step)
    take_back(trainer, saved, anew=anew)
    progress = trainer.progress
    if replay.looked:  # before a crash that left nothing but the end to be done
        trainer.observer.looked_at = step
    if other_data:  # what was measured on the other text is no measure of this one
        progress.best_loss = progress.best_step = progress.validation_loss = None
        progress.validated_at, progress.stale, progress.plateau_bad = -1, 0, 0
    if edited.budget and config.budget.patience and progress.stale >= config.budget.patience:
        progress.stale = 0  # else it would end again at once
    if told := edited.told(trainer):
        journal.event("note", step, durable=True, message=told)
    if other_data and (fault := trainer.save("start")) is not None:  # accepted once, not at each resume
        raise fault
    return trainer


def _tell_inexact(
    session: Session, inexact: list[str], *, anew: bool, step: int, plugins: Mapping[str, list[Any]]
) -> None:
    message = f"resuming is not bit-exact: {'; '.join(inexact)}{'; its epoch begins anew' if anew else ''}"
    if session.config.runtime.exact:
        raise UsageError(
            f"{message}. This run was started with --exact; runtime.exact = false in its config.toml lifts that"
        )
    session.journal.event("warning", step, durable=True, message=message, plugins=dict(plugins))


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
