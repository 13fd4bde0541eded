"""What is measured: the models of installed architectures as they train and sample, and what a token costs them."""

import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from rnn_tui.bench.baseline import KINDS, TEMPERATURE, Form, Kind
from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.generate import generate, prime
from rnn_tui.inference.torch_reader import TorchReader
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.device import visit
from rnn_tui.model.recurrence import Engine
from rnn_tui.model.recurrent_model import OneHot, RecurrentModel, build_layer, build_model
from rnn_tui.plugin.core import State
from rnn_tui.plugin.options import parse_options
from rnn_tui.plugin.registry import load_plugin
from rnn_tui.plugin.tokenizer import Tokenizer
from rnn_tui.tasks.next_token import sequence_loss
from rnn_tui.tasks.task import Batch, Task
from rnn_tui.training.config import RunConfig, TokenizerConfig
from rnn_tui.training.graphed import graphed
from rnn_tui.training.optim import build_optimizer
from rnn_tui.training.update import PlainUpdate, Update

LENGTH = 200
"""Tokens that one call draws."""
UPDATES_IN_FLIGHT = 16
RACING: tuple[Engine, ...] = ("compiled", "eager", "loop")

GATES: dict[Kind, int] = {"lstm": 4, "gru": 3, "rnn": 1}


@dataclass(frozen=True)
class Subject:
    """A model of an installed architecture.

    Attributes:
        weights: the weights that a token is multiplied by, see `weights_in_products`.
        kind: the kind of torch's modules whose tokens cost most nearly the same.
    """

    name: str
    model: RecurrentModel
    weights: int
    kind: Kind


def build_subject(config: ModelConfig, vocab_size: int, device: torch.device) -> Subject:
    """Build the model of an architecture with the options of `config`.

    Raises:
        RnnTuiError: when the architecture, its options or the widths cannot be used; a plugin may raise anything.
    """
    plugin = load_plugin("architecture", config.arch)
    options = parse_options(
        getattr(plugin, "Options", None), config.options, owner=f"architecture {config.arch}"
    )
    model = build_model(plugin, options, config, vocab_size).to(device)
    weights = weights_in_products(model, plugin, options)
    form: Form = "one-hot" if isinstance(model.encoder, OneHot) else "embedding"
    kind = nearest_kind(weights, form, vocab_size, config.hidden_size, config.num_layers)
    return Subject(config.arch, model, weights, kind)


def weights_in_products(model: RecurrentModel, plugin: type, options: dict[str, Any]) -> int:
    """Return how many weights a token is multiplied by on its way through the model.

    Those are the matrices of the layers and of the head: each of their weights costs a multiplication and an addition
    forward, and twice that backward, so training takes 6 operations for each and a token, and sampling 2 (and reads 4
    bytes for each). For an LSTM with layers of inputs I, this is the sum of 4 H (H + I), and H V for the head. Element
    by element work is left out, and so is the input product of a one-hot vector, which is the reading of one row.

    How much of the first layer that is, a second one shows that is one input wider.
    """
    weights = sum(p.numel() for p in model.head.parameters() if p.dim() > 1)
    weights += _matrices(model.core)
    if isinstance(model.encoder, OneHot):
        first, width = model.core.cores[0], model.encoder.output_size
        wider = build_layer(plugin, width + 1, first.output_size, options)
        weights -= width * (_matrices(wider) - _matrices(first))
    return weights


def _matrices(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.dim() > 1)


def baseline_weights(kind: Kind, form: Form, vocab_size: int, hidden_size: int, num_layers: int) -> int:
    """Return `weights_in_products` of nn.LSTM, nn.GRU or nn.RNN, and of the tutorials' loops."""
    inputs = 2 * num_layers - (
        form == "one-hot"
    )  # H x H, from the layer below or the embedding, and from the state
    return GATES[kind] * hidden_size**2 * inputs + hidden_size * vocab_size


def nearest_kind(weights: int, form: Form, vocab_size: int, hidden_size: int, num_layers: int) -> Kind:
    """Return the kind whose tokens cost most nearly as much: the least factor between the two."""
    return min(
        KINDS,
        key=lambda kind: abs(
            math.log(weights / baseline_weights(kind, form, vocab_size, hidden_size, num_layers))
        ),
    )


