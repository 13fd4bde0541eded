"""Which device a setting means on this machine, and how many of its cores to use."""

import math
import os
import statistics
import sys
import time
from collections.abc import Callable

import torch

from rnn_tui.errors import UsageError

_VISIT = 0.02  # seconds at one number of threads before it is another's turn
_VISITS = 8  # of each number that is close to the best
_SURE = 3  # visits that say how it is
_HOPELESS = 2.0  # times the best: more threads are not tried
_CLOSE = 1.5


def pick_device(name: str) -> torch.device:
    """Return the device a setting names; `auto` takes cuda, then mps, then cpu.

    Raises:
        UsageError: when this machine or this torch has no such device.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(device for device in ("cuda", "mps", "cpu") if there[device])
    if not there.get(name):
        have = ", ".join(device for device, found in there.items() if found)
        raise UsageError(
            f"device {name} is not here: torch {torch.__version__} finds {have}; take the device auto"
        )
    return torch.device(name)


def cpu_count() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_cores() -> int:
    """The cores that others leave free, by the load of the last minute; at least one."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 1.0
    return max(1, cpu_count() - max(1, round(load)))


def sample_on_one_thread() -> None:
    """At batch 1 a step is a few products of one row. Two threads were measured no faster than one from 1x128 to 3x512
    (1x256: 4,650 against 4,970 tokens/s), and several times slower while a trainer keeps the cores busy."""
    torch.set_num_threads(1)


def timed(step: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin


def best_threads(
    step: Callable[[], object], limit: float = 2.0, most: int | None = None
) -> tuple[int, float]:
    """Find the best number of threads for `step` as `time_threads` does; return it, then in use, and its seconds."""
    times = time_threads(step, limit, most)
    best = fastest(times)
    torch.set_num_threads(best)
    return best, times[best]


def time_threads(step: Callable[[], object], limit: float = 2.0, most: int | None = None) -> dict[int, float]:
    """Return the seconds of a step by the number of threads, of those that were tried.

    With one core busy elsewhere, torch's default of all cores was measured 5 to 14 times slower than one thread: a
    barrier waits for the thread that was put aside. So the search goes upwards and ends where a step takes far longer
    than the best so far. Those that are close are then visited in turn, since what else runs here comes and goes, and
    what counts is the median: the best step of four threads on a busy machine is as fast as on an idle one.

    Args:
        limit: seconds after which only one number is still tried, all cores that others leave free: where a step takes
            seconds, stopping there would leave a large machine at one or two threads. A step of up to a twentieth of
            `limit` on one thread leaves time for all.
        most: the largest number to try; None: as many as there are cores.
    """
    end = time.perf_counter() + limit
    waiting = thread_counts(min(cpu_count(), most or cpu_count()))
    visits: dict[int, list[float]] = {}

    def usual(threads: int) -> float:
        return statistics.median(visits[threads])

    while waiting:
        threads = waiting.pop(0)
        torch.set_num_threads(threads)
        step()  # threads are started, and what is made once is made
        visits[threads] = [visit(step)]
        best = min(map(usual, visits))
        while min(visits[threads]) > _HOPELESS * best and len(visits[threads]) < _SURE:
            if time.perf_counter() > end:
                break
            visits[threads].append(visit(step))  # one bad moment does not count
        if min(visits[threads]) > _HOPELESS * best:
            break
        if time.perf_counter() > end:
            free = free_cores()
            waiting = [number for number in waiting if number <= free][-1:]
    for _ in range(_VISITS - 1):
        best = min(map(usual, visits))
        close = [
            threads
            for threads, times in visits.items()
            if (usual(threads) if len(times) >= _SURE else min(times)) <= _CLOSE * best
        ]
        for threads in close if len(close) > 1 else ():
            if time.perf_counter() < end:
                torch.set_num_threads(threads)
                visits[threads].append(visit(step))
    return {threads: usual(threads) for threads in visits}


def fastest(times: dict[int, float]) -> int:
    """Return the number of threads to take."""
    best = min(times, key=times.__getitem__)
    # a barrier stalls when the screen or anything else wants a core: all of them must be clearly better
    if best == cpu_count() > 1 and times.get(best - 1, math.inf) < 1.05 * times[best]:
        best -= 1
    return best


def thread_counts(cores: int) -> list[int]:
    """Return the numbers to try: a third to a half apart, since times are flat around the best, and all but one."""
    powers = [2**n for n in range(cores.bit_length())]
    counts = {*powers, *(3 * power // 2 for power in powers), cores - 1, cores}
    return sorted(count for count in counts if 1 <= count <= cores)


def visit(step: Callable[[], object]) -> float:
    """Return the mean seconds of a step over `_VISIT` seconds of them, one at least."""
    begin = time.perf_counter()
    steps = 0
    while True:
        step()
        steps += 1
        spent = time.perf_counter() - begin
        if spent >= _VISIT:
            return spent / steps


def evaluation_threads(step: Callable[[], object], steps: float) -> int:
    """Use as many threads as are best for `steps` such steps; return how many.

    An evaluation multiplies other shapes than a training step, so it does not take over that one's threads. What is
    over within a second stays on one thread; else the search takes two seconds or a fiftieth of the whole. It never
    takes more than OMP_NUM_THREADS.
    """
    most = torch.get_num_threads()
    torch.set_num_threads(1)
    step()
    seconds = steps * timed(step)
    return 1 if seconds < 1 else best_threads(step, max(2.0, seconds / 50), most)[0]


if __name__ == "__main__":  # asked by `training.launch.check_device`, whose process does without torch
    try:
        pick_device(sys.argv[1])
    except UsageError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
