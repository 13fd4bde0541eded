"""Loading one plugin into this process: looked at in another one first, undone, and blamed by name."""

import os
import signal
import sys
import traceback

import pytest

from rnn_tui.errors import PluginError
from rnn_tui.plugin import describe, loading
from rnn_tui.plugin.loading import blamed, plugin_notes
from rnn_tui.plugin.registry import list_plugins, load_plugin

GOOD = """
import os, signal, sys
from rnn_tui_text.byte import ByteTokenizer

class Good(ByteTokenizer):
    @property
    def vocab_size(self):
        return int("many")
"""


@pytest.fixture(autouse=True)
def _nothing_loaded(monkeypatch):
    monkeypatch.setattr(loading, "_loaded", {})


def test_what_it_changes_is_undone_and_told_once(installed, capfd):
    installed(
        "bad-dist",
        GOOD + "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('\\x1b]0;title')",
        tokenizer="bad",
    )
    for _ in range(2):
        assert load_plugin("tokenizer", "bad").__name__ == "Good"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert plugin_notes() == [
        "tokenizer bad (bad-dist 1.0): its import changes signal handlers (SIGTERM); rnn-tui undoes what it can"
    ]
    assert capfd.readouterr() == ("", "")


def test_our_own_change_nothing():
    for info in list_plugins():
        assert load_plugin(info.kind, info.name)
    assert plugin_notes() == []


@pytest.mark.parametrize(
    "ending", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGSEGV)", "raise KeyboardInterrupt"]
)
def test_what_ends_a_process_ends_another_one(installed, ending):
    installed("bad-dist", f"import os, signal\n{ending}", tokenizer="bad")
    with pytest.raises(
        PluginError, match=r"tokenizer bad \(bad-dist 1.0\): .*(exit code 3|SIGSEGV|KeyboardInterrupt)"
    ):
        load_plugin("tokenizer", "bad")
    assert "bad_dist" not in sys.modules


def test_what_fails_only_here_is_an_error_too(installed):
    """As a plugin does that looks where it is: in the process that looks at plugins it behaves."""
    here = f"if os.getpid() == {os.getpid()}: print('not\\nhere'); sys.exit(5)\n"
    installed("bad-dist", GOOD + here, tokenizer="bad")
    with pytest.raises(
        PluginError, match=r"bad-dist 1.0\): importing bad_dist:Good failed: SystemExit: 5 \(it said: here"
    ):
        load_plugin("tokenizer", "bad")


def test_ours_are_not_looked_at_first(monkeypatch):
    """It would take every command that loads one another process."""
    monkeypatch.setattr(describe, "_ask_child", None)
    monkeypatch.setattr(describe, "_read_cache", None)
    assert load_plugin("tokenizer", "char")


def _raised(function):
    try:
        function()
    except ValueError as error:
        return error
    raise AssertionError


def test_an_error_is_blamed_on_the_plugin_in_whose_code_it_arose(installed):
    installed("bad-dist", GOOD, tokenizer="bad")
    tokenizer = load_plugin("tokenizer", "bad").from_state({})
    error = _raised(lambda: tokenizer.vocab_size)
    line = traceback.extract_tb(error.__traceback__)[-1].lineno
    found = blamed(error)
    assert str(found).startswith("tokenizer bad (bad-dist 1.0): ValueError: invalid literal for int()")
    assert str(found).endswith(f" in line {line} of bad_dist.py")
    assert found.exit_code == 8
    assert blamed(_raised(lambda: int("few"))) is None


def test_an_error_of_the_host_below_a_plugin_is_the_hosts(installed):
    """A plugin may call what it was given: who was called last is to blame."""
    installed("bad-dist", GOOD + "    def flush(self, call):\n        call()\n", tokenizer="bad")
    tokenizer = load_plugin("tokenizer", "bad").from_state({})
    host = {"__name__": "rnn_tui.somewhere"}
    exec("def fail():\n    raise ValueError('ours')", host)  # a function of that module
    assert blamed(_raised(lambda: tokenizer.flush(host["fail"]))) is None
