"""The one boundary between text from outside and the terminal.

Corpora, samples, file names, plugin names and error messages are data. Textual and rich pass control and
escape sequences through to the terminal, where they can move the cursor, set the title or write the clipboard.
Every such string passes `safe_text` before a widget, a title, a log line or an echo; tests/faults/unescaped.py finds
where one does not.
"""

import functools
import re
import unicodedata

# C0 and DEL have pictures of their own in Unicode; bidi controls and the rest have none.
_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "\u2421"}
# C0, DEL and C1; bidi marks, embeddings and isolates; line and paragraph separator; word joiner and its like; BOM;
# interlinear annotation; noncharacters; surrogates.
_MARKS = "\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
_BEYOND = f"\x7f-\x9f{_MARKS}\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff"
_UNSAFE = re.compile(f"[\x00-\x1f{_BEYOND}]")
_UNSAFE_IN_BLOCK = re.compile(f"[\x00-\x09\x0b-\x1f{_BEYOND}]")
# Hangul fillers: letters by category, which show as nothing.
_FILLERS = "\u115f\u1160\u3164\uffa0"
_FLOOD = 8
"""Marks on one letter that are kept: no writing system and no emoji needs more in a row."""
_ASTRAL = re.compile("[^\x00-\uffff]")


@functools.cache
def _floods(astral: bool) -> re.Pattern[str]:
    """Return what matches too long a run of marks without width: combining, joiners, selectors, tags, fillers.

    With the hundred ranges beyond U+FFFF a search takes fifty times as long (5 Mchar/s): only for text that has such.
    Made when the first text beyond ASCII comes by, in 20 ms.
    """
    places = [
        *range(0xAD, 0x10000),
        *((*range(0x10000, 0x20000), *range(0xE0000, 0xE1000)) if astral else ()),
    ]
    marks = [c for c in map(chr, places) if unicodedata.category(c) in ("Mn", "Me", "Cf") or c in _FILLERS]
    spans: list[list[str]] = []
    for mark in marks:
        if spans and ord(mark) == ord(spans[-1][1]) + 1:
            spans[-1][1] = mark
        else:
            spans.append([mark, mark])
    kind = f"[{''.join(f'{first}-{last}' for first, last in spans)}]"
    # The first mark stands alone, so that the search can skip to it.
    return re.compile(f"({kind}{kind}{{{_FLOOD - 1}}}){kind}+")


def _picture(match: re.Match[str]) -> str:
    return _PICTURES.get(ord(match.group()), "\ufffd")


def safe_text(text: object, *, newlines: bool = False, limit: int | None = 4096) -> str:
    """Return `text` with everything that could drive a terminal made visible.

    Control characters become their Unicode pictures (ESC is `␛`), C1 and bidi controls, lone surrogates and
    noncharacters become U+FFFD, runs of more than eight marks without width are cut to eight.

    Args:
        text: Anything; `str()` is taken of it.
        newlines: Keep newlines and expand tabs, for text shown as a block. Otherwise both become pictures.
        limit: The longest line in characters; the rest is replaced by `…`. None keeps all.
    """
    text = str(text)
    if newlines:
        text = text.replace("\r\n", "\n").expandtabs(4)
    if limit is not None and len(text) > limit:
        lines = text.split("\n") if newlines else [text]
        text = "\n".join(line if len(line) <= limit else line[: limit - 1] + "…" for line in lines)
    if not text.isascii() and len(text) > _FLOOD:
        text = _floods(_ASTRAL.search(text) is not None).sub(r"\1", text)
    if text.isprintable():
        return text
    return (_UNSAFE_IN_BLOCK if newlines else _UNSAFE).sub(_picture, text)


class SafeStream:
    """`safe_text` of a block that comes in pieces: floods stay bounded and tabs keep their columns across borders."""

    def __init__(self) -> None:
        self._before = ""

    def clean(self, text: str) -> str:
        """Return the next piece, which may end anywhere, made safe."""
        whole = safe_text(self._before + text, newlines=True, limit=None)
        line = whole.rpartition("\n")[2]
        fresh = whole[len(self._before) :]
        self._before = line[-(_FLOOD + len(line) % 4) :]  # tabs stand every four columns
        return fresh
