"""The plan of a measurement and its report."""

from dataclasses import dataclass
from typing import Literal

from rnn_tui.bench.timing import Repeat, Spread
from rnn_tui.model.recurrence import Engine

What = Literal["train", "sample"]
PRODUCTS, MEMORY, WEIGHTS = "products", "memory", "weights"
"""The limits of a machine, see `Group`."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be measured.

    Attributes:
        architectures: by plugin name; none: all that are installed.
        hidden_sizes: one model of each.
        batch_size, seq_len: of a training step; sampling is one stream.
        threads: 0 chooses by timing a training step, and takes what the prompt takes for sampling.
        repeats: turns of each variant.
        seconds: of a training turn, at least; one of sampling has half of that.
    """

    architectures: tuple[str, ...] = ()
    what: tuple[What, ...] = ("train", "sample")
    hidden_sizes: tuple[int, ...] = (256, 512)
    num_layers: int = 1
    batch_size: int = 32
    seq_len: int = 64
    vocab_size: int = 97
    threads: int = 0
    engine: Engine = "auto"
    device: str = "cpu"
    repeats: int = 5
    seconds: float = 0.25


@dataclass(frozen=True, kw_only=True)
class Row:
    """An architecture or a baseline at one size.

    Attributes:
        engine, engine_reason: how it runs over time, and why; empty for a baseline.
        rate: tokens per second.
        repeats: each turn's.
        achieved: in the group's unit; of `of_limit`, the share that it is of the machine's.
        beside: ratios to baselines: `nn` and `tutorial`, each with the baseline's name.
        error: why there is nothing more.
    """

    name: str
    role: Literal["architecture", "nn", "tutorial"]
    engine: str = ""
    engine_reason: str = ""
    parameters: int = 0
    rate: Spread | None = None
    repeats: tuple[Repeat, ...] = ()
    achieved: float | None = None
    of_limit: float | None = None
    nn: str = ""
    nn_ratio: Spread | None = None
    tutorial: str = ""
    tutorial_ratio: Spread | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Group:
    """What was measured side by side.

    Attributes:
        unit: of `achieved`: GFLOP/s while training, GB/s of weights while sampling.
        limits: what the machine reaches with these threads: `products`, GFLOP/s in the product of two large matrices;
            `memory`, GB/s from a stretch that no cache holds; `weights`, GB/s from one of the size of the largest
            model's weights, again and again.
        foreign: cores that others kept busy, on average.
    """

    what: What
    hidden_size: int
    threads: int
    unit: str
    limits: dict[str, Spread]
    foreign: float
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that was measured.

    Attributes:
        complete: whether nothing was interrupted.
        broken: architectures that cannot be used, and why.
    """

    machine: str
    plan: Plan
    seconds: float
    complete: bool
    groups: tuple[Group, ...]
    broken: dict[str, str]
