"""Encoder, core and head: ids in, logits out."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tui.errors import PluginError, UsageError
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrence import Engine, Stack, Unroll
from rnn_tui.plugin.core import Cell, Core, State

ONE_HOT_LIMIT = 256
"""Up to this vocabulary `encoder = "auto"` feeds one-hot vectors: the input product is then narrower than that of
an embedding as wide as the state, and the model equally expressive."""


class OneHot(nn.Module):
    """Ids (...) to one-hot vectors (..., V)."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.output_size = vocab_size
        self.register_buffer("like", torch.zeros(()), persistent=False)  # carries device and dtype

    def forward(self, ids: Tensor) -> Tensor:
        like: Tensor = self.get_buffer("like")
        return functional.one_hot(ids, self.output_size).to(like.dtype)


class Embedding(nn.Embedding):
    """Ids (...) to learned vectors (..., E)."""

    @property
    def output_size(self) -> int:
        return self.embedding_dim


class LanguageModel(nn.Module):
    """A recurrent model of token sequences.

    Attributes:
        encoder: `OneHot` or `Embedding`.
        core: a `Stack` of one Core for each layer.
        head: linear, from the core's output to the vocabulary; shares its weight with the embedding when tied.
    """

    def __init__(
        self, encoder: OneHot | Embedding, core: Stack, vocab_size: int, *, dropout: float, tied: bool
    ) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.dropout = dropout
        self.encoder = encoder
        self.core = core
        self.head = nn.Linear(core.output_size, vocab_size)
        self.tied = tied
        if tied:
            assert isinstance(encoder, Embedding)
            self.head.weight = encoder.weight

    @property
    def device(self) -> torch.device:
        return self.head.weight.device

    def initial_state(self, batch_size: int) -> State:
        """Return the state before the first token, on the model's device."""
        return self.core.initial_state(batch_size, device=self.device, dtype=self.head.weight.dtype)

    def forward(self, ids: Tensor, state: State, *, reset: Tensor | None = None) -> tuple[Tensor, State]:
        """Return what the head reads.

        Args:
            ids: int64 (B, T).
            state: from `initial_state` or an earlier call.
            reset: bool (B, T), see `Core.forward`.

        Returns:
            Features (B, T, O) and the state after the last token.
        """
        ys, state = self.core(self.encoder(ids), state, reset=reset)
        return functional.dropout(ys, self.dropout, self.training), state

    def logits(self, features: Tensor) -> Tensor:
        """Features (..., O) to logits (..., V)."""
        logits: Tensor = self.head(features)
        return logits

    def step(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one token for each row, ids (B,); return logits (B, V) and the next state."""
        ys, state = self.core.step(self.encoder(ids), state)
        return self.logits(ys), state

    def engine(self) -> tuple[str, str]:
        """Return how the core runs over time, `loop`, `eager` or `own` (a Core brings its own way), and why."""
        for core in self.core.cores:
            if isinstance(core, Unroll):
                return core.engine, core.engine_reason
        return "own", "the architecture brings its own way over time"

    def select_engine(self, engine: Engine, reason: str = "") -> None:
        """Choose the rung for every layer that is a Cell; one that cannot take it keeps all of them on the loop.

        Args:
            reason: why it is the loop, to be told by `engine`.
        """
        layers = [core for core in self.core.cores if isinstance(core, Unroll)]
        for layer in layers:
            layer.select(engine, reason)
        if engine != "loop" and (slow := [layer for layer in layers if layer.engine == "loop"]):
            for layer in layers:
                layer.select("loop", slow[0].engine_reason)

    def parameter_count(self) -> int:
        """The number of trained values, a tied weight counted once."""
        return sum(p.numel() for p in self.parameters())


def build_layer(plugin: type, input_size: int, hidden_size: int, options: dict[str, Any]) -> Core:
    """Build one layer of an architecture; a Cell is unrolled."""
    layer = plugin(input_size, hidden_size, **options)
    if isinstance(layer, Core):
        return layer
    if isinstance(layer, Cell):
        return Unroll(layer, input_size)
    raise PluginError(f"{plugin.__name__} is neither a Cell nor a Core of rnn_tui.plugin")


def build_model(plugin: type, options: dict[str, Any], config: ModelConfig, vocab_size: int) -> LanguageModel:
    """Build the model that `config` describes around the architecture class `plugin`.

    The weights are drawn from torch's global generator: seed it first.

    Raises:
        UsageError: when the widths do not fit together.
        PluginError: when `plugin` is no architecture.
    """
    one_hot = config.encoder == "one-hot" or (
        config.encoder == "auto"
        and vocab_size <= ONE_HOT_LIMIT
        and not config.tie_weights
        and not config.embedding_size
    )
    encoder: OneHot | Embedding = (
        OneHot(vocab_size) if one_hot else Embedding(vocab_size, config.embedding_size or config.hidden_size)
    )
    cores: list[Core] = []
    for _ in range(config.num_layers):
        width = cores[-1].output_size if cores else encoder.output_size
        cores.append(build_layer(plugin, width, config.hidden_size, options))
    if config.tie_weights:
        if one_hot:
            raise UsageError("model.tie_weights needs an embedding; set model.encoder to 'embedding'")
        if encoder.output_size != cores[-1].output_size:
            raise UsageError(
                f"model.tie_weights needs embedding_size {encoder.output_size} equal to the core's output size "
                f"{cores[-1].output_size}; leave embedding_size out or set it so"
            )
    model = LanguageModel(
        encoder, Stack(cores, config.dropout), vocab_size, dropout=config.dropout, tied=config.tie_weights
    )
    if config.init_std:
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.normal_(0.0, config.init_std)
                elif not bool((parameter == 1).all()):  # a vector of ones is a gain, which must not vanish
                    parameter.zero_()
    return model
