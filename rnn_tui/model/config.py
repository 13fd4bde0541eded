"""The shape of a model, as settings."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

ONE_HOT_LIMIT = 256
"""Up to this vocabulary `encoder = "auto"` feeds one-hot vectors: the input product is then narrower than that of
an embedding as wide as the state, and the model equally expressive."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What is built; the architecture's own options are in `options`."""

    arch: Annotated[str, Meta(description="Architecture, by its plugin name.")] = "lstm"
    options: Annotated[dict[str, Any], Meta(description="The architecture's own options.")] = field(
        default_factory=dict
    )
    hidden_size: Annotated[int, Meta(ge=1, le=65536, description="Width of the state.")] = 256
    num_layers: Annotated[int, Meta(ge=1, le=64, description="Layers on top of each other.")] = 1
    encoder: Annotated[
        Literal["auto", "one-hot", "embedding"],
        Meta(
            description="How a token enters: one-hot, a learned embedding, or one-hot up to 256 symbols (auto)."
        ),
    ] = "auto"
    embedding_size: Annotated[
        int, Meta(ge=0, le=65536, description="Width of the embedding; 0: the hidden size.")
    ] = 0
    bidirectional: Annotated[
        bool, Meta(description="Read each row in both directions; for the task aligned only.")
    ] = False
    tie_weights: Annotated[bool, Meta(description="The head shares its weight with the embedding.")] = False
    dropout: Annotated[float, Meta(ge=0, lt=1, description="Dropout between layers and before the head.")] = (
        0.0
    )
    init_std: Annotated[
        float,
        Meta(
            ge=0,
            le=10,
            description="Draw weights from N(0, this), biases zero, gains one; 0: the cell's own way.",
        ),
    ] = 0.0


def plain_rnn_weights(config: ModelConfig, *, vocab_size: int = 0, columns: int = 0) -> int:
    """Return how many weights encoder, layers and head have if each layer is a plain RNN without biases.

    It is the least that a layer with a full recurrence can have; an LSTM has four times as many in its layers.
    """
    width = config.hidden_size
    embedded = config.encoder == "embedding" or (config.encoder == "auto" and vocab_size > ONE_HOT_LIMIT)
    read = (config.embedding_size or width) if embedded else vocab_size + columns
    encoder = vocab_size * read if embedded else 0
    head = 0 if config.tie_weights else width * (vocab_size + columns)
    return encoder + read * width + (2 * config.num_layers - 1) * width * width + head
