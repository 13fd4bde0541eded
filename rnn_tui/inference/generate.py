"""Reading a prompt and continuing it, token by token. Free of torch: a `Reader` computes, in whichever way it does.

What a recurrent net knows of the text before it is one state of fixed size. So everything here takes and returns
`Primed`, that state with the logits for what comes next: keeping one is a snapshot, starting twice from one is a
branch, going back to one is undo, and none of it costs more than the reference.

The unknown token is never drawn (its logit is set to -inf): it stands for no text. Its probability still counts in
surprise and entropy, which describe the model as it is.
"""

import math
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rnn_tui.errors import DivergedError
from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.sampling import DIVERGED, Logits, choose, fresh_seed, gumbel_rows, log_probabilities
from rnn_tui.plugin.tokenizer import Tokenizer

WINDOW = 512
"""Prompt tokens read at once, at most; a large vocabulary shortens it."""
LOGITS_AT_ONCE = 4_000_000
"""Logits held at a time while reading a prompt: 16 MB in float32."""
DECODER_CONTEXT = 64
"""Tokens given to a decoder before the first one that is shown, so that it does not start within a character."""
PROMPT_PIECES = 4096
"""How many tokens of a prompt, from its end, are kept as pieces."""

Ids = npt.NDArray[np.int64]


class Reader(Protocol):
    """A trained model of tokens in evaluation mode, as a prompt sees it: one row, read from left to right.

    States are opaque and never written to.
    """

    @property
    def output_size(self) -> int:
        """The size of the vocabulary."""
        ...

    def start(self) -> Any:
        """Return the state before the first token."""
        ...

    def read(self, ids: Ids, state: Any, last: int) -> tuple[Logits, Any]:
        """Read ids (T,), T >= 1; return the logits (last, V) after the last so many of them, and the state."""
        ...

    def step(self, token: int, state: Any) -> tuple[Logits, Any]:
        """Read one token; return the logits (V,) for the next, and the state."""
        ...


@dataclass(frozen=True, slots=True)
class Piece:
    """One token of a text.

    Attributes:
        text: what it adds to the text: nothing in the middle of a character, all of the character at its end.
        token: its id.
        surprise: -ln of the probability that the model gave it, in nats, at temperature 1 and before any rule; NaN
            for the first token of a text, which nothing predicted.
        entropy: of the distribution it was drawn from or met, in nats, likewise.
    """

    text: str
    token: int
    surprise: float
    entropy: float


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
    pieces = tuple(Piece(text, token, *measured) for text, token, measured in tokens)
    return replace(primed, pieces=pieces, unknown=tuple(tokenizer.unknown(text)))


