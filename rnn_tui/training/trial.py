"""The child process of `rnn_tui.training.estimate`: builds a model, takes a few real steps and says what they took.

    python -m rnn_tui.training.trial < trial.json

One JSON line after each thing that was learnt; the last one counts.
"""

import math
import os
import resource
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tui.errors import PluginError, RnnTuiError, is_out_of_memory
from rnn_tui.files import write_all
from rnn_tui.model.device import best_threads, cpu_count, pick_device, timed
from rnn_tui.model.precision import autocast, set_precision
from rnn_tui.model.recurrence import Engine
from rnn_tui.model.recurrent_model import RecurrentModel, build_model
from rnn_tui.plugin.options import parse_options
from rnn_tui.plugin.registry import load_plugin
from rnn_tui.tasks.cross_entropy import cross_entropy
from rnn_tui.training.config import RunConfig, from_dict
from rnn_tui.training.estimate import LIMIT, Outcome, Trial
from rnn_tui.training.optim import build_optimizer, clip_gradients
from rnn_tui.training.pace import FASTER, race
from rnn_tui.training.setup import (
    device_name,
    keep_memory,
    refuse_inexact_kernels,
    seed_everything,
    warm_up_math,
)
from rnn_tui.training.switching import WORTH_COMPILING

_SLOW = LIMIT / 4  # seconds; after such a step there is no time for comparisons
_SHORT = 0.1


def main() -> None:
    answer = os.dup(1)
    os.dup2(2, 1)  # a plugin may print what it likes
    with suppress(OSError):  # if memory runs out, this process goes and no other
        Path("/proc/self/oom_score_adj").write_text("1000")
    trial = msgspec.json.decode(sys.stdin.buffer.read(), type=Trial)
    attempt = _Attempt(trial, lambda outcome: write_all(answer, msgspec.json.encode(outcome) + b"\n"))
    try:
        attempt.run()
    except RnnTuiError as error:
        attempt.learn(error=str(error), kind=type(error).__name__)
    except Exception as error:  # a plugin raises whatever it likes
        if is_out_of_memory(error):
            attempt.learn(note="it needs more memory than there is here")
        else:
            text = f"architecture {attempt.config.model.arch}: {type(error).__name__}: {error}"
            attempt.learn(error=text, kind=PluginError.__name__)
    os._exit(0)  # threads that a plugin left behind are not waited for


class _Attempt:
    """One trial, and what is known of it so far."""

    def __init__(self, trial: Trial, tell: Callable[[Outcome], None]) -> None:
        self.config = from_dict(trial.config, "the settings")
        self._trial = trial
        self._tell = tell
        self._outcome = Outcome()

    def learn(self, **found: Any) -> None:
        """Add to what is known, and tell it."""
        self._outcome = replace(self._outcome, **found)
        self._tell(self._outcome)

    def run(self) -> None:
        """Build the model and take the steps, as a run would."""
        config, trial = self.config, self._trial
        runtime = config.runtime
        keep_memory()
        warm_up_math()
        device = pick_device(runtime.device)
        set_precision(runtime.precision, device)
        if runtime.exact:
            refuse_inexact_kernels(device)
        architecture = load_plugin("architecture", config.model.arch)
        options = parse_options(
            getattr(architecture, "Options", None),
            config.model.options,
            owner=f"architecture {config.model.arch}",
        )
        self.learn(device=device_name(device), note="the model was not built in time")
        torch.set_num_threads(1)  # with more, a step takes ten times as long where the cores are busy
        seed_everything(runtime.seed)
        _touch_libraries(device)
        before = _resident("VmRSS")
        watchdog = threading.Timer(LIMIT, os._exit, [0])
        watchdog.daemon = True
        watchdog.start()
        model = build_model(architecture, options, config.model, trial.vocab_size, columns=trial.columns)
        model = model.to(device).train()
        self.learn(
            parameters=model.parameter_count(),
            base=before,
            weights=_bytes(model.parameters()),
            note=f"not one step was over after {LIMIT:g} s",
        )
        _select_engine(model, config, "eager" if runtime.engine in ("auto", "compiled") else runtime.engine)
        optimizer = build_optimizer(config.optim, model.parameters())
        step = _step(config, trial, model, optimizer)
        probe = _probe(config, trial, model, optimizer)
        threads = _threads(config, device, probe)
        seconds = timed(step)
        self.learn(
            optimiser=_bytes(value for state in optimizer.state.values() for value in state.values()),
            peak=_peak(device, before),
            seconds=seconds,
            threads=threads,
            engine=model.engine()[0],
            note="only the first step was timed; the others are faster",
        )
        if seconds >= _SLOW:
            return
        seconds = min(timed(step) for _ in range(3))
        self.learn(seconds=seconds, note="")
        self._race(model, step, seconds)
        if device.type == "cpu" and self._would_compile(model) and model.compile_ahead() is None:
            self._compiled(model, probe, step)
        self.learn(peak=_peak(device, before))

    def _race(self, model: RecurrentModel, step: Callable[[], object], seconds: float) -> None:
        """Let the loop race as a run does."""
        runtime = self.config.runtime
        if model.engine()[0] != "eager" or runtime.engine != "auto" or runtime.exact or seconds > _SHORT:
            return
        times = race(step, lambda: model.select_engine("eager"), lambda: model.select_engine("loop"))
        if times[1] < FASTER * times[0]:
            model.select_engine("loop")
            self.learn(seconds=times[1], engine="loop")

    def _would_compile(self, model: RecurrentModel) -> bool:
        """Whether a run would, see `switching`."""
        runtime = self.config.runtime
        if (
            runtime.precision != "fp32"
            or model.engine()[0] == "own"
            or runtime.engine not in ("auto", "compiled")
        ):
            return False
        steps, seconds, minutes = self._trial.steps, self._outcome.seconds or 0.0, self.config.budget.minutes
        left = min(steps * seconds if steps else math.inf, 60 * minutes or math.inf)
        return runtime.engine == "compiled" or (not runtime.exact and left > WORTH_COMPILING)

    def _compiled(
        self, model: RecurrentModel, probe: Callable[[], object], step: Callable[[], object]
    ) -> None:
        model.select_engine("compiled")
        step()
        threads = _threads(self.config, model.device, probe)
        seconds = min(timed(step) for _ in range(3))
        if self.config.runtime.engine == "compiled" or seconds < FASTER * (self._outcome.seconds or math.inf):
            self.learn(seconds=seconds, threads=threads, engine=model.engine()[0])


