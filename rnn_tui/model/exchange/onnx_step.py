"""One step of any cell as an ONNX graph, traced by torch, and the sequence that repeats it by ONNX's Scan."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import onnx
import torch
from onnx import helper
from torch import Tensor, nn

from rnn_tui.errors import UsageError
from rnn_tui.model.recurrent_model import RecurrentModel, Values
from rnn_tui.model.state import arrange, leaves, unflatten
from rnn_tui.plugin.core import State
from rnn_tui.plugin.loading import describe_error

_ROWS = 3  # any number but 0 and 1, for which torch would make a graph of its own
_INNER = "step."
"""What the names of a step within a sequence begin with: those of a graph within another must differ."""


class _Step(nn.Module):
    """A model's step over the leaves of the state."""

    def __init__(self, model: RecurrentModel, template: State) -> None:
        super().__init__()
        self.model = model
        self.template = template

    def forward(self, inputs: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        outputs, after = self.model.step(inputs, unflatten(self.template, list(state)))
        return (outputs, *leaves(arrange(self.template, after)))


def step_of(
    model: RecurrentModel, names: Mapping[str, str], owner: str, *, inner: bool = False
) -> onnx.ModelProto:
    """Return one step: ids (B,) or values (B, C) and the state to logits (B, V) or outputs (B, C) and the state.

    Args:
        names: of the inputs to those of the outputs: first what is read and what is predicted, then the leaves of the
            state.
        owner: whose step it is, as it begins the message: `"architecture gru (rnn-tui 0.1.0)"`.
        inner: give all names a prefix, for a graph within another.

    Raises:
        UsageError: when torch cannot write it; says why.
    """
    template = model.initial_state(_ROWS)
    state = list(leaves(template))
    first = (
        torch.zeros(_ROWS, model.output_size)
        if isinstance(model.encoder, Values)
        else torch.zeros(_ROWS, dtype=torch.int64)
    )
    batch = {0: torch.export.Dim("batch")}
    prefix = _INNER if inner else ""
    try:
        with _quietly():
            program = torch.onnx.export(
                _Step(model, template).eval(),
                (first, *state),
                dynamo=True,
                verbose=False,
                input_names=[prefix + name for name in names],
                output_names=[prefix + name for name in names.values()],
                dynamic_shapes=(batch, tuple(batch for _ in state)),
            )
    except Exception as error:  # a stranger's step, and a compiler
        raise UsageError(
            f"{owner} cannot be written as ONNX, torch cannot trace its step: {_reason(error)}"
        ) from error
    assert program is not None
    made: onnx.ModelProto = program.model_proto
    for one in (made.graph, *made.graph.node, *made.graph.input, *made.graph.output, *made.graph.value_info):
        one.ClearField("doc_string")
        one.ClearField("metadata_props")  # with every line of source that it came from, and where that lies
    made.graph.name = "step"
    return made


def sequence_of_steps(step: onnx.ModelProto, names: Mapping[str, str]) -> onnx.ModelProto:
    """Return the sequence that repeats a step: ids (B, T) or values (B, T, C) and the state, to logits and the state.

    Args:
        step: from `step_of`, with inner names.
    """
    graph = step.graph
    (read, *before), (predicted, *after) = names.keys(), names.values()
    count = len(before)
    # Scan takes the state first, and what it goes along last
    body = helper.make_graph(
        list(graph.node),
        "step",
        [*graph.input[1:], graph.input[0]],
        [*graph.output[1:], graph.output[0]],
    )
    scan = helper.make_node(
        "Scan",
        [*before, read],
        [*after, predicted],
        body=body,
        num_scan_inputs=1,
        scan_input_axes=[1],
        scan_output_axes=[1],
    )
    inputs = [_over_time(graph.input[0], read), *map(_named, graph.input[1:], before)]
    outputs = [_over_time(graph.output[0], predicted), *map(_named, graph.output[1:], after)]
    assert len(outputs) == 1 + count
    made = helper.make_graph([scan], "sequence", inputs, outputs, list(graph.initializer))
    return helper.make_model(made, opset_imports=list(step.opset_import), ir_version=step.ir_version)


def _named(value: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    kind = value.type.tensor_type
    shape = ["batch", *(dimension.dim_value for dimension in kind.shape.dim[1:])]
    return helper.make_tensor_value_info(name, kind.elem_type, shape)


def _over_time(value: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    kind = value.type.tensor_type
    shape: list[Any] = ["batch", "time", *(dimension.dim_value for dimension in kind.shape.dim[1:])]
    return helper.make_tensor_value_info(name, kind.elem_type, shape)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep what torch's exporter has to say of itself, some fifty lines, from the user."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            with contextlib.redirect_stderr(io.StringIO()):
                yield
    finally:
        logging.disable(before)


def _reason(error: BaseException) -> str:
    """Return what torch says of the first cause; the errors around it are of its own workings."""
    while error.__cause__ is not None:
        error = error.__cause__
    return describe_error(error)