def _read(
    reader: Reader, ids: Ids, after: Primed | None, progress: Callable[[int, int], None] | None
) -> tuple[Primed, list[tuple[float, float]]]:
    """Read at least one id; return the state and (surprise, entropy) of the last `PROMPT_PIECES`."""
    total = len(ids)
    state = reader.start() if after is None else after.state
    logits = None if after is None else after.logits
    measures: list[tuple[float, float]] = []
    window = max(1, min(WINDOW, LOGITS_AT_ONCE // reader.output_size))
    for begin in range(0, total, window):
        part = ids[begin : begin + window]  # (T,)
        shown = begin + window > total - PROMPT_PIECES
        predictions, state = reader.read(part, state, len(part) if shown else 1)  # (T, V) or (1, V)
        if shown:
            if logits is None:
                measures.append((math.nan, math.nan))
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


def measure(logits: Logits, tokens: Ids) -> list[tuple[float, float]]:
    """Return surprise and entropy in nats for logits (T, V) and the tokens (T,) that came."""
    log_p = log_probabilities(logits)  # (T, V)
    surprise = -log_p[np.arange(len(tokens)), tokens]
    # 0 · log 0 is 0; a token made impossible must not turn the sum into NaN
    entropy = -(np.exp(log_p) * np.maximum(log_p, -1e30)).sum(-1)
    return list(zip(surprise.tolist(), entropy.tolist(), strict=True))


class Generation:
    """A continuation while it is drawn: iterate it once for its pieces.

    Attributes:
        primed: the state after every token drawn so far; with it another continuation goes on from here. After a
            stop text has been found it has read that text too.
        reason: why it ended: `length`, `stop` or `cancelled`; until then `running`.
        tokens: how many were drawn.
        seed: the one in use; drawn where the settings have none, None where nothing is random.
    """

    def __init__(self, reader: Reader, tokenizer: Tokenizer, primed: Primed, config: SamplingConfig) -> None:
        self.primed = primed
        self.reason = "running"
        self.tokens = 0
        self.seed = None if config.deterministic else fresh_seed() if config.seed is None else config.seed
        self._reader = reader
        self._tokenizer = tokenizer
        self._config = config
        self._cancelled = False

    def cancel(self) -> None:
        """End before the next token; what is held back for a stop text is still given."""
        self._cancelled = True

    def __iter__(self) -> Iterator[Piece]:
        found = yield from until_stop(self._draw(), self._config.stop)
        self.reason = "stop" if found else "cancelled" if self._cancelled else "length"

    def _draw(self) -> Iterator[Piece]:
        reader, config, tokenizer = self._reader, self._config, self._tokenizer
        hidden = tokenizer.unknown_id if tokenizer.vocab_size > 1 else None
        noise = None if self.seed is None else gumbel_rows(reader.output_size, self.seed)
        decoder = tokenizer.decoder()
        for token in self.primed.held:
            decoder.push(token)
        while self.tokens < config.length and not self._cancelled:
            allowed = logits = self.primed.logits
            if hidden is not None:
                allowed = logits.copy()
                allowed[hidden] = -math.inf
            chosen = choose(allowed, config, next(noise) if noise else None)
            token = int(chosen)
            [(surprise, entropy)] = measure(logits[None], chosen[None])
            logits, state = reader.step(token, self.primed.state)
            text = decoder.push(token)
            held = () if text else (*self.primed.held, token)
            self.tokens += 1
            self.primed = Primed(state, logits, held=held)
            if text and self.tokens == config.length:
                text += decoder.flush()
            yield Piece(text, token, surprise, entropy)


def generate(reader: Reader, tokenizer: Tokenizer, primed: Primed, config: SamplingConfig) -> Generation:
    """Continue from `primed`: iterate the result for its pieces, one for each token.

    Text is given when it is certain: whole characters only, and nothing that may still turn out to begin a stop text.

    Raises (while iterating):
        DivergedError: when the model's output is NaN.
    """
    return Generation(reader, tokenizer, primed, config)


def until_stop(pieces: Iterable[Piece], stop: tuple[str, ...]) -> Generator[Piece, None, bool]:
    """Yield pieces up to the first stop text, which may span several; return whether one was found.

    Pieces that may begin a stop text wait until that is decided. The piece in which it begins is cut short.
    """
    waiting: list[Piece] = []
    for piece in pieces:
        waiting.append(piece)
        text = "".join(part.text for part in waiting)
        found = min((at for word in stop if (at := text.find(word)) >= 0), default=None)
        certain = len(text) - _open_end(text, stop) if found is None else found
        while waiting and len(waiting[0].text) <= certain:
            certain -= len(waiting[0].text)
            yield waiting.pop(0)
        if found is not None:
            if certain:
                yield replace(waiting[0], text=waiting[0].text[:certain])
            return True
    yield from waiting
    return False


def _open_end(text: str, stop: tuple[str, ...]) -> int:
    """Return the length of the longest end of `text` that begins a stop text."""
    longest = max((len(word) for word in stop), default=1) - 1
    for length in range(min(longest, len(text)), 0, -1):
        if any(word.startswith(text[-length:]) for word in stop):
            return length
    return 0


def next_tokens(logits: Logits, tokenizer: Tokenizer, top: int = 10) -> list[tuple[int, str, float]]:
    """Return the most probable next tokens as (id, text, probability at temperature 1), the best first.

    Args:
        logits: (V,).
    """
    log_p = log_probabilities(logits)
    best = np.argsort(-log_p, kind="stable")[:top].tolist()
    return [(token, tokenizer.token_text(token), math.exp(log_p[token])) for token in best]
