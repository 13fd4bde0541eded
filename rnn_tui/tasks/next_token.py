"""Predicting the next token of a text."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rnn_tui.corpus.baselines import baselines
from rnn_tui.corpus.prepare import PreparedCorpus
from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.plugin.core import State
from rnn_tui.tasks.config import DataConfig
from rnn_tui.tasks.cross_entropy import cross_entropy
from rnn_tui.tasks.evaluation import evaluate
from rnn_tui.tasks.metrics import perplexity
from rnn_tui.tasks.task import Batch, Measured
from rnn_tui.tasks.windows import Plan, plan_epoch


def sequence_loss(
    model: RecurrentModel,
    ids: Tensor,
    targets: Tensor,
    state: State,
    *,
    reset: Tensor | None = None,
    loss_on: Literal["all", "last"] = "all",
) -> tuple[Tensor, State]:
    """Return the mean cross-entropy in nats per token, and the state after the last token.

    Args:
        ids: int64 (B, T).
        targets: int64 (B, T), the token that follows each.
        state: from `model.initial_state` or an earlier window.
        reset: bool (B, T), see `Core.forward`.
        loss_on: every position, or only the last of each row.
    """
    features, state = model(ids, state, reset=reset)  # (B, T, O)
    if loss_on == "last":
        features, targets = features[:, -1], targets[:, -1]  # (B, O), (B,)
    return cross_entropy(model, features, targets), state


@dataclass(frozen=True)
class TokenEpoch:
    """One pass over a stream of tokens, see `Epoch`."""

    plan: Plan
    ids: npt.NDArray[Any]

    @property
    def carried(self) -> bool:
        return self.plan.carried

    def __len__(self) -> int:
        return len(self.plan)

    def batch(self, index: int) -> Batch:
        ids, targets = self.plan.window(self.ids, index)
        return Batch(
            torch.from_numpy(np.ascontiguousarray(ids)), torch.from_numpy(np.ascontiguousarray(targets))
        )


class NextToken:
    """A text, each token predicted from those before it, see `Task`."""

    unit = "nats per token"
    measures = ("perplexity", "bpc", "bpb")

    def __init__(
        self, corpus: PreparedCorpus, data: DataConfig, *, seed: int, validation_tokens: int = 0
    ) -> None:
        """Read the splits of `corpus`.

        Args:
            seed: of the order of the windows.
            validation_tokens: validate on the first so many tokens of the split; 0: on all of it.
        """
        train, validation = corpus.splits["train"], corpus.splits.get("validation")
        measured = validation or train
        self.train = train.ids()
        self.validation = (
            validation.ids()[: validation_tokens + 1 if validation_tokens else None] if validation else None
        )
        self.chars_per_token = measured.chars / max(1, measured.tokens)
        self.bytes_per_token = measured.bytes / max(1, measured.tokens)
        self._corpus, self._data, self._seed = corpus, data, seed

    @property
    def validation_positions(self) -> int:
        return 0 if self.validation is None else len(self.validation)

    def epoch(self, number: int) -> TokenEpoch:
        data = self._data
        plan = plan_epoch(
            len(self.train),
            sampling=data.sampling,
            batch_size=data.batch_size,
            seq_len=data.seq_len,
            seq_len_min=data.seq_len_min,
            seed=self._seed,
            epoch=number,
        )
        return TokenEpoch(plan, self.train)

    def loss(self, model: RecurrentModel, batch: Batch, state: State) -> tuple[Tensor, int, State]:
        loss, state = sequence_loss(model, batch.inputs, batch.targets, state, loss_on=self._data.loss_on)
        rows, length = batch.inputs.shape
        return loss, rows * (length if self._data.loss_on == "all" else 1), state

    def validate(self, model: RecurrentModel) -> Measured | None:
        if self.validation is None:
            return None
        result = evaluate(model, self.validation)
        return Measured(result.mean, result.tokens, self.figures(result.mean))

    def figures(self, loss: float) -> dict[str, float]:
        """Return `measures` for a loss in nats per token."""
        return {
            "perplexity": perplexity(loss),
            "bpc": loss / self.chars_per_token / math.log(2),
            "bpb": loss / self.bytes_per_token / math.log(2),
        }

    @cached_property
    def _baselines(self) -> dict[str, float]:
        if self.validation is None:
            return {}
        found = baselines(self.train, self.validation, self._corpus.tokenizer.vocab_size)
        return {"uniform": found.uniform, "unigram": found.unigram, "trigram": found.trigram}

    def facts(self) -> dict[str, Any]:
        return {
            "vocab_size": self._corpus.tokenizer.vocab_size,
            "tokens_train": len(self.train),
            "tokens_validation": self.validation_positions,
            "characters_train": self._corpus.splits["train"].chars,
            "chars_per_token": self.chars_per_token,
            "bytes_per_token": self.bytes_per_token,
            "baselines": self._baselines,
        }
