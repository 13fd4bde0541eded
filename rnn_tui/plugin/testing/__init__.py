"""The conformance kit: laws that every plugin must keep, as test classes to subclass.

    from rnn_tui.plugin.testing import ArchitectureLaws
    from my_package import MyCell

    class TestMyCell(ArchitectureLaws):
        architecture = MyCell

    from rnn_tui.plugin.testing import TokenizerLaws

    class TestMyTokenizer(TokenizerLaws):
        tokenizer_class = MyTokenizer
        text = "some text to train on"

Run them with pytest, or, once the package is installed, with `rnn-tui plugins check NAME`, which needs no pytest and
tries how the host runs the plugin too. Some laws of tokenizers need hypothesis (`rnn-tui[testing]`) and are skipped
without it. Each failure names the law, what was done, what came, and what most likely causes it. One fault breaks many
laws: `check` tries first those that others build on, and names, where another fails, the one that it may follow from.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnn_tui.plugin.testing.architecture import ArchitectureLaws
    from rnn_tui.plugin.testing.tokenizer import TokenizerLaws

__all__ = ["ArchitectureLaws", "TokenizerLaws"]

_HOMES = {"ArchitectureLaws": "architecture", "TokenizerLaws": "tokenizer"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:  # on first use: the laws of tokenizers must not load torch
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
