"""What a model knows after a text: a value to go on from, as often as one likes.

A recurrent net keeps all it knows of the text before in one state of fixed size. So a `Reading` is small, and keeping
one costs nothing: it is a snapshot, and reading on from it twice is a branch.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypedDict, Unpack, overload

import numpy as np
import numpy.typing as npt

from rnn_tui.errors import UsageError
from rnn_tui.inference.batch import generate_batch
from rnn_tui.inference.config import SamplingConfig, sampling_config
from rnn_tui.inference.drawing import Reader
from rnn_tui.inference.generate import Generation, Primed, next_tokens, prime
from rnn_tui.inference.sampling import log_probabilities
from rnn_tui.library import arguments
from rnn_tui.library.boundary import safe_errors
from rnn_tui.library.scoring import Scores, score
from rnn_tui.plugin.tokenizer import Tokenizer


class Sampling(TypedDict, total=False):
    """The settings of `Model.generate` that say how tokens are drawn."""

    length: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    greedy: bool
    seed: int | None
    stop: str | Sequence[str]


class Next(NamedTuple):
    """A token that may come next.

    Attributes:
        id: its number.
        text: what it adds to the text.
        probability: at temperature 1, before any rule.
    """

    id: int
    text: str
    probability: float


@dataclass(frozen=True, eq=False, repr=False)
class Reading:
    """What a model knows after a text; made by `Model.read`, and never changed.

        >>> start = model.read("the quick ")
        >>> one, other = start.read("brown"), start.read("lazy")
        >>> one.next(3) != other.next(3)
        True
        >>> len(start.generate(length=10, seed=3))
        10

    Attributes:
        tokens: how many were read in all. A prompt without any makes the model read one that begins a line, and so
            does `rnn-tui prompt`.
        unknown: the symbols read last that the vocabulary lacks; they were read as the unknown token.
    """

    _reader: Reader
    _tokenizer: Tokenizer
    _primed: Primed
    tokens: int
    unknown: tuple[str, ...]

    @safe_errors()
    def read(self, text: str) -> "Reading":
        """Return what the model knows after this and then `text`; this one stays as it is.

        Raises:
            DivergedError: when the model's output is not a number.
        """
        return read(self._reader, self._tokenizer, arguments.text("text", text), self)

    @safe_errors()
    def next(self, top: int = 10) -> list[Next]:
        """Return the `top` most probable next tokens, the best first."""
        count = arguments.whole("top", top, 0)
        return [Next(*found) for found in next_tokens(self._primed.logits, self._tokenizer, count)]

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """The probability of each token of the vocabulary to be the next one, float64 (V,), at temperature 1."""
        result: npt.NDArray[np.float64] = np.exp(log_probabilities(self._primed.logits))
        return result

    @overload
    def generate(self, *, n: None = None, **sampling: Unpack[Sampling]) -> str: ...
    @overload
    def generate(self, *, n: int, **sampling: Unpack[Sampling]) -> list[str]: ...
    @safe_errors()
    def generate(self, *, n: int | None = None, **sampling: Unpack[Sampling]) -> str | list[str]:
        """Continue the text: `Model.generate` from here on, with the same settings and errors."""
        config = sampling_of(sampling)
        if n is None:
            return "".join(piece.text for piece in self._generation(config))
        count = arguments.whole("n", n, 1, more=", or None for one text")
        return [
            one.text for one in generate_batch(self._reader, self._tokenizer, self._primed, config, count)
        ]

    @safe_errors()
    def stream(self, **sampling: Unpack[Sampling]) -> "Stream":
        """Continue the text piece by piece: `Model.stream` from here on, with the same settings and errors."""
        return Stream(self, self._generation(sampling_of(sampling)))

    @safe_errors()
    def score(self, text: str) -> Scores:
        """Return how surprising each token of `text` is after what was read.

        Raises:
            DivergedError: when the model's output is not a number.
        """
        return score(self._reader, self._tokenizer, arguments.text("text", text), self._primed)

    def _generation(self, config: SamplingConfig) -> Generation:
        return Generation(self._reader, self._tokenizer, self._primed, config)

    def __repr__(self) -> str:
        return f"<Reading: {self.tokens:,} tokens>"


class Stream(Iterator[str]):
    """A continuation while it is drawn: iterate it once, for pieces of text that join to what `generate` returns.

        >>> stream = model.stream("the ", length=30, seed=5)
        >>> "".join(stream) == model.generate("the ", length=30, seed=5)
        True
        >>> stream.reason
        'length'
        >>> more = stream.reading.generate(length=5)       # from where it ended

    A piece holds whole characters only, and nothing that may still turn out to begin a stop text.
    """

    def __init__(self, start: Reading, generation: Generation) -> None:
        self._start = start
        self._generation = generation
        self._pieces = iter(generation)

    @safe_errors()
    def __next__(self) -> str:
        """Return the next piece, which is never empty.

        Raises:
            DivergedError: when the model's output is not a number.
        """
        while True:
            if text := next(self._pieces).text:
                return text

    def cancel(self) -> None:
        """End before the next token; what is held back for a stop text is still given. From any thread."""
        self._generation.cancel()

    @property
    def reason(self) -> str:
        """Why it ended: `length`, `stop` or `cancelled`; until then `running`."""
        return self._generation.reason

    @property
    def seed(self) -> int | None:
        """The seed in use, drawn where none was given; None where nothing is random."""
        return self._generation.seed

    @property
    def tokens(self) -> int:
        """How many were drawn so far."""
        return self._generation.tokens

    @property
    def reading(self) -> Reading:
        """What the model knows after what was drawn so far; after a stop text it has read that too."""
        return replace(
            self._start,
            _primed=self._generation.primed,
            tokens=self._start.tokens + self._generation.tokens,
            unknown=(),
        )


def read(reader: Reader, tokenizer: Tokenizer, text: str, after: Reading | None) -> Reading:
    """Read `text` after what was read before, or from nothing."""
    primed = prime(reader, tokenizer, text, None if after is None else after._primed)
    tokens = primed.tokens + (0 if after is None else after.tokens)
    return Reading(reader, tokenizer, primed, tokens, primed.unknown)


def sampling_of(given: Sampling, more: Mapping[str, object] | None = None) -> SamplingConfig:
    """Return the settings, checked.

    Args:
        more: what was given beside them.

    Raises:
        UsageError: for an unknown name (with the nearest one) or a value out of bounds.
    """
    items: dict[str, object] = {**given, **(more or {})}
    if "n" in items:
        raise UsageError("a stream is one continuation; generate(n=…) returns several")
    for name, value in items.items():
        if isinstance(value, np.generic):  # a seed that NumPy drew, say
            items[name] = value.item()
    stop = items.get("stop", ())
    items["stop"] = (stop,) if isinstance(stop, str) else tuple(stop) if isinstance(stop, Iterable) else stop
    return sampling_config(items)
