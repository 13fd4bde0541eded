"""Where the tokens of a text begin, found for all of them at once.

`TOKEN` is the definition. `token_starts` gives the same places by comparing neighbouring characters, and leaves to
the expression only what is too long or too rare to be worth more code.
"""

import re

import numpy as np
import numpy.typing as npt

from rnn_tui.plugin import Ids

# Ideographs and kana stand alone: their scripts put no spaces between words.
_ALONE = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Accents and vowel signs inside words, which re's \w leaves out: Latin, Hebrew, Arabic, Indic, Thai, the
# joiners.
_SIGNS = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u0900-\u0dff\u0e31-\u0e4e\u200c\u200d"
LETTER = f"(?:[^\\W{_ALONE}]|[{_SIGNS}])"
# Every part has a longest form, so that a token never looks further than LOOK characters ahead.
TOKEN = re.compile(
    f"[{_ALONE}]"
    f"| ?{LETTER}{{1,48}}(?:['’]{LETTER}{{1,12}})?"  # a word, with one apostrophe inside: don't, l'eau
    f"| ?([^\\w\\s{_SIGNS}{_ALONE}])\\1{{0,63}}"  # a mark, repeated: , ... ---
    f"|\\s{{1,64}}(?= [^\\s{_ALONE}])"  # white space, up to the space that the next word takes
    f"|\\s{{1,64}}"
)
LOOK = 68

_SHORT = 48  # no part of a token is cut at so many characters or fewer
_SHORT_TAIL = 12  # nor what follows an apostrophe

# The kinds of characters, in an order that lets one comparison pick several of them. 0 is: not met yet.
_KIND = re.compile(f"((?! )\\s)|( )|([{_ALONE}])|({LETTER})|(['’])|(.)", re.DOTALL)
_SPACE, _LETTER, _APOSTROPHE = 2, 4, 5  # above a letter all are marks


def _kind(char: str) -> int:
    match = _KIND.match(char)
    assert match is not None
    return match.lastindex or 0


_kinds = np.zeros(0x110000, np.uint8)  # by code point, filled in as characters are met
_ascii_kinds = bytes(_kind(chr(code)) for code in range(128)) + bytes(128)


def token_starts(text: str) -> Ids:
    """Return the index in `text` of the first character of each of its tokens, shape (tokens,), rising from 0.

    Args:
        text: Any text without lone surrogates.
    """
    if not text:
        return np.zeros(0, np.int64)
    codes, kinds = _characters(text)
    left, right = kinds[:-1], kinds[1:]
    letters = kinds == _LETTER
    takes = (left == _SPACE) & (right >= _LETTER)  # the space belongs to the word or mark behind it
    inside = takes | (letters[:-1] & letters[1:])
    inside |= (right >= _APOSTROPHE) & (codes[1:] == codes[:-1])
    inside |= (left <= _SPACE) & (right <= _SPACE)
    inside[:-1] &= ~takes[1:]
    begins = np.ones(len(text), bool)
    np.logical_not(inside, out=begins[1:])
    starts: Ids = np.flatnonzero(begins)
    apostrophes = np.flatnonzero((right[:-1] == _APOSTROPHE) & letters[:-2] & letters[2:]) + 1
    long = np.zeros(len(starts), bool)
    if len(apostrophes):
        starts, long = _with_tails(starts, apostrophes, len(text))
    ends = np.append(starts[1:], len(text))
    long |= ends - starts > _SHORT
    return _cut(text, starts, ends, long) if long.any() else starts


def _with_tails(starts: Ids, apostrophes: Ids, end: int) -> tuple[Ids, npt.NDArray[np.bool_]]:
    """Join each word, apostrophe and tail that are one token; return its starts, and which have a long tail."""
    index = np.searchsorted(starts, apostrophes)  # the apostrophe is still a token, and so is what follows it
    length = np.append(starts, end)[index + 2] - apostrophes - 1
    # A token has one tail: in rock'n'roll, where the second apostrophe is right behind a short tail, it stands
    # alone. So of several in a row every other one is joined. A long tail is cut, and what is left is a word.
    behind = (np.diff(index, prepend=-2) == 2) & (np.append(0, length[:-1]) <= _SHORT_TAIL)
    order = np.arange(len(index))
    joined = (order - np.maximum.accumulate(np.where(behind, 0, order))) % 2 == 0
    index, length = index[joined], length[joined]
    kept = np.ones(len(starts), bool)
    kept[index] = kept[index + 1] = False
    long = np.zeros(len(starts), bool)
    # at the start of the word; where that is not kept, it is in a long tail itself, whose own word is marked
    long[index[length > _SHORT_TAIL] - 1] = True
    return starts[kept], long[kept]


def _cut(text: str, starts: Ids, ends: Ids, long: npt.NDArray[np.bool_]) -> Ids:
    """Cut the pieces marked `long` as the expression does: none of them depends on what stands around it."""
    begins, ends = starts[long].tolist(), ends[long].tolist()
    cut = [
        begin + match.start()
        for begin, end in zip(begins, ends, strict=True)
        for match in TOKEN.finditer(text[begin:end])
    ]
    return np.sort(np.concatenate([starts[~long], cut]), kind="stable")


def _characters(text: str) -> tuple[Ids, Ids]:
    """Return the code points of `text` and their kinds."""
    if text.isascii():
        data = text.encode()
        return np.frombuffer(data, np.uint8), np.frombuffer(data.translate(_ascii_kinds), np.uint8)
    codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
    kinds = np.take(_kinds, codes)
    if not kinds.min():
        for code in np.unique(codes[kinds == 0]).tolist():
            _kinds[code] = _kind(chr(code))
        kinds = np.take(_kinds, codes)
    return codes, kinds