@dataclass(frozen=True)
class _Windows:
    """What an update asks of a task."""

    def loss(self, model: RecurrentModel, batch: Batch, state: State) -> tuple[Tensor, int, State]:
        loss, state = sequence_loss(model, batch.inputs, batch.targets, state)
        return loss, batch.targets.numel(), state


class Training:
    """A model as a run trains it: call it for an update on random windows; it returns their tokens.

    Attributes:
        problem: why there is no CUDA graph, where one was asked for.
    """

    def __init__(self, model: RecurrentModel, ids: Tensor) -> None:
        """Train on the windows `ids` (B, T + 1)."""
        config = RunConfig()
        optimizer = build_optimizer(config.optim, model.parameters())
        self.problem = ""
        self._model = model.train()
        self._plain = PlainUpdate(config, model, optimizer, cast(Task, _Windows()))
        self._update: Update = self._plain
        self._batch = Batch(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())
        self._rate = config.optim.lr
        # a device is waited for when several updates are on their way, as in a run
        self._updates = 1 if model.device.type == "cpu" else UPDATES_IN_FLIGHT

    def __call__(self) -> float:
        for _ in range(self._updates):
            self._update(self._batch, None, self._rate)
            if self._update.full:
                self._update.outcomes()
        self._update.outcomes()
        return self._updates * self._batch.targets.numel()

    def take(self, engine: Engine) -> None:
        """Put a way over time in force, or the best there is in its place."""
        if engine == "graph" or (engine == "auto" and self._model.device.type == "cuda"):
            self._model.select_engine("eager")
            update = graphed(self._plain, self._note)
            if isinstance(update, str):
                self.problem = update
            else:
                self._update = update
        elif engine == "auto":
            self._take_fastest()
        else:
            self._model.select_engine(engine)

    def engine(self) -> tuple[str, str]:
        """Return the way over time in force, and why; see `rnn_tui.training.update`."""
        name, reason = self._update.engine()
        return name, f"{reason}; {self.problem}" if self.problem else reason

    def _note(self, message: str) -> None:
        self.problem = message

    def _take_fastest(self) -> None:
        """Let the ways that are right for the cell race, in turn."""
        seconds: dict[Engine, list[float]] = {}
        for turn in range(4):
            for engine in RACING:
                self._model.select_engine(engine)
                if self._model.engine()[0] != engine:
                    continue
                if turn:
                    seconds.setdefault(engine, []).append(visit(self))
                else:
                    self()  # what is made once is made
        if seconds:
            best = min(seconds, key=lambda engine: min(seconds[engine]))
            self._model.select_engine(best, "the plain loop, which was faster than the other ways")


class Sampling:
    """A model as a prompt draws from it: call it for some tokens of one stream; it returns how many."""

    def __init__(self, model: RecurrentModel, tokenizer: Tokenizer, *, traced: bool) -> None:
        """Draw from `model`, whose step is taken apart if `traced`."""
        self._reader = TorchReader(model.eval())
        if traced:
            self._reader.prepare()
        self._tokenizer = tokenizer
        self._primed = prime(self._reader, tokenizer, "")
        self._config = SamplingConfig(temperature=TEMPERATURE, length=LENGTH, seed=1)

    def __call__(self) -> float:
        for _ in (generation := generate(self._reader, self._tokenizer, self._primed, self._config)):
            pass
        return generation.tokens

    def engine(self) -> tuple[str, str]:
        """Return how a token is computed, and why; see `TorchReader.engine`."""
        return self._reader.engine()


def symbols(vocab_size: int) -> Tokenizer:
    """Return a tokenizer of the default kind with as many tokens, fewer than there are characters below U+D800.

    Raises:
        RnnTuiError: when it is not installed.
    """
    plugin: Any = load_plugin("tokenizer", TokenizerConfig().name)
    first = ord("!")
    trained: Tokenizer = plugin.train(["".join(map(chr, range(first, first + vocab_size - 1)))], None)
    return trained
