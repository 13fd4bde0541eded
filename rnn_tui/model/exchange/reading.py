"""The tensors of a file of weights under the names of a `Twin`, in the order of our tokens, and a twin of them."""

import hashlib

import numpy.typing as npt
import torch
from numpy import int64
from torch import Tensor, nn

from rnn_tui.model.container import BadModelFile, Container
from rnn_tui.model.exchange.finding import Layout
from rnn_tui.model.exchange.twin import PARTS, WAYS, Twin, empty_rnn

NEVER = -1e4
"""The bias of a token that is never drawn: its probability is 0 in float32 and in float64."""

Tensors = dict[str, Tensor]
"""The state dict of a `Twin`, float32."""


def read_tensors(container: Container, found: Layout, outputs: int) -> Tensors:
    """Read what `finding` found; a bias that is not there is zeros.

    Args:
        outputs: tokens in the vocabulary, or columns.

    Raises:
        BadModelFile: for NaN or infinity.
    """
    names = {"head.weight": found.head}
    if found.head_bias is not None:
        names["head.bias"] = found.head_bias
    if found.embedding is not None:
        names["embedding.weight"] = found.embedding
    for index in range(found.num_layers):
        for way in WAYS[: 1 + found.bidirectional]:
            for part in PARTS if found.bias else PARTS[:2]:
                names[f"rnn.{part}_l{index}{way}"] = f"{found.prefix}{part}_l{index}{way}"
    tensors = {}
    for ours, theirs in names.items():
        tensors[ours] = container.read(theirs).float()
        if not torch.isfinite(tensors[ours]).all():
            raise BadModelFile(f"{container.path}: tensor {theirs!r} holds NaN or infinity")
    tensors.setdefault("head.bias", torch.zeros(outputs))
    if not found.bias:
        for name in [name for name in tensors if name.startswith("rnn.weight")]:
            tensors[name.replace("weight", "bias")] = torch.zeros(len(tensors[name]))
    return tensors


def reordered(tensors: Tensors, order: npt.NDArray[int64]) -> Tensors:
    """Return the weights of a model whose token i is the stranger's `order[i]`; of -1, one that is never there."""
    index = torch.from_numpy(order)

    def rows(tensor: Tensor, missing: float = 0.0) -> Tensor:
        chosen = tensor[index.clamp(min=0)]
        chosen[index < 0] = missing
        return chosen

    new = {"head.weight": rows(tensors["head.weight"]), "head.bias": rows(tensors["head.bias"], NEVER)}
    if "embedding.weight" in tensors:
        new["embedding.weight"] = rows(tensors["embedding.weight"])
    else:  # a one-hot vector picks a column
        first = [name for name in tensors if name.startswith("rnn.weight_ih_l0")]
        new |= {name: rows(tensors[name].T).T.contiguous() for name in first}
    return tensors | new


def twin_from(tensors: Tensors, found: Layout, nonlinearity: str) -> Twin:
    """Return a model in plain torch that has these weights."""
    with torch.random.fork_rng(devices=[]):  # its weights are drawn, and then replaced
        rnn = empty_rnn(
            found.kind,
            tensors["rnn.weight_ih_l0"].shape[1],
            found.hidden_size,
            found.num_layers,
            bidirectional=found.bidirectional,
            nonlinearity=nonlinearity,
        )
        vectors, weight = tensors.get("embedding.weight"), tensors["head.weight"]
        embedding = None if vectors is None else nn.Embedding(*vectors.shape)
        twin = Twin(embedding, rnn, nn.Linear(weight.shape[1], len(weight))).eval()
    twin.load_state_dict(tensors)
    return twin


def sum_of(container: Container) -> str:
    """Return the SHA-256 of the tensors, in the order in which they lie in the file."""
    found = hashlib.sha256()
    for name in sorted(container.entries, key=lambda name: container.entries[name].start):
        found.update(container.read(name).reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
