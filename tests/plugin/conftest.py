"""Distributions made on the fly: a module and the metadata that registers it, as an installer would leave them."""

import importlib
import sys
import textwrap

import pytest

KINDS = {
    "architecture": "rnn_tui.architectures",
    "tokenizer": "rnn_tui.tokenizers",
    "numpy_step": "rnn_tui.numpy_steps",
}

TOKENIZER = """
    from dataclasses import dataclass
    from typing import Annotated, Literal
    from rnn_tui_text.byte import ByteTokenizer
    from rnn_tui.plugin import Meta

    class Good(ByteTokenizer):
        '''A good one.

        More of it.'''

        @dataclass(frozen=True)
        class Options:
            size: Annotated[int, Meta(ge=1, le=9, description="How big.")] = 4
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return a function that "installs" a distribution with one module and any number of plugins."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("RNN_TUI_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("RNN_TUI_PLUGINS", raising=False)
    before = set(sys.modules)

    def install(distribution, source=TOKENIZER, *, version="1.0", raw=None, **names):
        """`names`: kind → plugin name(s), all of the class `Good`. `raw`: entry_points.txt as it stands."""
        module = distribution.replace("-", "_")
        (site / f"{module}.py").write_text(textwrap.dedent(source))
        lines = []
        for kind, plugin_names in names.items():
            plugin_names = [plugin_names] if isinstance(plugin_names, str) else plugin_names
            lines += [f"[{KINDS[kind]}]", *(f"{name} = {module}:Good" for name in plugin_names)]
        folder = site / f"{module}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        text = "\n".join(lines) if raw is None else raw
        (folder / "entry_points.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
        importlib.invalidate_caches()
        return site / f"{module}.py"

    yield install
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(site)):
            del sys.modules[name]
