"""Texts and ids that hypothesis draws, the same ones in every run; a law that needs them is skipped without it."""

from collections.abc import Callable
from typing import Any

from rnn_tui.plugin.installing import install_command
from rnn_tui.plugin.testing.laws import skip

_LETTERS = "A É Ω İ ß ﬁ Å e\u0301 ² ａ 한 ’ \x00 \ufeff \ufffd \u200d".split(" ")
_CHANGED = [*_LETTERS, "\r\n", "\n", "\t", " ", "  ", "\xa0", "\u2028", "\u3000"]
"""What is changed by lower-casing, by a normal form, by stripping, or by a library that has a use for it."""


def for_all(law: Callable[..., None], count: int = 100, **strategies: Any) -> None:
    """Call `law` with `count` examples; of those that it raises for, what is raised is that of the smallest."""
    from hypothesis import HealthCheck, given, settings

    options = settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.nested_given],
    )
    given(**strategies)(options(law))()


def any_text(known: str) -> Any:
    """All of Unicode, lone surrogates included; and characters of `known` with few others among them."""
    st = _strategies()
    changed = st.sampled_from(_CHANGED)
    anything = st.one_of(st.characters(exclude_categories=[]), st.characters(categories=["Cs"]), changed)
    symbols = st.one_of(
        st.lists(anything, max_size=20), st.lists(st.sampled_from([*known, *_CHANGED]), max_size=8)
    )
    return symbols.map("".join)


def tokens(vocab_size: int) -> Any:
    """Ids below `vocab_size`, up to 40 of them."""
    st = _strategies()
    return st.lists(st.integers(0, vocab_size - 1), max_size=40)


def numbers(most: int) -> Any:
    """Whole numbers from 0 to `most`."""
    return _strategies().integers(0, most)


def pieces() -> Any:
    """What tokens are made of, and long runs of it: where one token ends must not depend on where a piece does."""
    st = _strategies()
    fragments = st.one_of(
        st.sampled_from(
            [" ", "  ", "\n", "a", "The", " end", "'", "don't", ".", ", ", "明", "é", "e\u0301", "😀"]
        ),
        st.builds(lambda symbol, count: symbol * count, st.sampled_from(" a.\n-'"), st.integers(1, 200)),
        st.text(max_size=8),
    )
    return st.lists(fragments, max_size=12)


def _strategies() -> Any:
    try:
        from hypothesis import strategies
    except ModuleNotFoundError:
        skip(f"needs hypothesis, {install_command('rnn-tui[testing]')}")
    return strategies
