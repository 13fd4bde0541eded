"""Encoder, core and head: ids in and logits out, or numbers in and numbers out."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tui.errors import PluginError, UsageError
from rnn_tui.model.config import ONE_HOT_LIMIT, ModelConfig
from rnn_tui.model.recurrence import Bidirectional, Engine, Stack, Unroll
from rnn_tui.plugin.core import Cell, Core, State


class OneHot(nn.Module):
    """Ids (...) to one-hot vectors (..., V)."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.output_size = vocab_size
        self.register_buffer("like", torch.zeros(()), persistent=False)  # carries device and dtype

    def forward(self, ids: Tensor) -> Tensor:
        like: Tensor = self.get_buffer("like")
        return functional.one_hot(ids, self.output_size).to(like.dtype)

    def vectors(self) -> Tensor:
        """The vectors of all ids, (V, V)."""
        like: Tensor = self.get_buffer("like")
        return torch.eye(self.output_size, dtype=like.dtype, device=like.device)


class Embedding(nn.Embedding):
    """Ids (...) to learned vectors (..., E)."""

    @property
    def output_size(self) -> int:
        return self.embedding_dim

    def vectors(self) -> Tensor:
        """The vectors of all ids, (V, E)."""
        return self.weight


class Values(nn.Module):
    """Numbers (..., C) as they are."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.output_size = columns

    def forward(self, values: Tensor) -> Tensor:
        return values


class RecurrentModel(nn.Module):
    """A recurrent model of sequences.

    Attributes:
        encoder: `OneHot` or `Embedding` for tokens, `Values` for numbers.
        core: a `Stack` of one Core for each layer.
        head: linear, from the core's output to the outputs; shares its weight with the embedding when tied.
        output_size: the size of the vocabulary, or the number of columns.
    """

    def __init__(
        self,
        encoder: OneHot | Embedding | Values,
        core: Stack,
        output_size: int,
        *,
        dropout: float,
        tied: bool,
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.dropout = dropout
        self.encoder = encoder
        self.core = core
        self.head = nn.Linear(core.output_size, output_size)
        self.tied = tied
        if tied:
            assert isinstance(encoder, Embedding)
            self.head.weight = encoder.weight

    @property
    def device(self) -> torch.device:
        return self.head.weight.device

    def initial_state(self, batch_size: int) -> State:
        """Return the state before the first position, on the model's device."""
        return self.core.initial_state(batch_size, device=self.device, dtype=self.head.weight.dtype)

    def forward(
        self, inputs: Tensor, state: State, *, reset: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Return what the head reads.

        Args:
            inputs: ids, int64 (B, T), or numbers (B, T, C).
            state: from `initial_state` or an earlier call.
            reset: bool (B, T), see `Core.forward`.
            lengths: int64 (B,), where each row ends; only a bidirectional model looks at it.

        Returns:
            Features (B, T, O) and the state after the last position.
        """
        if not isinstance(self.encoder, Values) and self._chooses(inputs):
            ys, state = self.core(self.encoder.vectors(), state, reset=reset, ids=inputs)
        else:
            ys, state = self.core(self.encoder(inputs), state, reset=reset, lengths=lengths)
        return functional.dropout(ys, self.dropout, self.training), state

    def _chooses(self, inputs: Tensor) -> bool:
        """Whether the first layer makes more of each vector once than of each position."""
        first = self.core.cores[0]
        return isinstance(first, Unroll) and first.engine != "loop" and self.output_size <= inputs.numel()

    def outputs(self, features: Tensor) -> Tensor:
        """Features (..., O) to logits (..., V), or to numbers (..., C)."""
        outputs: Tensor = self.head(features)
        return outputs

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one position of each row, ids (B,) or numbers (B, C); return its outputs and the next state."""
        ys, state = self.core.step(self.encoder(inputs), state)
        return self.outputs(ys), state

    def engine(self) -> tuple[str, str]:
        """Return how the core runs over time, by the name of the rung or `own` (a Core brings its own way), and why."""
        for layer in self._unrolled():
            return layer.engine, layer.engine_reason
        return "own", "the architecture brings its own way over time"

    def _unrolled(self) -> list[Unroll]:
        return [module for module in self.core.modules() if isinstance(module, Unroll)]

    def select_engine(self, engine: Engine, reason: str = "") -> None:
        """Choose the rung for every layer that is a Cell: all take the slowest that one of them has to take.

        Args:
            reason: why it is the loop, to be told by `engine`.
        """
        layers = self._unrolled()
        for layer in layers:
            layer.select(engine, reason)
        for rung in ("loop", "eager"):
            slow = next((layer for layer in layers if layer.engine == rung), None)
            if slow is not None:
                for layer in layers:
                    layer.engine, layer.engine_reason = rung, slow.engine_reason
                return

    def compile_ahead(self) -> str | None:
        """Compile every layer that is a Cell and stands on the eager rung, and keep the rung in use.

        May run in a thread beside training: about a second for each kind of cell, next to nothing when it was compiled
        before on this machine. Afterwards `select_engine("compiled")` takes effect at once.

        Returns:
            None, or why it is not possible, as half a sentence.
        """
        layers = self._unrolled()
        if not layers:
            return "the architecture brings its own way over time"
        return next((problem for layer in layers if (problem := layer.compile_ahead()) is not None), None)

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


def build_model(
    plugin: type, options: dict[str, Any], config: ModelConfig, vocab_size: int = 0, *, columns: int = 0
) -> RecurrentModel:
    """Build the model that `config` describes around the architecture class `plugin`.

    The weights are drawn from torch's global generator: seed it first.

    Args:
        vocab_size: tokens in and out; 0 for a model of numbers.
        columns: numbers in and out at each position, for such a model.

    Raises:
        UsageError: when the widths do not fit together.
        PluginError: when `plugin` is no architecture.
    """
    encoder = Values(columns) if columns else _token_encoder(config, vocab_size)
    cores: list[Core] = []
    for _ in range(config.num_layers):
        width = cores[-1].output_size if cores else encoder.output_size
        layer = build_layer(plugin, width, config.hidden_size, options)
        if config.bidirectional:
            layer = Bidirectional(layer, build_layer(plugin, width, config.hidden_size, options))
        cores.append(layer)
    if config.tie_weights:
        if not isinstance(encoder, Embedding):
            raise UsageError("model.tie_weights needs an embedding; set model.encoder to 'embedding'")
        if encoder.output_size != cores[-1].output_size:
            raise UsageError(
                f"model.tie_weights needs embedding_size {encoder.output_size} equal to the core's output size "
                f"{cores[-1].output_size}; leave embedding_size out or set it so"
            )
    model = RecurrentModel(
        encoder,
        Stack(cores, config.dropout),
        columns or vocab_size,
        dropout=config.dropout,
        tied=config.tie_weights,
    )
    if config.init_std:
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.normal_(0.0, config.init_std)
                elif not bool((parameter == 1).all()):  # a vector of ones is a gain, which must not vanish
                    parameter.zero_()
    return model


def _token_encoder(config: ModelConfig, vocab_size: int) -> OneHot | Embedding:
    one_hot = config.encoder == "one-hot" or (
        config.encoder == "auto"
        and vocab_size <= ONE_HOT_LIMIT
        and not config.tie_weights
        and not config.embedding_size
    )
    return (
        OneHot(vocab_size) if one_hot else Embedding(vocab_size, config.embedding_size or config.hidden_size)
    )
