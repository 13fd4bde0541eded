"""The model file: weights, settings and tokenizer in one safetensors file that can be copied anywhere.

Everything besides the tensors is one JSON text, see `header`. Nothing in it is executed or imported: an architecture
or a tokenizer is a name, looked up among the installed entry points.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rnn_tui.corpus.series import Scaling
from rnn_tui.errors import (
    InputError,
    OutOfMemoryError,
    PluginError,
    RnnTuiError,
    UsageError,
    is_out_of_memory,
)
from rnn_tui.files import replace_file
from rnn_tui.model.config import plain_rnn_weights
from rnn_tui.model.container import DTYPES, HEADER_LIMIT, BadModelFile, Container, open_container
from rnn_tui.model.header import METADATA_KEY, ModelFile, header_of, header_text, model_config
from rnn_tui.model.strict_json import VALUES_LIMIT, values_in
from rnn_tui.plugin.options import parse_options
from rnn_tui.plugin.registry import (
    Kind,
    find_plugin,
    load_plugin,
    recorded_name,
    recorded_origin,
    remedy,
)
from rnn_tui.plugin.tokenizer import Tokenizer

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

    from rnn_tui.model.packing import Packed
    from rnn_tui.model.recurrent_model import RecurrentModel


def weights(model: "RecurrentModel") -> "dict[str, Tensor]":
    """Return the tensors that a file holds, in a fixed order; one that is shared stands once, under its first name."""
    first: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        first.setdefault(id(tensor), (name, tensor))
    return {name: tensor.detach() for name, tensor in first.values()}


def chunks(packed: "Packed", header: ModelFile) -> tuple[bytes, memoryview]:
    """Return the two parts of a model file; equal weights and header give equal bytes.

    Raises:
        InputError: when the vocabulary is too large for the header.
    """
    text = header_text(header)
    head, data = packed.chunks({METADATA_KEY: text})
    values = values_in(head.decode("latin-1"))
    if len(head) > HEADER_LIMIT or values > VALUES_LIMIT:
        raise InputError(
            f"the vocabulary takes {len(text) / 1e6:.1f} MB and {values:,} values as JSON, too much for a model file; "
            "set a smaller vocabulary in the tokenizer's options"
        )
    return head, data


def encode(tensors: "Mapping[str, Tensor]", header: ModelFile) -> bytes:
    """Return the bytes of a model file.

    Raises:
        InputError: as `chunks`.
        PluginError: for a tensor of a dtype that no file holds.
    """
    from rnn_tui.model.packing import Block

    return b"".join(chunks(Block().pack(tensors), header))


def save_model(path: Path, model: "RecurrentModel", header: ModelFile) -> None:
    """Write a model file in one step, durably: a reader sees the old one or the new one.

    Raises:
        DiskError: when it could not be written; an earlier file is untouched.
        InputError, PluginError: as `encode`.
    """
    replace_file(path, encode(weights(model), header))


def load_model(path: Path, *, device: str = "cpu") -> "tuple[RecurrentModel, Tokenizer, ModelFile]":
    """Build the model and the tokenizer that a file describes, in evaluation mode.

    The global random generators are left as they were.

    Args:
        device: `cpu`, `cuda`, `mps`, or `auto`, see `rnn_tui.model.device.pick_device`.

    Raises:
        BadModelFile: when the file is damaged or does not fit the model it describes.
        PluginError: when its architecture or tokenizer is not installed, or fails.
        UsageError: when there is no such device, or the model is one of numbers.
        OutOfMemoryError: when it does not fit.
    """
    with open_container(path) as container:
        header = header_of(container)
        tokenizer = read_tokenizer(_of_text(header, path), path)
        model = _loaded(header, container, device, vocab_size=tokenizer.vocab_size)
    return model, tokenizer, header


def load_series(path: Path, *, device: str = "cpu") -> "tuple[RecurrentModel, Scaling, ModelFile]":
    """Build the model of a series of numbers that a file describes, in evaluation mode; else as `load_model`.

    Raises:
        UsageError: also when the model is one of tokens.
    """
    with open_container(path) as container:
        header = header_of(container)
        if header.scaling is None:
            raise UsageError(f"{path}: this model was trained on tokens, not on a series of numbers")
        scaling = read_scaling(header, path)
        model = _loaded(header, container, device, columns=len(scaling.columns))
    return model, scaling, header


def read_scaling(header: ModelFile, path: Path) -> Scaling:
    """Return how the numbers of a model of numbers are scaled; raises BadModelFile where that cannot be read."""
    try:
        scaling = msgspec.convert(header.scaling, Scaling)
        if not 1 <= len(scaling.columns) == len(scaling.mean) == len(scaling.std):
            raise ValueError("columns, mean and std are of different lengths")
        if len(set(scaling.columns)) < len(scaling.columns):
            raise ValueError("two columns have one name")
        if min(scaling.std) <= 0:
            raise ValueError("a deviation is not above 0")
    except ValueError as error:  # msgspec.ValidationError is one too
        raise BadModelFile(f"{path}: its scaling cannot be read: {error}") from None
    return scaling


def load_arrays(path: Path) -> "tuple[dict[str, npt.NDArray[Any]], Tokenizer, ModelFile]":
    """Read the weights of a model of tokens as arrays, with its tokenizer. Does not load torch.

    Only the architecture knows which tensors it has: whoever builds a model of these checks that.

    Raises:
        BadModelFile, PluginError, UsageError, OutOfMemoryError: as `load_model`.
    """
    import numpy as np

    with open_container(path) as container:
        header = header_of(container)
        tokenizer = read_tokenizer(_of_text(header, path), path)
        container.check_memory()
        arrays = {name: container.read_array(name) for name in container.entries}
        container.check_unchanged()
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise _not_finite(name, path)
    return arrays, tokenizer, header


def _of_text(header: ModelFile, path: Path) -> dict[str, Any]:
    """Return what the header says of the tokenizer."""
    if header.tokenizer is None:
        raise UsageError(
            f"{path}: this model was trained on a series of numbers and has no text to go on; its run in the app, and "
            "rnn-tui eval, show its forecasts"
        )
    return header.tokenizer


def _not_finite(name: str, path: Path) -> BadModelFile:
    return BadModelFile(f"{path}: tensor {name!r} holds NaN or infinity; use an earlier checkpoint")


def _loaded(header: ModelFile, container: Container, device: str, **inputs: int) -> "RecurrentModel":
    import torch

    from rnn_tui.model.device import pick_device
    from rnn_tui.model.precision import inference_precision, set_precision

    where = pick_device(device)
    set_precision(inference_precision(header.config, where), where)
    try:
        model = _build(header, container, **inputs)
        _fill(model, container)
    except BadModelFile as error:
        if changed := _changed("architecture", header.architecture):
            raise BadModelFile(f"{error}{changed}") from error
        raise
    try:
        model.to(where)
    except torch.OutOfMemoryError:
        raise OutOfMemoryError(
            f"{container.path}: the device {where} has not enough memory for it; try cpu"
        ) from None
    return model.eval()


def load_weights(path: Path, model: "RecurrentModel") -> ModelFile:
    """Fill an existing model with the weights of a file; the model is unchanged if anything is wrong.

    Raises:
        BadModelFile: when the file is damaged or its tensors are not exactly those of `model`.
    """
    with open_container(path) as container:
        header = header_of(container)
        _fill(model, container)
    return header


def load_recorded(kind: Kind, record: Mapping[str, Any], path: Path) -> type:
    """Return the plugin that a file was saved with; raises PluginError, saying what to install where it is missing."""
    try:
        return load_plugin(kind, recorded_name(record))
    except UsageError:
        own_name = record["name"].rpartition(":")[2]
        raise PluginError(
            f"{path}: there is no {kind} {own_name!r} here, with which it was saved: from {recorded_origin(record)}; "
            f"{remedy(record['distribution'], own_name)}"
        ) from None


def _changed(kind: Kind, record: Mapping[str, Any]) -> str:
    """Say that the plugin here is another version than a file was saved with; empty where it is not."""
    version = find_plugin(kind, recorded_name(record)).version
    if version == record["version"]:
        return ""
    return f"; it was saved with the {kind} of {recorded_origin(record)}, and here is {version}"


def read_tokenizer(record: Mapping[str, Any], path: Path) -> Tokenizer:
    """Return the tokenizer of a file.

    Raises:
        PluginError: when it is not installed, or fails.
        BadModelFile: when its state cannot be read.
    """
    plugin: type[Tokenizer] = load_recorded("tokenizer", record, path)
    try:
        tokenizer = plugin.from_state(record["state"])
        if tokenizer.vocab_size < 1:
            raise ValueError("its vocabulary is empty")
    except Exception as error:  # whatever a plugin makes of a state that somebody else wrote
        raise BadModelFile(
            f"{path}: its {record['name']} tokenizer cannot be read: {error}{_changed('tokenizer', record)}"
        ) from error
    return tokenizer


def _build(header: ModelFile, container: Container, **inputs: int) -> "RecurrentModel":
    """Build the model with random weights, having made sure that it is as large as the file."""
    import torch

    from rnn_tui.model.recurrent_model import build_model

    path, name = container.path, header.architecture["name"]
    plugin = load_recorded("architecture", header.architecture, path)
    config = model_config(header, path)
    try:
        options = parse_options(
            getattr(plugin, "Options", None), config.options, owner=f"architecture {name}"
        )
    except UsageError as error:
        raise BadModelFile(f"{path}: its model settings do not fit: {error}") from None
    container.check_memory()

    try:
        with torch.random.fork_rng(devices=[]):
            values = sum(math.prod(entry.shape) for entry in container.entries.values())
            if plain_rnn_weights(config, **inputs) > values:
                # Fewer than the least that a full recurrence has: a diagonal one, or a header that lies about its
                # size to have gigabytes allocated. On the meta device nothing is; not done always, because it imports
                # 800 modules (1.2 s) when weights are drawn from a normal distribution.
                with torch.device("meta"):
                    _compare(container, build_model(plugin, options, config, **inputs))
            return build_model(plugin, options, config, **inputs)
    except UsageError as error:
        raise BadModelFile(f"{path}: its model settings do not fit: {error}") from None
    except RnnTuiError:
        raise
    except Exception as error:  # the constructor is a plugin's
        if is_out_of_memory(error):
            raise OutOfMemoryError(f"{path}: there is not enough memory for its model") from None
        raise PluginError(
            f"{path}: the architecture {name} could not be built: {type(error).__name__}: {str(error)[:200]}"
        ) from error


def _compare(container: Container, model: "RecurrentModel") -> None:
    """Raise BadModelFile unless the file holds exactly the tensors of `model`; at most five differences are named."""
    names = {dtype: name for name, (dtype, _) in DTYPES.items()}
    expected = {
        name: f"{names.get(str(tensor.dtype).removeprefix('torch.'), tensor.dtype)} {list(tensor.shape)}"
        for name, tensor in weights(model).items()
    }
    found = {name: str(entry) for name, entry in container.entries.items()}
    differences = [f"{name!r} is missing" for name in expected if name not in found]
    differences += [f"{name!r} is too many" for name in found if name not in expected]
    differences += [
        f"{name!r} is {found[name]}, not {wanted}"
        for name, wanted in expected.items()
        if found.get(name, wanted) != wanted
    ]
    if differences:
        more = f" and {len(differences) - 5} more" if len(differences) > 5 else ""
        raise BadModelFile(
            f"{container.path}: its tensors are not those of the model it describes: {', '.join(differences[:5])}{more}"
        )


def _fill(model: "RecurrentModel", container: Container) -> None:
    import torch

    _compare(container, model)
    targets = weights(model)
    loaded = {name: container.read(name) for name in targets}
    container.check_unchanged()
    for name, tensor in loaded.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise _not_finite(name, container.path)
    with torch.no_grad():
        for name, target in targets.items():
            target.copy_(loaded[name])
