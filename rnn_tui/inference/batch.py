"""Several continuations of one prompt, drawn side by side: a step reads one token of each. Free of torch."""

import math
from dataclasses import dataclass

import numpy as np

from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.drawing import Reader
from rnn_tui.inference.generate import NOISE_AT_ONCE, Primed, hidden_token, seed_of
from rnn_tui.inference.pieces import Piece, Stops, Writer
from rnn_tui.inference.sampling import Noise, choose
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


def generate_batch(
    reader: Reader, tokenizer: Tokenizer, primed: Primed, config: SamplingConfig, samples: int
) -> list[Completion]:
    """Draw `samples` continuations of `primed`.

    Continuation j, from 0, draws the noise of seed s + j, where s is that of the settings or a fresh one: it is the
    text that this seed gives alone, up to rounding of the logits.

    Raises:
        DivergedError: when the model's output is NaN.
    """
    seed = seed_of(config)
    seeds = [None if seed is None else seed + j for j in range(samples)]
    rows = [_Row(tokenizer, primed, config, own, reader.output_size) for own in seeds]
    going = rows if config.length else []
    hidden = hidden_token(tokenizer)
    logits = np.repeat(primed.logits[None], samples, 0)  # (B, V)
    state = reader.pick(primed.state, np.zeros(samples, np.int64))
    ahead = max(1, min(64, NOISE_AT_ONCE // (samples * reader.output_size)))
    while going:
        steps = min(ahead, config.length - going[0].writer.tokens)
        noise = None  # or (T, B, V)
        if seed is not None:
            noise = np.stack([row.noise.take(steps) for row in going if row.noise], 1)
        for step in range(steps):
            if hidden is not None:
                logits = logits.copy()
                logits[:, hidden] = -np.inf
            tokens = choose(logits, config, None if noise is None else noise[step])  # (B,)
            logits, state = reader.advance(tokens, state)
            for row, token in zip(going, tokens.tolist(), strict=True):
                row.push(token)
        kept = np.flatnonzero([not row.reason for row in going])
        if len(kept) < len(going):
            going = [going[index] for index in kept]
            logits, state = logits[kept], reader.pick(state, kept)
    return [row.completion() for row in rows]


class _Row:
    """One continuation while it is drawn; what comes after its end is not heard."""

    def __init__(
        self, tokenizer: Tokenizer, primed: Primed, config: SamplingConfig, seed: int | None, vocab_size: int
    ) -> None:
        self.noise = None if seed is None else Noise(vocab_size, seed)
        self.writer = Writer(tokenizer, primed.held, config.length)
        self.reason = ""  # while it goes on
        self._seed = seed
        self._length = config.length
        self._stops = Stops(config.stop)
        self._pieces: list[Piece] = []

    def push(self, token: int) -> None:
        if not self.reason:
            text = self.writer.push(token)
            self._pieces += self._stops.push(Piece(text, token, math.nan, math.nan))
            if self._stops.found:
                self.reason = "stop"
            elif self.writer.tokens == self._length:
                self.reason = "length"

    def completion(self) -> Completion:
        text = "".join(piece.text for piece in [*self._pieces, *self._stops.waiting])
        return Completion(text, self.writer.tokens, self.reason or "length", self._seed)
