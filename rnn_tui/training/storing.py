"""What an open run keeps of itself: its checkpoints, the model that is published, and the way back to them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from rnn_tui.errors import InputError
from rnn_tui.model.file import chunks, weights
from rnn_tui.model.header import FORMAT, ModelFile
from rnn_tui.model.packing import Block
from rnn_tui.runs.layout import RunFolder
from rnn_tui.training import checkpoint as checkpoints
from rnn_tui.training.config import RunConfig, to_dict
from rnn_tui.training.data import Prepared
from rnn_tui.training.divergence import GoBack
from rnn_tui.training.environment import environment
from rnn_tui.training.journal import RunJournal
from rnn_tui.training.loop import Trainer
from rnn_tui.training.pace import take_engine
from rnn_tui.training.saving import publish
from rnn_tui.training.snapshot import read_saved, take_back, tensors_of, values_of
from rnn_tui.training.work import Work


@dataclass(frozen=True)
class Session:
    """A run that is open in this process: what is written of it, and where.

    Attributes:
        run_id: what tells the run from all others, see `rnn_tui.training.stored.identity`.
        prepared: the data.
        work: what the task makes of it.
        architecture: what a model file notes of the plugin.
        surroundings: what the bits of a result depend on, as far as it stays the same in this process.
    """

    run: RunFolder
    run_id: str
    config: RunConfig
    journal: RunJournal
    prepared: Prepared
    work: Work
    architecture: dict[str, str]
    surroundings: Mapping[str, Any]


def header_for(session: Session, trainer: Trainer) -> ModelFile:
    """The settings, the tokenizer or scaling, and the figures that go into the model file."""
    config, progress = session.config, trainer.progress
    current = progress.validated_at == progress.step
    return ModelFile(
        config=to_dict(config),
        **session.work.codec,
        architecture=session.architecture,
        training={
            "run": session.run.name,
            "run_id": session.run_id,
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


def copying(session: Session) -> Callable[[Trainer], Callable[[], tuple[str, str]]]:
    """Return what copies the state of a trainer, and gives what writes that copy; see `Saving`."""
    run, model_block, train_block = session.run, Block(), Block()
    owed = True  # the model of the best: an attempt before this one may have ended between saving and publishing it

    def copy(trainer: Trainer) -> Callable[[], tuple[str, str]]:
        header, made_on = header_for(session, trainer), environment(trainer, session.surroundings)
        model = model_block.pack(weights(trainer.model))
        train = train_block.pack(tensors_of(trainer))
        belonging = {"run": session.run_id, "corpus": session.prepared.fingerprint}
        state = msgspec.json.encode(values_of(trainer) | belonging)
        step, best_step = trainer.progress.step, trainer.progress.best_step
        # before the first validation the newest is the best
        best = best_step in (step, None) or not trainer.task.validation_positions

        def write() -> tuple[str, str]:
            """Write a checkpoint, publish its model where it is the best, and remove what is too old."""
            nonlocal owed
            session.journal.check_place()
            files = {
                "model.safetensors": chunks(model, header),
                "train.safetensors": train.chunks(),
                "state.json": [state],
            }
            saved = checkpoints.save(run.checkpoints, step, files, run_id=session.run_id, environment=made_on)
            owed = owed or best
            chosen = saved if best or not run.model_path.exists() else None
            if owed and not best:
                chosen = checkpoints.of_step(run.checkpoints, best_step) or chosen
            if chosen is not None:
                publish(chosen.model_path, run.model_path)
            owed = False
            keep = session.config.checkpoint.keep
            return saved.path.name, checkpoints.prune(run.checkpoints, keep=keep, best_step=best_step)

        return write

    return copy


def going_back(session: Session) -> GoBack:
    """Return what puts a trainer back to an earlier checkpoint; see `rnn_tui.training.divergence`."""
    folder = session.run.checkpoints

    def go_back(trainer: Trainer, limit: int, avoid: int | None) -> str | None:
        # what is recorded knows the memory of an optimiser that is loaded anew
        if trainer.update is not trainer.plain:
            take_engine(trainer, trainer.pace.engine)
        good = [found for found in checkpoints.find(folder) if found.step <= limit]
        for found in sorted(good, key=lambda one: one.step == avoid):  # stable: the newest first
            try:
                found.verify()
                take_back(trainer, read_saved(found))
            except InputError as error:
                session.journal.event("warning", trainer.progress.step, message=str(error))
                continue
            checkpoints.forget_later(folder, found.step)
            return found.path.name
        return None

    return go_back
