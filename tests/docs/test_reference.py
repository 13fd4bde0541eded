"""The pages of the reference are what the generator makes of the code now."""

import importlib.util
from pathlib import Path

import pytest

import rnn_tui

DOCS = Path(__file__).parents[2] / "docs"


def load():
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = load()


@pytest.mark.parametrize("name", reference.PAGES)
def test_the_page_is_as_it_would_be_written_now(name):
    made = reference.PAGES[name]()
    assert (DOCS / name).read_text() == made, f"docs/{name} is not what the docstrings say now; run make docs"


def test_every_name_is_described():
    described = " ".join(reference.LIBRARY.values()).split()
    assert sorted(described) == sorted(rnn_tui.__all__)


def test_a_docstring_becomes_markdown():
    text = """Add.

        >>> add(1)
        2

    Args:
        x: a number, and more
            of it.
        y, z: others.

    Raises:
        ValueError: when it is none; or
            worse.

    Returns:
        A sum.
    """
    assert reference.markdown(text).split("\n\n") == [
        "Add.",
        "```python\n>>> add(1)\n2\n```",
        "**Args**",
        "- `x`: a number, and more\n  of it.\n- `y`, `z`: others.",
        "**Raises**",
        "- `ValueError`: when it is none; or\n  worse.",
        "**Returns**",
        "A sum.",
    ]
