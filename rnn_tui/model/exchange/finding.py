"""Which tensors of a stranger's file are the recurrent layers, the embedding and the head. Free of torch.

The layers are found by what torch.nn calls their tensors, whatever stands before; the rest by shape, given the size of
the vocabulary, and by name only where shapes leave it open.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rnn_tui.model.container import BadModelFile, Container, Entry

_TENSOR = re.compile(
    r"(?P<prefix>.*)(?P<part>(weight|bias)_(ih|hh|hr))_l(?P<layer>\d{1,4})(?P<way>_reverse)?", re.S
)
_CELL = re.compile(r"(.*\.)?(weight|bias)_(ih|hh)", re.S)
_GATES = {4: "LSTM", 3: "GRU", 1: "RNN"}
_FLOATS = ("F64", "F32", "F16", "BF16")


@dataclass(frozen=True)
class Layout:
    """What a file holds, by names of tensors; shapes are checked.

    Attributes:
        prefix: of the layers' tensors.
        embedding: None where tokens enter as one-hot vectors, and where numbers do.
        head: its weight; the embedding's where they are tied and it stands there once.
        head_bias: None where there is none.
    """

    kind: str
    input_size: int
    hidden_size: int
    num_layers: int
    bidirectional: bool
    bias: bool
    prefix: str
    embedding: str | None
    head: str
    head_bias: str | None


def find_layout(container: Container, output_size: int, *, tokens: bool) -> Layout:
    """Return what is in a file of weights.

    Args:
        output_size: tokens in the vocabulary, or columns.
        tokens: whether it reads tokens; else numbers.

    Raises:
        BadModelFile: when it has no such layers, or a tensor is missing, too many or of another shape: names it.
    """
    path, entries = container.path, container.entries
    found: dict[str, dict[str, Entry]] = {}
    rest = {}
    for name, entry in entries.items():
        match = _TENSOR.fullmatch(name)
        if match is None:
            rest[name] = entry
        else:
            found.setdefault(match["prefix"], {})[name[len(match["prefix"]) :]] = entry
    if len(found) != 1:
        raise BadModelFile(f"{path}: {_no_one_stack(found, entries)}")
    for name, entry in entries.items():
        if entry.dtype not in _FLOATS:
            raise BadModelFile(f"{path}: tensor {name!r} is {entry}; weights are F64, F32, F16 or BF16")
    [(prefix, layers)] = found.items()
    kind, sizes = _layers(path, prefix, layers)
    input_size, hidden_size, num_layers, ways = sizes
    embedding, head, head_bias = _ends(path, rest, output_size, input_size, hidden_size * ways, tokens=tokens)
    return Layout(
        kind=kind,
        input_size=input_size,
        hidden_size=hidden_size,
        num_layers=num_layers,
        bidirectional=ways == 2,
        bias="bias_ih_l0" in layers,
        prefix=prefix,
        embedding=embedding,
        head=head,
        head_bias=head_bias,
    )


def _no_one_stack(found: Mapping[str, object], entries: Mapping[str, Entry]) -> str:
    if found:
        return (
            f"has {len(found)} recurrent modules ({_named(map(repr, sorted(found)))}), and one is read: "
            "layers on top of each other are one nn.LSTM, nn.GRU or nn.RNN with num_layers"
        )
    cell = next((name for name in entries if _CELL.fullmatch(name)), None)
    if cell is not None:
        return (
            f"tensor {cell!r} is of an nn.LSTMCell, nn.GRUCell or nn.RNNCell; name it {cell + '_l0'!r}, and its others "
            "likewise, with the number of the layer behind the l"
        )
    return (
        "has no tensor named weight_ih_l0, as nn.LSTM, nn.GRU and nn.RNN name theirs, with anything before it"
        + (f"; it has {_named(entries)}" if entries else "")
    )


def _layers(path: object, prefix: str, layers: Mapping[str, Entry]) -> tuple[str, tuple[int, int, int, int]]:
    """Return the kind, and input size, hidden size, number of layers and of directions."""
    projection = next((name for name in layers if "weight_hr" in name), None)
    if projection is not None:
        raise BadModelFile(
            f"{path}: tensor {prefix + projection!r} is a projection (proj_size), which no architecture here has"
        )
    recurrent, inputs = (layers.get(f"weight_{part}_l0") for part in ("hh", "ih"))
    if recurrent is None or inputs is None:
        name = f"{prefix}weight_{'hh' if recurrent is None else 'ih'}_l0"
        raise BadModelFile(f"{path}: tensor {name!r} is missing")
    rows, hidden = recurrent.shape if len(recurrent.shape) == 2 else (0, 1)
    kind = _GATES.get(rows // hidden) if hidden and rows % hidden == 0 else None
    if kind is None:
        raise BadModelFile(
            f"{path}: tensor {prefix + 'weight_hh_l0'!r} is {list(recurrent.shape)}, not (gates * hidden, hidden) with "
            "4 gates of an LSTM, 3 of a GRU or 1 of an RNN"
        )
    if len(inputs.shape) != 2 or not inputs.shape[1]:
        raise BadModelFile(
            f"{path}: tensor {prefix + 'weight_ih_l0'!r} is {list(inputs.shape)}, not (gates * hidden, inputs)"
        )
    count = 1 + max(int(re.sub(r".*_l(\d+).*", r"\1", name)) for name in layers)
    ways = ("", "_reverse") if any(name.endswith("_reverse") for name in layers) else ("",)
    biased = any(name.startswith("bias") for name in layers)
    expected: dict[str, tuple[int, ...]] = {}
    for index in range(min(count, len(layers))):  # of more, one is missing
        width = inputs.shape[1] if index == 0 else hidden * len(ways)
        for way in ways:
            expected[f"weight_ih_l{index}{way}"] = (rows, width)
            expected[f"weight_hh_l{index}{way}"] = (rows, hidden)
            if biased:
                expected[f"bias_ih_l{index}{way}"] = expected[f"bias_hh_l{index}{way}"] = (rows,)
    wrong = [f"{prefix + name!r} is missing" for name in expected if name not in layers]
    wrong += [f"{prefix + name!r} is too many" for name in layers if name not in expected]
    wrong += [
        f"{prefix + name!r} is {list(layers[name].shape)}, not {list(shape)}"
        for name, shape in expected.items()
        if name in layers and layers[name].shape != shape
    ]
    if wrong:
        raise BadModelFile(f"{path}: these are not the tensors of one nn.{kind}: {_named(wrong)}")
    return kind, (inputs.shape[1], hidden, count, len(ways))


def _ends(
    path: object, rest: Mapping[str, Entry], output_size: int, input_size: int, width: int, *, tokens: bool
) -> tuple[str | None, str, str | None]:
    """Return the names of the embedding (None: one-hot vectors or numbers), of the head's weight and of its bias."""
    heads = [name for name, entry in rest.items() if entry.shape == (output_size, width)]
    embeddings = [name for name, entry in rest.items() if tokens and entry.shape == (output_size, input_size)]
    biased = [name for name in heads if _bias_of(name) in rest]
    if len(biased) == 1:
        heads = biased
    elif heads == embeddings:
        heads = [name for name in heads if "emb" not in name.lower()]
    embeddings = [name for name in embeddings if name not in heads]
    if len(heads) > 1 or len(embeddings) > 1:
        several = map(repr, sorted({*heads, *embeddings}))
        raise BadModelFile(
            f"{path}: shapes do not tell the embedding from the head: {_named(several)}; name them embedding.weight "
            "and head.weight"
        )
    embedding, head = next(iter(embeddings), None), next(iter(heads), None)
    if tokens and input_size == width:  # tied, and the weight stands there once
        head = head or embedding
        embedding = embedding or (head if input_size != output_size else None)
    unit = "tokens" if tokens else "columns"
    doubt = f"; are these the {output_size:,} {unit} that it was trained with?"
    if head is None:
        raise BadModelFile(
            f"{path}: has no head: no weight {[output_size, width]} from {width} values to {output_size:,} "
            f"{unit}{doubt}"
        )
    if embedding is None and input_size != output_size:
        raise BadModelFile(
            f"{path}: its recurrent layers take {input_size} values, and there is no embedding "
            f"{[output_size, input_size]}{doubt}"
            if tokens
            else f"{path}: its recurrent layers take {input_size} values{doubt}"
        )
    shaped = [name for name, entry in rest.items() if entry.shape == (output_size,)]
    bias = _bias_of(head) if _bias_of(head) in rest else next(iter(shaped), None)
    unknown = [repr(name) for name in rest if name not in (embedding, head, bias)]
    if unknown:
        verb = "is" if len(unknown) == 1 else "are"
        raise BadModelFile(
            f"{path}: {_named(unknown)} {verb} too many: a model is an embedding, recurrent layers and a linear head"
        )
    if bias is not None and rest[bias].shape != (output_size,):
        raise BadModelFile(f"{path}: tensor {bias!r} is {rest[bias]}, not {[output_size]}")
    return embedding, head, bias


def _bias_of(weight: str) -> str:
    return weight.removesuffix("weight") + "bias"


def _named(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return ", ".join(listed[:5]) + more
