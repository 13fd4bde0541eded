"""A model as ONNX, compared with onnxruntime before it is written."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from rnn_tui.errors import PluginError, UsageError
from rnn_tui.files import replace_file
from rnn_tui.model.exchange.notes import VOCABULARY, notes_of
from rnn_tui.model.exchange.onnx_script import script
from rnn_tui.model.exchange.twin import SHAPES, TOLERANCE, Twin, nonlinearity_of, trial_inputs, twin_of
from rnn_tui.model.header import ModelFile
from rnn_tui.model.recurrent_model import RecurrentModel, Values
from rnn_tui.model.state import arrange, leaves
from rnn_tui.plugin.core import State
from rnn_tui.plugin.installing import install_command
from rnn_tui.plugin.loading import describe_error
from rnn_tui.plugin.tokenizer import Tokenizer

if TYPE_CHECKING:
    import onnx

Graph = Literal["sequence", "step"]

INITIAL_STATE = "initial_state"
ZEROS = "zeros"
"""What stands under `initial_state` in the notes where every leaf begins with zeros; else JSON, of each leaf by name
its dtype and the values of one row."""

_LARGEST = 2**31 - 2**20  # bytes: protobuf takes no more in one piece
_INITIAL_LIMIT = 100_000  # values of one row's initial state


@dataclass(frozen=True)
class ExportedOnnx:
    """What was written.

    Attributes:
        operator: `LSTM`, `GRU`, `RNN` or `Scan` over time; empty for a step.
        inputs, outputs: name → shape, in which `batch` and `time` may be any number.
        difference: by how much outputs and states differ from the model's at most.
        checked: rows and positions for which they were compared.
        script: what runs it.
    """

    path: Path
    graph: Graph
    operator: str
    opset: int
    bytes: int
    inputs: dict[str, tuple[int | str, ...]]
    outputs: dict[str, tuple[int | str, ...]]
    difference: float
    checked: tuple[tuple[int, int], ...]
    script: str


def export_onnx(
    model: RecurrentModel,
    header: ModelFile,
    tokenizer: Tokenizer | None,
    path: Path,
    *,
    graph: Graph = "sequence",
) -> ExportedOnnx:
    """Write a model as ONNX; an earlier file at `path` is replaced once the new one computes what the model does.

    Args:
        model: on the CPU and in evaluation mode, with what `load_model` or `load_series` returns beside it.
        tokenizer: None for a model of numbers.
        graph: `sequence` reads (B, T) ids and gives the logits at each position, out of the operators LSTM, GRU or RNN
            where torch.nn has the layers, else of a Scan over the step; `step` reads (B,).

    Raises:
        UsageError: when packages are missing, or the model cannot be written so; says why.
        PluginError: when what would be written computes something else.
        DiskError: when it cannot be written.
    """
    _check_packages()
    owner = "architecture {name} ({distribution} {version})".format_map(header.architecture)
    bidirectional = bool(header.config["model"]["bidirectional"])
    if bidirectional and graph == "step":
        raise UsageError(
            "a bidirectional model reads a whole row at once and has no step; use the graph sequence"
        )
    made, operator, more = _made(model, owner, graph, bidirectional=bidirectional)
    notes = notes_of(model, header, tokenizer, more)
    notes["graph"] = graph
    notes[INITIAL_STATE] = ZEROS if bidirectional else _initial(model, owner)
    for name, text in notes.items():
        made.metadata_props.add(key=name, value=text)
    made.producer_name = "rnn-tui"
    if made.ByteSize() > _LARGEST:
        raise UsageError(
            f"a model of {made.ByteSize() / 1e9:.1f} GB does not fit into one ONNX file, 2 GB at most"
        )
    data = made.SerializeToString(deterministic=True)
    found = _difference(model, data, owner, graph, bidirectional=bidirectional)
    replace_file(path, data)
    return ExportedOnnx(
        path=path,
        graph=graph,
        operator=operator,
        opset=next(entry.version for entry in made.opset_import if not entry.domain),
        bytes=len(data),
        inputs=_shapes(made.graph.input),
        outputs=_shapes(made.graph.output),
        difference=found,
        checked=tuple((rows, 1 if graph == "step" else positions) for rows, positions in SHAPES),
        script=script(
            path, graph, tokens=tokenizer is not None, listed=VOCABULARY in notes, bidirectional=bidirectional,
            zeros=notes[INITIAL_STATE] == ZEROS, columns=model.output_size,
        ),
    )  # fmt: skip


def _check_packages() -> None:
    missing = [name for name in ("onnx", "onnxruntime", "onnxscript") if find_spec(name) is None]
    if missing:
        command = install_command("rnn-tui[onnx]")
        raise UsageError(
            f"ONNX needs the package{'s' if missing[1:] else ''} {', '.join(missing)}; install "
            f"{'them' if missing[1:] else 'it'} with: {command}"
        )


def _made(
    model: RecurrentModel, owner: str, graph: Graph, *, bidirectional: bool
) -> "tuple[onnx.ModelProto, str, dict[str, Any]]":
    """Return the graph, its operator over time, and what to note of the model."""
    from rnn_tui.model.exchange.onnx_layers import sequence_of_layers
    from rnn_tui.model.exchange.onnx_step import sequence_of_steps, step_of

    tokens = not isinstance(model.encoder, Values)
    names = {"ids": "logits"} if tokens else {"values": "outputs"}
    before = (
        []
        if bidirectional
        else [list(_names(state, f"state.{i}")) for i, state in enumerate(model.initial_state(1))]
    )
    names |= {name: f"next.{name}" for layer in before for name in layer}
    twin: Twin | None = None
    try:
        twin, _ = twin_of(model, owner)
    except UsageError as error:
        if bidirectional:
            raise UsageError(f"{error}, and ONNX reads in both directions only what has") from None
    more = {} if twin is None else {"kind": twin.kind, "nonlinearity": nonlinearity_of(twin.rnn)}
    if graph == "step":
        return step_of(model, names, owner), "", more
    if twin is not None:
        after = [[names[name] for name in layer] for layer in before]
        return sequence_of_layers(twin, before, after, tokens=tokens), twin.kind, more
    return sequence_of_steps(step_of(model, names, owner, inner=True), names), "Scan", more


def _names(state: State, name: str) -> Iterator[str]:
    """Yield a name for each leaf, in their order: `state.0.h`."""
    if isinstance(state, dict):
        parts = list(state.items())
    elif isinstance(state, tuple | list):
        parts = list(zip(getattr(state, "_fields", range(len(state))), state, strict=True))
    else:
        yield name
        return
    for part, inner in parts:
        yield from _names(inner, f"{name}.{part}")


def _initial(model: RecurrentModel, owner: str) -> str:
    """Return what the notes say of the state before the first position."""
    rows = {
        name: leaf
        for i, state in enumerate(model.initial_state(2))
        for name, leaf in zip(_names(state, f"state.{i}"), leaves(state), strict=True)
    }
    if all(leaf.dtype == torch.float32 and not leaf.any() for leaf in rows.values()):
        return ZEROS
    if any(not torch.equal(leaf[0], leaf[1]) for leaf in rows.values()):
        raise UsageError(f"{owner} cannot be written as ONNX: its initial state is another in each row")
    if sum(leaf[0].numel() for leaf in rows.values()) > _INITIAL_LIMIT:
        raise UsageError(
            f"{owner} cannot be written as ONNX: its initial state is too large to note, and not zeros"
        )
    return json.dumps(
        {name: [str(leaf.dtype).removeprefix("torch."), leaf[0].tolist()] for name, leaf in rows.items()}
    )


@torch.inference_mode()
def _difference(
    model: RecurrentModel, data: bytes, owner: str, graph: Graph, *, bidirectional: bool
) -> float:
    """Return by how much what onnxruntime computes differs at most, from window to window.

    Raises:
        PluginError: when that is more than rounding, or it cannot be run.
    """
    import onnxruntime  # type: ignore[import-untyped]

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    generator = torch.Generator().manual_seed(1)
    largest = 0.0
    try:
        session = onnxruntime.InferenceSession(data, settings, providers=["CPUExecutionProvider"])
        names = [value.name for value in session.get_inputs()]
        for rows, positions in SHAPES:
            state = template = model.initial_state(rows)
            for _ in range(2):  # the state carried
                shape = (rows,) if graph == "step" else (rows, positions)
                inputs = trial_inputs(model, shape, generator)
                given = [inputs] if bidirectional else [inputs, *leaves(state)]
                found = session.run(None, {n: g.numpy() for n, g in zip(names, given, strict=True)})
                if graph == "step":
                    expected, state = model.step(inputs, state)
                else:
                    features, state = model(inputs, model.initial_state(rows) if bidirectional else state)
                    expected = model.outputs(features)
                state = arrange(template, state)
                pairs = [expected] if bidirectional else [expected, *leaves(state)]
                for ours, theirs in zip(pairs, found, strict=True):
                    largest = max(largest, _apart(ours.numpy(), theirs, owner))
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(
            f"{owner}: onnxruntime cannot run what was made of it: {describe_error(error)}"
        ) from error
    return largest


def _apart(ours: "np.typing.NDArray[Any]", theirs: "np.typing.NDArray[Any]", owner: str) -> float:
    if ours.shape != theirs.shape:
        raise PluginError(f"{owner}: as ONNX it gives {theirs.shape} where the model gives {ours.shape}")
    if not ours.size:
        return 0.0
    apart = float(np.abs(ours.astype(np.float64) - theirs).max())
    # written so that NaN is refused, too
    if not apart <= TOLERANCE * max(1.0, float(np.abs(ours).max())):
        raise PluginError(
            f"{owner}: as ONNX it computes something else (values differ by {apart:.2g}); not written"
        )
    return apart


def _shapes(values: Any) -> dict[str, tuple[int | str, ...]]:
    return {
        value.name: tuple(dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in values
    }
