"""What a run that goes on is compared by: with itself as it was when its checkpoint was made.

Three kinds of difference. Other settings, another corpus or another package of a plugin would make another run of it:
they are refused. Another processor, another number of threads, another version change the last bits: the run goes on,
says once what differs, and with `--exact` refuses. The rest, such as where samples begin, may change freely.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rnn_tui import __version__
from rnn_tui.corpus.prepare import PreparedCorpus
from rnn_tui.errors import InputError, UsageError
from rnn_tui.runs.events import EventReader, effective
from rnn_tui.runs.layout import RunFolder
from rnn_tui.training.config import RunConfig, from_dict, needs_validation
from rnn_tui.training.data import Prepared
from rnn_tui.training.loop import Trainer
from rnn_tui.training.pace import Pace
from rnn_tui.training.progress import Change, Progress, Replay, planned_steps
from rnn_tui.training.schedule import factor
from rnn_tui.training.snapshot import Saved
from rnn_tui.training.stored import changes, differing

T = TypeVar("T")

FREE = frozenset(
    {"corpus.source", "runtime.device", "runtime.threads", "runtime.engine", "runtime.grace", "runtime.exact"}
)
"""Settings that may change while a run goes on, beside those of the sections of `FREE_SECTIONS`."""
FREE_SECTIONS = frozenset({"budget", "watch", "checkpoint", "divergence"})
OF_BATCHES = frozenset({"data.batch_size", "data.seq_len", "data.seq_len_min"})
"""Settings that may change too, since memory can be too small for what they were; the epoch then begins anew."""
LOOKS = frozenset({"sample", "transcription", "forecast"})
"""Kinds of events that show what a model does."""
OF_VALIDATIONS = frozenset({"watch.validate_every", "watch.every_epochs", "watch.validation_tokens"})
"""Settings that training depends on where it acts on its validations."""


# -- settings ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Edited:
    """How the settings of a run differ from those of the checkpoint that it goes on from.

    Attributes:
        then: the settings in the checkpoint.
        changed: of each setting that differs, by `section.key`, half a sentence.
    """

    then: RunConfig
    now: RunConfig
    changed: Mapping[str, str]

    @property
    def anew(self) -> bool:
        """Whether the batches are others, so that the epoch has to begin anew."""
        return not OF_BATCHES.isdisjoint(self.changed)

    @property
    def budget(self) -> bool:
        """Whether the run was given another budget."""
        return any(name.startswith("budget.") for name in self.changed)

    def inexact(self) -> list[str]:
        """Return what makes the weights others than those of a run without it."""
        names = OF_BATCHES | (OF_VALIDATIONS if needs_validation(self.now) else frozenset())
        return [text for name, text in self.changed.items() if name in names]

    def pace(self, pace: Pace) -> Pace:
        """Return the pace of the checkpoint with what was set since."""
        runtime, watch = self.now.runtime, self.now.watch
        engine = "" if runtime.engine == "auto" else runtime.engine

        def chosen(name: str, value: T, before: T) -> T:
            # what is automatic stays as it was chosen
            return value if name in self.changed and value else before

        return Pace(
            chosen("runtime.threads", runtime.threads, pace.threads),
            chosen("watch.log_every", watch.log_every, pace.log_every),
            chosen("watch.validate_every", watch.validate_every, pace.validate_every),
            chosen("runtime.engine", engine, pace.engine),
        )

    def told(self, trainer: Trainer) -> str:
        """Return what a user should know of it; empty where nothing was changed."""
        if not self.changed:
            return ""
        told = (
            f"settings changed since step {trainer.progress.step}: {differing(list(self.changed.values()))}"
        )
        optim, progress = self.now.optim, trainer.progress
        if self.budget and optim.schedule == "cosine":
            before, after = (
                progress.base_lr * factor(optim, step=progress.step, progress=used, plateau=progress.plateau)
                for used in (_used(self.then, progress, trainer), trainer.used)
            )
            how = "rises from" if after > before else "falls from" if after < before else "stays at"
            to = "" if after == before else f" to {after:.3g}"
            told += (
                f"; the cosine of the learning rate goes over the new budget: the rate {how} {before:.3g}{to}"
            )
        elif self.budget:
            told += f"; the learning rate does not depend on the budget (schedule {optim.schedule})"
        return told


def _used(config: RunConfig, progress: Progress, trainer: Trainer) -> float:
    """Return the share of an earlier budget that is used, as `Trainer.used` does of the present one."""
    steps = planned_steps(config, len(trainer.task.epoch(0)))
    minutes = config.budget.minutes
    return max(progress.step / steps if steps else 0.0, progress.elapsed / (60 * minutes) if minutes else 0.0)


def compare_settings(run: RunFolder, now: RunConfig, saved: Saved) -> Edited:
    """Return what was changed in the settings of a run since a checkpoint.

    Raises:
        InputError: when the run would be another one with it; names what differs.
    """
    try:
        then = from_dict(saved.header.config, f"checkpoint {saved.name}")
    except UsageError as error:
        made_by = saved.environment.get("rnn_tui", "another version")
        raise InputError(
            f"{error}; it was made by rnn-tui {made_by}, and this is {__version__}: upgrade"
        ) from None
    changed = changes(then, now)
    refused = {
        name: text
        for name, text in changed.items()
        if name not in FREE | OF_BATCHES and name.partition(".")[0] not in FREE_SECTIONS
    }
    if refused:
        of_model = any(name.startswith(("model.", "tokenizer.", "task.")) for name in refused)
        weights = "" if of_model else f" --warm-start {run.name}, which begins with its weights"
        raise InputError(
            f"config.toml is not that of the checkpoint of step {saved.progress.step}: "
            f"{differing(list(refused.values()))}; put that back to resume, or train a new run with --config "
            f"{run.config_path}{weights}"
        )
    return Edited(then, now, changed)


# -- the corpus -------------------------------------------------------------------------------------------------


def check_source(config: RunConfig) -> None:
    """Raise InputError when the text that a run was started on is no longer where it was."""
    source = Path(config.corpus.source)
    if source.is_absolute() and not source.exists():
        raise InputError(
            f"{source} is gone; put it back, or where it was only moved, set corpus.source in config.toml to its new "
            "place, and resume again"
        )


def compare_corpus(
    run: RunFolder, config: RunConfig, prepared: Prepared, saved: Saved, *, accept: bool
) -> str:
    """Return half a sentence on how the corpus differs from that of the run; empty where it is the same.

    Raises:
        InputError: when it differs and that is not accepted.
    """
    if saved.values.get("corpus") == prepared.fingerprint:
        return ""
    what = f"the corpus {config.corpus.source} is not what run {run.name} began with"
    if not accept:
        raise InputError(
            f"{what}; put it back, or go on with what is there, which is another run from here on: rnn-tui resume "
            f"{run.name} --accept-data"
        )
    unknown = ""
    if isinstance(prepared, PreparedCorpus):
        parts = prepared.splits.values()
        share = sum(part.unknown for part in parts) / sum(part.tokens for part in parts)
        unknown = f", {share:.1%} of its tokens are not in the vocabulary" if share else ""
    return f"{what}, which was accepted{unknown}"


# -- what was done after the checkpoint -----------------------------------------------------------------------------


def journalled(run: RunFolder, progress: Progress) -> Replay:
    """Return what earlier attempts changed after the checkpoint with this progress, and is not in it."""
    changes: dict[str, Change] = {}
    until = 0
    events = EventReader(run.events_path).poll()
    for event in events:
        if event.kind == "start":  # from nothing: what was before it has no part in this checkpoint
            changes, until = {}, 0
        until = max(until, event.step)
        if event.kind in ("engine", "threads") or (
            event.kind == "command" and event.data.get("command") == "set"
        ):
            change = Change(event.step, event.kind, event.data)
            if change.step >= progress.step and change.id not in progress.applied:
                changes.setdefault(change.id, change)
    looked = any(event.kind in LOOKS and event.step == progress.step for event in effective(events))
    return Replay(tuple(sorted(changes.values(), key=lambda change: change.step)), until, looked)
