"""What a plugin author imports, and nothing else.

    from rnn_tui.plugin import Cell, Core, Tokenizer, Decoder, NumpyStep, Meta, State

Each name is imported on first use: `Cell`, `Core` and `State` load torch, which a tokenizer never pays for,
and `Tokenizer` and `NumpyStep` load numpy, which a list of plugins never pays for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from msgspec import Meta

if TYPE_CHECKING:
    from rnn_tui.plugin.core import Cell, Core, State
    from rnn_tui.plugin.numpy_step import NumpyStep
    from rnn_tui.plugin.tokenizer import Decoder, Tokenizer

__all__ = ["API_VERSION", "Cell", "Core", "Decoder", "Meta", "NumpyStep", "State", "Tokenizer"]

API_VERSION = 1
"""The version of this interface; a plugin class carries it as `api_version`."""

_HOMES = {"Cell": "core", "Core": "core", "State": "core"} | {
    "Decoder": "tokenizer",
    "Tokenizer": "tokenizer",
    "NumpyStep": "numpy_step",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
