"""Where a text has a pattern: what units are compared with. Free of torch.

A pattern is first found in the characters of the text as the model reads it, then told of its tokens. What holds from
one place to another (inside quotes, the position in the line) is told of a token by its last character: that is how far
the model has read when it has the state that is looked at, so an opening quote is inside and a closing one is not. What
a character is (a digit) holds for a token that has one.
"""

import itertools
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rnn_tui.errors import UsageError, nearest
from rnn_tui.inference.inspect_requests import PATTERNS

Floats = npt.NDArray[np.float32]
Span = tuple[int, int]

EXPRESSION = "regex:"
EXPRESSION_LIMIT = 1000
"""Characters of a regular expression."""
EXPRESSION_SECONDS = 2.0
"""How long a regular expression may search: one with nested repeats can take longer than the universe is old."""
TAB = 8

_WORD = re.compile(r"\w+(?:['’]\w+)*")
_BLANK = r"\n[ \t]*\n"
_QUOTES = re.compile(rf"""\\.|'"'|\"\"\"|'''|["“”«»„]|{_BLANK}""")
_SINGLE = re.compile(rf"\\.|['‘’]|{_BLANK}")
_PREFIX = re.compile(r"(?<![^\W_])[rbfuRBFU]?$")  # what may stand before a quotation mark that opens
_COMMENT = re.compile(
    r"""\"\"\"[\s\S]*?(?:\"\"\"|\Z)|'''[\s\S]*?(?:'''|\Z)|"(?:\\.|[^"\\\n])*"|(?<![^\W_])'(?:\\.|[^'\\\n])*'"""
    r"|(?P<comment>(?<!\S)\#(?!(?:include|define|undef|if|ifdef|ifndef|elif|else|endif|pragma)\b)[^\n]*"
    r"|(?<!:)//[^\n]*|/\*[\s\S]*?(?:\*/|\Z))"
)
_CLOSING = {
    '"': ('"',),
    "“": ("”",),
    "„": ("“", "”"),
    "«": ("»",),
    '"""': ('"""',),
    "'''": ("'''",),
}


@dataclass(frozen=True, eq=False)
class Marks:
    """Which tokens of a text have a pattern.

    Attributes:
        pattern: its name, or `regex:` and the expression.
        kind: whether a token has it or not, or a number of each token (a depth, a distance).
        values: (T,), 0 or 1, or the number.
    """

    pattern: str
    kind: Literal["yes-no", "number"]
    values: Floats

    @property
    def share(self) -> float:
        """The share of the tokens that have it; of a number, that are not 0."""
        return float((self.values != 0).mean())

    @property
    def varies(self) -> bool:
        """Whether it tells tokens apart at all."""
        return bool((self.values != self.values[0]).any())


def mark(texts: Sequence[str], pattern: str, *, check: Callable[[], None] | None = None) -> Marks:
    """Find a pattern in a text.

    Args:
        texts: what each token adds to the text; one that adds nothing (part of a character) is as the one before it.
        pattern: one of `PATTERNS`, or `regex:` and a regular expression, searched with `re.MULTILINE`. Tokens that
            have a character of a match are marked; a match of no length marks the character before it.
        check: called while a regular expression searches; may raise to give up.

    Raises:
        UsageError: when there is no such pattern, or the expression is wrong or takes too long.
    """
    text = "".join(texts)
    if pattern.startswith(EXPRESSION):
        spans = find_expression(text, pattern.removeprefix(EXPRESSION), check)
        return Marks(pattern, "yes-no", _any_of(texts, _inside(len(text), spans)))
    if pattern not in PATTERNS:
        known = (*PATTERNS, EXPRESSION)
        raise UsageError(
            f"there is no pattern {pattern[:40]!r}{nearest(pattern, known)}; there are {', '.join(known)}"
        )
    find, kind, tell = _FINDERS[pattern]
    return Marks(pattern, kind, tell(texts, find(text)))


