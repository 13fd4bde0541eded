"""What training a model would take, in memory and time, measured by a few real steps. Free of torch.

A child process (`rnn_tui.training.trial`) builds the model, takes the steps on random inputs of the right shape and
writes what it knows so far as JSON lines; it ends itself after `LIMIT` seconds of steps. A model that is far too large
costs a note.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import psutil

from rnn_tui import errors
from rnn_tui.corpus.series import PreparedSeries
from rnn_tui.errors import OutOfMemoryError, PluginError, RnnTuiError
from rnn_tui.model.config import plain_rnn_weights
from rnn_tui.training.config import RunConfig, to_dict
from rnn_tui.training.data import Prepared
from rnn_tui.training.progress import planned_steps

LIMIT = 5.0
"""Seconds of steps."""

_LOADING = 60.0  # seconds for torch and the plugin, which take 2 to 4 where nothing else is busy
_LOOK = 0.1


@dataclass(frozen=True)
class Trial:
    """What the child is to try: settings, and the shape of what a step reads."""

    config: dict[str, Any]
    vocab_size: int
    columns: int
    seq_len: int
    steps: int | None
    """That the budget allows."""


@dataclass(frozen=True)
class Outcome:
    """What the child found; each line holds more than the one before."""

    parameters: int | None = None
    base: int | None = None
    weights: int | None = None
    optimiser: int | None = None
    peak: int | None = None
    seconds: float | None = None
    threads: int = 0
    device: str = ""
    engine: str = ""
    note: str = ""
    error: str = ""
    kind: str = ""
    """The class of `error` in `rnn_tui.errors`."""


@dataclass(frozen=True)
class Memory:
    """Bytes that training takes beyond `base`, those of a process that has loaded torch and the architecture."""

    base: int
    weights: int
    gradients: int
    optimiser: int
    working: int
    """All the rest: what a step keeps for its backward, room to compute in, and what makes the step fast."""
    peak: int
    """The most at once, `base` left out."""


@dataclass(frozen=True)
class Estimate:
    """What a run would take; what could not be measured is None, and `note` says why."""

    parameters: int | None
    memory: Memory | None
    seconds_per_step: float | None
    tokens_per_second: float | None
    """Tokens or rows read; validations and samples come on top, a fifth of the time at most by default."""
    steps_per_epoch: int
    seconds_per_epoch: float | None
    steps: int | None
    """That the budget allows; None where only minutes limit it."""
    seconds: float | None
    """For all of them, or the minutes of the budget if these are over before."""
    threads: int
    device: str
    engine: str
    note: str


def check_memory(config: RunConfig, prepared: Prepared) -> None:
    """Refuse a model that cannot fit into memory, before any of it is taken; it takes no time.

    Counted are weights, gradients and the optimiser's copies as if each layer were a plain RNN, so the true need is
    larger; only the weights where a device has memory of its own.

    Raises:
        OutOfMemoryError: with the least that it takes.
    """
    vocab_size = 0 if isinstance(prepared, PreparedSeries) else prepared.tokenizer.vocab_size
    columns = len(prepared.scaling.columns) if isinstance(prepared, PreparedSeries) else 0
    optim, copies = config.optim, 1
    if config.runtime.device == "cpu" or (config.runtime.device == "auto" and not _has_accelerator()):
        copies = 2 + {"sgd": 0, "rmsprop": 1, "adam": 2, "adamw": 2}[optim.optimizer]
        copies += optim.amsgrad + (optim.momentum > 0)
    needed = 4 * copies * plain_rnn_weights(config.model, vocab_size=vocab_size, columns=columns)
    free = psutil.virtual_memory().available
    if needed > free:
        raise OutOfMemoryError(
            f"training this model takes more than {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free; "
            "use a smaller hidden_size or fewer layers"
        )


def _has_accelerator() -> bool:
    """Whether the system shows a device that torch may find; to ask torch takes two seconds."""
    return sys.platform == "darwin" or any(map(os.path.exists, ("/dev/nvidia0", "/dev/kfd", "/dev/dxg")))


def estimate(
    config: RunConfig,
    steps_per_epoch: int,
    *,
    vocab_size: int = 0,
    columns: int = 0,
    seq_len: int = 0,
    cancelled: Callable[[], bool] = lambda: False,
) -> Estimate:
    """Try the model of `config` for some seconds.

    Args:
        steps_per_epoch: 0 where the data are too few for one.
        vocab_size: Tokens in and out, or 0 for numbers.
        columns: Numbers in and out at each position.
        seq_len: Positions in a window, where it is not the mean that `config.data` gives.
        cancelled: Asked ten times a second; True gives up.

    Raises:
        RnnTuiError: when the architecture, its options or the device cannot be used.
    """
    data = config.data
    length = seq_len or (data.seq_len + (data.seq_len_min or data.seq_len)) // 2
    steps = planned_steps(config, steps_per_epoch)
    outcome = _tried(Trial(to_dict(config), vocab_size, columns, length, steps), cancelled)
    if outcome.error:
        kind = getattr(errors, outcome.kind, RnnTuiError)
        raise kind(outcome.error)
    seconds = outcome.seconds
    total = None if steps is None or seconds is None else steps * seconds
    if config.budget.minutes:
        total = min(60 * config.budget.minutes, total if total is not None else float("inf"))
    return Estimate(
        parameters=outcome.parameters,
        memory=_memory(outcome),
        seconds_per_step=seconds,
        tokens_per_second=data.batch_size * length / seconds if seconds else None,
        steps_per_epoch=steps_per_epoch,
        seconds_per_epoch=seconds and steps_per_epoch * seconds,
        steps=steps,
        seconds=total,
        threads=outcome.threads,
        device=outcome.device,
        engine=outcome.engine,
        note=outcome.note,
    )


def _memory(outcome: Outcome) -> Memory | None:
    base, weights, optimiser, peak = outcome.base, outcome.weights, outcome.optimiser, outcome.peak
    if base is None or weights is None or optimiser is None or peak is None:
        return None
    return Memory(base, weights, weights, optimiser, max(0, peak - 2 * weights - optimiser), peak)


def _tried(trial: Trial, cancelled: Callable[[], bool]) -> Outcome:
    """Let the child try; return its last line."""
    try:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "rnn_tui.training.trial"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},  # so that both find the same plugins
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise PluginError(f"no process could be started to try the model: {error.strerror}") from error
    request: bytes | None = msgspec.json.encode(trial)
    end = time.monotonic() + _LOADING + LIMIT
    lines = b""
    try:
        while not cancelled() and time.monotonic() < end:
            try:
                lines, _ = child.communicate(request, timeout=_LOOK)
                break
            except subprocess.TimeoutExpired:
                request = None
    finally:
        late = child.poll() is None
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # with it whatever the plugin started
        lines = lines or child.communicate()[0]
    outcome = Outcome()
    for line in lines.splitlines():
        with suppress(msgspec.DecodeError):
            outcome = msgspec.json.decode(line, type=Outcome)
    if late:
        return replace(outcome, note=f"it was given up after {_LOADING + LIMIT:.0f} s")
    if child.returncode == -signal.SIGKILL:
        return replace(outcome, note="the process that tried it was killed: most likely memory ran out")
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        return replace(outcome, note=f"the process that tried it ended by {name}")
    return outcome
