"""What a layer keeps: its attributes, parameters and buffers before and after it is run."""

from collections import deque
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_OF_TORCH = set(vars(nn.Module()))
_OPAQUE = (type, ModuleType, FunctionType, nn.Module)
_DEPTH = 4


def kept(module: nn.Module) -> dict[str, Any]:
    """Return what is compared of everything that a module and those inside it hold, by name."""
    found: dict[str, Any] = {}
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if name not in _OF_TORCH:
                found[f"attribute `{_joined(path, name)}`"] = _print(value, _DEPTH)
    found |= {f"parameter `{name}`": _print(value, 1) for name, value in module.named_parameters()}
    found |= {f"buffer `{name}`": _print(value, 1) for name, value in module.named_buffers()}
    return found


def changed(before: dict[str, Any], after: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what differs, by name, and how."""
    for name in before | after:
        if name not in before:
            yield name, "was made"
        elif name not in after:
            yield name, "was deleted"
        elif not _equal(before[name], after[name]):
            yield name, "changed"


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _print(value: Any, depth: int) -> Any:
    """Return a copy of what a value is, deep enough to see a change; an object of another kind is its identity."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if depth and isinstance(value, dict):
        return {key: _print(item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, list | tuple | deque):
        return [_print(item, depth - 1) for item in value]
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | set | frozenset):
        return set(value) if isinstance(value, set) else value
    if depth and hasattr(value, "__dict__") and not isinstance(value, _OPAQUE):
        return [id(value), _print(vars(value), depth - 1)]
    return id(value)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return (
            isinstance(one, Tensor)
            and isinstance(other, Tensor)
            and one.dtype == other.dtype
            and one.shape == other.shape
            and torch.equal(one.nan_to_num(), other.nan_to_num())
        )
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other or (one != one and other != other))  # NaN is itself
