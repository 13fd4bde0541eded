"""A model file out of weights of torch.nn: of a file that `torch_file` wrote, or a stranger's."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.errors import PluginError, RnnTuiError, UsageError
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.container import BadModelFile, Container, PickleFile, open_container
from rnn_tui.model.exchange.finding import Layout, find_layout
from rnn_tui.model.exchange.notes import MODEL, SETTINGS
from rnn_tui.model.exchange.reading import read_tensors, reordered, sum_of, twin_from
from rnn_tui.model.exchange.torch_file import SUM
from rnn_tui.model.exchange.twin import Twin, cells, difference, taken_apart
from rnn_tui.model.exchange.vocabulary import read_vocabulary, tokenizer_of
from rnn_tui.model.file import load_recorded, read_scaling, read_tokenizer
from rnn_tui.model.header import METADATA_KEY, ModelFile, model_config, parse_header
from rnn_tui.model.recurrent_model import Embedding, RecurrentModel, build_model
from rnn_tui.model.strict_json import parse_json
from rnn_tui.plugin.loading import describe_error
from rnn_tui.plugin.options import make_options, parse_options
from rnn_tui.plugin.registry import load_plugin, plugin_record, recorded_name


@dataclass(frozen=True)
class Like:
    """A model file, run or checkpoint that reads as the weights do: it has the tokenizer, the task and the corpus."""

    path: Path
    header: ModelFile


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of the weights, and what is to have them.

    Attributes:
        path: a JSON file, see `vocabulary.read_vocabulary`.
        corpus: what the model was trained on, to be measured on; empty if that is not known.
    """

    path: Path
    tokenizer: str = "char"
    corpus: str = ""


@dataclass(frozen=True)
class Imported:
    """A model in evaluation mode, and what its file says beside the weights: what `save_model` takes.

    Attributes:
        found: what is in the file of weights.
        difference: by how much the outputs differ from those of torch.nn at most.
        trained: whether the figures of its training came along.
    """

    model: RecurrentModel
    header: ModelFile
    found: Layout
    difference: float
    trained: bool


def import_torch(
    path: Path,
    reads: Like | Vocabulary | None = None,
    *,
    arch: str = "",
    options: Mapping[str, Any] | None = None,
) -> Imported:
    """Build the model that a file of weights holds.

    Args:
        path: a safetensors file with tensors named as in nn.LSTM, nn.GRU or nn.RNN, with anything before it.
        reads: how text becomes its numbers; needed for a file that is not of `export_torch`, and goes before what such
            a one says.
        arch: the architecture; empty: the one that was exported, or that of `reads`, or torch's own wrapper.
        options: the architecture's own; those of the one that was exported are the defaults.

    Raises:
        BadModelFile: when the file is no such one, is damaged, or does not fit what reads it.
        UsageError: when nothing says how text becomes its numbers, or the architecture cannot have these weights.
        PluginError: when the architecture or tokenizer is not installed, fails, or computes something else with them.
        InputError, OutOfMemoryError: as `rnn_tui.model.file.load_model`.
    """
    try:
        with open_container(path) as container:
            container.check_memory()
            return _import(container, reads, arch, dict(options or {}))
    except PickleFile:
        target = path.with_suffix(".safetensors").name
        raise BadModelFile(
            f"{path}: a pickle, which may run any code when it is opened; rnn-tui opens none. If you trust it, Python "
            f"converts it: import torch, safetensors.torch as st; weights = torch.load({path.name!r}, "
            f"weights_only=True); st.save_file({{name: w.clone() for name, w in weights.items()}}, {target!r})"
        ) from None


class _Base(NamedTuple):
    """What is known beside the weights.

    Attributes:
        header: so far; its architecture is empty where that is not known.
        path: of the file that it is from.
        outputs: tokens in the stranger's vocabulary, or columns.
        order: the stranger's number of each of our tokens, or -1; None where they are the same.
        own: whether it stands in the file of the weights itself.
    """

    header: ModelFile
    path: Path
    outputs: int
    order: npt.NDArray[np.int64] | None = None
    own: bool = False


class _Architecture(NamedTuple):
    plugin: type
    record: dict[str, str]
    options: dict[str, Any]


def _import(
    container: Container, reads: Like | Vocabulary | None, arch: str, options: dict[str, Any]
) -> Imported:
    path = container.path
    if METADATA_KEY in container.metadata:
        raise UsageError(
            f"{path}: is a model file of rnn-tui already; prompt, eval and train --warm-start take it as it is"
        )
    base = _base(container, reads)
    found = find_layout(container, base.outputs, tokens=base.header.tokenizer is not None)
    tensors = read_tensors(container, found, base.outputs)
    container.check_unchanged()
    noted = _noted(container) if base.own else {}
    if noted.get("input") == "one-hot":
        tensors.pop("embedding.weight", None)  # the identity, see `export_torch`
    if base.order is not None:
        tensors = reordered(tensors, base.order)
    known = model_config(base.header, base.path) if base.header.architecture else ModelConfig(arch="")
    chosen = _architecture(base, known, arch or known.arch or f"nn-{found.kind.lower()}", options)
    # nothing in the weights of an nn.RNN tells which it is
    said = noted.get("nonlinearity") or chosen.options.get("nonlinearity")
    twin = twin_from(tensors, found, "relu" if said == "relu" else "tanh")
    config = _config(known, found, twin, chosen, path, tokens=base.header.tokenizer is not None)
    model = _filled(config, chosen, twin, path)
    wrong = f"architecture {config.arch}: with these weights it does not compute what torch.nn does"
    largest = difference(model, twin, wrong)
    trained = base.own and sum_of(container) == container.metadata.get(SUM)
    return Imported(model, _header(base, config, chosen, trained=trained), found, largest, trained)


