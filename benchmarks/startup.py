"""What a command costs before it does anything."""

import os
import subprocess
import sys
import time

from benchmarks.common import Goal, Options

HELP = Goal(120.0, 80.0, "ms of CPU")


def startup(options: Options) -> None:
    """CPU and wall time of commands that compute nothing, each the least of several runs."""
    for words in (["--help"], ["runs", "list"], ["plugins", "list"]):
        cpu, wall = [], []
        for _ in range(max(5, options.repeats)):
            before, begin = os.times(), time.perf_counter()
            subprocess.run([sys.executable, "-m", "rnn_tui", *words], capture_output=True, check=True)
            after = os.times()
            wall.append(time.perf_counter() - begin)
            cpu.append(
                after.children_user + after.children_system - before.children_user - before.children_system
            )
        least = min(cpu) * 1e3
        told = f"rnn-tui {' '.join(words)}"
        print(
            HELP.judge(told, least) if words == ["--help"] else f"{told}: {least:.0f} ms of CPU",
            f"({min(wall) * 1e3:.0f} ms on the clock)",
        )
