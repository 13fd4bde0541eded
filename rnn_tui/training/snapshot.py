"""The whole state of a run as tensors and JSON, and back.

In it: optimiser, carried state, every random generator, counters, schedule, bookkeeping and the pace that was
chosen. Weights are the model file's.

What comes back may have been written by anybody: a checkpoint whose files are what its manifest states is whole, not
right. All of it is looked at before any of it takes effect.
"""

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from rnn_tui.errors import InputError, is_out_of_memory
from rnn_tui.model.file import load_weights
from rnn_tui.model.header import ModelFile, read_header
from rnn_tui.model.state import arrange, leaves, unflatten
from rnn_tui.training.checkpoint import Checkpoint
from rnn_tui.training.config import OptimConfig
from rnn_tui.training.loop import Trainer
from rnn_tui.training.optim import build_optimizer, settings_of
from rnn_tui.training.pace import Pace
from rnn_tui.training.progress import Progress
from rnn_tui.training.stored import differing

ENGINES = frozenset({"own", "loop", "eager", "compiled", "graph"})

T = TypeVar("T")


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds.

    Attributes:
        header: what stands in its model file beside the weights.
        tensors, values: train.safetensors and state.json.
        environment: what its bits depend on beside the settings, as the manifest notes it.
    """

    name: str
    model_path: Path
    header: ModelFile
    tensors: dict[str, Tensor]
    values: dict[str, Any]
    progress: Progress
    pace: Pace
    environment: Mapping[str, Any]


def tensors_of(trainer: Trainer) -> dict[str, Tensor]:
    """Return what belongs into train.safetensors, as it is: not copied, on its device."""
    tensors: dict[str, Tensor] = {"rng.torch": torch.get_rng_state()}
    if trainer.model.device.type == "cuda":
        for index, state in enumerate(torch.cuda.get_rng_state_all()):
            tensors[f"rng.cuda.{index}"] = state
    for index, values in trainer.optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optim.{index}.{name}"] = value
    if trainer.state is not None:
        template = trainer.model.initial_state(1)  # the order in which `restore` reads them
        for index, leaf in enumerate(leaves(arrange(template, trainer.state))):
            tensors[f"carry.{index}"] = leaf
    return tensors


def values_of(trainer: Trainer) -> dict[str, Any]:
    """Return what belongs into state.json."""
    optimizer = trainer.optimizer.state_dict()
    kind, words, gauss = random.getstate()
    legacy: dict[str, Any] = np.random.get_state(legacy=False)
    return {
        "progress": asdict(trainer.progress),
        "pace": asdict(trainer.pace),
        "carried": trainer.state is not None,
        "param_groups": settings_of(trainer.optimizer),
        "optim_values": {
            str(index): {name: value for name, value in values.items() if not isinstance(value, Tensor)}
            for index, values in optimizer["state"].items()
        },
        "python_rng": [kind, list(words), gauss],
        "numpy_rng": legacy | {"state": {**legacy["state"], "key": legacy["state"]["key"].tolist()}},
    }


def size_of_checkpoint(trainer: Trainer) -> int:
    """Return about how many bytes a checkpoint takes once the optimiser has taken a step."""
    state = _state_of_a_step(trainer.config.optim, torch.float32)
    copies = 1 + sum(value.dim() > 0 for value in state.values())
    return copies * sum(parameter.nbytes for parameter in trainer.parameters)


def read_saved(checkpoint: Checkpoint) -> Saved:
    """Read a checkpoint; call its `verify` first.

    Raises:
        InputError: when its files do not belong together, or its counters are not what this version writes.
    """
    name = checkpoint.path.name
    header = read_header(checkpoint.model_path)
    tensors, values = checkpoint.load()
    try:
        progress, pace = _progress(values["progress"]), _pace(values["pace"])
    except Exception as error:  # values of any type
        raise _unusable(name, error) from error
    runs = {"model.safetensors": header.training.get("run_id"), "state.json": values.get("run")}
    for file, run in runs.items():
        if run not in (None, checkpoint.manifest["run"]):  # earlier versions did not note the run there
            raise InputError(
                f"checkpoint {name}: {file} is of run {run}, the manifest of run {checkpoint.manifest['run']}; move "
                "the folder away to go on from an earlier checkpoint"
            )
    return Saved(
        name,
        checkpoint.model_path,
        header,
        tensors,
        values,
        progress,
        pace,
        checkpoint.manifest.get("environment", {}),
    )


def take_back(trainer: Trainer, saved: Saved, *, anew: bool = False) -> None:
    """Put a trainer, which may have trained since, where it was when a checkpoint was made: weights, optimiser, carried
    state, counters, cursor and random generators. Its pace, its way over time and its orders stay as they are.

    Done last before training goes on, since it sets the random generators.

    Args:
        anew: the batches are no longer those that the cursor and the carried state belong to: begin the epoch anew.

    Raises:
        InputError: when the checkpoint does not fit the trainer; nothing is changed then.
    """
    progress = replace(saved.progress, window=0) if anew else replace(saved.progress)
    try:
        optimizer = _optimizer_state(trainer, saved)
        carried = None if anew else _carried(trainer, saved)
        generators = _Generators(trainer, saved)
        if progress.window >= (count := len(trainer.task.epoch(progress.epoch))):
            raise ValueError(f"window {progress.window} of an epoch of {count}")
    # of torch, NumPy and Python, at values that are of the right type and senseless
    except Exception as error:
        raise _unusable(saved.name, error) from error
    load_weights(saved.model_path, trainer.model)
    trainer.put_back(progress)
    trainer.optimizer.load_state_dict(optimizer)
    trainer.rate = float(trainer.optimizer.param_groups[0]["lr"])  # a point may still tell it
    trainer.state = carried
    trainer.restart_clock()
    generators.set()


def _unusable(name: str, error: Exception) -> Exception:
    if is_out_of_memory(error):
        return error
    what = (
        str(error)
        if type(error) in (ValueError, msgspec.ValidationError)
        else f"{type(error).__name__}: {error}"
    )
    return InputError(
        f"checkpoint {name} was not written by this version of rnn-tui, or not for this run: {what}; nothing was "
        "changed. Move its folder away to go on from an earlier one"
    )


def _read(kind: type[T], values: Any) -> T:
    """Return a dataclass of numbers, checked by type.

    Raises:
        ValueError: naming what is wrong.
    """
    unknown = set(values) - {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown:
        raise ValueError(f"it has {differing(sorted(unknown))}, which this version does not know")
    return msgspec.convert(values, kind)


def _progress(values: Any) -> Progress:
    progress = _read(Progress, values)
    for name, value in asdict(progress).items():
        if isinstance(value, int) and value < (-1 if name == "validated_at" else 0):
            raise ValueError(f"{name} is {value}")
    return progress


def _pace(values: Any) -> Pace:
    pace = _read(Pace, values)
    if not 1 <= pace.threads <= 1024 or min(pace.log_every, pace.validate_every) < 1:
        raise ValueError(
            f"{pace.threads} threads, intervals of {pace.log_every} and {pace.validate_every} steps"
        )
    if pace.engine not in ENGINES:
        raise ValueError(f"there is no engine {pace.engine!r}")
    return pace


def _optimizer_state(trainer: Trainer, saved: Saved) -> dict[str, Any]:
    """Return what the optimiser is to load."""
    state: dict[int, dict[str, Any]] = {
        int(number): dict(entry) for number, entry in saved.values["optim_values"].items()
    }
    for name, tensor in saved.tensors.items():
        group, _, rest = name.partition(".")
        if group == "optim":
            number, _, key = rest.partition(".")
            state[int(number)][key] = tensor
        elif group not in ("carry", "rng"):
            raise ValueError(f"tensor {name!r} is too many")
    if not set(state) <= set(range(len(trainer.parameters))):
        raise ValueError(
            f"the optimiser's state is of {len(state)} weights, the model has {len(trainer.parameters)}"
        )
    expected = {p.dtype: _state_of_a_step(trainer.config.optim, p.dtype) for p in trainer.parameters}
    differences: list[str] = []
    for index, entry in state.items():
        weight = trainer.parameters[index]
        wanted = {
            key: (value.dtype, weight.shape if value.dim() else value.shape)
            for key, value in expected[weight.dtype].items()
        }
        there = {key: (value.dtype, value.shape) for key, value in entry.items() if isinstance(value, Tensor)}
        differences += [
            f"{index}.{key} is {_shown(there.get(key))}, not {_shown(wanted.get(key))}"
            for key in {**wanted, **entry}
            if there.get(key) != wanted.get(key)
        ]
    if differences:
        raise ValueError(f"the optimiser's state does not fit: {differing(differences)}")
    groups, then = settings_of(trainer.optimizer), saved.values["param_groups"]
    for settings, before in zip(groups, then, strict=True):
        # a setting that only one of two versions of torch knows is that of this one
        common = settings.keys() & before.keys() - {"lr"}
        others = [key for key in common if _plain(settings[key]) != before[key]]
        if others:
            raise ValueError(f"the optimiser's {differing(sorted(others))} differ")
        settings["lr"] = float(before["lr"])
    return {"state": state, "param_groups": groups}


def _state_of_a_step(config: OptimConfig, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return what the optimiser remembers of a weight once it has taken a step."""
    weight = nn.Parameter(torch.zeros(1, 1, dtype=dtype))
    weight.grad = torch.zeros_like(weight)
    optimizer = build_optimizer(config, [weight])
    optimizer.step()
    return dict(optimizer.state[weight])


