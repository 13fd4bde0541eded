"""How surprised a model is by each token of a text."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnn_tui.errors import DivergedError
from rnn_tui.inference.drawing import Reader
from rnn_tui.inference.generate import LOGITS_AT_ONCE, WINDOW, Primed, measure
from rnn_tui.inference.pieces import UNMEASURED, Measure
from rnn_tui.inference.sampling import DIVERGED
from rnn_tui.plugin.tokenizer import Tokenizer
from rnn_tui.tasks.metrics import perplexity

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scores:
    """What a model makes of a text of T tokens, each predicted from those before it.

    Of a text that was read from nothing the first token has no prediction: its surprise and entropy are NaN, its rank
    is -1, and it is left out of `total` and `mean`. After a `Reading` it has one.

    Attributes:
        text: what was scored.
        tokens: the text of each token, T of them; joined they are `text`, unless a symbol was unknown. A token that
            ends within a character is empty, and the one that completes it has all of it.
        ids: int64 (T,).
        surprise: float64 (T,), nats: -ln of the probability that the model gave the token.
        entropy: float64 (T,), nats: of the distribution that the token met.
        rank: int64 (T,): how many tokens the model held to be more probable; 0 is a hit.
        unknown: the symbols of `text` that the vocabulary lacks; they were scored as the unknown token, which is easy.
    """

    text: str
    tokens: tuple[str, ...]
    ids: Integers
    surprise: Floats
    entropy: Floats
    rank: Integers
    unknown: tuple[str, ...]

    @property
    def total(self) -> float:
        """Nats of all tokens that were predicted."""
        return float(np.nansum(self.surprise))

    @property
    def predicted(self) -> int:
        """How many tokens these are: T, or T - 1."""
        return int((self.rank >= 0).sum())

    @property
    def mean(self) -> float:
        """Nats per predicted token; NaN where there is none."""
        return self.total / self.predicted if self.predicted else math.nan

    @property
    def perplexity(self) -> float:
        """exp of `mean`."""
        return perplexity(self.mean)

    @property
    def bpc(self) -> float:
        """Bits per character, as `rnn-tui eval` has them: a token without a prediction is charged the mean."""
        return self._bits / len(self.text) if self.text else math.nan

    @property
    def bpb(self) -> float:
        """Bits per byte of the text in UTF-8, likewise."""
        return self._bits / len(self.text.encode("utf-8", "surrogatepass")) if self.text else math.nan

    @property
    def _bits(self) -> float:
        return self.mean * len(self.ids) / math.log(2)

    def __repr__(self) -> str:
        return f"<Scores: {len(self.ids):,} tokens, {self.mean:.4f} nats each, {self.bpc:.4f} bits per character>"


def score(reader: Reader, tokenizer: Tokenizer, text: str, after: Primed | None) -> Scores:
    """Read `text` after what was read before, or from nothing, and measure each token.

    Raises:
        DivergedError: when the model's output is NaN.
    """
    ids = tokenizer.encode(text).astype(np.int64)
    measures: list[Measure] = []
    before = None if after is None else after.logits
    state = reader.start() if after is None else after.state
    window = max(1, min(WINDOW, LOGITS_AT_ONCE // reader.output_size))
    for begin in range(0, len(ids), window):
        part = ids[begin : begin + window]  # (T,)
        predictions, state = reader.read(part, state, len(part))  # (T, V)
        if np.isnan(predictions).any():
            raise DivergedError(DIVERGED)
        if before is None:
            measures += [UNMEASURED, *measure(predictions[:-1], part[1:])]
        else:
            measures += measure(np.concatenate([before[None], predictions[:-1]]), part)
        before = predictions[-1]
    decoder = tokenizer.decoder()
    tokens = [decoder.push(token) for token in ids.tolist()]
    if tokens:
        tokens[-1] += decoder.flush()
    surprise, entropy, rank = zip(*measures, strict=True) if measures else ((), (), ())
    return Scores(
        text=text,
        tokens=tuple(tokens),
        ids=ids,
        surprise=np.array(surprise, np.float64),
        entropy=np.array(entropy, np.float64),
        rank=np.array(rank, np.int64),
        unknown=tuple(tokenizer.unknown(text)),
    )
