"""Lone surrogates: half characters that a Python string can hold and no encoding can."""

import re

_SURROGATE = re.compile("[\ud800-\udfff]")


def without_surrogates(text: str) -> str:
    """Return `text` with each lone surrogate as U+FFFD."""
    try:
        text.encode()  # as a rule there is none, and this finds it out in half the time of a search
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text)
    return text


def to_utf8(text: str) -> bytes:
    """Return `text` in UTF-8, each lone surrogate as U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text).encode()
