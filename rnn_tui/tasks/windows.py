"""How a stream of tokens is cut into windows, epoch by epoch.

The order is a pure function of (seed, epoch): a resumed run needs two numbers, the epoch and the window, to go on
exactly where it stopped. Free of torch, so that a run can be checked before it starts.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rnn_tui.errors import InputError

Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """The windows of one epoch.

    Attributes:
        starts: (N, B), where each row of each window begins in the stream.
        lengths: (N,), tokens in each window.
        carried: whether window i goes on where window i - 1 ended, so that the state is carried; the first
            window of an epoch always starts fresh.
    """

    starts: Array
    lengths: Array
    carried: bool

    def __len__(self) -> int:
        return len(self.lengths)

    def window(self, ids: npt.NDArray[Any], index: int) -> tuple[Array, Array]:
        """Return inputs and targets of one window, each int64 (B, T), targets one token ahead."""
        positions = self.starts[index][:, None] + np.arange(self.lengths[index] + 1)  # (B, T + 1)
        tokens = ids[positions].astype(np.int64)
        return tokens[:, :-1], tokens[:, 1:]


def _generator(seed: int, epoch: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, epoch])))


def plan_epoch(
    tokens: int,
    *,
    sampling: Literal["sequential", "random"],
    batch_size: int,
    seq_len: int,
    seq_len_min: int,
    seed: int,
    epoch: int,
    noun: str = "tokens",
) -> Plan:
    """Cut a stream of `tokens` tokens into windows.

    Every epoch begins at another offset below `seq_len`, so that no token stays behind for ever and windows
    break at other places. `sequential`: the stream is laid out as `batch_size` lanes, read in step from left to
    right. `random`: windows of `seq_len` that do not overlap, in random order.

    Args:
        noun: what is counted, for the message.

    Raises:
        InputError: when not one batch fits; says what to change.
    """
    need = batch_size * seq_len + 1
    if tokens < need:
        largest = (tokens - 1) // seq_len
        advice = (
            f"use batch_size {largest} or less, or a shorter seq_len" if largest else "use a shorter seq_len"
        )
        raise InputError(
            f"the training split has {tokens:,} {noun}, too few for one batch of {batch_size} windows of {seq_len} "
            f"(that takes {need:,}); {advice}, or more {noun}"
        )
    generator = _generator(seed, epoch)
    offset = int(generator.integers(0, min(seq_len, tokens - need + 1)))
    usable = tokens - 1 - offset
    if sampling == "random":
        starts = offset + seq_len * generator.permutation(usable // seq_len)
        count = len(starts) // batch_size
        lengths = _lengths(generator, count, seq_len, seq_len_min)
        return Plan(
            starts[: count * batch_size].reshape(count, batch_size).astype(np.int64), lengths, carried=False
        )
    lane = usable // batch_size
    if seq_len_min and seq_len_min < seq_len:
        lengths = _lengths(generator, lane // seq_len_min, seq_len, seq_len_min)
        lengths = lengths[: int(np.searchsorted(np.cumsum(lengths), lane, side="right"))]
    else:
        lengths = np.full(lane // seq_len, seq_len, np.int64)
    begins = np.cumsum(lengths) - lengths  # (N,)
    starts = offset + begins[:, None] + lane * np.arange(batch_size)  # (N, B)
    return Plan(starts.astype(np.int64), lengths, carried=True)


def _lengths(generator: np.random.Generator, count: int, seq_len: int, seq_len_min: int) -> Array:
    if seq_len_min and seq_len_min < seq_len:
        return generator.integers(seq_len_min, seq_len + 1, size=count)
    return np.full(count, seq_len, np.int64)
