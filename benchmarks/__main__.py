"""`python -m benchmarks [PART…]`: the figures of docs/log.md, without a name all of them: ten minutes on four cores."""

import argparse
import importlib
import os
import sys
import time
import traceback
from typing import TYPE_CHECKING

from rnn_tui.runs.supervisor import SPIN

if TYPE_CHECKING:
    from benchmarks.common import Options

PARTS = {
    "cells": "training:cells",
    "small": "training:small",
    "words": "training:words",
    "sample": "sampling:sample",
    "evaluate": "evaluation:evaluate_beside_tutorial",
    "encode": "encoding:encode",
    "threads": "threads:choice",
    "checkpoint": "checkpoints:checkpoint",
    "cold": "cold:first_step",
    "startup": "startup:startup",
    "charts": "charts:charts",
    "app": "app:app",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument(
        "parts", nargs="*", choices=[[], *PARTS], help="what to measure; all when none is named"
    )
    parser.add_argument("--threads", type=int, default=0, help="for training and evaluation; 0: timed")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each turn, at least")
    arguments = parser.parse_args()
    if "OMP_WAIT_POLICY" not in os.environ:
        for name, value in SPIN.items():  # as in a worker; read when torch is loaded, so that comes later
            os.environ.setdefault(name, value)
    options = _prepare(arguments)
    failed = []
    for part in arguments.parts or PARTS:
        begin = time.perf_counter()
        try:
            module, _, function = PARTS[part].partition(":")
            run = getattr(importlib.import_module(f"benchmarks.{module}"), function)
            print(f"\n## {part}\n\n{run.__doc__}\n", flush=True)
            options.take_threads()
            run(options)
        except Exception:  # the other parts are worth having
            traceback.print_exc()
            failed.append(part)
        print(f"({time.perf_counter() - begin:.0f} s, load {os.getloadavg()[0]:.1f})", flush=True)
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}")


def _prepare(arguments: argparse.Namespace) -> "Options":
    """Choose the threads, and say what is measured on."""
    import torch

    from benchmarks.common import Options
    from rnn_tui.bench.baseline import TorchModel, torch_updates
    from rnn_tui.bench.machine import describe
    from rnn_tui.model.device import best_threads
    from rnn_tui.training.setup import keep_memory, seed_everything, warm_up_math

    keep_memory()
    warm_up_math()
    seed_everything(1)
    torch.set_num_threads(arguments.threads or 1)
    if not arguments.threads:
        best_threads(torch_updates(TorchModel("lstm", "one-hot", 97, 512), torch.randint(97, (32, 36))))
    options = Options(torch.get_num_threads(), arguments.repeats, arguments.seconds)
    print(f"{describe(torch.device('cpu'))}; {options.threads} threads, load {os.getloadavg()[0]:.1f}")
    print("Medians of turns that are interleaved; * where others used the machine.")
    return options


if __name__ == "__main__":
    main()
