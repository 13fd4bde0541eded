"""Which device a setting means on this machine, and how many of its cores to use."""

import os
import sys

import torch

from rnn_tui.errors import UsageError


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
            f"device {name} is not here: torch {torch.__version__} finds {have}; use --device auto"
        )
    return torch.device(name)


def cpu_count() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def sample_on_one_thread() -> None:
    """At batch 1 a step is a few products of one row. Two threads were measured no faster than one from 1x128 to 3x512
    (1x256: 4,650 against 4,970 tokens/s), and several times slower while a trainer keeps the cores busy."""
    torch.set_num_threads(1)


def leave_one_core() -> None:
    """Use all cores but one, or those that others leave free, and no more than OMP_NUM_THREADS.

    Threads wait for one another at each product: 6,000 tokens through a small model took 0.1 s on one thread or on
    three free cores, and 20 s on three threads while four processes kept four cores busy.
    """
    free = cpu_count() - max(1, round(os.getloadavg()[0])) if hasattr(os, "getloadavg") else cpu_count() - 1
    torch.set_num_threads(max(1, min(free, torch.get_num_threads())))


if __name__ == "__main__":  # asked by `training.launch.check_device`, whose process does without torch
    try:
        pick_device(sys.argv[1])
    except UsageError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
