"""Descriptions by way of a child process: no plugin can harm this one, or another plugin."""

import sys
import time
from contextlib import suppress

import psutil
import pytest

from rnn_tui.errors import PluginError, UsageError
from rnn_tui.plugin import describe
from rnn_tui.plugin.describe import check_options, describe_plugin, describe_plugins
from rnn_tui.plugin.options import OptionInfo


@pytest.fixture
def children(monkeypatch):
    """Count the child processes."""
    started = []
    ask = describe._ask_child

    def counted(request):
        started.append([info.name for info in request.infos])
        return ask(request)

    monkeypatch.setattr(describe, "_ask_child", counted)
    return started


@pytest.fixture(autouse=True)
def _only_the_fake_ones(monkeypatch, installed):
    """Leave our own architectures out: importing torch in each child would take seconds."""
    monkeypatch.setenv("RNN_TUI_PLUGINS", "good-dist,bad-dist,other-dist")


def test_a_plugin_is_described_without_being_imported(installed, children):
    installed("good-dist", tokenizer="good")
    (description,) = describe_plugins()
    assert description.error is None
    assert description.summary == "A good one."
    assert description.doc == "A good one.\n\nMore of it."
    assert description.form == "Tokenizer"
    assert description.options == (OptionInfo("size", "int", 4, "How big.", minimum=1, maximum=9),)
    assert "good_dist" not in sys.modules
    assert children == [["good"]]


def test_the_cache_saves_the_child_until_the_source_changes(installed, children):
    source = installed("good-dist", tokenizer="good")
    first = describe_plugins()
    assert describe_plugins() == first
    assert len(children) == 1
    source.write_text(source.read_text().replace("A good one.", "A better one."))
    assert describe_plugins()[0].summary == "A better one."
    assert len(children) == 2


def test_a_damaged_cache_is_made_again(installed, children, tmp_path):
    installed("good-dist", tokenizer="good")
    first = describe_plugins()
    for file in (tmp_path / "cache" / "plugins").iterdir():
        file.write_bytes(file.read_bytes()[:-20])
    assert describe_plugins() == first
    assert len(children) == 2


def test_a_link_that_leads_nowhere_is_no_source(installed, tmp_path):
    """As an editor leaves one beside a file of a package that it has open."""
    installed("good-dist", raw="[rnn_tui.tokenizers]\ngood = good_dist.inner:Good\n")
    package = tmp_path / "site" / "good_dist"
    package.mkdir()
    (package / "__init__.py").touch()
    (tmp_path / "site" / "good_dist.py").rename(package / "inner.py")
    (package / ".#inner.py").symlink_to("me@here.1234:5678")
    assert describe_plugins()[0].error is None


def test_without_a_writable_cache_it_still_works(installed, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RNN_TUI_CACHE_DIR", str(tmp_path / "file"))
    installed("good-dist", tokenizer="good")
    assert describe_plugins()[0].error is None


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import nowhere_at_all", "importing bad_dist:Good failed: ModuleNotFoundError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "importing bad_dist:Good failed: KeyboardInterrupt"),
        ("import os; os._exit(0)", "its import ended the process (exit code 0)"),
        ("import os; os.kill(os.getpid(), 40)", "its import ended the process (signal 40)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "its import ended the process (SIGSEGV)"),
        ("import time; time.sleep(1000)", "its import takes longer than 3 s"),
        (
            "import os\nfor fd in range(3, 64):\n  try: os.close(fd)\n  except OSError: pass",
            "its import ended the process (exit code 0)",
        ),
        ("import os, signal; os.kill(os.getppid(), signal.SIGKILL)", "that looks at plugins (SIGKILL)"),
        ("import sys; sys.stderr.write('no lib\\n'); import os; os.abort()", "(SIGABRT) (it said: no lib)"),
    ],
)
def test_the_culprit_is_named_and_the_others_are_whole(installed, source, error):
    installed("bad-dist", source, tokenizer="bad")
    installed("good-dist", tokenizer=["a-good", "z-good"])
    before = time.monotonic()
    first, bad, last = describe_plugins(timeout=3)
    assert time.monotonic() - before < 30
    assert error in bad.error
    assert bad.form == ""
    assert [first.error, last.error] == [None, None]
    assert first.summary == last.summary == "A good one."


def test_a_failure_is_not_cached(installed, children):
    source = installed("bad-dist", "import nowhere_at_all", tokenizer="bad")
    installed("good-dist", tokenizer="good")
    assert describe_plugins()[0].error is not None
    assert children == [["bad", "good"]]
    describe_plugins()
    assert children[1:] == [["bad"]]
    assert source.exists()


