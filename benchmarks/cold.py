"""From nothing to the first step, and to the compiled rung, which is made while the eager one trains.

`python -m benchmarks.cold ARCHITECTURE` measures in this process and prints JSON.
"""

import json
import sys
import tempfile
import threading
import time

import torch

from benchmarks.common import VOCABULARY, Goal, Options, child, model_of
from rnn_tui.bench.subjects import Training

COMPILED = Goal(15.0, None, "s")


def first_step(options: Options) -> None:
    """1x512, B32 T35: with an empty cache, and once more with what that left there."""
    with tempfile.TemporaryDirectory() as cache:
        for name in ("lstm", "gru", "LayerNormLSTM"):
            for state in ("cold", "warm"):
                told = child("benchmarks.cold", name, RNN_TUI_CACHE_DIR=f"{cache}/{name}")
                print(
                    f"{name}, {state}: all loaded in {told['load']:.1f} s of CPU, the model built and traced in "
                    f"{told['build']:.2f} s, the first step ({told['engine']}) after {told['step']:.2f} s"
                )
                if told["reason"]:
                    print(f"  no compiled rung: {told['reason']}")
                else:
                    print(
                        "  "
                        + COMPILED.judge(
                            f"{told['meanwhile']} steps until the compiled rung", told["compiled"]
                        )
                    )


def _measure(name: str, load: float) -> None:
    torch.set_num_threads(max(1, torch.get_num_threads() - 1))
    begin = time.perf_counter()
    model = model_of(name, 512, "eager")
    build = time.perf_counter() - begin
    update = Training(model, torch.randint(VOCABULARY, (32, 36)))
    update()
    step = time.perf_counter() - begin
    answer: list[str | None] = []
    compiling = threading.Thread(target=lambda: answer.append(model.compile_ahead()))
    compiling.start()
    meanwhile = 0
    while compiling.is_alive():
        update()
        meanwhile += 1
    engine = model.engine()[0]
    model.select_engine("compiled")
    update()
    compiled = time.perf_counter() - begin
    reason = answer[0] if answer else "it raised"
    told = {"load": load, "build": build, "step": step, "engine": engine, "compiled": compiled}
    print(json.dumps(told | {"meanwhile": meanwhile, "reason": reason or ""}))


if __name__ == "__main__":
    _measure(sys.argv[1], time.process_time())
