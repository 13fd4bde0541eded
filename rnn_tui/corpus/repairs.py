"""The steps that mend what the doctor finds in a text; like all steps, over text in pieces.

`rnn_tui.corpus.normalise` has the others, and the law that all keep: the result does not depend on the pieces.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import compress

Texts = Iterable[str]

LONGEST_LINE = 1 << 20
"""Characters; a longer line is not compared with others, so that it need not be held."""

_CRS = re.compile("\r\n?")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)")
_SETTLED = re.compile("[\x00-\u02ff\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff]")
"""Characters that never join with one before them: text may be cut in front of these. Unicode's composition joins
marks, vowel signs and Hangul letters only, all of which lie elsewhere."""


def unix_newlines(texts: Texts) -> Iterator[str]:
    """Each CRLF or CR becomes LF."""
    for text in _without_cut_pairs(texts):
        yield _CRS.sub("\n", text) if "\r" in text else text


def drop_controls(texts: Texts) -> Iterator[str]:
    """Remove NUL, DEL and every other control character but tab, newline and a carriage return before a newline."""
    for text in _without_cut_pairs(texts):
        yield _CONTROLS.sub("", text)


def compose(texts: Texts) -> Iterator[str]:
    """Unicode's form NFC: a letter and its accent become one character where there is one."""
    held = ""
    for text in texts:
        text = held + text
        cut = next((at for at in range(len(text) - 1, 0, -1) if _SETTLED.match(text, at)), 0)
        yield unicodedata.normalize("NFC", text[:cut])
        held = text[cut:]
    yield unicodedata.normalize("NFC", held)


def drop_repeated_lines(texts: Texts) -> Iterator[str]:
    """Remove each line that stood before, blank ones apart.

    Lines are compared by 8 bytes of their BLAKE2b digest, which is the memory that each different one takes.
    """
    seen = _Seen()
    held, long = "", False  # long: within a line that is too long to compare
    for text in texts:
        *lines, held = (held + text).split("\n")
        kept: list[str] = []
        if lines and long:
            kept.append(lines.pop(0) + "\n")
            long = False
        kept += [line + "\n" for line, new in zip(lines, seen.new(lines), strict=True) if new]
        if long or len(held) > LONGEST_LINE:
            kept.append(held)
            held, long = "", True
        yield "".join(kept)
    if held and seen.new([held])[0]:
        yield held


class _Seen:
    """The lines so far."""

    def __init__(self) -> None:
        import numpy as np  # here: what imports the names of the steps must start without NumPy

        self._digests = np.empty(0, np.uint64)

    def new(self, lines: list[str]) -> list[bool]:
        """Return for each line whether it is kept: new, blank, or too long; and take note of it."""
        import numpy as np

        compared = [bool(line) and not line.isspace() and len(line) <= LONGEST_LINE for line in lines]
        data = b"".join(
            blake2b(line.encode(errors="surrogatepass"), digest_size=8).digest()
            for line in compress(lines, compared)
        )
        different, first = np.unique(np.frombuffer(data, np.uint64), return_index=True)
        places = np.searchsorted(self._digests, different)
        fresh = places == len(self._digests)
        fresh[~fresh] = self._digests[places[~fresh]] != different[~fresh]
        kept = np.zeros(len(data) // 8, bool)
        kept[first[fresh]] = True
        self._digests = np.insert(self._digests, places[fresh], different[fresh])
        verdicts = iter(kept.tolist())
        return [not one or next(verdicts) for one in compared]


def _without_cut_pairs(texts: Texts) -> Iterator[str]:
    """Yield the text in pieces of which none ends between a carriage return and its newline."""
    held = ""
    for text in texts:
        text = held + text
        held = "\r" if text.endswith("\r") else ""
        yield text[:-1] if held else text
    if held:
        yield held
