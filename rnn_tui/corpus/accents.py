"""Letters written with separate accents: the same word in two ways, which a vocabulary takes for two."""

import unicodedata
from collections.abc import Iterable

from rnn_tui.corpus.findings import Finding


def accent_finding(texts: Iterable[str]) -> Finding | None:
    """Return a remark on a text, in pieces, that is not in Unicode's form NFC; None for one that is."""
    more = sum(
        len(text) - len(unicodedata.normalize("NFC", text))
        for text in texts
        if not unicodedata.is_normalized("NFC", text)
    )
    if more <= 0:
        return None
    text = f"{more:,} accents are characters of their own (the text is not in Unicode's form NFC)"
    return Finding("note", text, "let the step compose join them to their letters")
