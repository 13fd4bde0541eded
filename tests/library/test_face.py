"""What `import rnn_tui` is: cheap, complete, described; and its examples, which are run."""

import ast
import doctest
import inspect
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest

import rnn_tui

STUB = Path(rnn_tui.__file__).with_suffix(".pyi")
SLOW = ("train", "Run.resume", "Model.evaluate")
"""What has examples that take seconds; other tests are of the same."""


def in_a_process(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_it_costs_next_to_nothing():
    code = "import sys; before = set(sys.modules); import rnn_tui; print(*sorted(set(sys.modules) - before))"
    assert in_a_process(code) == "rnn_tui"


def test_only_what_computes_loads_torch():
    code = """
import sys, rnn_tui
rnn_tui.configure(steps=3), rnn_tui.list_runs(), rnn_tui.train, rnn_tui.Model, rnn_tui.Run, rnn_tui.DivergedError
print([name for name in ("torch", "click", "rich", "textual") if name in sys.modules])
"""
    assert in_a_process(code) == "[]"


def test_names_are_found_listed_and_kept():
    assert set(rnn_tui.__all__) <= set(dir(rnn_tui))
    for name in rnn_tui.__all__:
        assert getattr(rnn_tui, name) is getattr(rnn_tui, name)
        assert (getattr(rnn_tui, name).__doc__ or "").strip(), name
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        _ = rnn_tui.lod


def test_type_checkers_see_the_same_names_in_the_same_places():
    imports = [node for node in ast.parse(STUB.read_text()).body if isinstance(node, ast.ImportFrom)]
    stubbed = {
        alias.asname or alias.name: (node.module, alias.name) for node in imports for alias in node.names
    }
    assert sorted(stubbed) == rnn_tui.__all__
    for name, (module, attribute) in stubbed.items():
        thing = getattr(rnn_tui, name)
        assert (thing.__module__, thing.__name__) == (module, attribute)


def examples():
    """The doctests of all that is exported, and of its methods."""
    finder = doctest.DocTestFinder(recurse=False)
    for name in rnn_tui.__all__:
        thing = getattr(rnn_tui, name)
        members = vars(thing) if inspect.isclass(thing) else {}
        for key, member in {"": thing, **members}.items():
            where = f"{name}.{key}".rstrip(".")
            if key and not isinstance(member, FunctionType | property):
                continue
            found = [test for test in finder.find(member, where) if test.examples]
            marks = [pytest.mark.slow] if where in SLOW else []
            yield from (pytest.param(test, id=where, marks=marks) for test in found)


@pytest.mark.parametrize("test", list(examples()))
def test_the_examples_are_true(test, model, capsys):
    test.globs = {"rnn_tui": rnn_tui, "model": model}
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=sys.stdout.write)
    assert result.failed == 0, capsys.readouterr().out
    assert result.attempted > 0
