"""What is learned from the data, and how the data becomes batches, as settings. Free of torch."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """What is learned. The settings of `series` mean nothing to the other tasks."""

    name: Annotated[
        Literal["next-token", "aligned", "series"],
        Meta(
            description="next-token: a text, each token from those before it; aligned: lines 'source<TAB>target' of "
            "equal length in tokens, a label for each token; series: numbers, the next ones from those before."
        ),
    ] = "next-token"
    columns: Annotated[
        tuple[str, ...],
        Meta(description="series: the columns that are forecast, by name or number from 1; none: all."),
    ] = ()
    scale: Annotated[
        Literal["standard", "none"],
        Meta(description="series: bring each column to mean 0 and deviation 1 by its training part, or not."),
    ] = "standard"
    horizons: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=10_000)], ...],
        Meta(min_length=1, max_length=8, description="series: how many steps ahead forecasts are shown."),
    ] = (1, 4, 16, 64)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """How the training split becomes batches."""

    sampling: Annotated[
        Literal["sequential", "random"],
        Meta(description="sequential: state carried across windows; random: fresh state for each window."),
    ] = "sequential"
    seq_len: Annotated[int, Meta(ge=1, le=65536, description="Tokens in a window.")] = 64
    seq_len_min: Annotated[
        int,
        Meta(
            ge=0,
            le=65536,
            description="Draw each window's length between this and seq_len; 0: always seq_len.",
        ),
    ] = 0
    batch_size: Annotated[int, Meta(ge=1, le=65536, description="Windows side by side.")] = 32
    loss_on: Annotated[
        Literal["all", "last"], Meta(description="Cross-entropy over all positions of a window, or its last.")
    ] = "all"
