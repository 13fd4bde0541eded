"""The whole configuration of a run: the sections, their defaults and their bounds.

Free of torch, so that the command line and the app can build, check and show one. `resolve` merges the layers
flag > environment > config file > recipe > default and remembers which one won.
"""

import math
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta

from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.errors import InputError, UsageError, nearest
from rnn_tui.model.config import ModelConfig
from rnn_tui.plugin.options import option_infos
from rnn_tui.tasks.config import DataConfig, TaskConfig
from rnn_tui.toml import parse_toml


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """How text becomes tokens."""

    name: Annotated[str, Meta(description="Tokenizer, by its plugin name.")] = "char"
    options: Annotated[dict[str, Any], Meta(description="The tokenizer's own options.")] = field(
        default_factory=dict
    )


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """How a gradient becomes an update."""

    optimizer: Annotated[Literal["sgd", "adam", "adamw", "rmsprop"], Meta(description="Update rule.")] = (
        "adamw"
    )
    lr: Annotated[float, Meta(gt=0, le=1e6, description="Learning rate, at its highest.")] = 4e-3
    momentum: Annotated[float, Meta(ge=0, lt=1, description="Momentum of sgd and rmsprop.")] = 0.0
    weight_decay: Annotated[float, Meta(ge=0, le=1, description="Decay of the weights.")] = 0.0
    amsgrad: Annotated[bool, Meta(description="The amsgrad form of adam and adamw.")] = False
    clip: Annotated[float, Meta(ge=0, description="Largest global norm of the gradient; 0: no limit.")] = 1.0
    schedule: Annotated[
        Literal["constant", "cosine", "step", "plateau"],
        Meta(
            description="The rate over the budget: cosine falls to lr_floor, step falls every step_every, "
            "plateau falls when validation stops improving."
        ),
    ] = "cosine"
    warmup_steps: Annotated[int, Meta(ge=0, description="Steps over which the rate rises from 0.")] = 50
    lr_floor: Annotated[float, Meta(ge=0, le=1, description="Where the rate ends, as a share of lr.")] = 0.02
    step_every: Annotated[int, Meta(ge=1, description="Steps between falls of the step schedule.")] = 1000
    factor: Annotated[float, Meta(gt=0, lt=1, description="What a fall multiplies the rate with.")] = 0.5
    plateau_patience: Annotated[
        int, Meta(ge=0, description="Validations without improvement before a fall.")
    ] = 2


@dataclass(frozen=True, kw_only=True)
class BudgetConfig:
    """When a run is complete: at the first of these that is reached. With none set, ten epochs."""

    steps: Annotated[int, Meta(ge=0, description="Optimiser updates; 0: no limit.")] = 0
    epochs: Annotated[float, Meta(ge=0, description="Passes over the training split; 0: no limit.")] = 0.0
    minutes: Annotated[
        float, Meta(ge=0, description="Minutes of training, pauses left out; 0: no limit.")
    ] = 0.0
    patience: Annotated[
        int, Meta(ge=0, description="Stop after so many validations without improvement; 0: never.")
    ] = 0


@dataclass(frozen=True, kw_only=True)
class WatchConfig:
    """What is measured and written while training; 0 picks by timing the first steps."""

    log_every: Annotated[
        int, Meta(ge=0, description="Steps between points of the training curve; 0: automatic.")
    ] = 0
    validate_every: Annotated[int, Meta(ge=0, description="Steps between validations; 0: automatic.")] = 0
    every_epochs: Annotated[
        int,
        Meta(
            ge=0, description="Epochs between validations, in the place of validate_every; 0: not by epochs."
        ),
    ] = 0
    line_every: Annotated[
        int,
        Meta(
            ge=0,
            description="Steps between the lines of a command that follows without a screen, each with the mean loss "
            "of those steps; 0: by time.",
        ),
    ] = 0
    validation_tokens: Annotated[
        int, Meta(ge=0, description="Validate on the first so many tokens of the split; 0: on all of it.")
    ] = 0
    sample_prompts: Annotated[
        tuple[str, ...],
        Meta(description="What samples start from, one sample each; an empty one starts from nothing."),
    ] = ("",)
    sample_length: Annotated[
        int, Meta(ge=0, le=100000, description="Tokens in each sample; 0: no samples.")
    ] = 200
    sample_temperatures: Annotated[
        tuple[Annotated[float, Meta(ge=0, le=100)], ...],
        Meta(description="Temperatures of samples, one sample each; 0: greedy."),
    ] = (0.8,)


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """When the state is saved, and how much is kept."""

    every_steps: Annotated[int, Meta(ge=0, description="Steps between checkpoints; 0: by time.")] = 0
    every_minutes: Annotated[
        float, Meta(ge=0, description="Minutes between checkpoints; 0: only at the end.")
    ] = 2.0
    keep: Annotated[
        int, Meta(ge=2, le=1000, description="How many checkpoints are kept beside the best.")
    ] = 3


