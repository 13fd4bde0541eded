"""Is a faster way right? Outputs, final state and gradients on two tiny batches, beside the plain loop."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from rnn_tui.model.recurrence.loop import run_loop
from rnn_tui.model.state import arrange, detach, device_of, leaves, map_state
from rnn_tui.plugin.core import Cell, State

BATCHES = (3, 1)
"""A step may treat a single row otherwise; what it does with many is seen in its trace, see `graph.trace_foreign`."""
STEPS = 4
TOLERANCE = 1e-4
"""Of the largest value: fp32 rounding in another order stays far below, a missing term far above."""
NOISE = 1e-6
"""Of the largest value of all."""

Way = Callable[[Tensor, State, Tensor | None], tuple[Tensor, State]]


def difference(cell: Cell, input_size: int, way: Way) -> str | None:
    """Return what differs from the plain loop, or None; the cell's gradients are left as they were."""
    for rows in BATCHES:
        found = _difference(cell, input_size, way, rows)
        if found is not None:
            return found if rows > 1 else f"{found} for a single row"
    return None


def _difference(cell: Cell, input_size: int, way: Way, rows: int) -> str | None:
    generator = torch.Generator().manual_seed(1)
    device = device_of(cell)
    xs = torch.randn(rows, STEPS, input_size, generator=generator).to(device)
    reset = torch.zeros(rows, STEPS, dtype=torch.bool, device=device)
    reset[rows // 2, STEPS // 2] = True
    with torch.no_grad():  # a state such as occurs, not only the initial one
        _, state = run_loop(cell, xs[:, :2].flip(1), cell.initial_state(rows, device=device))

    def measure(run: Way) -> list[tuple[str, Tensor | None]]:
        inputs = xs.clone().requires_grad_()
        before = map_state(lambda leaf: leaf.clone().requires_grad_(leaf.is_floating_point()), detach(state))
        ys, after = run(inputs, before, reset)
        results = [("outputs", ys), *(("final state", leaf) for leaf in leaves(arrange(before, after)))]
        weighted = torch.zeros((), device=device)
        weights = torch.Generator().manual_seed(2)
        for _, value in results:
            if value.requires_grad:
                weighted = weighted + (value * torch.randn(value.shape, generator=weights).to(device)).sum()
        asked = [
            ("gradient of the input", inputs),
            *(("gradient of the state", leaf) for leaf in leaves(before) if leaf.requires_grad),
            *((f"gradient of {name}", p) for name, p in cell.named_parameters() if p.requires_grad),
        ]
        found: tuple[Tensor | None, ...] = (None,) * len(asked)
        if weighted.requires_grad:
            found = torch.autograd.grad(weighted, [tensor for _, tensor in asked], allow_unused=True)
        with torch.no_grad():
            plain, _ = run(xs, detach(before), reset)
        return [
            *((name, value.detach()) for name, value in results),
            *((name, gradient) for (name, _), gradient in zip(asked, found, strict=True)),
            ("outputs without gradients", plain),
        ]

    with torch.enable_grad():
        expected = measure(lambda xs, state, reset: run_loop(cell, xs, state, reset))
        # a gradient that is zero but for rounding, as before a softmax, is not held to its own size
        floor = NOISE * max(_size(value) for _, value in expected)
        for (name, right), (_, value) in zip(expected, measure(way), strict=True):
            if not _close(right, value, floor):
                return name
    return None


def _size(value: Tensor | None) -> float:
    if value is None or not value.numel():
        return 0.0
    largest = float(value.abs().max())
    return largest if math.isfinite(largest) else float(value.abs().nan_to_num(0.0, 0.0, 0.0).max())


def _close(right: Tensor | None, value: Tensor | None, floor: float) -> bool:
    if right is None or value is None:
        return max(_size(right), _size(value)) <= floor
    if right.shape != value.shape or right.dtype != value.dtype:
        return False
    if not right.is_floating_point():
        return torch.equal(right, value)
    nearest = TOLERANCE * _size(right) + floor
    if right.numel() and float((value - right).abs().max()) <= nearest:  # 0.5 ms for a million, `allclose` 10
        return True
    return torch.allclose(value, right, rtol=TOLERANCE, atol=nearest, equal_nan=True)
