"""The update as a CUDA graph: is it right, and how fast is it beside the plain one and torch's own modules?

    python -m benchmarks.graphed check
    python -m benchmarks.graphed speed [--sizes A B] [--seconds 2]
    python -m benchmarks.graphed kernels --sizes A

Needs a GPU. Random tokens; an update is forward, backward, clipping and AdamW, end to end with its batch from the host.
"""

import argparse
import time
from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

from rnn_tui.model.config import ModelConfig
from rnn_tui.model.precision import precision_note, set_precision
from rnn_tui.model.recurrent_model import RecurrentModel, build_model
from rnn_tui.plugin.core import State
from rnn_tui.plugin.registry import load_plugin
from rnn_tui.tasks.next_token import sequence_loss
from rnn_tui.tasks.task import Batch
from rnn_tui.training.config import resolve
from rnn_tui.training.graphed import GraphedUpdate, graphed
from rnn_tui.training.optim import build_optimizer
from rnn_tui.training.update import PlainUpdate, Update

VOCABULARY = 97
SIZES = {
    "A": (1, 512, 32, 35),
    "B": (2, 512, 128, 100),
    "C": (3, 1024, 256, 128),
}  # layers, hidden, batch, seq_len
MODELS = ["lstm", "gru", "nn-lstm", "nn-gru"]
PRECISIONS = ["fp32", "tf32", "bf16", "fp16"]
CUDA = torch.device("cuda", 0)


class Tokens:
    """As much of a task as an update needs."""

    def loss(self, model: RecurrentModel, batch: Batch, state: State) -> tuple[Tensor, int, State]:
        loss, state = sequence_loss(model, batch.inputs, batch.targets, state)
        return loss, batch.inputs.numel(), state


def plain_update(arch: str, layers: int, hidden: int, precision: str, dropout: float = 0.0) -> PlainUpdate:
    """Return the plain update of a new model, on the way over time that a run would take."""
    set_precision(precision, CUDA)
    torch.manual_seed(1)
    shape = ModelConfig(arch=arch, hidden_size=hidden, num_layers=layers, dropout=dropout)
    model = build_model(load_plugin("architecture", arch), {}, shape, VOCABULARY).to(CUDA).train()
    model.select_engine("eager" if precision in ("fp32", "tf32") else "loop")
    config = resolve([("bench", {"runtime": {"precision": precision, "device": "cuda"}})]).config
    optimizer = build_optimizer(config.optim, model.parameters())
    return PlainUpdate(config, model, optimizer, Tokens())  # type: ignore[arg-type]


def recorded(plain: PlainUpdate) -> GraphedUpdate:
    """Return it as a graph; what hinders that is printed."""
    update = graphed(plain, lambda message: print(f"  {message}"))
    if isinstance(update, str):
        raise SystemExit(f"no graph: {update}")
    return update


def batches(rows: int, length: int, count: int) -> list[Batch]:
    """Return random batches."""
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(VOCABULARY, (count, rows, length + 1), generator=generator)
    return [Batch(one[:, :-1].contiguous(), one[:, 1:].contiguous()) for one in ids]


def train(update: Update, data: list[Batch]) -> list[float]:
    """Train with a carried state that starts fresh every 20 batches and a rate that changes; return the losses."""
    torch.manual_seed(3)
    state: State = None
    losses = []
    for step, batch in enumerate(data):
        state = update(batch, None if step % 20 == 0 else state, 4e-3 / (1 + step / 10))
        losses += [outcome.loss for outcome in update.outcomes()] if update.full else []
    return losses + [outcome.loss for outcome in update.outcomes()]


def check() -> None:
    """Hold 50 recorded updates against 50 plain ones, against another run of them, and against unrecorded ones."""
    data = batches(32, 35, 50)
    for arch, precision, dropout in product(MODELS, PRECISIONS, (0.0, 0.2)):
        plain = train(plain_update(arch, 2, 256, precision, dropout), data)
        first, second, apart = (recorded(plain_update(arch, 2, 256, precision, dropout)) for _ in range(3))
        apart._refused = "for comparison"
        losses, again, unrecorded = train(first, data), train(second, data), train(apart, data)
        worst = max(abs(a - b) / abs(b) for a, b in zip(losses, plain, strict=True))
        print(
            f"{arch:8} {precision} dropout {dropout}: engine {first.engine()[0]}; beside plain {worst:.1e}; "
            f"twice {'equal' if losses == again else 'DIFFERENT'}; "
            f"unrecorded {'equal' if losses == unrecorded else 'different'}",
            flush=True,
        )


def pace(
    step: Callable[[Batch], None], finish: Callable[[], object], data: list[Batch], seconds: float
) -> float:
    """Return the seconds of an update."""
    step(data[0])
    finish()
    begin, done = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        for batch in data:
            step(batch)
        done += len(data)
        finish()
    return (time.perf_counter() - begin) / done


def speed(sizes: list[str], seconds: float) -> None:
    """Time updates of every size, model and precision, plain and recorded."""
    print("size  model    precision  way over time  plain ms  graph ms  million tokens/s  recorded in s  GB")
    for size, arch, precision in product(sizes, MODELS, PRECISIONS):
        layers, hidden, rows, length = SIZES[size]
        data = batches(rows, length, 32)
        times = []
        recording = 0.0
        torch.cuda.reset_peak_memory_stats()
        for graph in (False, True):
            plain = plain_update(arch, layers, hidden, precision)
            update: Update = plain
            if graph:
                begin = time.perf_counter()
                update = recorded(plain)
                update.rehearse(data[0])
                recording = time.perf_counter() - begin
            state: State = None

            def step(batch: Batch, update: Update = update) -> None:
                nonlocal state
                state = update(batch, state, 1e-3)
                if update.full:
                    update.outcomes()

            times.append(pace(step, update.outcomes, data, seconds))
        tokens = rows * length / times[1] / 1e6
        memory = torch.cuda.max_memory_allocated() / 1e9
        print(
            f"{size:4}  {arch:7}  {precision:9}  {plain.engine()[0]:13}  {1e3 * times[0]:8.3f}  {1e3 * times[1]:8.3f}  "
            f"{tokens:16.3f}  {recording:13.1f}  {memory:.1f}",
            flush=True,
        )


def kernels(sizes: list[str]) -> None:
    """Print what an update spends its time in; the name of a kernel tells which algorithm cuDNN took."""
    from torch.profiler import ProfilerActivity, profile

    for size, arch, precision in product(sizes, MODELS, PRECISIONS):
        layers, hidden, rows, length = SIZES[size]
        (batch,) = batches(rows, length, 1)
        update = recorded(plain_update(arch, layers, hidden, precision))
        update.rehearse(batch)
        with profile(activities=[ProfilerActivity.CUDA]) as profiled:
            for _ in range(5):
                update.rehearse(batch)
        print(f"{size} {arch} {precision}")
        print(
            profiled.key_averages().table(sort_by="cuda_time_total", row_limit=12, max_name_column_width=90)
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["check", "speed", "kernels"])
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--seconds", type=float, default=1.0, help="of each timing")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("this needs a GPU that torch can use")
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, cuDNN {cudnn}",
        precision_note("bf16", CUDA),
    )
    match options.what:
        case "check":
            check()
        case "speed":
            speed(options.sizes, options.seconds)
        case "kernels":
            kernels(options.sizes)


if __name__ == "__main__":
    main()
