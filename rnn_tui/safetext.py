"""The one boundary between text from outside and the terminal.

Corpora, samples, file names, plugin names and error messages are data. Textual and rich pass control and
escape sequences through to the terminal, where they can move the cursor, set the title or write the clipboard.
Every such string passes `safe_text` before a widget, a title, a log line or an echo.
"""

import re

# C0 and DEL have pictures of their own in Unicode; C1, bidi controls, line separators, BOM and surrogates have none.
_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "\u2421"}
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_MARKS = re.compile(
    "([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f\u200b-\u200d]{8})"
    "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f\u200b-\u200d]+"
)


def _picture(match: re.Match[str]) -> str:
    return _PICTURES.get(ord(match.group()), "\ufffd")


def safe_text(text: object, *, newlines: bool = False, limit: int | None = 4096) -> str:
    """Return `text` with everything that could drive a terminal made visible.

    Control characters become their Unicode pictures (ESC is `␛`), C1 and bidi controls and lone surrogates
    become U+FFFD, runs of more than eight combining or zero-width marks are cut to eight.

    Args:
        text: Anything; `str()` is taken of it.
        newlines: Keep newlines and expand tabs, for text shown as a block. Otherwise both become pictures.
        limit: The longest line in characters; the rest is replaced by `…`. None keeps all.
    """
    text = str(text)
    if newlines:
        lines = text.replace("\r\n", "\n").split("\n")
        return "\n".join(safe_text(line.expandtabs(4), limit=limit) for line in lines)
    if limit is not None and len(text) > limit:
        text = text[: limit - 1] + "…"
    return _UNSAFE.sub(_picture, _MARKS.sub(r"\1", text))
