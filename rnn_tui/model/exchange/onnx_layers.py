"""A sequence as an ONNX graph of the operators LSTM, GRU or RNN: where torch.nn has the layers.

They take time first, gates in another order than torch (LSTM: i, o, f, c; GRU: z, r, h), both biases in one piece, and
a dimension of directions. See the operators' pages in ONNX's documentation.
"""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from rnn_tui.model.exchange.twin import WAYS, Twin, nonlinearity_of

OPSET = 18
_ORDERS = {"LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2], "RNN": [0]}
"""Where ONNX's gates stand in torch's order."""


def sequence_of_layers(
    twin: Twin, before: list[list[str]], after: list[list[str]], *, tokens: bool
) -> onnx.ModelProto:
    """Return the model over time.

    Args:
        before: the names of the state's inputs, of each layer h and c, or h; empty for a model that reads in both
            directions, which begins with zeros.
        after: the names of its outputs, likewise.
        tokens: `ids` (B, T) to `logits` (B, T, V); else `values` (B, T, C) to `outputs` (B, T, C).
    """
    graph = _Graph(twin, tokens=tokens)
    xs = graph.entered()
    for index in range(twin.rnn.num_layers):
        xs = graph.layer(xs, index, before[index] if before else [], after[index] if after else [])
    graph.head(xs)
    width = twin.rnn.hidden_size
    inputs = [_value(name, TensorProto.FLOAT, ["batch", width]) for names in before for name in names]
    outputs = [_value(name, TensorProto.FLOAT, ["batch", width]) for names in after for name in names]
    columns = twin.head.out_features
    first = (
        _value("ids", TensorProto.INT64, ["batch", "time"])
        if tokens
        else _value("values", TensorProto.FLOAT, ["batch", "time", columns])
    )
    result = _value("logits" if tokens else "outputs", TensorProto.FLOAT, ["batch", "time", columns])
    made = helper.make_graph(graph.nodes, "sequence", [first, *inputs], [result, *outputs], graph.weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def _value(name: str, kind: int, shape: list[Any]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


class _Graph:
    """Nodes and weights, as they are added."""

    def __init__(self, twin: Twin, *, tokens: bool) -> None:
        self.twin = twin
        self.tokens = tokens
        self.ways = WAYS[: 1 + twin.rnn.bidirectional]
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> str:
        """Add a node; return the name of its first output."""
        self.nodes.append(helper.make_node(operator, inputs, outputs, **attributes))
        return outputs[0]

    def weight(self, name: str, values: Any) -> str:
        """Add a constant tensor; return its name."""
        array = values.detach().numpy() if isinstance(values, Tensor) else np.asarray(values)
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def entered(self) -> str:
        """Return the inputs as the lowest layer takes them, (T, B, I)."""
        embedding = self.twin.embedding
        xs = "values"
        if embedding is not None:
            xs = self.add("Gather", [self.weight("embedding.weight", embedding.weight), "ids"], ["embedded"])
        elif self.tokens:
            depth = self.weight("depth", np.array(self.twin.rnn.input_size))
            off_on = self.weight("off_on", np.array([0, 1], np.float32))
            xs = self.add("OneHot", ["ids", depth, off_on], ["one_hot"], axis=-1)
        return self.add("Transpose", [xs], ["inputs"], perm=[1, 0, 2])

    def layer(self, xs: str, index: int, before: list[str], after: list[str]) -> str:
        """Add one layer: (T, B, I) to (T, B, O)."""
        name, rnn, kind = f"layer.{index}", self.twin.rnn, self.twin.kind
        attributes: dict[str, Any] = {"hidden_size": rnn.hidden_size}
        if kind == "GRU":
            attributes["linear_before_reset"] = 1
        if kind == "RNN":
            attributes["activations"] = [nonlinearity_of(rnn).capitalize()] * len(self.ways)
        if len(self.ways) == 2:
            attributes["direction"] = "bidirectional"
        states = [self._widened(state) for state in before]
        ends = [f"{name}.{part}" for part in ("h", "c")[: len(after)]]
        inputs = [
            xs,
            *(self.weight(f"{name}.{part}", self._stacked(part, index)) for part in "WRB"),
            "",
            *states,
        ]
        ys = self.add(kind, inputs if states else inputs[:4], [f"{name}.Y", *ends], **attributes)
        for end, new in zip(ends, after, strict=True):
            self.add("Squeeze", [end, self._axis(0)], [new])
        if len(self.ways) == 1:
            return self.add("Squeeze", [ys, self._axis(1)], [f"{name}.ys"])  # (T, 1, B, O)
        beside = self.add("Transpose", [ys], [f"{name}.beside"], perm=[0, 2, 1, 3])  # (T, B, 2, O)
        shape = self.weight(f"{name}.shape", np.array([0, 0, 2 * rnn.hidden_size]))
        return self.add("Reshape", [beside, shape], [f"{name}.ys"])

    def _widened(self, state: str) -> str:
        return self.add("Unsqueeze", [state, self._axis(0)], [f"{state}.wide"])

    def _axis(self, axis: int) -> str:
        name = f"axis.{axis}"
        return (
            name
            if any(weight.name == name for weight in self.weights)
            else self.weight(name, np.array([axis]))
        )

    def _stacked(self, part: str, index: int) -> Any:
        """Return W, R or B of a layer, one direction after the other."""

        def gates(name: str) -> Any:
            values = getattr(self.twin.rnn, name).detach().numpy()
            pieces = np.split(values, len(_ORDERS[self.twin.kind]))
            return np.concatenate([pieces[gate] for gate in _ORDERS[self.twin.kind]])

        names = {"W": ["weight_ih"], "R": ["weight_hh"], "B": ["bias_ih", "bias_hh"]}[part]
        return np.stack(
            [np.concatenate([gates(f"{name}_l{index}{way}") for name in names]) for way in self.ways]
        )

    def head(self, xs: str) -> None:
        """Add the linear layer, (T, B, O) to (B, T, V)."""
        head = self.twin.head
        features = self.add("Transpose", [xs], ["features"], perm=[1, 0, 2])
        product = self.add("MatMul", [features, self.weight("head.weight", head.weight.T)], ["product"])
        self.add(
            "Add", [product, self.weight("head.bias", head.bias)], ["logits" if self.tokens else "outputs"]
        )
