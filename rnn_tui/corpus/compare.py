"""One passage cut by several tokenizers, and what each makes of a text, from a sample that is the same for all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from rnn_tui.corpus.prepare import PreparedCorpus, Tokenizer
from rnn_tui.corpus.reading import Codec, Cutter, Piece
from rnn_tui.corpus.splits import Prepared

SAMPLE = 1_000_000
"""Characters of the training split that a tokenizer is trained on."""
HELD_OUT = 200_000
"""Characters of the validation split that are counted; of the sample itself where there is no such split."""


@dataclass(frozen=True)
class Cut:
    """What a tokenizer makes of a text."""

    tokenizer: Tokenizer
    vocab_size: int
    chars_per_token: float
    unknown: float
    """Share of the counted tokens that are the unknown token."""


def samples(prepared: Prepared[Any]) -> tuple[list[str], list[str]]:
    """Return, in pieces, the text that tokenizers are trained on and the one that is counted."""
    if not isinstance(prepared, PreparedCorpus):
        text = list(prepared.snapshot.pieces(0, SAMPLE))
        return text, text
    sample = list(prepared.pieces("train", 0, SAMPLE))
    held_out = "validation" in prepared.splits
    return sample, list(prepared.pieces("validation", 0, HELD_OUT)) if held_out else sample


def cut_sample(
    sample: Sequence[str],
    counted: Sequence[str],
    tokenizer_class: type[Tokenizer],
    options: Any,
    *,
    cancelled: Callable[[], bool] = lambda: False,
) -> Cut | None:
    """Train a tokenizer on a sample and count with it; None where `cancelled` says that nobody waits.

    Raises:
        Exception: whatever the tokenizer raises.
    """
    tokenizer = tokenizer_class.train(iter(sample), options)
    tokens = unknown = 0
    for ids in tokenizer.encode_stream(counted):
        if cancelled():
            return None
        tokens += len(ids)
        if tokenizer.unknown_id is not None:
            unknown += int((ids == tokenizer.unknown_id).sum())
    chars = sum(map(len, counted))
    return Cut(tokenizer, tokenizer.vocab_size, chars / max(1, tokens), unknown / max(1, tokens))


def cut_passage(tokenizer: Tokenizer, passage: str) -> list[Piece]:
    """Return a passage as a tokenizer's pieces; unknown ones are shown as what stands for them.

    Raises:
        PluginError: when the tokenizer cannot decode its own ids.
        Exception: whatever else it raises.
    """
    codec = cast(Codec, tokenizer)
    return Cutter(codec).pieces(codec.encode(passage).tolist())