@dataclass(frozen=True, kw_only=True)
class DivergenceConfig:
    """What is done when the loss is not finite, or explodes."""

    policy: Annotated[
        Literal["stop", "rollback", "ignore"],
        Meta(
            description="When updates in a row were left out because the loss or its gradient is not finite: stop the "
            "run, go back to the last good checkpoint with a lower rate, or go on."
        ),
    ] = "rollback"
    skips: Annotated[
        int, Meta(ge=1, le=1000, description="Updates in a row that are left out before the policy acts.")
    ] = 3
    rollbacks: Annotated[
        int, Meta(ge=0, le=100, description="How often a run may go back; after that it stops.")
    ] = 2
    factor: Annotated[
        float, Meta(gt=0, lt=1, description="What going back multiplies the learning rate with.")
    ] = 0.5
    explosion: Annotated[
        float,
        Meta(
            ge=0,
            description="A training loss so many times the lowest one, over explosion_steps, counts as exploding; "
            "0: never.",
        ),
    ] = 3.0
    explosion_steps: Annotated[int, Meta(ge=1, description="Steps for which it must stay so high.")] = 200
    on_explosion: Annotated[
        Literal["tell", "rollback", "stop"],
        Meta(description="What is done about an exploding loss beside saying so."),
    ] = "tell"


