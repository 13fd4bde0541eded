"""Training: cells on every rung beside torch's modules and the tutorials' loop, and word level."""

import torch

from benchmarks.common import VOCABULARY, Goal, Options, architecture, rungs_of
from rnn_tui.bench.baseline import Kind, TorchModel, Tutorial, torch_updates, tutorial_updates
from rnn_tui.bench.machine import large_products
from rnn_tui.bench.subjects import Training, nearest_kind, weights_in_products
from rnn_tui.bench.timing import Timings, Variant, interleave, table

CELLS = ["lstm", "gru", "rnn", "LayerNormLSTM", "PeepholeLSTM", "MinimalGated"]
BESIDE_EMBEDDING = Goal(1.2, 1.5)
BESIDE_BEST_FORM = Goal(1.4, 1.9)
BESIDE_TUTORIAL = Goal(2.0, 2.7)
SMALL = Goal(0.6, 0.75)
WORDS = Goal(0.95)
WORDS_TUTORIAL = Goal(10.0)


def cells(options: Options) -> None:
    """1x512, B32 T35: each cell, loop, eager and compiled, beside the module whose tokens cost most nearly the same."""
    for name in CELLS:
        timings, kind, fastest = _measure(name, 512, 32, 35, options)
        embedding, one_hot = f"nn.{kind.upper()} embedding", f"nn.{kind.upper()} one-hot"
        if kind == "lstm":
            print(BESIDE_EMBEDDING.judge(f"{fastest} beside {embedding}", timings.ratio(fastest, embedding)))
        else:
            best = max((embedding, one_hot), key=lambda each: _median(timings, each))
            print(BESIDE_BEST_FORM.judge(f"{fastest} beside {best}", timings.ratio(fastest, best)))
        taught = f"tutorial {kind.upper()}"
        print(BESIDE_TUTORIAL.judge(f"{fastest} beside the {taught}", timings.ratio(fastest, taught)) + "\n")


def small(options: Options) -> None:
    """1x256, B32 T35: where nn.LSTM is at its best."""
    timings, _, fastest = _measure("lstm", 256, 32, 35, options)
    best = "nn.LSTM one-hot"
    print(SMALL.judge(f"{fastest} beside {best}", timings.ratio(fastest, best)))


def _measure(name: str, hidden: int, batch: int, length: int, options: Options) -> tuple[Timings, Kind, str]:
    """Measure a cell's rungs and what they are held against; return the timings, the kind and the fastest rung."""
    ids = torch.randint(VOCABULARY, (batch, length + 1))
    variants: dict[str, Variant] = {}
    weights = 0
    for rung, model in rungs_of(name, hidden):
        variants[f"{name} {rung}"] = Training(model, ids)
        weights = weights_in_products(model, architecture(name), {})
    ours = list(variants)
    kind = nearest_kind(weights, "one-hot", VOCABULARY, hidden, 1)
    variants[f"nn.{kind.upper()} embedding"] = torch_updates(
        TorchModel(kind, "embedding", VOCABULARY, hidden), ids
    )
    variants[f"nn.{kind.upper()} one-hot"] = torch_updates(
        TorchModel(kind, "one-hot", VOCABULARY, hidden), ids
    )
    variants[f"tutorial {kind.upper()}"] = tutorial_updates(Tutorial(kind, VOCABULARY, hidden), ids)
    timings = interleave(variants, options.repeats, seconds=options.seconds, threads=options.threads)
    limit = interleave({"products": large_products(torch.device("cpu"))}, 3).rate("products")
    print(f"{name} 1x{hidden}, batch {batch}, seq_len {length}, vocabulary {VOCABULARY}")
    print(table(timings, "tokens/s", *list(variants)[len(ours) :]))
    fastest = max(ours, key=lambda each: _median(timings, each))
    if limit:
        achieved = 6e-9 * weights * _median(timings, fastest)
        print(
            f"{fastest}: {achieved:.0f} GFLOP/s, {achieved / limit.most:.0%} of {limit.most:.0f} in a large product"
        )
    return timings, kind, fastest


def _median(timings: Timings, name: str) -> float:
    rate = timings.rate(name)
    return rate.median if rate else 0.0


def words(options: Options) -> None:
    """2x650 tied, B20 T35, 33,278 words: bound by the product with the vocabulary, where there is little to win."""
    vocabulary, hidden, layers = 33_278, 650, 2
    ids = torch.randint(vocabulary, (20, 36))
    models = rungs_of(
        "lstm", hidden, vocabulary=vocabulary, num_layers=layers, encoder="embedding", tie_weights=True
    )
    variants: dict[str, Variant] = {
        f"lstm {rung}": Training(model, ids) for rung, model in models if rung != "loop"
    }
    ours = list(variants)
    theirs, taught = "nn.LSTM embedding tied", "tutorial LSTM"
    variants[theirs] = torch_updates(
        TorchModel("lstm", "embedding", vocabulary, hidden, layers, tied=True), ids
    )
    timings = interleave(variants, min(4, options.repeats), seconds=options.seconds, threads=options.threads)
    # an update of the tutorial takes 10 s at seq_len 35: a shorter one, once, costs as much for a token
    slow = {taught: tutorial_updates(Tutorial("lstm", vocabulary, hidden, layers), ids[:, :8])}
    interleave(slow, 1, threads=options.threads, into=timings)
    print(f"lstm 2x650 tied, batch 20, seq_len 35 (tutorial, untied: 7), vocabulary {vocabulary}")
    print(table(timings, "tokens/s", theirs, taught))
    fastest = max(ours, key=lambda each: _median(timings, each))
    print(WORDS.judge(f"{fastest} beside {theirs}", timings.ratio(fastest, theirs)))
    print(WORDS_TUTORIAL.judge(f"{fastest} beside the {taught}", timings.ratio(fastest, taught)))
