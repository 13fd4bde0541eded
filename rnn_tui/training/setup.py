"""Before the first step: device, threads, precision, seeds and the pace at which things are measured."""

import ctypes
import math
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from rnn_tui.errors import UsageError
from rnn_tui.model.device import cpu_count
from rnn_tui.training.config import RunConfig, RuntimeConfig

# MKL's vector maths picks its kernels at the first call; two threads racing there leave one with a less accurate
# kernel for the life of the process, so that processes differ in the last bits (pytorch#188792: 21 of 550 fresh
# processes, 0 of 550 after this warm-up, which takes 3 to 9 ms).
_VECTOR_MATH = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "lgamma",
    "log",
    "log10",
    "log1p",
    "log2",
    "reciprocal",
    "round",
    "rsqrt",
    "sigmoid",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "trunc",
]


def warm_up_math() -> None:
    """Call every vectorised unary function once on a single thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for dtype in (torch.float32, torch.float64):
        one = torch.full((1,), 0.5, dtype=dtype)
        for name in _VECTOR_MATH:
            getattr(torch, name)(one)
        torch.pow(one, one)
        torch.atan2(one, one)
        torch.logcumsumexp(one, 0)
    torch.set_num_threads(threads)


def keep_memory() -> None:
    """Have the C library keep freed memory for the next step, where it is glibc.

    A step frees what it kept for its backward, 20 to 60 MB at hidden 512; given back to the system and taken again
    it costs thousands of page faults, measured as a tenth of a step of the eager rung. The process stays as large as
    its largest step.
    """
    trim_threshold, mmap_threshold = -1, -3
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(trim_threshold, 1 << 30)
        libc.mallopt(mmap_threshold, 32 << 20)
    except (AttributeError, OSError, TypeError):
        pass  # another C library


def device_name(device: torch.device) -> str:
    """Return what a person calls the device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def set_precision(precision: str, device: torch.device) -> None:
    """Set the arithmetic of matrix products for every path at once: cuDNN takes TF32 by default, matmul does not.

    Raises:
        UsageError: for tf32 on a device that has none; `auto` may turn out to be one.
    """
    tf32 = precision == "tf32"
    if tf32 and device.type != "cuda":
        raise UsageError(f"precision tf32 exists on cuda only, not on {device.type}; take fp32 or bf16")
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32


def refuse_inexact_kernels(device: torch.device) -> None:
    """Have torch take the CUDA kernels that give the same bits each time, and raise RuntimeError where there is none.

    To be called before the device is used: cuBLAS reads the variable once. Runs on the CPU are equal without.
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)


def seed_everything(seed: int) -> None:
    """Seed torch, NumPy's and Python's global generators; plugins may use any of them."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def best_threads(step: Callable[[], object], limit: float = 2.0) -> tuple[int, float]:
    """Time `step` with more and more threads; return the best number and its seconds.

    With one core busy elsewhere, torch's default of all cores was measured 5 to 14 times slower than one thread: a
    barrier waits for the thread that was put aside. So the search goes upwards and ends where a step takes far longer
    than the best so far, or after `limit` seconds.
    """
    cores = cpu_count()
    begin = time.perf_counter()
    times: dict[int, float] = {}
    for threads in sorted({1, 2, 3, 4, cores // 2, cores - 1, cores} & set(range(1, cores + 1))):
        torch.set_num_threads(threads)
        step()
        seconds = _seconds(step)
        hopeless = bool(times) and seconds > 2 * min(times.values())
        late = time.perf_counter() - begin > limit
        times[threads] = seconds if hopeless or late else min(seconds, _seconds(step), _seconds(step))
        if hopeless or late:
            break
    best = min(times, key=times.__getitem__)
    # a barrier stalls when the screen or anything else wants a core: all of them must be clearly better
    if best == cores > 1 and times.get(cores - 1, math.inf) < 1.05 * times[best]:
        best = cores - 1
    torch.set_num_threads(best)
    return best, times[best]


def _seconds(step: Callable[[], object]) -> float:
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin


def race(
    step: Callable[[], object],
    first: Callable[[], object],
    second: Callable[[], object],
    patience: float = 2.0,
) -> tuple[float, float] | None:
    """Return the seconds of a step after `first` and after `second`, in turn three times, the best of each.

    Leaves `first` in force. None when a single step takes longer than `patience`: then the race costs too much.
    """
    best = [math.inf, math.inf]
    try:
        for repeat in range(4):
            for index, prepare in enumerate((first, second)):
                prepare()
                seconds = _seconds(step)
                if repeat:  # the first of each pays for what is made once
                    best[index] = min(best[index], seconds)
                elif seconds > patience:
                    return None
    finally:
        first()
    return best[0], best[1]


@dataclass(frozen=True)
class Pace:
    """What was decided at the start and is pinned in every checkpoint, so that a resumed run decides the same."""

    threads: int
    log_every: int
    validate_every: int
    engine: str = "loop"  # how a cell runs over time, see rnn_tui.model.recurrence


def choose_pace(
    config: RunConfig,
    device: torch.device,
    step: Callable[[], object],
    *,
    tokens_per_step: float,
    validation_tokens: int,
    total_steps: int | None,
) -> Pace:
    """Fix threads and intervals. With `exact`, nothing is timed, so that two runs choose alike.

    Args:
        step: one whole step that changes nothing.
        tokens_per_step, validation_tokens: inputs that such a step and a validation read.
    """
    runtime: RuntimeConfig = config.runtime
    watch = config.watch
    if runtime.exact:
        threads = runtime.threads or max(1, cpu_count() // 2)
        torch.set_num_threads(threads)
        interval = max(1, (total_steps or 1000) // 20)
        return Pace(threads, watch.log_every or 10, watch.validate_every or interval)
    if device.type != "cpu" or runtime.threads:
        threads = runtime.threads or max(1, min(4, cpu_count() // 2))
        torch.set_num_threads(threads)
        step()
        seconds = min(_seconds(step) for _ in range(3))
    else:
        threads, seconds = best_threads(step)
    # a validation is a forward pass, a good third of a step for each token; it may cost a fifth of the time at most
    validation_seconds = 0.4 * seconds * validation_tokens / tokens_per_step
    budget_seconds = min(
        total_steps * seconds if total_steps else math.inf,
        config.budget.minutes * 60 or math.inf,
    )
    interval_seconds = max(5 * validation_seconds, min(15.0, budget_seconds / 10))
    interval = max(1, round(interval_seconds / seconds))
    return Pace(threads, watch.log_every or round_125(0.25 / seconds), watch.validate_every or interval)


def round_125(value: float) -> int:
    """Round down to 1, 2 or 5 times a power of ten, between 1 and 100."""
    if value <= 1:
        return 1
    power = 10 ** math.floor(math.log10(value))
    return min(100, int(power * max(m for m in (1, 2, 5) if m * power <= value)))