def _ends(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """How many characters there are up to the end of each token (T,)."""
    return np.cumsum([len(text) for text in texts])


def _last_of(texts: Sequence[str], values: Floats) -> Floats:
    """What holds of characters as what holds of tokens: that of the last character so far."""
    before: Floats = np.concatenate([np.zeros(1, np.float32), values])
    return before[_ends(texts)]


def _any_of(texts: Sequence[str], values: Floats) -> Floats:
    """1 for tokens with any character that is not 0; a token without characters is as the one before."""
    ends = _ends(texts)
    total = np.concatenate([[0], np.cumsum(values != 0)])
    some = total[ends] > total[np.concatenate([[0], ends[:-1]])]
    latest = np.maximum.accumulate(np.where([bool(text) for text in texts], np.arange(len(texts)), 0))
    marked: Floats = some[latest].astype(np.float32)
    return marked


def _inside(length: int, spans: Sequence[Span]) -> Floats:
    """1 for the characters in one of the spans, 0 elsewhere; a span of no length is the character before it."""
    depth = np.zeros(length + 1, np.int64)
    for first, end in spans:
        first = max(0, first - 1) if first == end else first
        depth[first] += 1
        depth[max(end, first)] -= 1
    return (np.cumsum(depth)[:length] > 0).astype(np.float32)


def _of_spans(find: Callable[[str], Iterator[Span]]) -> Callable[[str], Floats]:
    return lambda text: _inside(len(text), list(find(text)))


def _of_characters(holds: Callable[[str], bool]) -> Callable[[str], Floats]:
    return lambda text: np.fromiter(map(holds, text), np.float32, len(text))


def _quotes(text: str) -> Iterator[Span]:
    """Spans from an opening mark up to the closing one.

    A blank line ends a quotation, as in novels, where one that goes over paragraphs opens anew in each; but not a
    string between three marks, as in code.
    """
    opened, begin = "", 0
    for match in _QUOTES.finditer(text):
        found = match.group()
        if not opened:
            if found in _CLOSING:
                opened, begin = found, match.start()
        elif found in _CLOSING[opened] or (found[0] == "\n" and len(opened) == 1):
            yield begin, match.start()
            opened = ""
    if opened:
        yield begin, len(text)


def _single_quotes(text: str) -> Iterator[Span]:
    """As `_quotes`. An apostrophe after a letter opens nothing; but in code one letter may stand before a string."""
    begin: int | None = None
    for match in _SINGLE.finditer(text):
        found, first, end = match.group(), match.start(), match.end()
        if begin is None:
            before, after = text[max(0, first - 2) : first], text[end : end + 1]
            if found in "'‘" and _PREFIX.search(before) and after.strip():
                begin = first
        elif found[0] == "\n" or (found in "'’" and not text[end : end + 1].isalnum()):
            yield begin, first
            begin = None
    if begin is not None:
        yield begin, len(text)


def _depth(text: str) -> Floats:
    """How many brackets are open after each character; a blank line closes them all."""
    depth = np.zeros(len(text), np.float32)
    opened, line_is_blank = 0, False
    for place, character in enumerate(text):
        if character in "([{":
            opened += 1
        elif character in ")]}":
            opened = max(0, opened - 1)
        elif character == "\n":
            opened = 0 if line_is_blank else opened
        line_is_blank = character == "\n" or (line_is_blank and character in " \t")
        depth[place] = opened
    return depth


def _line_position(text: str) -> Floats:
    """Characters since the last newline; 0 after the newline itself."""
    places = np.arange(1, len(text) + 1)
    newline = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4") == ord("\n")
    began = np.maximum.accumulate(np.where(newline, places, 0))
    return (places - began).astype(np.float32)


def _line_left(text: str) -> Floats:
    """Characters that follow before the next newline, or before the end of the text."""
    left = np.zeros(len(text), np.float32)
    following = 0
    for place in range(len(text) - 1, -1, -1):
        left[place] = following
        following = 0 if text[place] == "\n" else following + 1
    return left


def _line_end(text: str) -> Floats:
    """1 where a newline comes next."""
    return np.fromiter((after == "\n" for after in (*text[1:], "")), np.float32, len(text))


def _indent(text: str) -> Floats:
    """Columns of white space at the beginning of the line, as far as it was read; a tab goes to the next `TAB`."""
    columns = np.zeros(len(text), np.float32)
    place = 0
    for line in text.split("\n"):
        width = sum(1 for _ in itertools.takewhile(" \t".__contains__, line))
        column = 0
        for character in line[:width]:
            column += TAB - column % TAB if character == "\t" else 1
            columns[place] = column
            place += 1
        columns[place : place + len(line) - width] = column
        place += len(line) - width + 1  # after the newline no column was read
    return columns


def _comments(text: str) -> Iterator[Span]:
    return (match.span() for match in _COMMENT.finditer(text) if match["comment"])


def _word_starts(text: str) -> Iterator[Span]:
    return ((match.start(), match.start() + 1) for match in _WORD.finditer(text))


def _capital_words(text: str) -> Iterator[Span]:
    for match in _WORD.finditer(text):
        if len(match.group()) > 1 and match.group().isupper():
            yield match.span()


def _word_position(text: str) -> Floats:
    positions = np.zeros(len(text), np.float32)
    for match in _WORD.finditer(text):
        positions[match.start() : match.end()] = np.arange(1, len(match.group()) + 1)
    return positions


_Finder = tuple[
    Callable[[str], Floats], Literal["yes-no", "number"], Callable[[Sequence[str], Floats], Floats]
]
_FINDERS: dict[str, _Finder] = {
    "quotes": (_of_spans(_quotes), "yes-no", _last_of),
    "single-quotes": (_of_spans(_single_quotes), "yes-no", _last_of),
    "brackets": (lambda text: np.minimum(_depth(text), 1), "yes-no", _last_of),
    "bracket-depth": (_depth, "number", _last_of),
    "line-position": (_line_position, "number", _last_of),
    "line-left": (_line_left, "number", _last_of),
    "line-end": (_line_end, "yes-no", _last_of),
    "indent": (_indent, "number", _last_of),
    "comment": (_of_spans(_comments), "yes-no", _last_of),
    "whitespace": (_of_characters(str.isspace), "yes-no", _any_of),
    "word-start": (_of_spans(_word_starts), "yes-no", _any_of),
    "word-position": (_word_position, "number", _last_of),
    "after-capital": (_of_characters(str.isupper), "yes-no", _any_of),
    "capitals": (_of_spans(_capital_words), "yes-no", _last_of),
    "digits": (_of_characters(str.isdigit), "yes-no", _any_of),
    "punctuation": (_of_characters(lambda c: not (c.isalnum() or c.isspace())), "yes-no", _any_of),
    "sentence-end": (_of_characters(".!?…。！？".__contains__), "yes-no", _any_of),
}

_CHILD = """
import json, re, signal, sys, warnings
signal.setitimer(signal.ITIMER_REAL, float(sys.argv[1]))
warnings.simplefilter("ignore")
expression, text = json.load(sys.stdin)
try:
    found = re.compile(expression, re.MULTILINE)
except (re.error, RecursionError, OverflowError) as error:
    json.dump(str(error) or type(error).__name__, sys.stdout)
else:
    json.dump([match.span() for match in found.finditer(text)], sys.stdout)
"""


def find_expression(text: str, expression: str, check: Callable[[], None] | None = None) -> list[Span]:
    """Return where a regular expression matches, searched in a process of its own that the system ends in time.

    Python's `re` can neither be interrupted nor told a limit from within, and which expressions blow up is not to be
    seen from their form.

    Raises:
        UsageError: when it is wrong, or not done after `EXPRESSION_SECONDS`.
    """
    if len(expression) > EXPRESSION_LIMIT:
        raise UsageError(f"a regular expression has at most {EXPRESSION_LIMIT} characters")
    command = [sys.executable, "-I", "-S", "-c", _CHILD, str(EXPRESSION_SECONDS)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        asked: bytes | None = json.dumps([expression, text]).encode()
        try:
            while True:
                try:
                    answer, errors = child.communicate(asked, timeout=0.1)
                    break
                except subprocess.TimeoutExpired:
                    asked = None
                    if check:
                        check()
        except BaseException:
            child.kill()
            raise
    if child.returncode == -signal.SIGALRM:
        raise UsageError(
            f"the regular expression was not done after {EXPRESSION_SECONDS:g} s; "
            "take one without repeats inside repeats, or a shorter text"
        )
    if child.returncode:
        raise UsageError(
            f"the regular expression could not be searched: {errors.decode(errors='replace')[-200:]}"
        )
    found: Any = json.loads(answer)
    if isinstance(found, str):
        raise UsageError(f"the regular expression is wrong: {found}")
    return [(first, end) for first, end in found]
