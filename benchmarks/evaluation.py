"""Evaluation of 5 MB beside the tutorial's way: one stream, short windows, the loss read after each."""

import time

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.common import VOCABULARY, Goal, Options, model_of
from rnn_tui.bench.baseline import TorchModel, Tutorial
from rnn_tui.bench.timing import Variant, interleave, table
from rnn_tui.tasks.evaluation import evaluate

BESIDE_TUTORIAL = Goal(10.0, 12.0)
WHOLE, PART, TAUGHT = 5_000_000, 200_000, 2_100
PATIENCE = 60.0
"""Seconds that the evaluation of the whole may take; on a machine that needs more it is a part, scaled."""


def evaluate_beside_tutorial(options: Options) -> None:
    """An LSTM of 1x512 over 5 MB of characters; the tutorial and torch's module read a part, and are scaled."""
    ids = np.random.default_rng(0).integers(VOCABULARY, size=WHOLE + 1, dtype=np.uint8)
    models = {name: model_of(name, 512).eval() for name in ("lstm", "nn-lstm")}

    def ours(name: str, tokens: int) -> Variant:
        return lambda: evaluate(models[name], ids[: tokens + 1]).tokens

    torch_stream, taught = "nn.LSTM one-hot, one stream", "tutorial LSTM"
    variants = {f"{name} {model.engine()[0]}": ours(name, PART) for name, model in models.items()}
    fastest = list(variants)
    stream = torch.from_numpy(ids[: TAUGHT + 1].astype(np.int64))
    variants[torch_stream] = _one_stream(TorchModel("lstm", "one-hot", VOCABULARY, 512), stream)
    variants[taught] = _one_stream(Tutorial("lstm", VOCABULARY, 512), stream)
    timings = interleave(variants, min(3, options.repeats), threads=options.threads)
    print(table(timings, "tokens/s", taught, torch_stream))
    for name in fastest:
        print(BESIDE_TUTORIAL.judge(f"{name} beside the {taught}", timings.ratio(name, taught)))
    rate, slow = timings.rate(fastest[0]), timings.rate(taught)
    if rate and slow:
        tokens = min(WHOLE, int(PATIENCE * rate.median))
        begin = time.perf_counter()
        evaluate(models["lstm"], ids[: tokens + 1])
        seconds = (time.perf_counter() - begin) * WHOLE / tokens
        print(
            f"lstm: 5 MB in {seconds:.0f} s, by {tokens:,} tokens; the {taught}: {WHOLE / slow.median:.0f} s"
        )


def _one_stream(model: Tutorial | TorchModel, stream: Tensor, window: int = 35) -> Variant:
    """Read ids (N + 1,) as the tutorials do, autograd and all; N is a multiple of `window`."""

    def run() -> float:
        state = None
        for begin in range(0, len(stream) - 1, window):
            logits, state = model(stream[None, begin : begin + window], state)
            functional.cross_entropy(logits[0], stream[begin + 1 : begin + window + 1]).item()
        return len(stream) - 1

    return run
