"""The named steps that clean a text, each over text in pieces.

Every step gives the same result however the text is cut into pieces; what may still change waits for the next
piece.
"""

import re
import string
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence

from rnn_tui.corpus import repairs
from rnn_tui.corpus.config import Step
from rnn_tui.errors import UsageError

Texts = Iterable[str]

_NOT_LETTERS = re.compile("[^A-Za-z]+")
_BLANKS = re.compile(r"[^\S\r\n]+")
_NEWLINE = re.compile("\r\n|\r|\n")


def normalise(texts: Texts, steps: Sequence[Step]) -> Iterator[str]:
    """Apply `steps` in order and yield the pieces that are not empty.

    Raises:
        UsageError: when a step needs a package that is not installed; before anything is read.
    """
    for step in steps:
        texts = _STEPS[step](texts)
    return filter(None, texts)


def _lowercase(texts: Texts) -> Iterator[str]:
    """Lower case, letter by letter.

    Capital sigma becomes the medial form everywhere: `str.lower` looks at its neighbours, which may lie in
    another piece.
    """
    return (text.replace("\u03a3", "\u03c3").lower() for text in texts)


def _letters_only(texts: Texts) -> Iterator[str]:
    """Each run of anything but the letters A-Z and a-z becomes one space (Dive into Deep Learning, 8.2)."""
    return _runs_to_space(_NOT_LETTERS, texts)


def _collapse_spaces(texts: Texts) -> Iterator[str]:
    """Each run of spaces, tabs and other blanks becomes one space; newlines stay."""
    return _runs_to_space(_BLANKS, texts)


def _runs_to_space(run: re.Pattern[str], texts: Texts) -> Iterator[str]:
    inside = False  # the text so far ends in a run, whose space is already written
    for text in texts:
        if not text:
            continue
        start = run.match(text)
        rest = text[start.end() :] if inside and start else text
        inside = run.match(text[-1]) is not None
        yield run.sub(" ", rest)


def _newlines_to_spaces(texts: Texts) -> Iterator[str]:
    """Each LF, CR or CRLF becomes one space."""
    held = ""
    for text in texts:
        text = held + text
        held = "\r" if text.endswith("\r") else ""
        yield _NEWLINE.sub(" ", text.removesuffix("\r"))
    if held:
        yield " "


class _Punctuation(dict[int, int | None]):
    """A table for `str.translate` that asks Unicode about each character once."""

    def __missing__(self, code: int) -> int | None:
        char = chr(code)
        gone = char in string.punctuation or unicodedata.category(char).startswith("P")
        self[code] = None if gone else code
        return self[code]


def _strip_punctuation(texts: Texts) -> Iterator[str]:
    """Remove Unicode punctuation (categories P*) and the ASCII signs ``$+<=>^`|~``."""
    table = _Punctuation()
    return (text.translate(table) for text in texts)


def _transliterate(texts: Texts) -> Iterator[str]:
    """Write every character in ASCII, one by one: é as e, Ж as Zh, 深 as Shen."""
    for text in texts:
        yield text if text.isascii() else _in_ascii(text)


def _in_ascii(text: str) -> str:
    try:
        from anyascii import anyascii
    except ImportError:
        raise UsageError(
            "the step transliterate needs the package anyascii for a text that is not ASCII; install it with: "
            "pip install 'rnn-tui[transliterate]'"
        ) from None
    return str(anyascii(text))


_STEPS: dict[Step, Callable[[Texts], Iterator[str]]] = {
    "lowercase": _lowercase,
    "letters-only": _letters_only,
    "strip-punctuation": _strip_punctuation,
    "newlines-to-spaces": _newlines_to_spaces,
    "collapse-spaces": _collapse_spaces,
    "transliterate": _transliterate,
    "unix-newlines": repairs.unix_newlines,
    "drop-controls": repairs.drop_controls,
    "compose": repairs.compose,
    "drop-repeated-lines": repairs.drop_repeated_lines,
}
