"""What a plugin author imports, and nothing else.

    from rnn_tui.plugin import Cell, Core, Tokenizer, Decoder, Ids, NumpyStep, Meta, State

Each name is imported on first use: `Cell`, `Core` and `State` load torch, which a tokenizer never pays for,
and `Tokenizer`, `Ids` and `NumpyStep` load numpy, which a list of plugins never pays for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from msgspec import Meta

if TYPE_CHECKING:
    from rnn_tui.plugin.core import Cell, Core, State
    from rnn_tui.plugin.numpy_step import NumpyStep
    from rnn_tui.plugin.tokenizer import Decoder, Ids, Tokenizer

__all__ = ["API_VERSION", "Cell", "Core", "Decoder", "Ids", "Meta", "NumpyStep", "State", "Tokenizer"]

API_VERSION = 1
"""The version of this interface; a plugin class carries it as `api_version`, a whole number.

What it promises: a class written for version 1 works with every rnn-tui that has version 1. Within it nothing that is
described here changes its meaning or goes, what is added is optional, and a class without it works as before. What
authors have to follow is version 2. A host refuses a class of another version before it is used: one line in
`rnn-tui plugins list`, with both versions, and the rest of the program goes on.

It covers the names that `rnn_tui.plugin` exports, the entry-point groups, and the names and attributes of the laws in
`rnn_tui.plugin.testing`. Laws may be added and sharpened within a version: they say what was asked for all along. Every
other module of rnn_tui is the host's own and may change at any time. What changes here stands in the CHANGELOG under
"Plugin API".
"""

_HOMES = {"Cell": "core", "Core": "core", "State": "core"} | {
    "Decoder": "tokenizer",
    "Ids": "tokenizer",
    "Tokenizer": "tokenizer",
    "NumpyStep": "numpy_step",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
