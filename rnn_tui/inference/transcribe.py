"""A text read at once, and the label of each of its tokens: how a model of the task `aligned` answers a prompt."""

from dataclasses import dataclass

import numpy as np

from rnn_tui.errors import DivergedError
from rnn_tui.inference.drawing import Reader
from rnn_tui.inference.sampling import DIVERGED, log_probabilities
from rnn_tui.plugin.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Label:
    """A token of the source and what the model makes of it.

    Attributes:
        source, text: what token and label add to their texts: nothing in the middle of a character, all of it at its
            end.
        token: the label's id.
        probability: that the model gives the label.
    """

    source: str
    text: str
    token: int
    probability: float


@dataclass(frozen=True)
class Transcription:
    """The labels of a text.

    Attributes:
        text: of all labels.
        pieces: one for each token of the source.
        unknown: the symbols of the source that the vocabulary lacks; they were read as the tokenizer's unknown token.
    """

    text: str
    pieces: tuple[Label, ...]
    unknown: tuple[str, ...]


def transcribe(reader: Reader, tokenizer: Tokenizer, text: str) -> Transcription:
    """Give each token of `text` its most probable label.

    The text is read whole and from a fresh state, as a line of the corpus is; so a bidirectional model can do it too.
    The unknown token is never a label: it stands for no text.

    Args:
        text: one line, without its newline; an empty one has no labels.

    Raises:
        DivergedError: when the model's output is NaN.
    """
    ids = tokenizer.encode(text).astype(np.int64)
    if not len(ids):
        return Transcription("", (), ())
    logits, _ = reader.read(ids, reader.start(), len(ids))
    probabilities = np.exp(log_probabilities(logits))  # (T, V)
    if np.isnan(probabilities).any():
        raise DivergedError(DIVERGED)
    if tokenizer.unknown_id is not None and tokenizer.vocab_size > 1:
        probabilities[:, tokenizer.unknown_id] = -1.0
    tokens = probabilities.argmax(-1).tolist()
    rows = zip(
        _texts(tokenizer, ids.tolist()),
        _texts(tokenizer, tokens),
        tokens,
        probabilities.max(-1).tolist(),
        strict=True,
    )
    pieces = tuple(Label(*row) for row in rows)
    return Transcription("".join(piece.text for piece in pieces), pieces, tuple(tokenizer.unknown(text)))


def _texts(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    """Return what each of at least one token adds to the text."""
    decoder = tokenizer.decoder()
    texts = [decoder.push(token) for token in ids]
    texts[-1] += decoder.flush()
    return texts
