"""What importing a plugin changes in the process that imports it: noticed, put back, and told.

A worker and a prompt engine import the plugins they need. One that sets torch's default dtype, takes a signal or
seeds a generator while it is imported would change what others compute. This is no sandbox: what a plugin replaces
inside another module is not seen.
"""

import builtins
import gc
import io
import locale
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SAID = 4096
"""Bytes of what was printed last that are looked at."""


@dataclass(frozen=True)
class _Global:
    """One thing that belongs to the whole process; `write` is None where it cannot be put back."""

    what: str
    read: Callable[[], Any]
    write: Callable[[Any], object] | None


@dataclass
class Changes:
    """What was changed of a process, a few words for each thing, and what was left running in it."""

    things: list[str] = field(default_factory=list)
    running: list[str] = field(default_factory=list)

    def told(self) -> str | None:
        """Say it of an import in one clause; None where there is nothing to say."""
        deeds = [f"changes {', '.join(self.things)}"] if self.things else []
        deeds += [f"leaves {' and '.join(self.running)} running"] if self.running else []
        undone = "; rnn-tui undoes what it can" if self.things else ""
        return f"its import {' and '.join(deeds)}{undone}" if deeds else None


class _Unreadable:
    """What reading gave where it raised."""


@contextmanager
def unchanged() -> Iterator[Changes]:
    """Put back what the body changes of the process.

    Yields:
        What that was, once the body is over.
    """
    pid = os.getpid()
    changes = Changes()
    with warnings.catch_warnings():
        known = [*_of_python(), *_of_numpy(), *_of_torch()]
        before = [_read(each) for each in known]
        threads, children = set(threading.enumerate()), _children()
        try:
            yield changes
        finally:
            if os.getpid() != pid:
                os._exit(0)  # the body forked: of two that would go on, the copy goes
            for each, value in zip(known, before, strict=True):
                after = _read(each)
                if value is not _Unreadable and after != value:
                    changes.things.append(each.what + _names(value, after) + _put_back(each, value))
            if left := len(set(threading.enumerate()) - threads):
                changes.running.append(f"{left} thread{'s' * (left > 1)}")
            if left := len(_children() - children):
                changes.running.append(f"{left} process{'es' * (left > 1)}")


@contextmanager
def captured() -> Iterator[list[str]]:
    """Keep what the body prints, by way of Python or below it, away from standard output and error.

    Yields:
        A list that holds, once the body is over, the last line of it if there is any.
    """
    said: list[str] = []
    # never a file on a disk: that may be full
    place = os.memfd_create("said") if sys.platform == "linux" else os.open(os.devnull, os.O_RDWR)
    with os.fdopen(place, "r+b", 0) as file, ExitStack() as stack:
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, OSError, ValueError):  # there is none, or it is closed
                stream.flush()
        for number in (1, 2):
            with suppress(OSError):  # it is closed
                kept = os.dup(number)
                stack.callback(_move, kept, number)
                os.dup2(file.fileno(), number)
        text = io.TextIOWrapper(
            os.fdopen(os.dup(file.fileno()), "wb", 0), errors="replace", write_through=True
        )
        stack.callback(text.close)
        stack.enter_context(redirect_stdout(text))
        stack.enter_context(redirect_stderr(text))
        try:
            yield said
        finally:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _SAID))
            said += filter(None, [last_words(file.read(_SAID))])


def last_words(said: bytes) -> str:
    """Return the last line of `said` that is not blank, at most 200 characters of it."""
    lines = said[-_SAID:].decode("utf-8", "replace").split("\n")
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")


def _move(kept: int, number: int) -> None:
    os.dup2(kept, number)
    os.close(kept)


def _read(each: _Global) -> Any:
    try:
        return each.read()
    except Exception:  # the working directory is gone, say
        return _Unreadable


def _put_back(each: _Global, value: Any) -> str:
    if each.write is not None:
        with suppress(Exception):
            each.write(value)
    return "" if _read(each) == value else " (and that stays)"


