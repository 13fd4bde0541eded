"""What a command costs before it does anything."""

import os
import subprocess
import sys
import time


def startup(repeats: int) -> None:
    """CPU and wall time of `--help` and `runs list`, each the least of several runs."""
    for words in (["--help"], ["runs", "list"], ["plugins", "list"]):
        cpu, wall = [], []
        for _ in range(max(5, repeats)):
            before, begin = os.times(), time.perf_counter()
            subprocess.run([sys.executable, "-m", "rnn_tui", *words], stdout=subprocess.DEVNULL, check=True)
            after = os.times()
            wall.append(time.perf_counter() - begin)
            cpu.append(
                after.children_user + after.children_system - before.children_user - before.children_system
            )
        print(f"rnn-tui {' '.join(words):14} {min(cpu) * 1e3:4.0f} ms CPU, {min(wall) * 1e3:4.0f} ms wall")
