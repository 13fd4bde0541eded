"""Reading a prompt and continuing it. Free of torch: a `Reader` computes, in whichever way it does.

What a recurrent net knows of the text before it is one state of fixed size. So everything here takes and returns
`Primed`, that state with the logits for what comes next: keeping one is a snapshot, starting twice from one is a
branch, going back to one is undo, and none of it costs more than the reference.

The unknown token is never drawn (its logit is set to -inf): it stands for no text. Its probability still counts in
surprise and entropy, which describe the model as it is.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnn_tui.errors import DivergedError
from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.drawing import Drawn, Ids, Reader
from rnn_tui.inference.pieces import UNMEASURED, Measure, Piece, Writer, until_stop
from rnn_tui.inference.sampling import DIVERGED, Logits, Noise, fresh_seed, log_probabilities, shifted_logits
from rnn_tui.plugin.tokenizer import Tokenizer

WINDOW = 512
"""Prompt tokens read at once, at most; a large vocabulary shortens it."""
LOGITS_AT_ONCE = 4_000_000
"""Logits held at a time while reading a prompt: 16 MB in float32."""
DECODER_CONTEXT = 64
"""Tokens given to a decoder before the first one that is shown, so that it does not start within a character."""
PROMPT_PIECES = 4096
"""How many tokens of a prompt, from its end, are kept as pieces."""

CHUNK = 64
"""Tokens drawn in one go, at most; a large vocabulary lowers it."""
NOISE_AT_ONCE = 2**16
"""Numbers of noise drawn in one go, half a megabyte."""
CHUNK_SECONDS = 0.01
"""How long one go may take: a text must be seen to flow, and a cancel obeyed."""
TINY = 5e-324
"""The smallest number above 0."""


@dataclass(frozen=True)
class Primed:
    """A model that has read something.

    Attributes:
        state: after the last token read.
        logits: (V,), for the token that comes next.
        pieces: the prompt that `prime` read last, its last `PROMPT_PIECES` tokens.
        unknown: the symbols in it that the vocabulary lacks; they were read as the tokenizer's unknown token.
        tokens: how many tokens that prompt had.
        held: tokens at the end that are a part of a character so far, and not shown yet.
    """

    state: Any
    logits: Logits
    pieces: tuple[Piece, ...] = ()
    unknown: tuple[str, ...] = ()
    tokens: int = 0
    held: tuple[int, ...] = ()


def start_token(tokenizer: Tokenizer) -> int:
    """Return what an empty prompt starts from: the newline, else the space, else the lowest id that is not unknown."""
    for text in ("\n", " "):
        ids = tokenizer.encode(text)
        if len(ids) == 1 and ids[0] != tokenizer.unknown_id:
            return int(ids[0])
    return 1 if tokenizer.unknown_id == 0 and tokenizer.vocab_size > 1 else 0


def prime(
    reader: Reader,
    tokenizer: Tokenizer,
    text: str,
    after: Primed | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Primed:
    """Read `text` and return what the model knows after it.

    Args:
        text: may be empty: then `after` is returned as it is, and without it the model reads `start_token`, which is
            no part of the prompt's pieces.
        after: what was read before; None starts fresh.
        progress: called with tokens read and tokens in all; may raise to give up.

    Raises:
        DivergedError: when the model's output is NaN.
    """
    ids = tokenizer.encode(text).astype(np.int64)
    if not len(ids):
        if after is not None:
            return replace(after, pieces=(), unknown=(), tokens=0)
        ids = np.array([start_token(tokenizer)])
        return replace(_read(reader, ids, None, progress)[0], tokens=0)
    primed, measures = _read(reader, ids, after, progress)
    kept = len(measures)
    decoder = tokenizer.decoder()
    texts = [decoder.push(token) for token in ids[-kept - DECODER_CONTEXT :].tolist()][-kept:]
    texts[-1] += decoder.flush()
    tokens = zip(texts, ids[-kept:].tolist(), measures, strict=True)
    pieces = [Piece(text, token, *measured) for text, token, measured in tokens]
    unknown = tuple(tokenizer.unknown(text))
    if unknown:
        sources = unknown_sources(tokenizer, text, ids[-kept:].tolist(), unknown)
        pieces = [piece._replace(source=source) for piece, source in zip(pieces, sources, strict=True)]
    return replace(primed, pieces=tuple(pieces), unknown=unknown)


def unknown_sources(
    tokenizer: Tokenizer, text: str, ids: Sequence[int], unknown: Sequence[str]
) -> list[str | None]:
    """Return of each token what `Piece.source` says.

    Tokens and text are walked side by side from their ends. That tells where each token's text is the part of the text
    that it was made of; where it is not, what stands before cannot be told.

    Args:
        ids: the last tokens of `text`.
        unknown: its symbols that the vocabulary lacks.
    """
    symbols = set(unknown)
    lengths = sorted(set(map(len, symbols)), reverse=True)
    sources: list[str | None] = []
    end = len(text)  # -1 once it is lost
    for token in reversed(ids):
        if token == tokenizer.unknown_id:
            found = (text[max(end - length, 0) : end] for length in lengths if end > 0)
            source = next((part for part in found if part in symbols), "")
            sources.append(source)
            end = end - len(source) if source else -1
        else:
            sources.append(None)
            known = tokenizer.token_text(token) if end >= 0 else ""
            end = end - len(known) if end >= 0 and text.endswith(known, 0, end) else -1
    return sources[::-1]


def _read(
    reader: Reader, ids: Ids, after: Primed | None, progress: Callable[[int, int], None] | None
) -> tuple[Primed, list[Measure]]:
    """Read at least one id; return the state and the measures of the last `PROMPT_PIECES`."""
    total = len(ids)
    state = reader.start() if after is None else after.state
    logits = None if after is None else after.logits
    measures: list[Measure] = []
    window = max(1, min(WINDOW, LOGITS_AT_ONCE // reader.output_size))
    for begin in range(0, total, window):
        part = ids[begin : begin + window]  # (T,)
        shown = begin + window > total - PROMPT_PIECES
        predictions, state = reader.read(part, state, len(part) if shown else 1)  # (T, V) or (1, V)
        if shown:
            if logits is None:
                measures.append(UNMEASURED)
                measures += measure(predictions[:-1], part[1:])
            else:
                measures += measure(np.concatenate([logits[None], predictions[:-1]]), part)
        logits = predictions[-1]
        if progress:
            progress(min(begin + window, total), total)
    assert logits is not None
    if np.isnan(logits).any():
        raise DivergedError(DIVERGED)
    return Primed(state, logits.copy(), tokens=total), measures[-PROMPT_PIECES:]


def measure(logits: Logits, tokens: Ids) -> list[Measure]:
    """Return surprise and entropy in nats, and rank, for logits (T, V) and the tokens (T,) that came.

    Of logits x, the largest 0, with Z the sum of exp x, surprise is log Z - x at the token, and entropy log Z minus the
    mean of x. A token takes 0.6 µs of a vocabulary of 65, 64 at once, and 90 of 10,000; the rank 0.15 and 3 of these.
    """
    at = np.arange(len(tokens)), tokens
    shifted = shifted_logits(logits)  # (T, V)
    own = shifted[at]
    above = shifted > own[:, None]
    rank = np.add.reduce(above.view(np.int8), axis=-1, dtype=np.int32)  # as booleans, three times as slow
    powers = np.exp(shifted)
    total = powers.sum(-1, initial=TINY)  # (T,); what is added is lost, but where all are -inf
    log_total = np.log(total)
    powers *= np.maximum(shifted, -1e30, out=shifted)  # 0 · log 0 is 0
    entropy = log_total - powers.sum(-1) / total
    return list(zip((log_total - own).tolist(), entropy.tolist(), rank.tolist(), strict=True))


class Generation:
    """A continuation while it is drawn: iterate it once for its pieces.

    Tokens are drawn in chunks, one first and then as many as take little time; how many does not change the text.

    Attributes:
        reason: why it ended: `length`, `stop` or `cancelled`; until then `running`.
        seed: the one in use; drawn where the settings have none, None where nothing is random.
    """

    def __init__(self, reader: Reader, tokenizer: Tokenizer, primed: Primed, config: SamplingConfig) -> None:
        self.reason = "running"
        self.seed = seed_of(config)
        self._reader = reader
        self._tokenizer = tokenizer
        self._config = config
        self._cancelled = False
        self._start = primed
        self._chunk: tuple[Drawn, int] | None = None  # and which of its tokens was given last
        self._writer = Writer(tokenizer, primed.held, config.length)

    @property
    def tokens(self) -> int:
        """How many were drawn and given."""
        return self._writer.tokens

    @property
    def primed(self) -> Primed:
        """What the model knows after the last token given; with it another continuation goes on from here.

        After a stop text has been found it has read that text too.
        """
        if self._chunk is None:
            return self._start
        drawn, index = self._chunk
        return Primed(drawn.states[index], drawn.logits[index].copy(), held=self._writer.held)

    def cancel(self) -> None:
        """End before the next token; what is held back for a stop text is still given."""
        self._cancelled = True

    def __iter__(self) -> Iterator[Piece]:
        found = yield from until_stop(self._draw(), self._config.stop)
        self.reason = "stop" if found else "cancelled" if self._cancelled else "length"

    def _draw(self) -> Iterator[Piece]:
        for drawn, measures in self._chunks():
            for index, (token, measured) in enumerate(zip(drawn.tokens.tolist(), measures, strict=True)):
                if self._cancelled:
                    return
                text = self._writer.push(token)
                self._chunk = drawn, index
                yield Piece(text, token, *measured)

    def _chunks(self) -> Iterator[tuple[Drawn, list[Measure]]]:
        """Draw `length` tokens; yield chunks of them with the measures of each."""
        reader, config = self._reader, self._config
        hidden = hidden_token(self._tokenizer)
        noise = None if self.seed is None else Noise(reader.output_size, self.seed)
        logits, state = self._start.logits, self._start.state
        size, most, left = 1, max(1, min(CHUNK, NOISE_AT_ONCE // reader.output_size)), config.length
        while left and not self._cancelled:
            begin = time.perf_counter()
            size = min(size, left)
            drawn = reader.draw(logits, state, size, noise.take(size) if noise else None, config, hidden)
            seconds = time.perf_counter() - begin
            before = np.concatenate([logits[None], drawn.logits[:-1]])  # (k, V): what each was drawn from
            yield drawn, measure(before, drawn.tokens)
            left -= len(drawn.tokens)
            logits, state = drawn.logits[-1], drawn.states[-1]
            size = min(most, size * 2) if seconds < CHUNK_SECONDS / 2 else max(1, size // 2)


def seed_of(config: SamplingConfig) -> int | None:
    """Return the seed of a continuation: drawn where the settings have none, None where nothing is random."""
    return None if config.deterministic else fresh_seed() if config.seed is None else config.seed


def hidden_token(tokenizer: Tokenizer) -> int | None:
    """Return the token that is never drawn, the unknown one, where there is another."""
    return tokenizer.unknown_id if tokenizer.vocab_size > 1 else None


def generate(reader: Reader, tokenizer: Tokenizer, primed: Primed, config: SamplingConfig) -> Generation:
    """Continue from `primed`: iterate the result for its pieces, one for each token.

    Text is given when it is certain: whole characters only, and nothing that may still turn out to begin a stop text.

    Raises (while iterating):
        DivergedError: when the model's output is NaN.
    """
    return Generation(reader, tokenizer, primed, config)


def next_tokens(logits: Logits, tokenizer: Tokenizer, top: int = 10) -> list[tuple[int, str, float]]:
    """Return the most probable next tokens as (id, text, probability at temperature 1), the best first.

    Args:
        logits: (V,).
    """
    log_p = log_probabilities(logits)
    best = np.argsort(-log_p, kind="stable")[:top].tolist()
    return [(token, tokenizer.token_text(token), math.exp(log_p[token])) for token in best]