@dataclass(frozen=True, kw_only=True)
class RuntimeConfig:
    """Where and how it is computed."""

    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], Meta(description="Where it is computed.")] = (
        "auto"
    )
    precision: Annotated[
        Literal["fp32", "tf32", "bf16", "fp16"], Meta(description="Arithmetic of the products.")
    ] = "fp32"
    threads: Annotated[
        int,
        Meta(
            ge=0,
            le=1024,
            description="CPU threads; 0: timed at the start and again as updates become slower.",
        ),
    ] = 0
    engine: Annotated[
        Literal["auto", "loop", "eager", "compiled", "graph"],
        Meta(
            description="How a cell runs over time: its step called in a plain loop, traced and taken apart (eager), "
            "written out in C (compiled), on cuda the whole update recorded once and repeated (graph), or whichever "
            "of these is right and fastest (auto)."
        ),
    ] = "auto"
    grace: Annotated[
        float,
        Meta(
            ge=0,
            description="Seconds that a run may take to write its checkpoint when a signal asks it to end; after them "
            "it ends without. 0: no limit.",
        ),
    ] = 25.0
    exact: Annotated[bool, Meta(description="Refuse whatever would make two runs differ by a bit.")] = False
    seed: Annotated[
        int, Meta(ge=0, lt=2**62, description="Seed of weights, data order, dropout and samples.")
    ] = 1


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that decides what a run computes."""

    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    watch: WatchConfig = field(default_factory=WatchConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    divergence: DivergenceConfig = field(default_factory=DivergenceConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)


BUDGETS = ("steps", "epochs", "minutes")
"""Settings of [budget] of which one or more say how long a run trains."""

Layer = tuple[str, Mapping[str, Any]]
"""A name for messages (`"--lr"`, `"RNN_TUI_OPTIM_LR"`, a file's path) and nested settings: section → key → value."""


@dataclass(frozen=True)
class Resolved:
    """A configuration and, for each `section.key` that no default gave, the layer that did."""

    config: RunConfig
    origins: dict[str, str]


def sections() -> dict[str, type]:
    """Return the section names and their dataclasses, in order."""
    hints: dict[str, type] = get_type_hints(RunConfig)
    return hints


def resolve(layers: Sequence[Layer]) -> Resolved:
    """Merge `layers`, the strongest last, over the defaults and check every value.

    Raises:
        UsageError: for an unknown section or key (with the nearest one), a wrong type or a value out of bounds;
            the message names the layer.
    """
    known = sections()
    merged: dict[str, dict[str, Any]] = {name: {} for name in known}
    origins: dict[str, str] = {}
    for origin, settings in layers:
        for section, values in settings.items():
            if section not in known:
                raise UsageError(f"{origin}: there is no section [{section[:80]}]{nearest(section, known)}")
            if not isinstance(values, Mapping):
                raise UsageError(f"{origin}: [{section}] must be a table of settings")
            keys = [f.name for f in fields(known[section])]
            for key, value in values.items():
                if key not in keys:
                    unknown = f"there is no setting {section}.{key[:80]}{nearest(key, keys)}"
                    raise UsageError(f"{origin}: {unknown}")
                one: dict[str, Any] = {key: value}
                try:
                    msgspec.convert(one, known[section])
                    if (section, key) != ("corpus", "source"):  # a file may have any name
                        _check_plain(value)
                except ValueError:  # msgspec.ValidationError is one too
                    wanted = _wanted(known[section], key, value)
                    raise UsageError(f"{origin}: {section}.{key} must be {wanted}") from None
                merged[section][key] = value
                origins[f"{section}.{key}"] = origin
    return Resolved(check(msgspec.convert(merged, RunConfig)), origins)


def _check_plain(value: Any) -> None:
    """Raise ValueError for what TOML lets pass and nothing else does, numbers that are not finite, and the reverse,
    texts that are not UTF-8.
    """
    match value:
        case float() if not math.isfinite(value):
            raise ValueError
        case str():
            value.encode()
        case Mapping():
            _check_plain(list(value.values()))
        case list() | tuple():
            for part in value:
                _check_plain(part)


def _wanted(section: type, key: str, value: Any) -> str:
    """Say what the setting `key` takes, and that `value` is not it."""
    shown = repr(value)
    shown = shown if len(shown) <= 80 else shown[:80] + "…"
    info = next((info for info in option_infos(section) if info.name == key), None)
    if info is None:  # the options of a plugin
        return f"a table, not {shown}"
    words = value if isinstance(value, list | tuple) else [value]
    wrong = next((word for word in words if word not in info.choices), None)
    near = nearest(wrong, info.choices) if isinstance(wrong, str) else ""
    return f"{info.expected()}, not {shown}{near}"


def check(config: RunConfig) -> RunConfig:
    """Return `config` if its settings go together.

    Raises:
        UsageError: naming the two that do not.
    """
    data, corpus, optim, model = config.data, config.corpus, config.optim, config.model
    if data.seq_len_min > data.seq_len:
        raise UsageError(f"data.seq_len_min {data.seq_len_min} is larger than data.seq_len {data.seq_len}")
    if corpus.validation + corpus.test >= 1:
        raise UsageError(
            "corpus.validation and corpus.test leave nothing to train on; they must add up to less than 1"
        )
    if needs_validation(config) and not corpus.validation:
        raise UsageError(
            "budget.patience and the plateau schedule need a validation split; set corpus.validation"
        )
    if config.runtime.exact and config.budget.minutes:
        raise UsageError("runtime.exact needs a budget in steps or epochs: minutes differ from run to run")
    if config.runtime.precision in ("tf32", "fp16") and config.runtime.device in ("cpu", "mps"):
        raise UsageError(
            f"precision {config.runtime.precision} exists on cuda only, not on {config.runtime.device}"
        )
    if config.runtime.engine == "graph" and config.runtime.device in ("cpu", "mps"):
        raise UsageError(f"engine graph exists on cuda only, not on {config.runtime.device}")
    if optim.amsgrad and optim.optimizer not in ("adam", "adamw"):
        raise UsageError(f"optim.amsgrad exists for adam and adamw, not for {optim.optimizer}")
    if optim.momentum and optim.optimizer not in ("sgd", "rmsprop"):
        raise UsageError(f"optim.momentum exists for sgd and rmsprop, not for {optim.optimizer}")
    _check_task(config)
    if model.encoder == "one-hot" and (model.tie_weights or model.embedding_size):
        setting = "tie_weights" if model.tie_weights else "embedding_size"
        raise UsageError(f"model.{setting} needs an embedding; set model.encoder to 'embedding'")
    return config


def _check_task(config: RunConfig) -> None:
    task, model = config.task.name, config.model
    if model.bidirectional and task != "aligned":
        raise UsageError(
            f"model.bidirectional would let the model see the future that {task} asks it for: it would look perfect "
            "and have learned nothing; only the task aligned takes it"
        )
    if task == "series" and (model.encoder != "auto" or model.tie_weights or model.embedding_size):
        raise UsageError("the task series has no tokens: leave out encoder, embedding_size and tie_weights")
    if task == "aligned" and (config.data.loss_on == "last" or config.data.seq_len_min):
        raise UsageError("the task aligned takes whole lines: leave out data.loss_on and data.seq_len_min")


def needs_validation(config: RunConfig) -> bool:
    """Whether training acts on the loss of the validation split."""
    return config.budget.patience > 0 or config.optim.schedule == "plateau"


def to_dict(config: RunConfig) -> dict[str, Any]:
    """Return plain values, ready for TOML or JSON."""
    values: dict[str, Any] = asdict(config)
    return values


def from_dict(values: Mapping[str, Any], origin: str) -> RunConfig:
    """Read a configuration that `to_dict` wrote; `origin` names it in errors."""
    return resolve([(origin, values)]).config


def read_toml(path: str) -> dict[str, Any]:
    """Read a TOML file of settings.

    Raises:
        InputError: when it cannot be read or is no TOML.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InputError(f"{path}: not a regular file; give a file of settings")
            raw = file.read(256 * 1024 + 1)
        if len(raw) > 256 * 1024:
            raise InputError(f"{path}: larger than 256 KiB, which no settings file is")
        return parse_toml(raw)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a named pipe without a writer would wait for one."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