def _names(before: Any, after: Any) -> str:
    """Name up to three keys, where what changed is a dict."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return ""
    names = sorted(str(key) for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    return f" ({', '.join(names[:3])}{', …' * (len(names) > 3)})"


def _of_python() -> list[_Global]:
    path, modules, names = sys.path, list(sys.modules), list(vars(builtins))
    filters: list[Any] = list(warnings.filters)

    def set_path(entries: list[str]) -> None:
        path[:] = entries
        sys.path = path

    def set_filters(_: object) -> None:
        warnings.filters[:] = filters  # type: ignore[index]  # a list, which the stubs call a sequence

    return [
        _Global("the working directory", os.getcwd, os.chdir),
        _Global("the umask", _umask, os.umask),
        _Global("the environment", _environment, _set_environment),
        _Global("the locale", lambda: locale.setlocale(locale.LC_ALL), _set_locale),
        _Global("sys.path", lambda: list(sys.path), set_path),
        # only what was there: more modules are what an import is for
        _Global("sys.modules", lambda: {name: sys.modules.get(name) for name in modules}, sys.modules.update),
        _Global(
            "builtins", lambda: {name: vars(builtins).get(name) for name in names}, vars(builtins).update
        ),
        _Global("the interpreter", _interpreter, _set_interpreter),
        _Global("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
        _Global("the garbage collector", lambda: (gc.isenabled(), gc.get_threshold()), _set_collector),
        _Global("the filters of warnings", _sweeping, set_filters),
        _Global("signal handlers", _handlers, _set_handlers),
        _Global("an alarm", lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 0, _set_alarm),
        _Global("Python's random numbers", random.getstate, random.setstate),
    ]


def _umask() -> int:
    mask = os.umask(0o077)  # it can't be read without being set
    os.umask(mask)
    return mask


def _environment() -> dict[str, str]:
    # torch notes its own cache there when a part of it is first used
    return {name: value for name, value in os.environ.items() if not name.startswith("TORCHINDUCTOR_")}


def _set_environment(variables: dict[str, str]) -> None:
    for name in _environment().keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)


def _set_locale(value: str) -> None:
    locale.setlocale(locale.LC_ALL, value)


_OF_SYS = ("stdin", "stdout", "stderr", "excepthook", "unraisablehook", "displayhook")


def _interpreter() -> dict[str, Any]:
    return {name: getattr(sys, name) for name in _OF_SYS} | {"threading.excepthook": threading.excepthook}


def _set_interpreter(values: dict[str, Any]) -> None:
    for name in _OF_SYS:
        setattr(sys, name, values[name])
    threading.excepthook = values["threading.excepthook"]


def _set_collector(state: tuple[bool, tuple[int, int, int]]) -> None:
    (gc.enable if state[0] else gc.disable)()
    gc.set_threshold(*state[1])


def _sweeping() -> list[Any]:
    """The filters for every warning of every module; more particular ones are added by many an import, torch's too."""
    return [each for each in warnings.filters if (each[1], each[2], each[3]) == (None, Warning, None)]


def _handlers() -> dict[str, Any]:
    return {each.name: signal.getsignal(each) for each in signal.Signals}


def _set_handlers(handlers: dict[str, Any]) -> None:
    for name, handler in handlers.items():
        number = signal.Signals[name]
        if handler is not None and signal.getsignal(number) != handler:  # None: not one of Python's
            signal.signal(number, handler)


def _set_alarm(on: bool) -> None:
    if not on:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _of_numpy() -> list[_Global]:
    if "numpy" not in sys.modules:
        return []
    import numpy as np

    def state() -> tuple[Any, ...]:
        name, key, *rest = np.random.get_state(legacy=True)
        return (name, np.asarray(key).tobytes(), *rest)

    def set_state(value: tuple[Any, ...]) -> None:
        name, key, *rest = value
        np.random.set_state((name, np.frombuffer(key, np.uint32), *rest))

    return [
        _Global("NumPy's handling of errors", np.geterr, lambda value: np.seterr(**value)),
        _Global("NumPy's random numbers", state, set_state),
    ]


def _of_torch() -> list[_Global]:
    if "torch" not in sys.modules:
        return []
    import torch

    def attribute(place: Any, name: str, what: str) -> _Global:
        return _Global(what, lambda: getattr(place, name), lambda value: setattr(place, name, value))

    def deterministic() -> tuple[bool, bool]:
        return (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        )

    def flushes() -> bool:  # the processor's flag, which only arithmetic shows
        return (torch.full((1,), 1e-310, dtype=torch.float64, device="cpu") * 1.0).item() == 0.0

    def state() -> bytes:
        return torch.get_rng_state().numpy().tobytes()

    def set_state(value: bytes) -> None:
        torch.set_rng_state(torch.frombuffer(bytearray(value), dtype=torch.uint8))

    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    return [
        # None, and not the device it was: naming one, even the CPU, slows every call
        _Global("torch's default device", torch.get_default_device, lambda _: torch.set_default_device(None)),
        _Global("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
        _Global("torch's threads", torch.get_num_threads, torch.set_num_threads),
        _Global(
            "torch's threads between operators", torch.get_num_interop_threads, torch.set_num_interop_threads
        ),
        _Global("whether torch records gradients", torch.is_grad_enabled, torch.set_grad_enabled),
        _Global("torch's search for anomalies", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
        _Global(
            "whether torch is deterministic",
            deterministic,
            lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
        ),
        _Global(
            "the precision of torch's products",
            torch.get_float32_matmul_precision,
            torch.set_float32_matmul_precision,
        ),
        attribute(cuda, "allow_tf32", "TF32 in torch's products"),
        attribute(cudnn, "allow_tf32", "TF32 in cuDNN"),
        attribute(cudnn, "benchmark", "how cuDNN chooses kernels"),
        attribute(cudnn, "deterministic", "whether cuDNN is deterministic"),
        attribute(cudnn, "enabled", "whether cuDNN is used"),
        _Global("how torch rounds small numbers", flushes, torch.set_flush_denormal),
        _Global("torch's random numbers", state, set_state),
    ]


def _children() -> set[str]:
    """Return the pids of this process's children, as text; empty where the system does not tell."""
    found: set[str] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found.update(task.read_text().split())
    return found
