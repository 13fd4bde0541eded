"""The shape of a model, as settings."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta


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
