"""Labelling each token of a line: `source<TAB>target` of equal length in tokens, each line read from a fresh state."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from rnn_tui.corpus.pairs import Pairs, PreparedPairs
from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.plugin.core import State
from rnn_tui.tasks.config import DataConfig
from rnn_tui.tasks.cross_entropy import cross_entropy
from rnn_tui.tasks.evaluation import evaluation_mode, tokens_at_once
from rnn_tui.tasks.task import IGNORED, Batch, Measured

POSITIONS_AT_ONCE = 16_384
"""Positions read at a time while evaluating, padding included, unless a single line is longer."""

LINES_AT_ONCE = 64
"""Lines read at a time, more only if they are so short that all together hold less than `tokens_at_once`: on a CPU 1.4
times as many labels a second as 16,384 positions at once, measured on lines of 30 with a bidirectional LSTM of 256."""

LOGITS_AT_ONCE = 8_000_000
"""Logits held at a time meanwhile: 32 MB in float32, and as much again for their softmax."""

Lines = npt.NDArray[np.int64]


def pad(pairs: Pairs, lines: Lines) -> Batch:
    """Return `lines` side by side, padded on the right.

    Inputs are 0 in the padding, which stands after all that counts; targets are `IGNORED` there.
    """
    starts = pairs.offsets[lines]  # (B,)
    lengths = pairs.offsets[lines + 1] - starts
    positions = np.arange(lengths.max())  # (T,)
    inside = positions < lengths[:, None]  # (B, T)
    at = np.where(inside, starts[:, None] + positions, 0)
    inputs = np.where(inside, pairs.inputs[at].astype(np.int64), 0)
    targets = np.where(inside, pairs.targets[at].astype(np.int64), IGNORED)
    return Batch(*map(torch.from_numpy, (inputs, targets, lengths)))


@dataclass(frozen=True)
class LineEpoch:
    """One pass over the lines, `batch_size` at a time in `order`, see `Epoch`; the last batch may be smaller."""

    pairs: Pairs
    order: Lines
    batch_size: int
    carried: bool = False

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.batch_size)

    def batch(self, index: int) -> Batch:
        begin = index * self.batch_size
        return pad(self.pairs, self.order[begin : begin + self.batch_size])


class Aligned:
    """A text and a label for each of its tokens, see `Task`.

    A batch is `data.batch_size` whole lines. What `data` says beside it is about cutting one long stream (`seq_len`,
    `seq_len_min`, `sampling`, `loss_on`) and means nothing here: a line is never cut, lines come in random order, and
    every label counts.
    """

    unit = "nats per label"
    measures = ("accuracy", "exact")

    def __init__(
        self, corpus: PreparedPairs, data: DataConfig, *, seed: int, validation_tokens: int = 0
    ) -> None:
        """Read the splits of `corpus`.

        Args:
            seed: of the order of the lines.
            validation_tokens: validate on the first lines of the split, until they have so many; 0: on all of it.
        """
        self.train = corpus.splits["train"]
        validation = corpus.splits.get("validation")
        self.validation = None if validation is None else validation.first(validation_tokens)
        self._vocab_size, self._data, self._seed = corpus.tokenizer.vocab_size, data, seed

    @property
    def validation_positions(self) -> int:
        return 0 if self.validation is None else self.validation.tokens

    def epoch(self, number: int) -> LineEpoch:
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self._seed, number])))
        return LineEpoch(self.train, generator.permutation(len(self.train)), self._data.batch_size)

    def loss(self, model: RecurrentModel, batch: Batch, state: State) -> tuple[Tensor, int, State]:
        features, state = model(batch.inputs, state, lengths=batch.lengths)  # (B, T, O)
        return cross_entropy(model, features, batch.targets), batch.positions, state

    def validate(self, model: RecurrentModel) -> Measured | None:
        return None if self.validation is None else evaluate_aligned(model, self.validation)

    @cached_property
    def _baselines(self) -> dict[str, float]:
        if self.validation is None:
            return {}
        return label_baselines(self.train, self.validation, self._vocab_size)

    def facts(self) -> dict[str, Any]:
        return {
            "vocab_size": self._vocab_size,
            "tokens_train": self.train.tokens,
            "tokens_validation": self.validation_positions,
            "lines_train": len(self.train),
            "lines_validation": 0 if self.validation is None else len(self.validation),
            "characters_train": self.train.chars,
            "baselines": self._baselines,
        }


@torch.inference_mode()
def evaluate_aligned(
    model: RecurrentModel, pairs: Pairs, *, progress: Callable[[int, int], None] | None = None
) -> Measured:
    """Return the mean loss over the labels of `pairs`, each line read from a fresh state.

    Its figures are `accuracy`, the share of the labels that are the most probable ones, and `exact`, the share of the
    lines of which every label is. The unknown token is a label like any other here.

    Args:
        model: left in the mode it was in.
        pairs: lines of like length are read together; that does not change the result.
        progress: called with labels done and labels in all.
    """
    nats = torch.zeros((), dtype=torch.float64)
    lengths = pairs.lengths
    right = exact = done = 0
    with evaluation_mode(model):
        most = min(POSITIONS_AT_ONCE, LOGITS_AT_ONCE // model.output_size)
        for lines in _together(lengths, most, tokens_at_once(model.device)):
            batch = pad(pairs, lines).to(model.device)
            features, _ = model(batch.inputs, model.initial_state(len(lines)), lengths=batch.lengths)
            logits = model.outputs(features).float()  # (B, T, V)
            losses = functional.cross_entropy(
                logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED, reduction="none"
            )
            nats += losses.cpu().double().sum()
            padding = batch.targets == IGNORED  # (B, T)
            hits = logits.argmax(-1) == batch.targets
            right += int(hits.sum())
            exact += int((hits | padding).all(1).sum())
            done += int(lengths[lines].sum())
            if progress:
                progress(done, pairs.tokens)
    figures = {"accuracy": right / pairs.tokens, "exact": exact / len(pairs)}
    return Measured(float(nats) / pairs.tokens, pairs.tokens, figures)


def _together(lengths: Lines, most: int, few: int) -> Iterator[Lines]:
    """Yield groups of lines of like length.

    When padded, each is a single line or has at most `most` positions, and those with more than `few` have at most
    `LINES_AT_ONCE` lines.
    """
    order = np.argsort(lengths, kind="stable")
    begin = 0
    for end in range(1, len(order) + 1):
        length = lengths[order[min(end, len(order) - 1)]]  # of the longest, were one more to join
        if end == len(order) or (end + 1 - begin) * length > min(most, max(few, LINES_AT_ONCE * length)):
            yield order[begin:end]
            begin = end


def label_baselines(train: Pairs, held_out: Pairs, vocab_size: int) -> dict[str, float]:
    """Return what a model must beat: the loss of simple predictors of `held_out`, in nats per label.

        uniform           p(y) = 1 / V
        unigram           p(y) = (c(y) + 1) / (N + V)                          how often the label occurs
        by source token   p(y | x) = (c(x y) + T(x) p(y)) / (c(x) + T(x))      what became of this token elsewhere

    c counts in `train`, T(x) is how many different labels the token x has there, and a token never seen passes the
    question on to p(y): Witten-Bell smoothing, as in `rnn_tui.corpus.baselines`.
    """
    labels = np.bincount(train.targets, minlength=vocab_size) + 1
    unigram = (labels / labels.sum())[held_out.targets]
    known, counts = np.unique(_keys(train, vocab_size), return_counts=True)  # pairs x y
    totals = np.bincount(train.inputs, minlength=vocab_size)[held_out.inputs]
    distinct = np.bincount(known // vocab_size, minlength=vocab_size)[held_out.inputs]
    asked = _keys(held_out, vocab_size)
    at = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    pair = np.where(known[at] == asked, counts[at], 0)
    by_token = np.where(totals > 0, (pair + distinct * unigram) / np.maximum(1, totals + distinct), unigram)
    return {
        "uniform": math.log(vocab_size),
        "unigram": float(-np.log(unigram).mean()),
        "by source token": float(-np.log(by_token).mean()),
    }


def _keys(pairs: Pairs, vocab_size: int) -> Lines:
    """Return one number for each token and its label."""
    return pairs.inputs.astype(np.int64) * vocab_size + pairs.targets
