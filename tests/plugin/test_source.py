"""The files of a plugin, and where its package is from, without importing it."""

import hashlib
import json

import pytest

from rnn_tui.plugin.registry import PluginInfo
from rnn_tui.plugin.source import local_install, module_file, source_hash


def plugin(target, file=None):
    return PluginInfo("architecture", "a", target, "odd", "1.0", file=file)


def test_a_package_is_hashed_with_all_files_beside_the_module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "source_probe"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (folder / "spokes.py").write_text("count = 3\n")
    parts = b"__init__.py\0raise RuntimeError('imported')\n" + b"spokes.py\0count = 3\n"
    for target in ("source_probe:A", "source_probe.spokes:A"):
        assert source_hash(plugin(target)) == hashlib.sha256(parts).hexdigest()[:16]
    assert module_file(plugin("source_probe:A")) == folder / "__init__.py"
    assert module_file(plugin("source_probe.spokes:A")) == folder / "spokes.py"
    (tmp_path / "source_probe_alone.py").write_text("x = 1\n")
    alone = hashlib.sha256(b"source_probe_alone.py\0x = 1\n").hexdigest()[:16]
    assert source_hash(plugin("source_probe_alone:A")) == alone
    assert source_hash(plugin("a.py:A", str(tmp_path / "source_probe_alone.py"))) == alone


@pytest.mark.parametrize("target", ["nowhere_at_all:A", "nowhere_at_all.deeper:A", "sys:A", ""])
def test_what_has_no_file_has_no_hash(target):
    assert source_hash(plugin(target)) == ""
    assert module_file(plugin(target)) is None


@pytest.mark.parametrize(
    ("about", "found"),
    [
        ({"url": "file:///my%20own/a", "dir_info": {"editable": True}}, ("/my own/a", True)),
        ({"url": "file:///a.whl", "archive_info": {}}, ("/a.whl", False)),
        ({"url": "https://forge.example/a", "vcs_info": {}}, None),
        ({"url": 3}, None),
        ([], None),
        (None, None),
    ],
)
def test_where_a_package_is_from(installed, about, found):
    info = installed("odd", tokenizer="a").parent / "odd-1.0.dist-info"
    if about is not None:
        (info / "direct_url.json").write_text(json.dumps(about))
    local = local_install("odd")
    assert local == found or (local and (str(local.path), local.editable)) == found


def test_what_is_not_there_is_from_nowhere():
    assert local_install("nowhere-at-all") is None
    assert local_install("") is None
