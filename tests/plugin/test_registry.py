"""The registry: found by metadata, loaded one by one, each fault a row of its own."""

import hashlib
import subprocess
import sys

import pytest

from rnn_tui.errors import PluginError, UsageError
from rnn_tui.plugin.registry import find_plugin, list_plugins, load_plugin, plugin_record, recorded_name

OURS = {
    "architecture": ["gru", "lstm", "nn-gru", "nn-lstm", "nn-rnn", "rnn"],
    "tokenizer": ["byte", "char", "word"],
    "numpy-step": ["gru", "lstm", "nn-gru", "nn-lstm", "nn-rnn", "rnn"],
}


def _names(kind):
    return [info.name for info in list_plugins(kind)]


def test_our_own_are_found_and_load():
    assert {kind: _names(kind) for kind in OURS} == OURS
    for info in list_plugins():
        assert info.error is None
        assert info.distribution == "rnn-tui"
        assert load_plugin(info.kind, info.name).__name__ == info.target.partition(":")[2]


def test_a_third_party_plugin_is_found_without_import(installed):
    installed("other-dist", "raise RuntimeError('imported')", version="2.1", tokenizer="zippy")
    assert _names("tokenizer") == ["byte", "char", "word", "zippy"]
    source = b"other_dist.py\0raise RuntimeError('imported')"
    assert plugin_record("tokenizer", "zippy") == {
        "name": "zippy",
        "distribution": "other-dist",
        "version": "2.1",
        "source": hashlib.sha256(source).hexdigest()[:16],
    }
    assert "source" not in plugin_record("tokenizer", "char")
    assert "other_dist" not in sys.modules


def test_a_third_party_plugin_loads(installed):
    installed("other-dist", tokenizer="zippy")
    assert load_plugin("tokenizer", "zippy").__doc__.startswith("A good one.")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import nowhere_at_all", "importing bad_dist:Good failed: ModuleNotFoundError"),
        ("this is no Python", "SyntaxError"),
        ("import sys; sys.exit('goodbye')", "SystemExit: goodbye"),
        ("raise OSError('libsomething.so: cannot open')", "OSError: libsomething"),
        ("x = 1", "AttributeError"),
        ("class Good: pass", "is no subclass of Tokenizer"),
        ("Good = 3", "3 is no subclass of Tokenizer"),
        (
            "from rnn_tui_text.byte import ByteTokenizer as B\nclass Good(B): api_version = 2",
            "plugin interface 2",
        ),
        (
            "from rnn_tui_text.byte import ByteTokenizer as B\nclass Good(B): Options = dict",
            "no frozen dataclass",
        ),
        (
            """
            from dataclasses import dataclass
            from rnn_tui_text.byte import ByteTokenizer
            class Good(ByteTokenizer):
                @dataclass(frozen=True)
                class Options:
                    size: int
            """,
            "Good.Options.size has no default",
        ),
    ],
)
def test_a_broken_plugin_is_one_clear_error(installed, source, message):
    installed("bad-dist", source, tokenizer="bad")
    assert _names("tokenizer") == ["bad", "byte", "char", "word"]
    with pytest.raises(PluginError, match=message) as caught:
        load_plugin("tokenizer", "bad")
    assert str(caught.value).startswith("tokenizer bad (bad-dist 1.0): ")
    assert load_plugin("tokenizer", "char")


def test_a_tokenizer_is_no_architecture(installed):
    installed("odd-dist", architecture="odd")
    with pytest.raises(PluginError, match="no subclass of Cell or Core"):
        load_plugin("architecture", "odd")


def test_of_two_with_one_name_each_has_a_full_one(installed):
    installed("first-dist", tokenizer="zippy")
    installed("second-dist", tokenizer=["zippy", "fine"], version="3")
    infos = {info.name: info for info in list_plugins("tokenizer") if not info.ours}
    assert list(infos) == ["fine", "first-dist:zippy", "second-dist:zippy"]
    assert infos["first-dist:zippy"].clash == "the name zippy is also claimed by second-dist 3"
    assert infos["second-dist:zippy"].clash == "the name zippy is also claimed by first-dist 1.0"
    assert infos["fine"].clash is None
    with pytest.raises(
        UsageError,
        match=r"several packages claim the tokenizer 'zippy'; ask for first-dist:zippy or second-dist:zippy$",
    ):
        load_plugin("tokenizer", "zippy")
    assert load_plugin("tokenizer", "second-dist:zippy").__module__ == "second_dist"
    assert load_plugin("tokenizer", "First_Dist:zippy").__module__ == "first_dist"


def test_what_ships_with_rnn_tui_keeps_its_name(installed):
    installed("aaa-dist", tokenizer="char")
    theirs, ours = (info for info in list_plugins("tokenizer") if info.own_name == "char")
    assert (ours.name, ours.distribution, ours.clash) == ("char", "rnn-tui", None)
    assert (theirs.name, theirs.error) == ("aaa-dist:char", None)
    assert theirs.clash.startswith("the name char belongs to rnn-tui ")
    assert load_plugin("tokenizer", "char").__module__ == "rnn_tui_text.char"
    assert load_plugin("tokenizer", "rnn-tui:char").__module__ == "rnn_tui_text.char"
    assert load_plugin("tokenizer", "aaa-dist:char").__module__ == "aaa_dist"


