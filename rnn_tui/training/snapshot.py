"""The whole state of a run as tensors and JSON, and back.

In it: optimiser, carried state, every random generator, counters, schedule, bookkeeping and the pace that was
chosen. Weights are the model file's.
"""

import random
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnn_tui.errors import InputError
from rnn_tui.model.state import arrange, leaves, unflatten
from rnn_tui.training.loop import Trainer
from rnn_tui.training.optim import settings_of
from rnn_tui.training.pace import Pace
from rnn_tui.training.progress import Progress


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


def read_progress(values: dict[str, Any]) -> tuple[Progress, Pace]:
    """Return the counters and the pace of a checkpoint.

    Raises:
        InputError: when they are not what this version writes.
    """
    try:
        return Progress(**values["progress"]), Pace(**values["pace"])
    except (KeyError, TypeError) as error:
        raise InputError(
            f"state.json of the checkpoint was written by another version of rnn-tui: {error}"
        ) from None


def restore(trainer: Trainer, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """Put optimiser, carried state and random generators back; the last thing done before training goes on."""
    state: dict[int, dict[str, Any]] = {int(i): dict(v) for i, v in values["optim_values"].items()}
    for name, tensor in tensors.items():
        group, _, rest = name.partition(".")
        if group == "optim":
            index, _, key = rest.partition(".")
            state[int(index)][key] = tensor
    for number, entry in state.items():
        shape = trainer.parameters[number].shape
        for key, value in entry.items():
            if isinstance(value, Tensor) and value.dim() and value.shape != shape:
                raise InputError(
                    f"the checkpoint's optimiser state {number}.{key} has not the shape of its weight"
                )
    trainer.optimizer.load_state_dict({"state": state, "param_groups": values["param_groups"]})
    if values["carried"]:
        template = trainer.model.initial_state(trainer.config.data.batch_size)
        count = sum(name.startswith("carry.") for name in tensors)
        flat = [tensors[f"carry.{index}"].to(trainer.model.device) for index in range(count)]
        trainer.state = unflatten(template, flat)
    kind, words, gauss = values["python_rng"]
    random.setstate((kind, tuple(words), gauss))
    legacy: dict[str, Any] = values["numpy_rng"]
    numpy_words = np.array(legacy["state"]["key"], np.uint32)
    np.random.set_state(legacy | {"state": {**legacy["state"], "key": numpy_words}})
    if trainer.model.device.type == "cuda":
        torch.cuda.set_rng_state_all([tensors[n] for n in sorted(tensors) if n.startswith("rng.cuda.")])
    torch.set_rng_state(tensors["rng.torch"])
