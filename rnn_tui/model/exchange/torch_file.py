"""The weights of a model as the state dict that a short script in plain torch loads, strictly."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch

from rnn_tui.errors import InputError, UsageError
from rnn_tui.files import replace_file
from rnn_tui.model.container import HEADER_LIMIT
from rnn_tui.model.exchange.notes import SETTINGS, notes_of
from rnn_tui.model.exchange.twin import Twin, nonlinearity_of, twin_of
from rnn_tui.model.header import ModelFile
from rnn_tui.model.packing import Block
from rnn_tui.model.recurrent_model import Embedding, OneHot, RecurrentModel
from rnn_tui.model.strict_json import VALUES_LIMIT, values_in
from rnn_tui.plugin.tokenizer import Tokenizer

SUM = "weights_sha256"
"""In the notes: of the tensors' bytes. With it a file that comes back unchanged keeps the figures of its training."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        tensors: name → shape.
        difference: by how much the outputs in plain torch differ from the model's at most.
        script: what loads it.
    """

    path: Path
    kind: str
    bytes: int
    tensors: dict[str, tuple[int, ...]]
    difference: float
    script: str
    notes: tuple[str, ...]


def export_torch(
    model: RecurrentModel,
    header: ModelFile,
    tokenizer: Tokenizer | None,
    path: Path,
    *,
    identity: bool = False,
) -> Exported:
    """Write the weights of a model under the names of torch.nn; an earlier file at `path` is replaced.

    Args:
        model: on the CPU and in evaluation mode, with what `load_model` or `load_series` returns beside it.
        tokenizer: None for a model of numbers.
        identity: where tokens enter as one-hot vectors, write them as the weight of an embedding.

    Raises:
        UsageError: when torch.nn has no layers that compute the same; says why.
        PluginError: when the architecture says that it has, and it is not so.
        InputError: when the vocabulary is too large for the file.
        DiskError: when it cannot be written.
    """
    owner = "architecture {name} ({distribution} {version})".format_map(header.architecture)
    try:
        twin, found = twin_of(model, owner)
    except UsageError as error:
        raise UsageError(
            f"{error}; its model file is a plain safetensors file under its own names, and the format onnx takes "
            "any cell"
        ) from None
    tensors = dict(twin.state_dict())
    if identity and isinstance(model.encoder, OneHot):
        tensors["embedding.weight"] = torch.eye(model.output_size)
    more = {"kind": twin.kind, "nonlinearity": nonlinearity_of(twin.rnn)}
    notes = notes_of(model, header, tokenizer, more)
    packed = Block().pack(tensors)
    notes["format"] = "pt"  # what other readers of safetensors expect
    notes[SUM] = hashlib.sha256(packed.data).hexdigest()
    head, data = packed.chunks(notes)
    if len(head) > HEADER_LIMIT or values_in(head.decode("latin-1")) > VALUES_LIMIT:
        raise InputError(
            f"the tokenizer takes {len(notes[SETTINGS]) / 1e6:.1f} MB as JSON, too much for the header of a "
            "safetensors file; train with a smaller vocabulary"
        )
    replace_file(path, b"".join((head, data)))
    return Exported(
        path=path,
        kind=twin.kind,
        bytes=len(head) + len(data),
        tensors={name: tuple(tensor.shape) for name, tensor in tensors.items()},
        difference=found,
        script=script(model, twin, path, identity=identity),
        notes=_remarks(model, identity=identity),
    )


def script(model: RecurrentModel, twin: Twin, path: Path, *, identity: bool = False) -> str:
    """Return Python code of torch and safetensors alone that loads the file as `model`: inputs (B, T) to outputs
    (B, T, V) and the state."""
    rnn = twin.rnn
    settings = [str(rnn.input_size), str(rnn.hidden_size)]
    if rnn.num_layers > 1:
        settings.append(f"num_layers={rnn.num_layers}")
    if nonlinearity_of(rnn) != "tanh":
        settings.append(f"nonlinearity={nonlinearity_of(rnn)!r}")
    if rnn.bidirectional:
        settings.append("bidirectional=True")
    settings.append("batch_first=True")
    embedded = isinstance(model.encoder, Embedding) or (identity and isinstance(model.encoder, OneHot))
    inputs, xs = "ids", "self.embedding(ids)"
    if not embedded:
        inputs = "ids" if isinstance(model.encoder, OneHot) else "values"
        xs = f"nn.functional.one_hot(ids, {rnn.input_size}).float()" if inputs == "ids" else inputs
    width = model.output_size
    embedding = f"        self.embedding = nn.Embedding({width}, {rnn.input_size})\n" if embedded else ""
    shape = "(B, T)" if inputs == "ids" else f"(B, T, {width})"
    return f"""\
import torch
from safetensors.torch import load_file
from torch import nn


class Model(nn.Module):
    def __init__(self):
        super().__init__()
{embedding}        self.rnn = nn.{twin.kind}({", ".join(settings)})
        self.head = nn.Linear({twin.head.in_features}, {width})

    def forward(self, {inputs}, state=None):  # {shape} -> (B, T, {width})
        ys, state = self.rnn({xs}, state)
        return self.head(ys), state


model = Model()
model.load_state_dict(load_file({json.dumps(str(path), ensure_ascii=False)}))
"""


def _remarks(model: RecurrentModel, *, identity: bool) -> tuple[str, ...]:
    """Say what a reader of the file has to know beside the code."""
    notes = []
    if isinstance(model.encoder, OneHot) and not identity:
        notes.append(
            "tokens enter as one-hot vectors: there is no embedding.weight; an identity embedding is written where it "
            "is asked for"
        )
    if model.tied:
        notes.append(
            "head.weight and embedding.weight are equal; to train on, tie them: model.head.weight = "
            "model.embedding.weight"
        )
    if model.dropout:
        notes.append(
            f"it was trained with dropout {model.dropout:g} between layers and before the head, which the code leaves "
            "out"
        )
    if not isinstance(model.encoder, OneHot | Embedding):
        notes.append(
            "it reads scaled numbers: (x - mean) / std, with what stands in its metadata under scaling"
        )
    return tuple(notes)