def test_a_claim_that_leads_nowhere_takes_no_name(installed):
    installed("aaa-dist", raw="[rnn_tui.tokenizers]\nzippy = no target\n")
    installed("good-dist", tokenizer="zippy")
    assert find_plugin("tokenizer", "zippy").distribution == "good-dist"
    assert "is not module:Class" in find_plugin("tokenizer", "aaa-dist:zippy").error


def test_a_full_name_is_always_right(installed):
    installed("other-dist", tokenizer="zippy", version="2.1")
    assert find_plugin("tokenizer", "other-dist:zippy") == find_plugin("tokenizer", "zippy")
    record = plugin_record("tokenizer", "other-dist:zippy")
    assert record.pop("source")
    assert record == {"name": "other-dist:zippy", "distribution": "other-dist", "version": "2.1"}
    assert recorded_name(record) == recorded_name(plugin_record("tokenizer", "zippy")) == "other-dist:zippy"
    with pytest.raises(UsageError, match="there is no tokenizer 'third-dist:zippy'"):
        find_plugin("tokenizer", "third-dist:zippy")


@pytest.mark.parametrize("name", ["a:b", "../x", "a/b", "\x1b]0;x", "lѕtm", "-x", "n" * 65, "a b"])
def test_a_name_that_could_do_harm_is_an_error(installed, name):
    installed("bad-dist", raw=f"[rnn_tui.tokenizers]\n{name} = bad_dist:Good\ngood = bad_dist:Good\n")
    bad, good = (info for info in list_plugins("tokenizer") if info.distribution == "bad-dist")
    assert (bad.name, good.name, good.error) == ("?", "good", None)
    assert "cannot name a plugin" in bad.error
    assert bad.error.isprintable()


def test_a_name_given_twice_by_one_package_is_an_error(installed):
    installed("bad-dist", raw="[rnn_tui.tokenizers]\nx = bad_dist:Good\nx = bad_dist:Bad\n")
    assert find_plugin("tokenizer", "x").error == "its package gives the name twice"


def test_one_name_for_an_architecture_and_a_tokenizer_is_no_clash(installed):
    installed("both-dist", tokenizer="zippy", architecture="zippy")
    assert find_plugin("tokenizer", "zippy").error is None


def test_unknown_names_name_the_nearest():
    with pytest.raises(
        UsageError, match=r"there is no tokenizer 'chr'.*byte, char, word.*did you mean 'char'"
    ):
        load_plugin("tokenizer", "chr")


@pytest.mark.parametrize("value", ["", "nobody"])
def test_the_switch_turns_all_off(monkeypatch, value):
    monkeypatch.setenv("RNN_TUI_PLUGINS", value)
    assert list_plugins() == []
    with pytest.raises(UsageError, match=f"no tokenizer is installed; RNN_TUI_PLUGINS is set to '{value}'"):
        load_plugin("tokenizer", "char")


def test_the_switch_allows_some(installed, monkeypatch):
    installed("other-dist", tokenizer="zippy")
    monkeypatch.setenv("RNN_TUI_PLUGINS", "Other_Dist, nobody")
    assert [info.name for info in list_plugins()] == ["zippy"]


@pytest.mark.parametrize(
    "raw",
    [
        "[rnn_tui.tokenizers]\nno equals sign\n",
        "[rnn_tui.tokenizers]\nodd = not a target!\n",
        b"[rnn_tui.tokenizers]\n\xff\xfe = a:B\n",
        "[rnn_tui.tokenizers]\n" + "x = a:B\n" * 100_000,
    ],
    ids=["torn", "target", "binary", "large"],
)
def test_malformed_metadata_is_a_row(installed, raw):
    installed("torn-dist", raw=raw)
    torn = [info for info in list_plugins("tokenizer") if info.distribution == "torn-dist"]
    assert len(torn) == 1
    assert torn[0].error is not None
    assert load_plugin("tokenizer", "char")


def test_the_first_copy_of_a_distribution_counts(installed):
    """As when an editable install and a wheel are both there: no clash with oneself."""
    installed("other-dist", tokenizer="zippy", version="1.0")
    installed("other-dist", tokenizer="zippy", version="2.0")
    assert find_plugin("tokenizer", "zippy").error is None


def test_what_is_imported():
    """Listing loads neither torch nor numpy; our tokenizers work without torch."""
    code = """
import sys
from rnn_tui.plugin import registry, options, describe
assert len(registry.list_plugins()) == 15
print([m for m in ("torch", "numpy", "click", "textual", "rnn_tui_text") if m in sys.modules])
for name in ("char", "word", "byte"):
    cls = registry.load_plugin("tokenizer", name)
    cls.train(["some text"], options.make_options(cls.Options, {}, owner=name)).encode("text")
print([m for m in ("torch", "click", "textual") if m in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n[]\n"


NUMPY_STEP = """
    import numpy as np
    from rnn_tui.plugin import NumpyStep

    class Good(NumpyStep):
        def __init__(self, weights, options):
            self.w = weights["w"]

        def initial_state(self, batch_size):
            return np.zeros((batch_size, 1))

        def step(self, x, state):
            return x @ self.w, state + 1
"""


def test_a_third_party_step_in_numpy(installed):
    installed("step-dist", NUMPY_STEP, numpy_step="mgu")
    assert "mgu" in _names("numpy-step")
    assert load_plugin("numpy-step", "mgu").__name__ == "Good"
    installed("bad-dist", "class Good: pass", numpy_step="ungated")
    with pytest.raises(PluginError, match="is no subclass of NumpyStep"):
        load_plugin("numpy-step", "ungated")