def _shown(kind: tuple[torch.dtype, torch.Size] | None) -> str:
    return f"{str(kind[0]).removeprefix('torch.')} {list(kind[1])}" if kind else "absent"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _carried(trainer: Trainer, saved: Saved) -> Any:
    """Return the carried state."""
    flat = [tensor for name, tensor in saved.tensors.items() if name.startswith("carry.")]
    if not saved.values["carried"]:
        if flat:
            raise ValueError("a carried state is too many")
        return None
    template = trainer.model.initial_state(trainer.config.data.batch_size)
    flat = [saved.tensors[f"carry.{index}"] for index in range(len(flat))]
    # in half precision a state is of another type than the one it begins with
    found, wanted = ([(t.shape, t.is_floating_point()) for t in state] for state in (flat, leaves(template)))
    if found != wanted:
        shapes = (differing([str(list(shape)) for shape, _ in state]) for state in (found, wanted))
        raise ValueError(f"the carried state is {next(shapes)}, not {next(shapes)}")
    return unflatten(template, [leaf.to(trainer.model.device) for leaf in flat])


class _Generators:
    """The states of the random generators, tried out on generators of their own."""

    def __init__(self, trainer: Trainer, saved: Saved) -> None:
        kind, words, gauss = saved.values["python_rng"]
        self._python = kind, tuple(words), gauss
        random.Random().setstate(self._python)
        legacy: dict[str, Any] = saved.values["numpy_rng"]
        self._numpy = legacy | {
            "state": {**legacy["state"], "key": np.array(legacy["state"]["key"], np.uint32)}
        }
        if not 0 <= legacy["state"]["pos"] <= 624:  # NumPy takes any, and reads there
            raise ValueError(f"NumPy's generator is at {legacy['state']['pos']}")
        np.random.RandomState().set_state(self._numpy)
        self._torch = saved.tensors["rng.torch"]
        torch.Generator().set_state(self._torch)
        self._cuda: list[Tensor] = []
        if trainer.model.device.type == "cuda":
            there = (f"rng.cuda.{index}" for index in range(torch.cuda.device_count()))
            self._cuda = [saved.tensors[name] for name in there if name in saved.tensors]
            for state in self._cuda:
                torch.Generator("cuda").set_state(state)

    def set(self) -> None:
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        for index, state in enumerate(self._cuda):
            torch.cuda.set_rng_state(state, index)
        torch.set_rng_state(self._torch)
