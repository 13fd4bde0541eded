"""`rnn-tui plugins check`, as somebody uses it who has one plugin installed."""

import sys
import textwrap

import pytest

from rnn_tui.bench.checking import Message, check_plugin
from rnn_tui.plugin.registry import find_plugin
from rnn_tui.plugin.testing import TokenizerLaws
from rnn_tui.plugin.testing.laws import Verdict, law_name, laws_of

LAWS = [law_name(law) for law in laws_of(TokenizerLaws)]
DRAWN = [name for name in LAWS if "stream" in name or "parts" in name or "any text" in name]
"""Those that hypothesis draws examples for; they take most of the time."""
FAST = [word for name in DRAWN for word in ("--skip", name)]

WHOLE = """
    from dataclasses import dataclass
    from typing import Annotated
    from rnn_tui_text.byte import ByteTokenizer
    from rnn_tui.plugin import Meta

    class Tokens(ByteTokenizer):
        '''A good one.'''

        @dataclass(frozen=True)
        class Options:
            size: Annotated[int, Meta(ge=1, le=9, description="How big.")] = 4
"""
HOSTILE = """
    import os, time
    from rnn_tui_text.byte import ByteTokenizer

    class Tokens(ByteTokenizer):
        '''Hangs, crashes, ends the process.'''

        def token_text(self, token):
            time.sleep(600)

        def to_state(self):
            import ctypes
            print("about to crash", flush=True)
            ctypes.string_at(0)

        @classmethod
        def train(cls, texts, options):
            if list(texts) == []:
                os._exit(3)
            return cls()
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """`installed("rnn-tui-mine", source)` makes a distribution with one tokenizer, named like it without `rnn-tui-`."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(distribution, source):
        module = distribution.replace("-", "_")
        (site / f"{module}.py").write_text(textwrap.dedent(source))
        folder = site / f"{module}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        name = distribution.removeprefix("rnn-tui-")
        (folder / "entry_points.txt").write_text(f"[rnn_tui.tokenizers]\n{name} = {module}:Tokens\n")
        return site

    yield install
    for name in [
        name for name, module in sys.modules.items() if str(site) in str(getattr(module, "__file__", ""))
    ]:
        del sys.modules[name]


def test_a_whole_one_passes_every_law(cli, installed, tmp_path):
    installed("rnn-tui-whole", WHOLE)
    kept = [name for name in DRAWN if name != "decoding streams"]
    done = cli(
        "plugins", "check", "whole", "-o", "size=2", *[word for name in kept for word in ("--skip", name)]
    )
    assert done.code == 0, done.out
    first, *lines, last = done.out.splitlines()
    assert first == "tokenizer whole (rnn-tui-whole 1.0)"
    assert [line.split()[0] for line in lines] == ["skipped" if name in kept else "pass" for name in LAWS]
    assert [line[11:].partition(" (")[0].partition(":")[0] for line in lines] == LAWS
    assert last.startswith(f"{len(LAWS) - len(kept)} passed, 0 failed, {len(kept)} skipped in ")
    assert "rnn_tui_whole" not in sys.modules
    assert [path.name for path in tmp_path.iterdir()] == ["site"]  # nothing is left where it was called


def test_a_plugin_that_hangs_crashes_and_exits_fails_the_laws_in_which_it_does(installed):
    installed("rnn-tui-hostile", HOSTILE)
    told = []
    found = check_plugin(find_plugin("tokenizer", "hostile"), {}, limit=4, skip=DRAWN, told=told.append)
    assert tuple(told) == found.verdicts
    by_law = {each.law: each for each in found.verdicts}
    assert list(by_law) == LAWS
    failed = {law: each.text for law, each in by_law.items() if each.outcome == "FAIL"}
    assert list(failed) == ["empty text", "every token can be shown", "state survives json"]
    assert failed["empty text"] == "ended with exit code 3, as by os._exit"
    assert failed["every token can be shown"].startswith("took longer than 4 s and was ended, in ")
    assert failed["every token can be shown"].endswith("rnn_tui_hostile.py:9, token_text")
    assert failed["state survives json"].startswith("was ended by SIGSEGV, in ")
    assert failed["state survives json"].endswith("rnn_tui_hostile.py:14, to_state")
    assert by_law["a hostile state is refused"].text == "3 processes were lost before"
    assert not found.good


def test_without_a_name_all_others_are_checked(cli, installed):
    installed("rnn-tui-whole", WHOLE)
    installed("rnn-tui-broken", "import no_such_module")
    installed("rnn-tui-wrong", WHOLE.replace("'''A good one.'''", "").replace("How big.", ""))
    done = cli("plugins", "check", "--json", *FAST)
    assert done.code == 8
    broken, whole, wrong = done.json["plugins"]
    assert (broken["name"], broken["laws"]) == ("broken", [])
    assert "No module named 'no_such_module'" in broken["error"]
    assert (whole["name"], whole["error"], whole["failed"]) == ("whole", None, 0)
    assert whole["passed"] == len(LAWS) - len(DRAWN)
    assert whole["skipped"] == len(DRAWN)
    assert wrong["failed"] == 1
    (law,) = [each for each in wrong["laws"] if each["outcome"] == "fail"]
    assert law["law"] == "it declares itself"
    assert law["text"].startswith("Tokens has no docstring")


def test_the_last_line_says_how_many_could_not_be_loaded(cli, installed):
    installed("rnn-tui-broken", "import no_such_module")
    installed("rnn-tui-whole", WHOLE)
    done = cli("plugins", "check", *[word for law in LAWS for word in ("--skip", law)])
    assert done.code == 8
    *_, counts, last = done.out.splitlines()
    assert counts.startswith(f"0 passed, 0 failed, {len(LAWS)} skipped")
    assert last == "1 could not be loaded: tokenizer broken (rnn-tui-broken 1.0)"


