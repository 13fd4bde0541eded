"""Interleaved repeats: every variant once, then every variant again, so that a busy moment hits all alike."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rnn_tui.bench.machine import foreign_cores, is_busy, now
from rnn_tui.model.device import cpu_count

Variant = Callable[[], float]
"""Does some work and returns how many units it did."""


@dataclass(frozen=True)
class Repeat:
    """One turn of one variant.

    Attributes:
        rate: units per second.
        foreign: cores that others kept busy meanwhile.
        busy: whether that took something from it.
    """

    rate: float
    foreign: float = 0.0
    busy: bool = False


@dataclass(frozen=True)
class Spread:
    """The middle of several figures and their ends.

    Attributes:
        busy: whether all or all but one were taken while others used the machine; with two quiet ones, the busy ones
            are left out.
    """

    median: float
    least: float
    most: float
    busy: bool = False


@dataclass
class Timings:
    """What is known so far, by variant: filled while measuring, so that an interruption loses one turn.

    Attributes:
        repeats: of each variant, in turn.
        errors: why a variant gave up.
    """

    repeats: dict[str, list[Repeat]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def rate(self, name: str) -> Spread | None:
        """Return units per second; None where it was not measured."""
        repeats = self.repeats.get(name, [])
        return spread([each.rate for each in repeats], [each.busy for each in repeats])

    def ratio(self, name: str, other: str) -> Spread | None:
        """Return how many times as fast `name` is as `other`, turn by turn; None where either was not measured."""
        pairs = list(zip(self.repeats.get(name, []), self.repeats.get(other, []), strict=False))
        return spread([a.rate / b.rate for a, b in pairs], [a.busy or b.busy for a, b in pairs])

    def foreign(self) -> float:
        """Return the cores that others kept busy, on average over all turns."""
        loads = [each.foreign for repeats in self.repeats.values() for each in repeats]
        return statistics.fmean(loads) if loads else 0.0


def reason(error: Exception) -> str:
    """Return what an error says, in a line."""
    return f"{type(error).__name__}: {(str(error).splitlines() or ['no message'])[0][:200]}"


def spread(values: Sequence[float], busy: Sequence[bool] | None = None) -> Spread | None:
    """Return median, least and most of `values`, without the busy ones where two quiet ones are left."""
    if not values:
        return None
    flags = busy or [False] * len(values)
    quiet = [value for value, flag in zip(values, flags, strict=True) if not flag]
    disturbed = len(quiet) < min(2, len(values))
    chosen = list(values) if disturbed else quiet
    return Spread(statistics.median(chosen), min(chosen), max(chosen), disturbed)


def interleave(
    variants: Mapping[str, Variant],
    repeats: int,
    *,
    seconds: float = 0.0,
    threads: int = 1,
    into: Timings | None = None,
    told: Callable[[str], object] = lambda name: None,
) -> Timings:
    """Run each variant once unmeasured, then `repeats` times in turn.

    Args:
        seconds: a turn repeats the variant until so much time has passed; at least once.
        threads: that a variant keeps busy, to judge the load.
        into: filled as it goes.
        told: called with the name of the variant that is about to run.

    A variant that raises is left out from then on, with its reason in `errors`.
    """
    timings = into if into is not None else Timings()
    cores = cpu_count()
    going = dict(variants)
    for turn in range(repeats + 1):
        for name, run in list(going.items()):
            told(name)
            begin = now()
            units, end = 0.0, begin.wall + (seconds if turn else 0.0)
            try:
                units += run()
                while time.perf_counter() < end:
                    units += run()
            except Exception as error:  # a stranger's cell may raise anything
                timings.errors[name] = reason(error)
                del going[name]
                continue
            done = now()
            if turn:
                foreign = foreign_cores(begin, done)
                rate = units / (done.wall - begin.wall)
                timings.repeats.setdefault(name, []).append(
                    Repeat(rate, foreign, is_busy(foreign, threads, cores))
                )
    return timings


def table(timings: Timings, unit: str, *beside: str, digits: int = 0) -> str:
    """Render medians, spread, and the ratio to each variant named in `beside`; `*` marks what was disturbed."""
    header = ["", unit, "least to most", *(f"x {name}" for name in beside)]
    rows = [header]
    for name in timings.repeats:
        rate = timings.rate(name)
        if rate is None:
            continue
        ratios = [timings.ratio(name, other) for other in beside]
        rows.append(
            [
                name,
                f"{rate.median:,.{digits}f}{'*' if rate.busy else ''}",
                f"{rate.least:,.{digits}f} to {rate.most:,.{digits}f}",
                *("" if each is None else f"{each.median:.2f}" for each in ratios),
            ]
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, *(f"{name}: {why}" for name, why in timings.errors.items())])
