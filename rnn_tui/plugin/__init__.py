"""What a plugin author imports, and nothing else.

    from rnn_tui.plugin import Cell, Core, Tokenizer, Decoder, Meta, State

`Cell`, `Core` and `State` load torch; they are imported on first use, so that a tokenizer never pays for it.
"""

from typing import TYPE_CHECKING, Any

from msgspec import Meta

from rnn_tui.plugin.tokenizer import Decoder, Tokenizer

if TYPE_CHECKING:
    from rnn_tui.plugin.core import Cell, Core, State

__all__ = ["API_VERSION", "Cell", "Core", "Decoder", "Meta", "State", "Tokenizer"]

API_VERSION = 1
"""The version of this interface; a plugin class carries it as `api_version`."""

_TORCH_NAMES = {"Cell", "Core", "State"}


def __getattr__(name: str) -> Any:
    if name in _TORCH_NAMES:
        from rnn_tui.plugin import core

        return getattr(core, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
