"""Where a text is cut before pairs are counted: no token spans two of these pieces.

A piece is a word or a row of ideographs with the space or apostrophe before it, up to three digits, a row of marks, or
white space. Every form has a greatest length, so that a stream needs to hold back no more than LOOK characters, and
only ASCII digits, white space and the marks named here are told from letters, so that no piece depends on the version
of Unicode that this Python knows.
"""

import re
from collections.abc import Iterable, Iterator

_MARKS = (
    "!-/:-@\\[-`{-~"  # ASCII
    "\u00a1-\u00bf"  # Latin-1: inverted marks, guillemets, signs
    "\u2010-\u2027\u2030-\u205e"  # dashes, quotation marks, dots
    "\u3001-\u3003\u3008-\u3011\uff01-\uff0f\uff1a-\uff20"  # of Chinese and Japanese
)
PIECE = re.compile(
    f"[ '’]?[^\\s0-9{_MARKS}]{{1,48}}"
    "| ?[0-9]{1,3}"
    f"| ?[{_MARKS}]{{1,16}}"
    "|\\s{1,64}(?= \\S)"  # up to the space that the next word takes
    "|\\s{1,64}"
)
LOOK = 66
"""Characters from its start on that decide what a piece is: 64 of white space, a space and what follows it."""

LONGEST = 49 * 4
"""Bytes of the longest piece in UTF-8."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_AT_ONCE = 1 << 16  # characters


def pieces_of(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield the pieces of a text that comes in parts of any length: a list for every 64 K characters or so.

    However the text is cut into parts, the pieces are those of the whole. Lone surrogates, which are no characters,
    become U+FFFD.
    """
    held = ""
    for block in _blocks(texts):
        held += _SURROGATE.sub("\ufffd", block)
        pieces = PIECE.findall(held)
        final, rest = len(pieces), 0
        while final and rest < LOOK:
            final -= 1
            rest += len(pieces[final])
        yield pieces[:final]
        held = held[len(held) - rest :]
    yield PIECE.findall(held)


def _blocks(texts: Iterable[str]) -> Iterator[str]:
    """Join short texts and cut long ones, so that neither costs much by itself."""
    held: list[str] = []
    length = 0
    for text in texts:
        for start in range(0, len(text), _AT_ONCE):
            held.append(text[start : start + _AT_ONCE])
            length += len(held[-1])
            if length >= _AT_ONCE:
                yield "".join(held)
                held, length = [], 0
    if held:
        yield "".join(held)
