"""`python -m benchmarks [train|engines|sample|encode|startup …]`: all of them without a name."""

import argparse
import os
import platform

import torch

from benchmarks import encoding, startup, training
from rnn_tui.model.device import cpu_count
from rnn_tui.training.setup import keep_memory, warm_up_math

PARTS = {
    "train": training.train,
    "engines": training.engines,
    "sample": training.sample,
    "encode": encoding.encode,
    "startup": startup.startup,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument(
        "parts", nargs="*", choices=[[], *PARTS], help="what to measure; all when none is named"
    )
    parser.add_argument("--threads", type=int, default=max(1, cpu_count() - 1))
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    keep_memory()
    warm_up_math()
    torch.set_num_threads(arguments.threads)
    load = os.getloadavg()[0]
    print(
        f"torch {torch.__version__}, {platform.machine()} ({torch.backends.cpu.get_cpu_capability()}), "
        f"{arguments.threads} of {cpu_count()} cores, load {load:.1f} at the start"
    )
    for part in arguments.parts or PARTS:
        print(f"\n## {part}\n")
        PARTS[part](arguments.repeats)


if __name__ == "__main__":
    main()
