"""What the prompt engine holds: models, one in each slot, and states, each of one of these models.

Torch is imported when a model is loaded, not before.
"""

import itertools
import os
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rnn_tui.errors import InputError, UsageError
from rnn_tui.inference.target import checkpoint_model

if TYPE_CHECKING:
    from rnn_tui.inference.comparing import Comparer
    from rnn_tui.inference.generate import Primed
    from rnn_tui.inference.torch_reader import TorchReader
    from rnn_tui.model.header import ModelFile
    from rnn_tui.plugin.tokenizer import Tokenizer

MODELS_HELD = 4
STATES_KEPT = 256


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model that can be prompted.

    Attributes:
        mtime: of its file, before it was read: it may be replaced meanwhile.
        unknown: how the unknown token is shown; None where nothing is unknown.
    """

    slot: str
    reader: "TorchReader"
    tokenizer: "Tokenizer"
    header: "ModelFile"
    path: Path
    mtime: float | None
    unknown: str | None

    @property
    def labels(self) -> bool:
        """Whether it gives each token of a line a label, and has no next token."""
        return self.header.task == "aligned"

    @cached_property
    def comparer(self) -> "Comparer":
        """What compares its completions with its training text; that is read from the first use on."""
        from rnn_tui.inference.comparing import Comparer

        return Comparer(self.header, self.path, self.tokenizer)

    @cached_property
    def identity(self) -> str:
        """See `state_file.identity`."""
        from rnn_tui.inference.state_file import identity

        return identity(self.reader.model, self.header)


class Kept(NamedTuple):
    """A state, and the model that it is of."""

    loaded: Loaded
    primed: "Primed"


class Slots:
    """At most `MODELS_HELD` models, and the newest `STATES_KEPT` of their states."""

    def __init__(self) -> None:
        self._models: dict[str, Loaded] = {}
        self._states: OrderedDict[int, Kept] = OrderedDict()
        self._numbers = itertools.count(1)

    def load(self, slot: str, path: Path, device: str) -> Loaded:
        """Read a model file, or that of a checkpoint folder, into a slot; what was there stays if that fails.

        Raises:
            UsageError: when all slots are taken; else as `load_model` and `checkpoint_model`.
        """
        from rnn_tui.inference.torch_reader import TorchReader
        from rnn_tui.model.device import sample_on_one_thread
        from rnn_tui.model.file import load_model

        if slot not in self._models and len(self._models) >= MODELS_HELD:
            raise UsageError(f"{MODELS_HELD} models are held already, and that is all; put one of them away")
        sample_on_one_thread()
        path = checkpoint_model(path) if os.path.isdir(path) else path
        mtime = None
        with suppress(OSError, ValueError):  # whoever reads it says what is wrong
            mtime = path.stat().st_mtime
        model, tokenizer, header = load_model(path, device=device)
        unknown = None if tokenizer.unknown_id is None else tokenizer.token_text(tokenizer.unknown_id)
        loaded = Loaded(slot, TorchReader(model), tokenizer, header, path, mtime, unknown)
        self.unload(slot)
        self._models[slot] = loaded
        return loaded

    def unload(self, slot: str) -> None:
        """Forget the model in a slot, if there is one, and its states."""
        self._models.pop(slot, None)
        for number in [number for number, kept in self._states.items() if kept.loaded.slot == slot]:
            del self._states[number]

    def model(self, slot: str) -> Loaded:
        """Return the model in a slot; raise UsageError where there is none."""
        if slot not in self._models:
            raise UsageError(f"no model is loaded in slot {slot!r}; send a load first")
        return self._models[slot]

    def writer(self, slot: str) -> Loaded:
        """Return the model in a slot; raise UsageError where there is none, or one that writes nothing."""
        loaded = self.model(slot)
        if loaded.labels:
            raise UsageError("this model labels tokens and has no next token")
        return loaded

    def keep(self, loaded: Loaded, primed: "Primed") -> int:
        """Keep a state and return its number; the oldest one goes where there are too many."""
        number = next(self._numbers)
        self._states[number] = Kept(loaded, primed)
        while len(self._states) > STATES_KEPT:
            self._states.popitem(last=False)
        return number

    def forget(self, number: int) -> None:
        """Drop a state, if it is there."""
        self._states.pop(number, None)

    def kept(self, number: int) -> Kept:
        """Return a state; raise InputError where it is gone."""
        if number not in self._states:
            raise InputError("that state is no longer kept; start from an earlier turn or from the beginning")
        return self._states[number]

    def state(self, loaded: Loaded, number: int | None) -> "Primed | None":
        """Return a state of this model; None for None.

        Raises:
            InputError: when it is gone, or of the model in another slot.
        """
        if number is None:
            return None
        kept = self.kept(number)
        if kept.loaded is not loaded:
            raise InputError(
                f"that state is of the model in slot {kept.loaded.slot!r}; it means nothing to another model"
            )
        return kept.primed