def _base(container: Container, reads: Like | Vocabulary | None) -> _Base:
    path, own = container.path, False
    if isinstance(reads, Vocabulary):
        return _of_vocabulary(reads)
    if reads is not None:
        path, header = reads.path, reads.header
    elif SETTINGS in container.metadata:
        own, header = True, parse_header(container.metadata[SETTINGS], path)
    else:
        raise UsageError(
            f"{path}: does not say how text becomes its numbers; name a run or model file to read like, which has its "
            "tokenizer, or a vocabulary: a JSON list of its tokens"
        )
    if header.tokenizer is None:
        return _Base(header, path, len(read_scaling(header, path).columns), own=own)
    return _Base(header, path, read_tokenizer(header.tokenizer, path).vocab_size, own=own)


def _of_vocabulary(reads: Vocabulary) -> _Base:
    words, name = read_vocabulary(reads.path), reads.tokenizer
    plugin = load_plugin("tokenizer", name)
    options = make_options(getattr(plugin, "Options", None), {}, owner=f"tokenizer {name}")
    tokenizer, order = tokenizer_of(plugin, options, words, reads.path, name)
    header = ModelFile(
        config={
            "corpus": asdict(CorpusConfig(source=reads.corpus)),
            "tokenizer": {"name": name, "options": {} if options is None else asdict(options)},
        },
        tokenizer=plugin_record("tokenizer", name) | {"state": tokenizer.to_state()},
        architecture={},
        training={"corpus": reads.corpus},
    )
    return _Base(header, reads.path, len(words), order)


def _noted(container: Container) -> dict[str, Any]:
    """Return what an exported file says of the model."""
    try:
        noted = parse_json(container.metadata.get(MODEL, "{}"))
    except ValueError as error:
        raise BadModelFile(f"{container.path}: its notes on the model cannot be read: {error}") from None
    return noted if isinstance(noted, dict) else {}


def _architecture(base: _Base, known: ModelConfig, name: str, options: Mapping[str, Any]) -> _Architecture:
    if name == known.arch:
        full, options = recorded_name(base.header.architecture), {**known.options, **options}
        plugin = load_recorded("architecture", base.header.architecture, base.path)
    else:
        full, plugin = name, load_plugin("architecture", name)
    return _Architecture(
        plugin,
        plugin_record("architecture", full) | {"name": name},
        parse_options(getattr(plugin, "Options", None), options, owner=f"architecture {name}"),
    )


def _config(
    known: ModelConfig, found: Layout, twin: Twin, chosen: _Architecture, path: Path, *, tokens: bool
) -> ModelConfig:
    """Return the shape of the model, as settings."""
    embedding = twin.embedding
    config = replace(
        known,
        arch=chosen.record["name"],
        options=chosen.options,
        hidden_size=found.hidden_size,
        num_layers=found.num_layers,
        bidirectional=found.bidirectional,
        encoder="auto" if not tokens else "one-hot" if embedding is None else "embedding",
        embedding_size=0 if embedding is None else embedding.embedding_dim,
        tie_weights=embedding is not None and torch.equal(embedding.weight, twin.head.weight),
    )
    try:
        return msgspec.convert(asdict(config), ModelConfig)
    except msgspec.ValidationError as error:
        raise BadModelFile(f"{path}: it is no model that rnn-tui can have: {error}") from None


def _filled(config: ModelConfig, chosen: _Architecture, twin: Twin, path: Path) -> RecurrentModel:
    """Build the model and give it the weights."""
    owner = f"architecture {config.arch}"
    size = twin.head.out_features
    inputs = {"columns": size} if config.encoder == "auto" else {"vocab_size": size}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            model = build_model(chosen.plugin, config.options, config, **inputs)
        except RnnTuiError:
            raise
        except Exception as error:  # the constructor is a plugin's
            raise PluginError(f"the {owner} could not be built: {describe_error(error)}") from error
        for index, way, cell in cells(model):
            try:
                cell.from_nn(taken_apart(twin.rnn, index, way))
            except NotImplementedError as error:
                other = f"nn-{twin.kind.lower()}"
                raise UsageError(
                    f"{path}: the {owner} cannot have the weights of this nn.{twin.kind}: {error}"
                    + (f"; the architecture {other} takes them" if config.arch != other else "")
                ) from None
            except Exception as error:
                raise PluginError(f"{owner}: its from_nn fails: {describe_error(error)}") from error
    if isinstance(model.encoder, Embedding) and twin.embedding is not None:
        model.encoder.load_state_dict(twin.embedding.state_dict())
    model.head.load_state_dict(twin.head.state_dict())
    return model.eval()


def _header(base: _Base, config: ModelConfig, chosen: _Architecture, *, trained: bool) -> ModelFile:
    """Return what the model file says beside the weights."""
    header = base.header
    # true of the text, whatever the weights
    kept = ("corpus", "fingerprint", "chars_per_token", "bytes_per_token")
    training = header.training if trained else {k: v for k, v in header.training.items() if k in kept}
    task = header.config.get("task") or {"name": "aligned" if config.bidirectional else "next-token"}
    return replace(
        header,
        config={**header.config, "task": task, "model": asdict(config)},
        architecture=chosen.record,
        training=training,
    )
