"""Interleaved repeats: every variant once, then every variant again, so that a busy moment hits all alike."""

import statistics
import time
from collections.abc import Callable


def interleave(variants: dict[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Run each variant `repeats` times in turn; a variant does some work and returns how many units it did.

    Returns:
        Units per second of each repeat.
    """
    for run in variants.values():
        run()
    rates: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(repeats):
        for name, run in variants.items():
            begin = time.perf_counter()
            units = run()
            rates[name].append(units / (time.perf_counter() - begin))
    return rates


def table(rates: dict[str, list[float]], unit: str, *beside: str) -> str:
    """Render medians, spread, and the ratio to each variant named in `beside`."""
    medians = {name: statistics.median(values) for name, values in rates.items()}
    header = ["", unit, "least to most", *(f"x {name}" for name in beside)]
    rows = [header]
    for name, values in rates.items():
        ratios = [f"{medians[name] / medians[other]:.2f}" for other in beside]
        rows.append([name, f"{medians[name]:,.0f}", f"{min(values):,.0f} to {max(values):,.0f}", *ratios])
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
    )