def test_a_plugin_may_print_what_it_likes(installed, capfd):
    noisy = """
        import os, sys
        print('{"info": 1}', flush=True)
        os.write(1, b"\\x1b]0;title\\x07"); os.write(2, b"noise")
        for fd in range(3, 32):
            try: os.write(fd, b'garbage\\n{"error": 3}\\n')
            except OSError: pass
        from rnn_tui_text.byte import ByteTokenizer
        class Good(ByteTokenizer):
            "Noisy."
    """
    installed("bad-dist", noisy, tokenizer="bad")
    installed("good-dist", tokenizer="good")
    assert [d.summary for d in describe_plugins()] == ["Noisy.", "A good one."]
    assert capfd.readouterr() == ("", "")


def test_what_a_plugin_started_is_ended_with_it(installed, tmp_path):
    mark = tmp_path / "pid"
    installed(
        "bad-dist",
        f"""
        import subprocess, sys
        p = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        open({str(mark)!r}, "w").write(str(p.pid))
        """,
        tokenizer="bad",
    )
    assert "AttributeError" in describe_plugins()[0].error
    with suppress(psutil.NoSuchProcess):
        for _ in range(100):
            if (
                psutil.Process(int(mark.read_text())).status() == psutil.STATUS_ZOMBIE
            ):  # nobody reaps in a sandbox
                return
            time.sleep(0.05)
        pytest.fail("the process is still there")


def test_registry_errors_are_descriptions(installed, children):
    installed("bad-dist", raw="[rnn_tui.tokenizers]\nsame = no target\n")
    assert "is not module:Class" in describe_plugins()[0].error
    assert children == []


def test_plugins_of_one_name_are_described_apart(installed):
    installed("good-dist", tokenizer="same")
    installed("other-dist", "import nowhere_at_all", tokenizer="same")
    for _ in range(2):  # from the cache, too
        first, second = describe_plugins()
        assert (first.info.name, first.error) == ("good-dist:same", None)
        assert first.remark == "the name same is also claimed by other-dist 1.0"
        assert "ModuleNotFoundError" in second.error
    assert check_options("tokenizer", "good-dist:same", {"size": 3}) == {"size": 3}


def test_what_is_known_is_told_early(installed):
    installed("good-dist", tokenizer="good")
    installed("bad-dist", "import nowhere_at_all", tokenizer="bad")
    told = []
    describe_plugins(early=told.append)
    assert told == []
    found = describe_plugins(early=told.append)
    assert [[one.info.name for one in early] for early in told] == [["good"]]
    assert [one.info.name for one in found] == ["bad", "good"]


def test_what_an_import_changes_is_told_and_harms_no_other(installed):
    installed(
        "bad-dist",
        """
        import os, random, signal, sys
        from rnn_tui_text.byte import ByteTokenizer
        os.chdir("/"); os.environ["HOME"] = "/"; random.seed(1); signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.path.clear()
        sys.stdout = sys.modules["re"] = None
        class Good(ByteTokenizer):
            "Meddler."
        """,
        tokenizer="bad",
    )
    installed("good-dist", tokenizer="good")
    bad, good = describe_plugins()
    assert bad.error is None
    assert bad.changes == (
        "its import changes the working directory, the environment (HOME), sys.path, sys.modules (re), the interpreter "
        "(stdout), signal handlers (SIGTERM), Python's random numbers; rnn-tui undoes what it can"
    )
    assert good.remark == ""


def test_check_options(installed):
    installed("good-dist", tokenizer="good")
    installed("bad-dist", "import nowhere_at_all", tokenizer="bad")
    assert check_options("tokenizer", "good", {}) == {"size": 4}
    assert check_options("tokenizer", "good", {"size": "7"}) == {"size": 7}
    with pytest.raises(
        UsageError, match="tokenizer good: option size must be a whole number from 1 up to 9, not '0'"
    ):
        check_options("tokenizer", "good", {"size": "0"})
    with pytest.raises(UsageError, match="tokenizer good has no option 'sise'; did you mean 'size'"):
        check_options("tokenizer", "good", {"sise": "0"})
    with pytest.raises(UsageError, match=r"there is no tokenizer 'god'.*did you mean 'good'"):
        check_options("tokenizer", "god", {})
    with pytest.raises(PluginError, match=r"tokenizer bad \(bad-dist 1.0\): importing"):
        check_options("tokenizer", "bad", {})


def test_our_own_architectures(monkeypatch, installed):
    monkeypatch.delenv("RNN_TUI_PLUGINS")
    gru = describe_plugin("architecture", "gru")
    assert (gru.form, gru.error) == ("Cell", None)
    assert gru.options[0].choices == ("before", "after")
    assert describe_plugin("architecture", "nn-lstm").form == "Core"
