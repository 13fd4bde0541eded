"""A stranger's vocabulary, a list of texts by number, as a tokenizer of ours: which has numbers of its own.

The rows of the embedding and of the head are then put in our order, see `reading.reordered`. What a tokenizer has and
the stranger has not, an unknown token, reads as zeros and is never drawn.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_tui.errors import InputError, UsageError
from rnn_tui.model.strict_json import parse_json
from rnn_tui.plugin.tokenizer import Tokenizer
from rnn_tui.runs.records import read_small

_LARGEST = 8 * 1024 * 1024  # bytes of a JSON file


def read_vocabulary(path: Path) -> list[str]:
    """Return the texts of tokens by number, from JSON: a text of single characters, a list of texts, or a table of
    texts and numbers from 0 on.

    Raises:
        InputError: when it is none of these, or a text stands twice.
    """
    try:
        values = parse_json(read_small(path, _LARGEST).decode())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}") from None
    if isinstance(values, dict):
        numbers = values.values()
        if all(type(number) is int for number in numbers) and sorted(numbers) == [*range(len(values))]:
            values = sorted(values, key=values.__getitem__)
    elif isinstance(values, str):
        values = list(values)
    if not isinstance(values, list) or not values or not all(isinstance(text, str) for text in values):
        raise InputError(
            f"{path}: a vocabulary is a JSON list of texts by number, a table of texts and numbers from 0 on, or one "
            "text of single characters"
        )
    if len(set(values)) < len(values):
        [(twice, _)] = Counter(values).most_common(1)
        raise InputError(f"{path}: {twice[:64]!r} stands twice")
    return values


def tokenizer_of(
    plugin: type[Tokenizer], options: Any, vocabulary: Sequence[str], path: Path, name: str
) -> tuple[Tokenizer, npt.NDArray[np.int64]]:
    """Return a tokenizer of these tokens, and for each of its numbers the stranger's, or -1.

    Raises:
        UsageError: when the tokenizer cannot have these tokens; names some.
    """
    # the stranger's own token for what is unknown is no text
    unknown = next((number for number, text in enumerate(vocabulary) if _is_unknown(text)), -1)
    known = [text for number, text in enumerate(vocabulary) if number != unknown]
    gap = "" if all(len(text) == 1 for text in known) else "\n"
    # a token that is the gap itself would make a longer one of those beside it
    text = gap.join(text for text in known if not gap or text != gap) + gap * (gap in known)
    tokenizer = plugin.train([text], options)
    numbers = {text: number for number, text in enumerate(vocabulary) if number != unknown}
    order = np.full(tokenizer.vocab_size, -1, np.int64)
    others = []
    for token in range(tokenizer.vocab_size):
        text = tokenizer.token_text(token)
        if token == tokenizer.unknown_id:
            order[token] = unknown
        elif text in numbers:
            order[token] = numbers.pop(text)
        elif text != gap:
            others.append(text)
    if numbers or others:
        which = list(numbers) or others
        told = ", ".join(repr(text[:64]) for text in which[:5]) + (", …" if len(which) > 5 else "")
        raise UsageError(
            f"{path}: the tokenizer {name} does not cut text into these tokens: "
            f"{'it has none for' if numbers else 'it also has'} {told}; give another tokenizer"
        )
    return tokenizer, order


def _is_unknown(text: str) -> bool:
    bare = text.strip("<>[]{}|")
    return text == "\ufffd" or (bare != text and bare.lower() in ("unk", "unknown"))
