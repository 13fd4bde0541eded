"""What this machine reaches, and who else is using it."""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import torch

LARGE = 2048
"""Rows and columns of the matrices whose product is taken for what the processor reaches."""

MEMORY = 256 << 20
"""Bytes that are streamed: more than the caches hold, on all but a few servers."""

NOISE = 0.2
"""Cores. Less foreign load than this beyond the free ones is not told from the clock's own ticks of 10 ms."""


@dataclass(frozen=True)
class Moment:
    """Seconds so far: on the clock, of the processors this process may use, and of this process."""

    wall: float
    busy: float
    own: float


def now() -> Moment:
    """Read the clocks. What the host of a virtual machine takes away (steal) counts as busy."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    busy = 0.0
    for core, times in enumerate(psutil.cpu_times(percpu=True)):
        if cores is None or core in cores:
            # guest time is contained in user time; idle and iowait are nobody's
            names = ("user", "nice", "system", "irq", "softirq", "steal")
            busy += sum(getattr(times, name, 0.0) for name in names)
    return Moment(time.perf_counter(), busy, time.process_time())


def foreign_cores(begin: Moment, end: Moment) -> float:
    """Return how many cores others kept busy between two moments, on average."""
    wall = end.wall - begin.wall
    return max(0.0, (end.busy - begin.busy) - (end.own - begin.own)) / wall if wall > 0 else 0.0


def is_busy(foreign: float, threads: int, cores: int) -> bool:
    """Whether others took cores that `threads` threads of ours wanted."""
    return threads + foreign > cores + NOISE


def describe(device: torch.device) -> str:
    """Return processor, cores, torch and device in a line."""
    from rnn_tui.model.device import cpu_count
    from rnn_tui.training.setup import device_name

    cpu = f"{_processor()}, {cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"
    where = "" if device.type == "cpu" else f", {device_name(device)}"
    return f"{cpu}{where}; torch {torch.__version__}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def large_products(device: torch.device, size: int = LARGE) -> Callable[[], float]:
    """Return a function that multiplies two large matrices and returns what that took, in 10^9 operations."""
    a, b = torch.randn(2, size, size, device=device)
    result = torch.empty_like(a)

    def run() -> float:
        torch.mm(a, b, out=result)
        wait(device)
        return 2e-9 * size**3

    return run


def streaming(device: torch.device, size: int = MEMORY) -> Callable[[], float]:
    """Return a function that reads `size` bytes of memory and returns their number, in 10^9.

    It is a matrix times a vector, which is what a step at batch 1 does with its weights: with few bytes it tells what
    the caches give, with many what memory gives.
    """
    columns = 1024
    matrix = torch.ones(max(1, size // (4 * columns)), columns, device=device)
    vector, result = torch.ones(columns, device=device), torch.empty(len(matrix), device=device)

    def run() -> float:
        torch.mv(matrix, vector, out=result)
        wait(device)
        return 4e-9 * matrix.numel()

    return run


def wait(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
