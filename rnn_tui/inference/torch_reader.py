"""A model in torch as a `Reader`, and a sample of it beside training."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnn_tui.errors import DivergedError
from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.drawing import Drawn, Ids, draw_tokens
from rnn_tui.inference.generate import generate, prime
from rnn_tui.inference.sampling import DIVERGED, Doubles, Logits
from rnn_tui.model.recurrence.native.drawing import Drawer
from rnn_tui.model.recurrence.stepper import Stepper
from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.plugin.tokenizer import Tokenizer
from rnn_tui.tasks.evaluation import evaluation_mode

TRACED_AFTER = 20_000
"""Tokens drawn by the model's own step, after which it is traced and compiled. In a fresh process that takes 2.2 s, and
saves 100 µs a token at 1x128 and 170 at 1x512: a prompt, or a sample beside training, does not earn it back."""


class TorchReader:
    """See `Reader`. The model is left in the mode it was in, and no mode of torch outlives a call."""

    def __init__(self, model: RecurrentModel) -> None:
        self.model = model
        self._stepper = Stepper(model)
        self._drawn = 0

    @property
    def output_size(self) -> int:
        return self.model.output_size

    def prepare(self) -> str:
        """Trace the model's step now; return why it is stepped as it is, or nothing."""
        return self._stepper.prepare()

    def engine(self) -> tuple[str, str]:
        """Return how tokens are drawn, and why: `compiled`, `traced` or by the model's own `step`."""
        if self._stepper.reason:
            return "step", self._stepper.reason
        if self._stepper.drawer is None:
            return "traced", self._stepper.not_compiled
        return "compiled", "many tokens in one call"

    def start(self) -> Any:
        return self._stepper.initial_state(1)

    @torch.inference_mode()
    def read(self, ids: Ids, state: Any, last: int) -> tuple[Logits, Any]:
        with self._evaluating():
            inputs = torch.from_numpy(ids)[None].to(self.model.device)
            features, after = self.model(inputs, self._stepper.unflatten(state))  # (1, T, O)
            return _array(self.model.outputs(features[0, -last:])), self._stepper.flatten(after)

    @torch.inference_mode()
    def draw(
        self,
        logits: Logits,
        state: Any,
        count: int,
        noise: Doubles | None,
        config: SamplingConfig,
        hidden: int | None,
    ) -> Drawn:
        stepper = self._ready(count)
        drawer = stepper.drawer
        if drawer is not None and config.unfiltered:
            return _draw(drawer, logits, state, count, noise, config.temperature, hidden)
        ids = torch.zeros(1, dtype=torch.long, device=self.model.device)

        def step(token: int, state: Any) -> tuple[Logits, Any]:
            if drawer is not None:
                found, state = drawer.step(token, state)
                return found.numpy()[0], state
            after, state = stepper.step(ids.fill_(token), state)  # (1, V)
            return _array(after)[0], state

        with self._evaluating():
            return draw_tokens(step, logits, state, count, noise, config, hidden)

    @torch.inference_mode()
    def advance(self, ids: Ids, state: Any) -> tuple[Logits, Any]:
        stepper = self._ready(len(ids))
        with self._evaluating():
            logits, state = stepper.step(torch.from_numpy(ids).to(self.model.device), state)
            return _array(logits), state

    @torch.inference_mode()
    def pick(self, state: Any, rows: Ids) -> Any:
        index = torch.from_numpy(rows).to(self.model.device)
        return tuple(leaf.index_select(0, index) for leaf in state)

    def _ready(self, tokens: int) -> Stepper:
        """Count the tokens that are to be read, and see to it that the stepper has the model's weights."""
        if self._stepper.traced is None and self._drawn < TRACED_AFTER <= self._drawn + tokens:
            self.prepare()
        self._drawn += tokens
        self._stepper.refresh()
        return self._stepper

    def _evaluating(self) -> Any:
        return evaluation_mode(self.model) if self.model.training else nullcontext()


def _draw(
    drawer: Drawer,
    logits: Logits,
    state: Any,
    count: int,
    noise: Doubles | None,
    temperature: float,
    hidden: int | None,
) -> Drawn:
    """Draw as `Reader.draw`, all in one call."""
    drawn, after, leaves = drawer.draw(
        torch.from_numpy(logits)[None],
        state,
        count,
        None if noise is None else torch.from_numpy(noise)[None],
        temperature,
        hidden,
    )
    tokens: Ids = drawn[0].numpy()
    wrong = np.flatnonzero(tokens < 0)
    if wrong.size:
        if not wrong[0]:
            raise DivergedError(DIVERGED)
        tokens = tokens[: wrong[0]]
    return Drawn(tokens, after[0, : len(tokens)].numpy(), _States(leaves, len(tokens)))


class _States(Sequence[Any]):
    """The states after each of some tokens; what is taken out of it does not keep the others in memory."""

    def __init__(self, leaves: list[Tensor], count: int) -> None:
        self._leaves = leaves  # (1, k, ...) each
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        return tuple(leaf[:, range(self._count)[index]].clone() for leaf in self._leaves)


def _array(logits: Tensor) -> Logits:
    result: Logits = logits.float().cpu().numpy()
    return result


@contextmanager
def undisturbed(model: RecurrentModel) -> Iterator[None]:
    """Leave torch's global generators as they are, even if a plugin draws from them: for use beside training."""
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


def sample_text(model: RecurrentModel, tokenizer: Tokenizer, prompt: str, config: SamplingConfig) -> str:
    """Return a continuation of `prompt`, without the prompt.

    For use beside training: the model's mode, its carried state and torch's global generators are as before, even if
    a plugin draws from them.
    """
    with undisturbed(model):
        reader = TorchReader(model)
        primed = prime(reader, tokenizer, prompt)
        return "".join(piece.text for piece in generate(reader, tokenizer, primed, config))
