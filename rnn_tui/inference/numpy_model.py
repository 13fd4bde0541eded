"""A trained model in plain NumPy, from the model file alone: the classic notes' way of running it, without torch.

An independent second opinion on what the model in torch computes, and a quick one to start. The step of an
architecture comes from a plugin, see `rnn_tui.plugin.numpy_step`; the encoder, the layers and the head are here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnn_tui.errors import UsageError
from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.drawing import Drawn, Ids, draw_tokens
from rnn_tui.inference.sampling import Doubles, Logits
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.container import BadModelFile
from rnn_tui.model.file import load_arrays
from rnn_tui.model.header import ModelFile, model_config
from rnn_tui.plugin.numpy_step import Array, NumpyStep
from rnn_tui.plugin.registry import list_plugins, load_plugin, recorded_name
from rnn_tui.plugin.state import map_state
from rnn_tui.plugin.tokenizer import Tokenizer


class NumpyModel:
    """A model of tokens, and a `Reader`.

    Attributes:
        embedding: (V, E), or None where a token enters as a one-hot vector.
        layers: the lowest first; each a pair where the model also reads backwards.
        weight, bias: of the head, (V, O) and (V,).
    """

    def __init__(
        self,
        embedding: Array | None,
        layers: Sequence[NumpyStep | tuple[NumpyStep, NumpyStep]],
        weight: Array,
        bias: Array,
    ) -> None:
        self.embedding = embedding
        self.layers = layers
        self.weight = weight
        self.bias = bias

    @property
    def output_size(self) -> int:
        return len(self.bias)

    def initial_state(self, batch_size: int) -> Any:
        """Return the state before the first position, one part for each layer."""
        return tuple(
            tuple(way.initial_state(batch_size) for way in layer)
            if isinstance(layer, tuple)
            else layer.initial_state(batch_size)
            for layer in self.layers
        )

    def encode(self, ids: Ids) -> Array:
        """Ids (...) to what the lowest layer reads, (..., I)."""
        if self.embedding is not None:
            vectors: Array = self.embedding[ids]
            return vectors
        one_hot = np.zeros((ids.size, self.output_size), self.weight.dtype)
        one_hot[np.arange(ids.size), ids.ravel()] = 1
        return one_hot.reshape(*ids.shape, -1)

    def forward(self, ids: Ids, state: Any) -> tuple[Array, Any]:
        """Read ids (B, T); return what the head reads, (B, T, O), and the state after the last position."""
        xs = self.encode(ids)
        after = []
        for layer, inner in zip(self.layers, state, strict=True):
            if isinstance(layer, tuple):
                ahead, first = _run(layer[0], xs, inner[0])
                behind, second = _run(layer[1], xs[:, ::-1], inner[1])
                xs, inner = np.concatenate([ahead, behind[:, ::-1]], -1), (first, second)
            else:
                xs, inner = _run(layer, xs, inner)
            after.append(inner)
        return xs, tuple(after)

    def outputs(self, features: Array) -> Array:
        """Features (..., O) to logits (..., V)."""
        logits: Array = features @ self.weight.T + self.bias
        return logits

    def start(self) -> Any:
        return self.initial_state(1)

    def read(self, ids: Ids, state: Any, last: int) -> tuple[Logits, Any]:
        features, state = self.forward(ids[None], state)
        return self.outputs(features[0, -last:]), state

    def draw(
        self,
        logits: Logits,
        state: Any,
        count: int,
        noise: Doubles | None,
        config: SamplingConfig,
        hidden: int | None,
    ) -> Drawn:
        def step(token: int, state: Any) -> tuple[Logits, Any]:
            after, state = self.advance(np.array([token]), state)  # (1, V)
            return after[0], state

        return draw_tokens(step, logits, state, count, noise, config, hidden)

    def advance(self, ids: Ids, state: Any) -> tuple[Logits, Any]:
        """Read one token of each row, (B,); return the logits (B, V) for the next, and the state."""
        x = self.encode(ids)  # (B, I)
        after = []
        for layer, inner in zip(self.layers, state, strict=True):
            if isinstance(layer, tuple):
                raise UsageError(
                    "a bidirectional model reads a whole text at once; it cannot go on token by token"
                )
            x, inner = layer.step(x, inner)
            after.append(inner)
        return self.outputs(x), tuple(after)

    def pick(self, state: Any, rows: Ids) -> Any:
        return map_state(lambda leaf: leaf[rows], state)


def _run(step: NumpyStep, xs: Array, state: Any) -> tuple[Array, Any]:
    """Run one layer over (B, T, I), from the first position to the last."""
    ys = []
    for position in range(xs.shape[1]):
        y, state = step.step(xs[:, position], state)
        ys.append(y)
    return np.stack(ys, 1), state


def load_numpy(path: Path) -> tuple[NumpyModel, Tokenizer, ModelFile]:
    """Build the model and the tokenizer that a file describes, without torch.

    Raises:
        UsageError: when its architecture has no step in NumPy, or the model is one of numbers.
        BadModelFile: when the file is damaged or its tensors do not fit together.
        PluginError, OutOfMemoryError: as `rnn_tui.model.file.load_model`.
    """
    arrays, tokenizer, header = load_arrays(path)
    config = model_config(header, path)
    step = _step_of(header)
    try:
        model = _build(step, config, arrays, tokenizer.vocab_size)
        # a first step shows whether the widths of the layers, which only the architecture knows, go together
        features, _ = model.forward(np.zeros((2, 1), np.int64), model.initial_state(2))
        if features.shape != (2, 1, model.weight.shape[1]):
            raise ValueError(
                f"the layers give {features.shape[-1]} values, the head takes {model.weight.shape[1]}"
            )
    except Exception as error:  # whatever a plugin makes of tensors that somebody else wrote
        reason = f"there is no {error}" if isinstance(error, KeyError) else error
        raise BadModelFile(
            f"{path}: its tensors are not those of the model it describes: {reason}"
        ) from error
    return model, tokenizer, header


def _step_of(header: ModelFile) -> type[NumpyStep]:
    """Return the step of the package that the architecture is from."""
    name = recorded_name(header.architecture)
    known = {info.full_name: info.name for info in list_plugins("numpy-step")}
    if name not in known:
        raise UsageError(
            f"the architecture {header.architecture['name']} has no step in NumPy (those that have: "
            f"{', '.join(known.values()) or 'none'}); use the backend torch"
        )
    return load_plugin("numpy-step", name)


def _build(
    step: type[NumpyStep], config: ModelConfig, arrays: Mapping[str, Array], vocab_size: int
) -> NumpyModel:
    rest = dict(arrays)
    embedding = rest.pop("encoder.weight", None)
    weight = embedding if config.tie_weights and embedding is not None else rest.pop("head.weight")
    bias = rest.pop("head.bias")
    ways = ("forwards.", "backwards.") if config.bidirectional else ("",)
    layers: list[Any] = []
    for index in range(config.num_layers):
        steps = [step(_taken(rest, f"core.layers.{index}.{way}"), config.options) for way in ways]
        layers.append(tuple(steps) if config.bidirectional else steps[0])
    if rest:
        raise ValueError(f"{next(iter(rest))!r} is too many")
    for name, array, shape in (
        ("head.weight", weight, (vocab_size, weight.shape[-1])),
        ("head.bias", bias, (vocab_size,)),
        *(
            (("encoder.weight", embedding, (vocab_size, embedding.shape[-1])),)
            if embedding is not None
            else ()
        ),
    ):
        if array.shape != shape:
            raise ValueError(f"{name!r} is {list(array.shape)}, not {list(shape)}")
    return NumpyModel(embedding, layers, weight, bias)


def _taken(arrays: dict[str, Array], prefix: str) -> dict[str, Array]:
    """Take the tensors under `prefix` out of `arrays`, named as in the architecture's own module.

    A Cell stands in the file under the host's name for it, `cell.`.
    """
    found = {name.removeprefix(prefix): arrays.pop(name) for name in list(arrays) if name.startswith(prefix)}
    inner = "cell." if all(name.startswith("cell.") for name in found) else ""
    return {name.removeprefix(inner): array for name, array in found.items()}
