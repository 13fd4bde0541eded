"""A model in torch as a `Reader`, and a sample of it beside training."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.generate import Ids, generate, prime
from rnn_tui.inference.sampling import Logits
from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.plugin.tokenizer import Tokenizer
from rnn_tui.tasks.evaluation import evaluation_mode


class TorchReader:
    """See `Reader`. The model is left in the mode it was in, and no mode of torch outlives a call."""

    def __init__(self, model: RecurrentModel) -> None:
        self.model = model

    @property
    def output_size(self) -> int:
        return self.model.output_size

    def start(self) -> Any:
        return self.model.initial_state(1)

    @torch.inference_mode()
    def read(self, ids: Ids, state: Any, last: int) -> tuple[Logits, Any]:
        with self._evaluating():
            features, state = self.model(
                torch.from_numpy(ids)[None].to(self.model.device), state
            )  # (1, T, O)
            return _array(self.model.outputs(features[0, -last:])), state

    @torch.inference_mode()
    def step(self, token: int, state: Any) -> tuple[Logits, Any]:
        with self._evaluating():
            logits, state = self.model.step(torch.tensor([token], device=self.model.device), state)  # (1, V)
            return _array(logits[0]), state

    def _evaluating(self) -> Any:
        return evaluation_mode(self.model) if self.model.training else nullcontext()


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
