"""The number of threads that is chosen beside every other number, on a machine that is idle and one that is not.

`python -m benchmarks.threads ARCHITECTURE REPEATS SECONDS` measures in this process and prints JSON: how long a thread
turns at a barrier is read from the environment when torch is loaded.
"""

import json
import sys

import torch

from benchmarks.common import VOCABULARY, Goal, Options, busy_process, child, model_of, threads
from rnn_tui.bench.subjects import Training
from rnn_tui.bench.timing import Variant, interleave
from rnn_tui.model.device import best_threads, cpu_count
from rnn_tui.runs.supervisor import SPIN
from rnn_tui.training.setup import keep_memory

CHOSEN = Goal(0.9)


def choice(options: Options) -> None:
    """1x512, B32 T35: tokens/s at each number of threads, and the number that timing chooses; SPIN is the worker's."""
    for name in ("lstm", "nn-lstm"):
        for busy in (False, True):
            for spin in (None, SPIN["GOMP_SPINCOUNT"]):
                arguments = (name, min(3, options.repeats), options.seconds)
                if busy:
                    with busy_process():
                        told = child("benchmarks.threads", *arguments, GOMP_SPINCOUNT=spin)
                else:
                    told = child("benchmarks.threads", *arguments, GOMP_SPINCOUNT=spin)
                where = f"{name}, {'beside one busy process' if busy else 'alone'}, SPIN {spin or 'unset'}"
                rates = {int(number): rate for number, rate in told["rates"].items()}
                print(
                    f"{where}: "
                    + ", ".join(
                        f"{number}: {rate[0]:,.0f} ({rate[1]:,.0f} to {rate[2]:,.0f})"
                        for number, rate in rates.items()
                    )
                )
                chosen = rates[told["chosen"]][0] / max(rate[0] for rate in rates.values())
                print(
                    "  " + CHOSEN.judge(f"chosen {told['chosen']}, beside the best number", chosen),
                    flush=True,
                )


def _measure(name: str, repeats: int, seconds: float) -> None:
    keep_memory()
    torch.set_num_threads(1)
    update = Training(model_of(name, 512), torch.randint(VOCABULARY, (32, 36)))
    chosen, _ = best_threads(update)

    def on(number: int) -> Variant:
        def run() -> float:
            with threads(number):
                return update()

        return run

    numbers = range(1, cpu_count() + 1)
    timings = interleave({str(number): on(number) for number in numbers}, repeats, seconds=seconds)
    rates = {}
    for number in map(str, numbers):
        if rate := timings.rate(number):
            rates[number] = (rate.median, rate.least, rate.most)
    print(json.dumps({"chosen": chosen, "rates": rates}))


if __name__ == "__main__":
    _measure(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
