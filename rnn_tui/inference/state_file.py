"""A state in a file: what a model knows after a text, to go on from in another session.

A safetensors file, as a model's. Its metadata is one JSON text, see `About`; its tensors are

    state.0, state.1, …   the leaves of the state, one row each
    logits                (V,), for the token that comes next
    text                  U8 (n,): the text so far in UTF-8, its last 100,000 characters

The text is a tensor because as JSON it would meet the limits of `strict_json`, which counts brackets wherever they
stand. A state means something to the model that it was made by and to no other: the file holds that model's identity,
and what is read from it is compared with a state that the model has just made.

Torch is imported where tensors are written or read, not before: a list of such files needs none.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from rnn_tui.errors import DivergedError, InputError
from rnn_tui.files import replace_file
from rnn_tui.inference.generate import Primed, start_token
from rnn_tui.inference.sampling import DIVERGED
from rnn_tui.model.container import DTYPES, BadModelFile, Container, open_container
from rnn_tui.model.strict_json import parse_json
from rnn_tui.plugin.registry import recorded_name

if TYPE_CHECKING:
    from torch import Tensor

    from rnn_tui.inference.torch_reader import TorchReader
    from rnn_tui.model.header import ModelFile
    from rnn_tui.model.recurrent_model import RecurrentModel
    from rnn_tui.plugin.tokenizer import Tokenizer

FORMAT = 1
METADATA_KEY = "rnn_tui_state"
TEXT_KEPT = 100_000
"""Characters."""
HELD_LIMIT = 64
"""Tokens that are a part of one character so far; of bytes there are three at most."""

_Name = Annotated[str, Meta(max_length=4096)]
_Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True, kw_only=True)
class About:
    """What stands in the file beside its tensors.

    Attributes:
        model: see `identity`.
        architecture, tokenizer: names of the plugins.
        run, step: of the model, for whoever looks for it.
        leaves: where each tensor of the state has its place in it, such as `0.h`: the first layer's h.
        held: see `Primed`.
        sum: SHA-256 of all else that stands here, and of the tensors: a damaged file is not gone on from.
        format: the version of this layout.
    """

    model: _Digest
    architecture: _Name
    tokenizer: _Name
    run: _Name
    step: Annotated[int, Meta(ge=0)]
    leaves: Annotated[tuple[_Name, ...], Meta(max_length=1024)]
    held: Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(max_length=HELD_LIMIT)] = ()
    sum: _Digest = ""
    format: int = FORMAT

    @property
    def maker(self) -> str:
        """The model in a few words."""
        return f"{self.run or 'a model'}, step {self.step:,} ({self.architecture}, {self.tokenizer})"


def identity(model: "RecurrentModel", header: "ModelFile") -> str:
    """Return a SHA-256 of what decides how a model reads: weights, shape, architecture and vocabulary.

    A copy of the file, and a checkpoint of the same step, have the same one. 100 MB take 0.12 to 0.17 s.
    """
    from rnn_tui.model.file import weights

    assert header.tokenizer is not None  # of a model of tokens
    settings = [
        recorded_name(header.architecture),
        header.config.get("model"),
        recorded_name(header.tokenizer),
        header.tokenizer["state"],
    ]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, tensor in weights(model).items():
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def read_about(path: Path) -> About:
    """Return what stands in a file beside its tensors. Does not load torch.

    Raises:
        BadModelFile: when it is no state of rnn-tui.
    """
    with open_container(path) as container:
        return _about(container)


def save_state(
    path: Path,
    primed: Primed,
    text: str,
    *,
    reader: "TorchReader",
    header: "ModelFile",
    model: str,
) -> int:
    """Write a state to a file that only its owner can read; return its size in bytes.

    Args:
        path: where a file of this kind may lie already, which is replaced.
        text: what was read and written so far, for whoever goes on.
        model: the identity of the model it is of.

    Raises:
        InputError: when another kind of file is there.
        DivergedError: when the state holds NaN or infinity.
        DiskError: when it could not be written; an earlier file is untouched.
        PluginError: when it has a tensor of a dtype that no file holds.
    """
    import torch

    from rnn_tui.model.packing import Block

    _refuse_other_files(path)
    if not all(map(_finite, primed.state)) or np.isnan(primed.logits).any():
        raise DivergedError(DIVERGED)
    data = np.frombuffer(text[-TEXT_KEPT:].encode("utf-8", "replace"), np.uint8)
    tensors = {f"state.{index}": leaf for index, leaf in enumerate(primed.state)}
    tensors |= {"logits": torch.from_numpy(primed.logits.copy()), "text": torch.from_numpy(data.copy())}
    assert header.tokenizer is not None
    about = About(
        model=model,
        architecture=header.architecture["name"],
        tokenizer=header.tokenizer["name"],
        run=str(header.training.get("run", "")),
        step=header.training.get("step", 0),
        leaves=_places(reader.model),
        held=primed.held,
    )
    metadata = {METADATA_KEY: _json(replace(about, sum=_sum(about, tensors)))}
    whole = b"".join(Block().pack(tensors).chunks(metadata))
    replace_file(path, whole)
    return len(whole)


def read_state(
    path: Path, *, reader: "TorchReader", tokenizer: "Tokenizer", model: str
) -> tuple[Primed, str]:
    """Return what a model knew, and the text so far.

    Args:
        model: the identity of the model that is to go on from it.

    Raises:
        InputError: when the state is of another model.
        BadModelFile: when the file is damaged, or holds no state that this model can have.
        DivergedError: when the model's own output is NaN.
    """
    fresh = reader.read(np.array([start_token(tokenizer)]), reader.start(), 1)[1]
    with open_container(path) as container:
        about = _about(container)
        if about.model != model:
            raise InputError(
                f"{path}: this state is of another model ({about.maker}) than the one that is loaded; load that model "
                "first"
            )
        _compare(container, about, _places(reader.model), fresh, reader.output_size)
        if any(token >= tokenizer.vocab_size for token in about.held):
            raise BadModelFile(f"{path}: it holds tokens that the model does not have")
        tensors = {name: container.read(name) for name in container.entries}
        container.check_unchanged()
    if _sum(about, tensors) != about.sum:
        raise BadModelFile(f"{path}: damaged: it is not what was written")
    state = tuple(tensors[f"state.{index}"] for index in range(len(fresh)))
    logits = tensors["logits"].numpy()
    if not all(map(_finite, state)) or np.isnan(logits).any():
        raise BadModelFile(f"{path}: it holds NaN or infinity")
    try:
        text = bytes(_bytes(tensors["text"])).decode()
    except UnicodeDecodeError:
        raise BadModelFile(f"{path}: its text is not UTF-8") from None
    moved = tuple(leaf.to(reader.model.device) for leaf in state)
    return Primed(moved, logits, held=about.held), text


def _refuse_other_files(path: Path) -> None:
    if "\0" in str(path):
        raise InputError(f"{path}: no file can have this name; choose another")
    if not os.path.lexists(path):
        return
    try:
        with open_container(path) as container:
            known = METADATA_KEY in container.metadata
    except BadModelFile:
        known = False
    if not known:
        raise InputError(
            f"{path}: is there already and is no saved state, and so is not written over; choose another name"
        )


def _about(container: Container) -> About:
    path, text = container.path, container.metadata.get(METADATA_KEY)
    if text is None:
        raise BadModelFile(f"{path}: a safetensors file, but not a state saved by rnn-tui")
    try:
        values = parse_json(text)
        version = values.get("format") if isinstance(values, dict) else None
        if type(version) is int and version > FORMAT:
            raise BadModelFile(
                f"{path}: made by a newer rnn-tui (format {version}, this one reads {FORMAT}); upgrade"
            )
        if version != FORMAT or set(values) != set(About.__dataclass_fields__):
            raise ValueError("it is not what this version writes")
        return msgspec.convert(values, About)
    except ValueError as error:  # msgspec.ValidationError is one too
        raise BadModelFile(f"{path}: what it says of itself cannot be read: {error}") from None


def _compare(
    container: Container, about: About, places: tuple[str, ...], fresh: "tuple[Tensor, ...]", vocab_size: int
) -> None:
    """Raise BadModelFile unless the file holds a state like `fresh`; nothing of it has been read yet."""
    names = {dtype: name for name, (dtype, _) in DTYPES.items()}
    wanted = {
        f"state.{index}": f"{names.get(str(leaf.dtype).removeprefix('torch.'))} {list(leaf.shape)}"
        for index, leaf in enumerate(fresh)
    } | {"logits": f"F32 {[vocab_size]}"}
    found = {name: str(entry) for name, entry in container.entries.items()}
    text = container.entries.get("text")
    wrong = [f"{name!r} is missing" for name in [*wanted, "text"] if name not in found]
    wrong += [f"{name!r} is too many" for name in found if name not in wanted and name != "text"]
    wrong += [
        f"{name!r} is {found[name]}, not {what}"
        for name, what in wanted.items()
        if found.get(name, what) != what
    ]
    if text is not None and (text.dtype != "U8" or len(text.shape) != 1 or text.nbytes > 4 * TEXT_KEPT):
        wrong.append(f"'text' is {text}")
    if about.leaves != places:
        wrong.append("the parts of its state are others")
    if wrong:
        raise BadModelFile(
            f"{container.path}: it does not hold a state of this model: {', '.join(wrong[:5])}"
        )


def _places(model: "RecurrentModel") -> tuple[str, ...]:
    """Name the place of each leaf, in the order of `leaves`."""
    return tuple(_paths(model.initial_state(1)))


def _paths(state: Any, above: str = "") -> list[str]:
    if not isinstance(state, dict | tuple | list):
        return [above]
    if isinstance(state, dict):
        parts = [(str(key), value) for key, value in state.items()]
    else:
        keys = getattr(state, "_fields", None) or map(str, range(len(state)))
        parts = list(zip(keys, state, strict=True))
    dot = "." if above else ""
    return [path for key, value in parts for path in _paths(value, f"{above}{dot}{key}")]


def _json(about: About) -> str:
    return json.dumps(asdict(about), separators=(",", ":"), sort_keys=True)


def _sum(about: About, tensors: "Mapping[str, Tensor]") -> str:
    digest = hashlib.sha256(_json(replace(about, sum="")).encode())
    for name in sorted(tensors):
        digest.update(_bytes(tensors[name]))
    return digest.hexdigest()


def _bytes(tensor: "Tensor") -> memoryview:
    import torch

    data: memoryview = tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().data
    return data


def _finite(tensor: "Tensor") -> bool:
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())
