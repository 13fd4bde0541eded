"""Which text, how it is cleaned and where it is cut, as settings."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

Step = Literal[
    "lowercase", "letters-only", "strip-punctuation", "newlines-to-spaces", "collapse-spaces", "transliterate",
    "unix-newlines", "drop-controls", "compose", "drop-repeated-lines",
]  # fmt: skip
"""The names of the normalising steps; `rnn_tui.corpus.normalise` says what each does."""


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """A text and what is done to it before a tokenizer sees it."""

    source: Annotated[
        str, Meta(description="A file, a folder, '-' for standard input, or a named corpus.")
    ] = "stdlib"
    normalise: Annotated[tuple[Step, ...], Meta(description="Steps applied to the text, in this order.")] = ()
    first_tokens: Annotated[
        int, Meta(ge=0, description="Keep only so many tokens from the start; 0 keeps all.")
    ] = 0
    validation: Annotated[
        float,
        Meta(
            ge=0,
            lt=1,
            description="Share of the text, of its lines or of the rows, from the end, held out for validation.",
        ),
    ] = 0.1
    test: Annotated[
        float,
        Meta(ge=0, lt=1, description="Share after validation, held out for a final test."),
    ] = 0.0
    strict: Annotated[
        bool, Meta(description="Refuse text that is not valid UTF-8 instead of replacing it.")
    ] = False