class Told:
    """In place of the child process: says what one would, of laws that break for one reason."""

    def __init__(self, request):
        verdicts = [
            Verdict("it runs", "pass"),
            Verdict("nothing is kept on self", "FAIL", "a layer was run\ncame      attribute `c` changed"),
            Verdict("causality", "FAIL", "the inputs were changed\nlikely    a mean looks ahead"),
            Verdict("it declares itself", "FAIL", "It has no docstring"),
            Verdict("training speed", "info", "not measured\ncame      RuntimeError: in place"),
        ]
        laws = ["test_" + each.law.replace(" ", "_") for each in verdicts]
        laws[-1] = laws[-1].replace("test", "tell")
        self.messages = [Message(laws=laws)]
        for law, verdict in zip(laws, verdicts, strict=True):
            self.messages += [Message(begin=law), Message(verdict=verdict)]

    __enter__ = lambda self: self  # noqa: E731
    __exit__ = end = lambda self, *_: ""

    def read(self, deadline):
        return self.messages.pop(0) if self.messages else None


def test_what_follows_from_a_law_says_so_in_place_of_a_guess(cli, installed, monkeypatch):
    installed("rnn-tui-whole", WHOLE)
    monkeypatch.setattr("rnn_tui.bench.checking._Child", Told)
    done = cli("plugins", "check", "whole")
    assert done.code == 8
    *lines, last = done.out.splitlines()[1:]
    assert lines == [
        "  pass     it runs",
        "  FAIL     nothing is kept on self",
        "           a layer was run",
        "           came      attribute `c` changed",
        "  FAIL     causality (may follow from: nothing is kept on self)",
        "  FAIL     it declares itself",
        "           It has no docstring",
        "  info     training speed (may follow from: nothing is kept on self)",
    ]
    assert last.startswith("1 passed, 3 failed, 0 skipped in ")
    assert last.endswith("; begin with: nothing is kept on self")
    (found,) = cli("plugins", "check", "whole", "--json").json["plugins"]
    follows = {each["law"]: each["follows"] for each in found["laws"]}
    kept = "nothing is kept on self"
    assert [law for law, root in follows.items() if root == kept] == ["causality", "training speed"]
    assert follows[kept] is follows["it declares itself"] is None


def test_a_failed_law_is_shown_with_its_counterexample(cli, installed):
    installed("rnn-tui-wrong", WHOLE.replace("How big.", ""))
    done = cli("plugins", "check", "wrong", *FAST)
    assert done.code == 8
    lines = done.out.splitlines()
    assert lines[1:4] == [
        "  FAIL     it declares itself",
        "           option size has no help",
        '           likely    write its type as Annotated[..., Meta(description="...")]',
    ]
    assert lines[-1].startswith(f"{len(LAWS) - len(DRAWN) - 1} passed, 1 failed, {len(DRAWN)} skipped in ")


def test_one_that_cannot_be_imported_says_so_in_one_line(cli, installed):
    installed("rnn-tui-broken", "import no_such_module")
    done = cli("plugins", "check", "broken")
    assert done.code == 8
    assert "tokenizer broken (rnn-tui-broken 1.0)" in done.refusal
    assert "No module named 'no_such_module'" in done.refusal


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "there is no architecture and no tokenizer 'nothing'"),
        (["nn-lsm"], "(rnn-tui plugins list names them); did you mean 'nn-lstm'?"),
        (["chr"], "did you mean 'char'?"),
        (["char", "-o", "nonsense=1"], "has no option 'nonsense'"),
        (["char", "-o", "nonsense"], "takes KEY=VALUE"),
        (["-o", "size=1"], "-o needs the NAME"),
    ],
)
def test_what_is_wrong_as_typed_is_refused(cli, arguments, words):
    done = cli("plugins", "check", *arguments)
    assert done.code == 2
    assert words in done.refusal


def test_without_others_nothing_is_checked(cli):
    done = cli("plugins", "check")
    assert (done.code, done.out) == (0, "")
    assert "give the name of one" in done.err


def test_neither_pytest_nor_hypothesis_is_needed(cli, installed):
    """As in an environment of `uv tool install rnn-tui`."""
    site = installed("rnn-tui-whole", WHOLE)
    for name in ("pytest", "hypothesis"):
        (site / f"{name}.py").write_text(f"raise ModuleNotFoundError('no {name}', name='{name}')\n")
    done = cli("plugins", "check", "whole", "--json")
    assert done.code == 0
    laws = {each["law"]: each for each in done.json["plugins"][0]["laws"]}
    skipped = [name for name, each in laws.items() if each["outcome"] == "skipped"]
    assert skipped == [name for name in DRAWN if name != "streamed text has no half characters"]
    assert laws["any text has ids"]["text"].startswith("needs hypothesis, ")
    assert laws["any text has ids"]["text"].endswith("'rnn-tui[testing]'")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["rnn", "gru", "lstm", "nn-rnn", "nn-gru", "nn-lstm", "char", "word", "byte"]
)
def test_our_own_pass(cli, name):
    done = cli("plugins", "check", name, "--json")
    assert done.code == 0
    (found,) = done.json["plugins"]
    assert found["failed"] == 0
    skipped = {each["law"] for each in found["laws"] if each["outcome"] == "skipped"}
    known = {"cuda agrees with the cpu", "step equals sequence while training"}
    if name == "gru":  # torch has only the other place for its reset gate
        known |= {"to nn computes the same", "from nn takes what to nn gives"}
    assert skipped <= known
