"""Sampling beside the tutorials' loop, beside torch's module used as they use it, and beside the cell's own loop."""

import numpy as np
import torch
from torch.nn import functional

from benchmarks.common import VOCABULARY, Goal, Options, model_of
from rnn_tui.bench.baseline import TEMPERATURE, TOKENS, TorchModel, Tutorial
from rnn_tui.bench.baseline import draws as baseline_draws
from rnn_tui.bench.subjects import Sampling, symbols
from rnn_tui.bench.timing import Variant, interleave, table
from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.sampling import Noise, choose
from rnn_tui.inference.torch_reader import TorchReader
from rnn_tui.model.device import sample_on_one_thread
from rnn_tui.model.recurrent_model import RecurrentModel

BESIDE_TUTORIAL = {(1, 128): Goal(8.0, 23.0), (1, 512): Goal(7.0, 12.0), (3, 512): Goal(6.0, 8.0)}
BESIDE_OWN_LOOP = Goal(2.5, 4.0)
CELLS = ["lstm", "gru", "rnn", "LayerNormLSTM", "PeepholeLSTM", "MinimalGated"]


def sample(options: Options) -> None:
    """At temperature 0.8, torch on one thread: one stream as a prompt in torch draws it, then 64 side by side."""
    sample_on_one_thread()
    tokenizer = symbols(VOCABULARY)
    taught, theirs = "tutorial LSTM", "nn.LSTM one-hot, autograd on"
    variants: dict[str, Variant]
    for (layers, hidden), goal in BESIDE_TUTORIAL.items():
        sizes = (VOCABULARY, hidden, layers)
        variants = {
            name: Sampling(model_of(name, hidden, num_layers=layers), tokenizer, traced=True)
            for name in ("lstm", "nn-lstm")
        }
        variants[taught] = baseline_draws(Tutorial("lstm", *sizes))
        variants[theirs] = baseline_draws(TorchModel("lstm", "one-hot", *sizes))
        timings = interleave(variants, options.repeats, seconds=options.seconds)
        print(f"{layers}x{hidden}, one stream\n{table(timings, 'tokens/s', taught, theirs)}")
        # the goals were set beside the second: it is what most tutorials sample with
        print(goal.judge(f"lstm beside the {taught}", timings.ratio("lstm", taught)))
        print(goal.judge(f"lstm beside {theirs}", timings.ratio("lstm", theirs)) + "\n")
    variants = {
        "lstm": batched(model_of("lstm", 512), 64),
        taught: baseline_draws(Tutorial("lstm", VOCABULARY, 512), 64),
        theirs: baseline_draws(TorchModel("lstm", "one-hot", VOCABULARY, 512), 64),
    }
    timings = interleave(variants, options.repeats, seconds=options.seconds)
    print(f"1x512, 64 streams\n{table(timings, 'tokens/s', taught, theirs)}\n")
    for name in CELLS:
        model = model_of(name, 512)
        loop = f"{name}, its own loop"
        timings = interleave(
            {name: Sampling(model, tokenizer, traced=True), loop: own_loop(model)},
            options.repeats,
            seconds=options.seconds,
        )
        print(table(timings, "tokens/s", loop))
        print(BESIDE_OWN_LOOP.judge(f"{name} 1x512 beside its own loop", timings.ratio(name, loop)))


def batched(model: RecurrentModel, batch_size: int) -> Variant:
    """Draw for many rows at once, as a `Reader` offers it, each row with noise of its own."""
    reader = TorchReader(model.eval())
    reader.prepare()
    config = SamplingConfig(temperature=TEMPERATURE, seed=1)
    state = reader.pick(reader.start(), np.zeros(batch_size, np.int64))

    def run() -> float:
        noise, after, ids = Noise(reader.output_size, 1), state, np.zeros(batch_size, np.int64)
        for _ in range(TOKENS):
            logits, after = reader.advance(ids, after)
            ids = choose(logits, config, noise.take(batch_size))
        return TOKENS * batch_size

    return run


def own_loop(model: RecurrentModel, batch_size: int = 1) -> Variant:
    """Draw by the author's step as it stands, without autograd."""
    model.eval()

    @torch.inference_mode()
    def run() -> float:
        state, token = model.initial_state(batch_size), torch.zeros(batch_size, dtype=torch.long)
        for _ in range(TOKENS):
            logits, state = model.step(token, state)
            token = torch.multinomial(functional.softmax(logits / TEMPERATURE, -1), 1)[:, 0]
            token.tolist()
        return TOKENS * batch_size

    return run
