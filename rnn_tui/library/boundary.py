"""Where the library meets a program that is not ours: its errors are safe to show, its torch is left as it was."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rnn_tui.errors import PluginError, RnnTuiError, is_out_of_memory
from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.drawing import Drawn, Ids, Reader
from rnn_tui.inference.sampling import Doubles, Logits
from rnn_tui.safetext import safe_text


@contextmanager
def safe_errors() -> Iterator[None]:
    """Make the messages of our errors safe for a terminal: a traceback or a notebook shows them as they are.

    What a plugin's own code raises comes out as PluginError, caused by that. A decorator too, of functions and methods.
    """
    try:
        yield
    except RnnTuiError as error:
        error.args = (safe_text(error, limit=None),)
        raise
    except (Exception, SystemExit) as error:
        from rnn_tui.plugin.loading import blamed

        if is_out_of_memory(error) or (culprit := blamed(error)) is None:
            raise
        error.args = tuple(safe_text(arg, limit=None) if isinstance(arg, str) else arg for arg in error.args)
        raise PluginError(safe_text(culprit, limit=None)) from error


@contextmanager
def kept_threads() -> Iterator[None]:
    """Give torch as many threads afterwards as it had before: the program around us may train with them."""
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Turns:
    """One caller at a time: what computes with a model in torch keeps buffers that two would share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def take(self) -> Iterator[None]:
        """Wait for a turn and compute in it, on one thread: see `rnn_tui.model.device.sample_on_one_thread`."""
        import torch

        with self._lock, kept_threads():
            torch.set_num_threads(1)
            yield


class TakingTurns:
    """A `Reader` in torch that several threads may use."""

    def __init__(self, reader: Reader, turns: Turns) -> None:
        self._reader = reader
        self._turns = turns

    @property
    def output_size(self) -> int:
        return self._reader.output_size

    def start(self) -> Any:
        with self._turns.take():
            return self._reader.start()

    def read(self, ids: Ids, state: Any, last: int) -> tuple[Logits, Any]:
        with self._turns.take():
            return self._reader.read(ids, state, last)

    def draw(
        self,
        logits: Logits,
        state: Any,
        count: int,
        noise: Doubles | None,
        config: SamplingConfig,
        hidden: int | None,
    ) -> Drawn:
        with self._turns.take():
            return self._reader.draw(logits, state, count, noise, config, hidden)

    def advance(self, ids: Ids, state: Any) -> tuple[Logits, Any]:
        with self._turns.take():
            return self._reader.advance(ids, state)

    def pick(self, state: Any, rows: Ids) -> Any:
        with self._turns.take():
            return self._reader.pick(state, rows)