def _step(
    config: RunConfig, trial: Trial, model: RecurrentModel, optimizer: torch.optim.Optimizer
) -> Callable[[], object]:
    """Return a whole update on random inputs."""
    shape = (config.data.batch_size, trial.seq_len)
    device, columns = model.device, trial.columns
    if columns:
        inputs, targets = (torch.randn(*shape, columns, device=device) for _ in range(2))
    else:
        inputs, targets = (torch.randint(trial.vocab_size, shape, device=device) for _ in range(2))
    lengths = None
    if config.task.name == "aligned":
        lengths = torch.full(shape[:1], trial.seq_len, device=device)
    parameters: list[nn.Parameter] = list(model.parameters())

    def loss() -> Tensor:
        features, _ = model(inputs, model.initial_state(shape[0]), lengths=lengths)
        wanted = targets
        if config.data.loss_on == "last":
            features, wanted = features[:, -1:], targets[:, -1:]
        if columns:
            return functional.mse_loss(model.outputs(features), wanted)
        return cross_entropy(model, features, wanted)

    def step() -> None:
        with autocast(config.runtime.precision, device):
            value = loss()
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        value.item()  # waits for the device
        clip_gradients(parameters, config.optim.clip)
        optimizer.step()

    return step


def _probe(
    config: RunConfig, trial: Trial, model: RecurrentModel, optimizer: torch.optim.Optimizer
) -> Callable[[], object]:
    """Return an update on as many positions as take about `_SHORT` on one thread."""
    length = min(trial.seq_len, 4)
    short = _step(config, replace(trial, seq_len=length), model, optimizer)
    short()
    length = min(trial.seq_len, max(length, int(length * _SHORT / timed(short))))
    return _step(config, replace(trial, seq_len=length), model, optimizer)


def _select_engine(model: RecurrentModel, config: RunConfig, engine: Engine) -> None:
    if config.runtime.precision in ("fp32", "tf32"):  # only the loop knows the others
        model.select_engine(engine)


def _threads(config: RunConfig, device: torch.device, probe: Callable[[], object]) -> int:
    """Put the number of threads that a run would choose in force; see `pace.timed_pace`."""
    runtime = config.runtime
    if device.type == "cpu" and not (runtime.threads or runtime.exact):
        return best_threads(probe, limit=0.7)[0]
    if device.type == "cpu":
        torch.set_num_threads(runtime.threads or max(1, cpu_count() // 2))
    return torch.get_num_threads()


def _touch_libraries(device: torch.device) -> None:
    """Have torch load what it loads at a first product and its backward, so that it is not counted as the model's."""
    small = nn.Linear(8, 8, device=device)
    torch.autograd.backward(small(torch.ones(8, 8, device=device)).sum())


def _bytes(values: Iterable[Any]) -> int:
    return sum(value.numel() * value.element_size() for value in values if isinstance(value, Tensor))


def _peak(device: torch.device, before: int) -> int:
    """Return the most memory that was in use at once, less that `before`."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return max(0, _resident("VmHWM") - before)


def _resident(which: str) -> int:
    """Return the resident memory of this process, now (VmRSS) or at its most (VmHWM).

    Where there is no /proc it is the most in both cases. With one, `ru_maxrss` would not do: it starts from that of
    the process which started this one.
    """
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        line = next(line for line in lines if line.startswith(which))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
