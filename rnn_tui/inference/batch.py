"""Several continuations of one prompt, drawn side by side: a step reads one token of each. Free of torch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.drawing import Reader
from rnn_tui.inference.generate import NOISE_AT_ONCE, Primed, hidden_token, measure, seed_of
from rnn_tui.inference.pieces import UNMEASURED, Measure, Piece, Stops, Writer
from rnn_tui.inference.sampling import Logits, Noise, choose
from rnn_tui.plugin.tokenizer import Tokenizer


@dataclass(frozen=True)
class Completion:
    """A continuation of a prompt, whole.

    Attributes:
        text: without what began a stop text.
        tokens: how many were drawn.
        reason: why it ended, as in `Generation`.
        seed: which gives it alone; None where nothing is random.
    """

    text: str
    tokens: int
    reason: str
    seed: int | None


@dataclass(frozen=True)
class Row(Completion):
    """One of several continuations.

    Attributes:
        index: which of them, from 0.
        pieces: of the text, one for each token.
        primed: what the model knows after its last token, as `Generation.primed`.
    """

    index: int
    pieces: tuple[Piece, ...]
    primed: Primed


class Batch:
    """Continuations of one prompt while they are drawn: iterate it once for them, each when it is complete.

    Continuation j, from 0, draws the noise of seed s + j, where s is that of the settings or a fresh one: it is the
    text that this seed gives alone, up to rounding of the logits.
    """

    def __init__(
        self,
        reader: Reader,
        tokenizer: Tokenizer,
        primed: Primed,
        config: SamplingConfig,
        samples: int,
        *,
        measured: bool = False,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        """Prepare to draw `samples` continuations of `primed`.

        Args:
            measured: give the pieces surprise, entropy and rank, which of 10,000 tokens take 90 µs each.
            progress: called with the number of tokens drawn so far, of all together; it may cancel.
        """
        self._reader = reader
        self._config = config
        self._start = primed
        self._measured = measured
        self._progress = progress
        self._cancelled = False
        self._hidden = hidden_token(tokenizer)
        self._seed = seed_of(config)
        seeds = [None if self._seed is None else self._seed + j for j in range(samples)]
        self._rows = [
            _Writing(index, tokenizer, primed, config, seed, reader.output_size)
            for index, seed in enumerate(seeds)
        ]
        self._ahead = max(1, min(64, NOISE_AT_ONCE // (samples * reader.output_size)))

    def cancel(self) -> None:
        """End soon; the continuations that are not complete are given as they are."""
        self._cancelled = True

    def __iter__(self) -> Iterator[Row]:
        """Draw.

        Raises:
            DivergedError: when the model's output is NaN.
        """
        if not self._config.length:
            for row in self._rows:
                yield row.end("length", self._start.state, self._start.logits)
            return
        reader, going = self._reader, self._rows
        logits = np.repeat(self._start.logits[None], len(going), 0)  # (B, V)
        state = reader.pick(self._start.state, np.zeros(len(going), np.int64))
        while going and not self._cancelled:
            logits, state = self._advance(going, logits, state)
            for row in going:
                if row.ended:
                    yield row.ended
            kept = np.flatnonzero([row.ended is None for row in going])
            if len(kept) < len(going):
                going = [going[index] for index in kept]
                logits, state = logits[kept], reader.pick(state, kept)
            if self._progress:
                self._progress(sum(row.writer.tokens for row in self._rows))
        for index, row in enumerate(going):
            yield row.end("cancelled", reader.pick(state, np.array([index])), logits[index])

    def _advance(self, going: "list[_Writing]", logits: Logits, state: Any) -> tuple[Logits, Any]:
        """Draw some tokens of each row, logits (B, V); return logits and state after them."""
        steps = min(self._ahead, self._config.length - going[0].writer.tokens)
        noise = None  # or (T, B, V)
        if self._seed is not None:
            noise = np.stack([row.noise.take(steps) for row in going if row.noise], 1)
        for step in range(steps):
            before = logits
            if self._hidden is not None:
                logits = logits.copy()
                logits[:, self._hidden] = -np.inf
            tokens = choose(logits, self._config, None if noise is None else noise[step])  # (B,)
            logits, state = self._reader.advance(tokens, state)
            measures = measure(before, tokens) if self._measured else [UNMEASURED] * len(going)
            for index, (row, token) in enumerate(zip(going, tokens.tolist(), strict=True)):
                if row.ended is None and (reason := row.push(token, measures[index])):
                    row.end(reason, self._reader.pick(state, np.array([index])), logits[index])
        return logits, state


def generate_batch(
    reader: Reader, tokenizer: Tokenizer, primed: Primed, config: SamplingConfig, samples: int
) -> list[Completion]:
    """Return what `Batch` draws, in order.

    Raises:
        DivergedError: when the model's output is NaN.
    """
    rows = Batch(reader, tokenizer, primed, config, samples)
    return [*sorted(rows, key=lambda row: row.index)]


class _Writing:
    """One continuation while it is drawn; it is read on to the end of a chunk, but nothing is heard after its end."""

    def __init__(
        self,
        index: int,
        tokenizer: Tokenizer,
        primed: Primed,
        config: SamplingConfig,
        seed: int | None,
        vocab_size: int,
    ) -> None:
        self.noise = None if seed is None else Noise(vocab_size, seed)
        self.writer = Writer(tokenizer, primed.held, config.length)
        self.ended: Row | None = None
        self._index = index
        self._seed = seed
        self._length = config.length
        self._stops = Stops(config.stop)
        self._pieces: list[Piece] = []

    def push(self, token: int, measured: Measure) -> str:
        """Take a token; return why it was the last, or the empty string."""
        self._pieces += self._stops.push(Piece(self.writer.push(token), token, *measured))
        if self._stops.found:
            return "stop"
        return "length" if self.writer.tokens == self._length else ""

    def end(self, reason: str, state: Any, logits: Logits) -> Row:
        """Take what the model knows after the last token, logits (V,); return the whole."""
        pieces = (*self._pieces, *self._stops.waiting)
        text = "".join(piece.text for piece in pieces)
        primed = Primed(state, logits.copy(), held=self.writer.held)
        self.ended = Row(text, self.writer.tokens, reason, self._seed, self._index, pieces, primed)
        return self.ended
