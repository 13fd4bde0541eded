"""What stands in a model file beside the weights: one JSON text. Free of torch.

It is written under one metadata key, `rnn_tui`: a second key would make the order of the keys, and so the bytes,
vary.
"""

import json
import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from rnn_tui.model.config import ModelConfig
from rnn_tui.model.container import NAME_LIMIT, BadModelFile, Container, open_container
from rnn_tui.model.strict_json import parse_json

FORMAT = 1
METADATA_KEY = "rnn_tui"


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """What stands in a model file beside the weights.

    Attributes:
        config: the whole configuration of the run, section → key → value.
        tokenizer: as `architecture`, and `state` as `Tokenizer.to_state` gave it; None for a model of
            numbers.
        scaling: the names of its `columns`, and `mean` and `std` of each; None for a model of tokens.
        architecture: `name`, `distribution`, `version`. Of a plugin from another package also `source`, as
            `rnn_tui.plugin.registry.plugin_record` notes it; files from before it was noted have none.
        training: `step`, `validation_loss` and `train_loss` (in the unit of the task, or None), `corpus`, its
            `fingerprint`, `run`, `best`, and of a text `chars_per_token` and `bytes_per_token`.
        format: the version of this layout.
    """

    config: dict[str, Any]
    tokenizer: dict[str, Any] | None
    architecture: dict[str, Any]
    training: dict[str, Any]
    scaling: dict[str, Any] | None = None
    format: int = FORMAT

    @property
    def task(self) -> str:
        """The name of the task that the model was trained for."""
        section = self.config.get("task")
        return str(section.get("name", "")) if isinstance(section, dict) else ""


_Text = Annotated[str, Meta(max_length=4096)]
"""As long as a path may be; names from the file are part of messages, and looked for among others."""


class _Plugin(msgspec.Struct, kw_only=True):
    name: Annotated[str, Meta(max_length=NAME_LIMIT)]
    distribution: Annotated[str, Meta(max_length=NAME_LIMIT)]
    version: Annotated[str, Meta(max_length=NAME_LIMIT)]
    source: Annotated[str, Meta(max_length=NAME_LIMIT)] = ""


class _Tokenizer(_Plugin, kw_only=True):
    state: dict[str, Any]


class _Training(msgspec.Struct):
    """The types of what readers show; a key may be absent."""

    step: Annotated[int, Meta(ge=0)] = 0
    validation_loss: float | None = None
    train_loss: float | None = None
    corpus: _Text = ""
    fingerprint: _Text = ""
    chars_per_token: Annotated[float, Meta(gt=0)] | None = None
    bytes_per_token: Annotated[float, Meta(gt=0)] | None = None
    run: _Text = ""
    best: bool = False


def header_text(header: ModelFile) -> str:
    """Return the JSON text that `header_of` reads; equal headers give equal texts."""
    training = {key: _number_out(value) for key, value in header.training.items()}
    values = {field.name: getattr(header, field.name) for field in fields(header)} | {"training": training}
    return json.dumps(values, separators=(",", ":"), sort_keys=True, allow_nan=False)


def read_header(path: Path) -> ModelFile:
    """Read what stands in a model file beside the weights. Does not load torch.

    Raises:
        BadModelFile: when it is no whole model file.
    """
    with open_container(path) as container:
        return header_of(container)


def header_of(container: Container) -> ModelFile:
    """Return what stands in an open model file beside the weights.

    Raises:
        BadModelFile: when it is not what this version writes.
    """
    path = container.path
    text = container.metadata.get(METADATA_KEY)
    if text is None:
        raise BadModelFile(
            f"{path}: a safetensors file, but not one of rnn-tui: it has no settings in it; rnn-tui import makes a "
            "model file of the weights of an nn.LSTM, nn.GRU or nn.RNN"
        )
    return parse_header(text, path)


def parse_header(text: str, path: Path) -> ModelFile:
    """Return what `header_text` wrote.

    Raises:
        BadModelFile: when it is not what this version writes; `path` names where it stands.
    """
    try:
        if not text.isascii():  # it would take four times the memory
            raise ValueError("they are not ASCII, as this version writes them")
        values = parse_json(text)
        version = values.get("format") if isinstance(values, dict) else None
        if isinstance(version, int) and version > FORMAT:
            raise BadModelFile(
                f"{path}: made by a newer rnn-tui (format {version}, this one reads {FORMAT}); upgrade"
            )
        if version != FORMAT or set(values) != {field.name for field in fields(ModelFile)}:
            raise ValueError("it is not what this version writes")
        header = msgspec.convert(values, ModelFile)
        training = {key: _number_in(value) for key, value in header.training.items()}
        msgspec.convert(header.tokenizer, _Tokenizer | None)
        if (header.tokenizer is None) == (header.scaling is None):
            raise ValueError("it needs a tokenizer or a scaling, one of the two")
        if len(header.task) > NAME_LIMIT:
            raise ValueError(f"a task's name of {len(header.task):,} characters")
        msgspec.convert(header.architecture, _Plugin)
        msgspec.convert(training, _Training)
    except ValueError as error:  # msgspec.ValidationError is one too
        raise BadModelFile(f"{path}: its settings cannot be read: {error}") from None
    return replace(header, training=training)


def _number_out(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _number_in(value: Any) -> Any:
    return float(value) if value in ("nan", "inf", "-inf") else value


def model_config(header: ModelFile, path: Path) -> ModelConfig:
    """Return the shape of the model that a header describes; the architecture's own options are not checked.

    Raises:
        BadModelFile: when it is not stated as this version states it.
    """
    try:
        section = header.config["model"]
        config = msgspec.convert(section, ModelConfig)
        unknown = set(section) - {field.name for field in fields(ModelConfig)}
        if unknown or config.arch != header.architecture["name"]:
            raise ValueError(
                f"unknown: {', '.join(sorted(unknown))}" if unknown else "two architectures are named"
            )
    except KeyError:
        raise BadModelFile(f"{path}: it has no model settings") from None
    except (ValueError, TypeError) as error:
        raise BadModelFile(f"{path}: its model settings do not fit: {error}") from None
    return config
